// MadeJournal: a journal on disk without a primary. The test plays the link: full syncs with an RDB of its own, stream
// bytes of its own, at times of its own. What writes is the real capture, so the files are real.
// Neighbours: running-journal.ts is for tests with a real primary.
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { Capture } from '../../src/daemon/capture.ts';
import { type SourceTree, sourceTree } from '../../src/log/source-tree.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import type { RdbHead } from '../../src/redis/rdb-head.ts';
import type { ReplicationInfo } from '../../src/redis/replication-info.ts';
import type { FullSyncSink, StreamSink } from '../../src/upstream/sink.ts';
import { temporaryDirectory } from './leash.ts';
import { ManualClock } from './manual-clock.ts';
import { unsyncedDisk } from './wrapped-disk.ts';

export const firstId = 'a'.repeat(40);
export const secondId = 'b'.repeat(40);

const rdb = Buffer.from('REDIS0010, more or less');
const head: RdbHead = { magic: 'REDIS', version: 10, aux: new Map([['redis-ver', '7.0.15']]) };

export class MadeJournal implements AsyncDisposable {
  readonly root: string;
  readonly tree: SourceTree;
  readonly clock: ManualClock;
  readonly capture: Capture;
  #stream: StreamSink | undefined;
  #scanner: BoundaryScanner | undefined;

  private constructor(root: string, tree: SourceTree, clock: ManualClock, capture: Capture) {
    this.root = root;
    this.tree = tree;
    this.clock = clock;
    this.capture = capture;
  }

  static async open(
    options: { readonly root?: string; readonly name?: string; readonly clock?: ManualClock } = {},
  ): Promise<MadeJournal> {
    const {
      root = path.join(temporaryDirectory('made'), 'journal-data'),
      name = 'shop',
      clock = new ManualClock(),
    } = options;
    const tree = sourceTree(root, name);
    const capture = await Capture.open({
      disk: unsyncedDisk,
      clock,
      root,
      tree,
      address: '10.0.0.5:6379',
      relativeTtl: 'refuse',
      seal: () => Promise.resolve(undefined),
      check: () => ({
        available: () => undefined,
        finish: (size) => {
          const chunks = Uint32Array.of(crc32(rdb.subarray(0, size)));
          return Promise.resolve({ findings: { crc64: '0'.repeat(16), chunk: 1 << 20, chunks }, head: undefined });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
      events: {
        recovered: () => undefined,
        progressed: () => undefined,
        failed: (error) => {
          throw error;
        },
        gap: () => undefined,
        sealed: () => undefined,
        sealFailed: () => undefined,
      },
    });
    return new MadeJournal(root, tree, clock, capture);
  }

  /** A full sync at a position: begun now, complete a second later. */
  async fullSync(id: string, offset: number, lineage?: ReplicationInfo): Promise<void> {
    const sink = await this.beginFullSync(id, offset, lineage);
    this.clock.advance(1000);
    this.#stream = sink.beginStream(head);
    this.#scanner = new BoundaryScanner({ offset, db: 0 });
    await sink.publish(head);
  }

  /** One that is under way. */
  async beginFullSync(id: string, offset: number, lineage?: ReplicationInfo): Promise<FullSyncSink> {
    const server = { kind: 'redis', version: '7.0.15', major: 7, minor: 0 } as const;
    const stamp = this.capture.stamp();
    const sink = await this.capture.beginFullSync({ position: { id, offset }, stamp, server, lineage });
    sink.append([rdb], undefined);
    return sink;
  }

  /** Commands of the primary, received now and durable on return. Its new offset. */
  async write(...commands: (readonly string[])[]): Promise<number> {
    const bytes = Buffer.from(commands.map(encode).join(''));
    if (this.#stream === undefined || this.#scanner === undefined) throw new Error('no full sync yet');
    this.#scanner.scan(bytes);
    this.#stream.append(bytes, undefined, this.capture.stamp(), this.#scanner);
    await this.#stream.drain();
    return this.#scanner.offset;
  }

  /** A clean stop: nobody writes any more. */
  async stop(): Promise<void> {
    await this.capture.stop();
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture[Symbol.asyncDispose]();
  }
}

function encode(command: readonly string[]): string {
  return `*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
