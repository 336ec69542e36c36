// Who takes part: programs that attach to a primary as a replica and keep its stream. Each is one command line, so that
// the same code starts, measures and ends them all (run.ts), and one way of finding out whether it kept the stream.
import { createReadStream, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { CommandLine } from './child.ts';
import { requireSound, runCommand, streamBytes } from './journal.ts';
import { requireSame } from './kept.ts';

export type ContestantName = 'receiver' | 'journal' | 'replica' | 'replica-always';

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
  command(to: Attachment): CommandLine;
  /** Whether it ends when it has everything, as only the yardstick does. The others are told to. */
  readonly endsByItself: boolean;
  /** Throws unless what it left behind is what was sent. */
  check(to: Attachment, sent: AsyncIterable<Buffer>): Promise<void>;
}

export function makeContestants(receiver: string): Readonly<Record<ContestantName, Contestant>> {
  return {
    receiver: {
      name: 'receiver',
      label: 'C program: recv(), write(), fdatasync() every 10 ms',
      endsByItself: true,
      command: (to) => [receiver, '127.0.0.1', String(to.port), streamFile(to), String(to.streamBytes)],
      async check(to, sent) {
        await requireSame(createReadStream(streamFile(to), { highWaterMark: 1024 * 1024 }), sent);
      },
    },
    journal: {
      name: 'journal',
      label: 'journal run',
      endsByItself: false,
      command: (to) => runCommand(journalDirectory(to), to.port),
      async check(to, sent) {
        await requireSame(streamBytes(journalDirectory(to)), sent);
        await requireSound(journalDirectory(to));
      },
    },
    replica: makeReplica('replica', 'everysec'),
    'replica-always': makeReplica('replica-always', 'always'),
  };
}

function makeReplica(name: ContestantName, fsync: string): Contestant {
  return {
    name,
    label: `redis-server replica, AOF ${fsync}`,
    endsByItself: false,
    // Snapshots and AOF rewrites would only slow it down: what is compared is taking and keeping a stream.
    command: ({ port, directory }) => [
      'redis-server',
      // Nobody calls it, but it refuses to start without an address; one port for all would be taken somewhere.
      ...['--port', '0', '--unixsocket', 'replica.sock'],
      ...['--dir', directory, '--save', '', '--replicaof', '127.0.0.1', String(port)],
      ...['--appendonly', 'yes', '--appendfsync', fsync, '--auto-aof-rewrite-percentage', '0'],
    ],
    // It writes commands, not the stream: without GETACK, which nobody needs to repeat, and with SELECTs of its own.
    async check({ directory, streamBytes: expected }) {
      const kept = aofBytes(directory);
      if (kept < expected * 0.99) throw new Error(`${name} has ${kept} bytes of AOF for ${expected} bytes of stream`);
    },
  };
}

/** All AOF files below a server's directory. */
export function aofBytes(directory: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.aof'));
  return names.reduce((sum, name) => sum + statSync(path.join(directory, name)).size, 0);
}

function streamFile({ directory }: Attachment): string {
  return path.join(directory, 'stream');
}

function journalDirectory({ directory }: Attachment): string {
  return path.join(directory, 'journal');
}
