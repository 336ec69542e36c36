// Who takes part in the ingest benchmark: three programs that attach to a primary as a replica and keep its stream.
// Each is one command line, so that the same code starts, measures and ends them all (run.ts).
import path from 'node:path';

export const contestantNames = ['receiver', 'journal', 'replica'] as const;
export type ContestantName = (typeof contestantNames)[number];

/** Where a contestant attaches, and where it may write. */
export interface Attachment {
  readonly port: number;
  readonly directory: string;
  /** All bytes of the stream; what is counted ends with the last SET before. */
  readonly streamBytes: number;
}

export interface Contestant {
  readonly name: ContestantName;
  readonly label: string;
  command(to: Attachment): readonly [program: string, ...args: string[]];
  /** Whether it ends when it has everything, as only the yardstick does. The others are told to. */
  readonly endsByItself: boolean;
}

export function makeContestants(receiver: string, journalMain: string): Readonly<Record<ContestantName, Contestant>> {
  return {
    receiver: {
      name: 'receiver',
      label: 'C program: recv(), write(), fdatasync() every 10 ms',
      endsByItself: true,
      command: ({ port, directory, streamBytes }) => [
        receiver,
        '127.0.0.1',
        String(port),
        path.join(directory, 'stream'),
        String(streamBytes),
      ],
    },
    journal: {
      name: 'journal',
      label: 'journal run',
      endsByItself: false,
      command: ({ port, directory }) => [
        process.execPath,
        journalMain,
        ...['run', '--source', `redis://127.0.0.1:${port}`, '--dir', path.join(directory, 'journal')],
      ],
    },
    replica: {
      name: 'replica',
      label: 'redis-server replica, AOF everysec',
      endsByItself: false,
      // Snapshots and AOF rewrites would only slow it down: what is compared is taking and keeping a stream.
      command: ({ port, directory }) => [
        'redis-server',
        // Nobody calls it, but it refuses to start without an address; one port for all would be taken somewhere.
        ...['--port', '0', '--unixsocket', 'replica.sock'],
        ...['--dir', directory, '--save', '', '--replicaof', '127.0.0.1', String(port)],
        ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0'],
      ],
    },
  };
}
