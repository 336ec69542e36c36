// JournalBuilder: journals on the real disk, but for its syncs, written by the real log code from a script of socket reads,
// for tests of what reads journals. It notes beside them what a reader must find: every read with its stamp, and the stream
// itself.
// Invariant: nothing of what it notes was read back from the files.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { BaseContents } from '../../journal-format/base.ts';
import type { GapCause } from '../../journal-format/gap.ts';
import type { Sample } from '../../journal-format/samples.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Micros } from '../../src/core/clock.ts';
import type { Offset } from '../../src/core/position.ts';
import { BaseReceiver } from '../../src/log/base-receiver.ts';
import type { BaseChecked, BaseChecker } from '../../src/log/base-receiver.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Catalog } from '../../src/log/catalog.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { createSourceTree, sourceTree } from '../../src/log/source-tree.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { StreamWriter } from '../../src/log/stream-writer.ts';
import { beginTimeline, writeMark } from '../../src/log/timeline-store.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { temporaryDirectory } from './leash.ts';
import { unsyncedDisk } from './wrapped-disk.ts';

export interface TimelineScript {
  readonly id: string;
  /** The base's. */
  readonly offset: Offset;
  readonly completed: Micros;
  /** When the full sync began; `completed` when it took no time. */
  readonly stamp?: Micros;
  readonly rdb?: Buffer;
  readonly db?: number;
  readonly server?: { readonly kind: string; readonly version: string };
  readonly magic?: 'REDIS' | 'VALKEY';
  readonly rdbVersion?: number;
  readonly contents?: BaseContents;
  /** Of the gap before it; on all but the first. */
  readonly cause?: GapCause;
  readonly segmentBytes?: number;
}

/** A socket read: the offset of its last byte. */
export interface ScriptedRead {
  readonly end: Offset;
  readonly stamp: Micros;
}

const writer = 'journal/test';
const chunkBytes = 1024 * 1024;

export class JournalBuilder implements AsyncDisposable {
  readonly root: string;
  readonly tree: SourceTree;
  readonly timelines: TimelineBuilder[] = [];

  private constructor(root: string, source: string) {
    this.root = root;
    this.tree = sourceTree(root, source);
  }

  static async create(source = 'orders'): Promise<JournalBuilder> {
    const journal = new JournalBuilder(temporaryDirectory('journal'), source);
    await createSourceTree(unsyncedDisk, journal.root, journal.tree);
    return journal;
  }

  /** A new timeline behind the one before, with its base in place. */
  async timeline(script: TimelineScript): Promise<TimelineBuilder> {
    const before = this.timelines.at(-1);
    await before?.close();
    const timeline = await TimelineBuilder.begin(this.tree, this.timelines.length + 1, script, before);
    this.timelines.push(timeline);
    return timeline;
  }

  async mark(name: string, timeline: TimelineBuilder, offset: Offset): Promise<void> {
    await writeMark(unsyncedDisk, this.tree, {
      name,
      timeline: timeline.number,
      id: timeline.script.id,
      offset,
      stamp: timeline.stampOf(offset),
      created: timeline.stampOf(offset),
    });
  }

  catalog(): Promise<Catalog> {
    return loadCatalog(unsyncedDisk, this.tree);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.timelines.at(-1)?.close();
    await unsyncedDisk.removeTree(this.root);
  }
}

export class TimelineBuilder {
  readonly number: number;
  readonly script: TimelineScript;
  readonly directory: string;
  readonly rdb: Buffer;
  readonly reads: ScriptedRead[] = [];
  readonly #parts: Buffer[] = [];
  readonly #source: string;
  readonly #completed: { readonly path: string; readonly end: Offset }[] = [];
  #scanner: BoundaryScanner;
  #writer: StreamWriter;
  #lastStamp: Micros;
  #isClosed = false;

  private constructor(number: number, script: TimelineScript, directory: string, rdb: Buffer, source: string) {
    const { offset, completed, db = 0 } = script;
    this.number = number;
    this.script = script;
    this.directory = directory;
    this.rdb = rdb;
    this.#source = source;
    this.#lastStamp = completed;
    this.#scanner = new BoundaryScanner({ offset, db });
    this.#writer = this.#openWriter(offset, db);
  }

  static async begin(
    tree: SourceTree,
    number: number,
    script: TimelineScript,
    before: TimelineBuilder | undefined,
  ): Promise<TimelineBuilder> {
    const { id, offset, completed, server = { kind: 'redis', version: '7.0.15' } } = script;
    const side = { timeline: number, id, offset, stamp: completed };
    const cause = script.cause ?? 'history-changed';
    const gap = before && { from: before.tail, to: side, cause, detail: 'as the test wanted it' };
    const record = { source: tree.source, ...side, address: '127.0.0.1:6379', server, writer };
    const directory = await beginTimeline(unsyncedDisk, tree, record, gap);
    const rdb = script.rdb ?? randomBytes(2000);
    await writeBase(directory, script, number, rdb);
    return new TimelineBuilder(number, script, directory, rdb, tree.source);
  }

  /** All stream bytes so far. */
  get stream(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get end(): Offset {
    return this.#writer.received;
  }

  /** The last stamp of the timeline, that of a byte or a tick. */
  get lastStamp(): Micros {
    return this.#lastStamp;
  }

  get tail(): { timeline: number; id: string; offset: Offset; stamp: Micros } {
    return { timeline: this.number, id: this.#writer.id, offset: this.end, stamp: this.#lastStamp };
  }

  /** The stamp of the read that held a byte; of the base, of its completion. */
  stampOf(offset: Offset): Micros {
    if (offset === this.script.offset) return this.script.completed;
    const read = this.reads.find(({ end }) => end >= offset);
    if (read === undefined) throw new Error(`offset ${offset} was not written`);
    return read.stamp;
  }

  /** One socket read. */
  read(bytes: Buffer, stamp: Micros): void {
    this.#scanner.scan(bytes);
    this.#writer.append(bytes, undefined, stamp, this.#scanner);
    this.#parts.push(bytes);
    this.reads.push({ end: this.#writer.received, stamp });
    this.#lastStamp = stamp;
  }

  /** Ends a frame: what was read so far is durable. */
  commit(): Promise<void> {
    return this.#writer.drain();
  }

  /** The stream goes on after an interruption, under this id. */
  attach(id: string, stamp: Micros): void {
    this.#writer.attach(id, stamp);
  }

  /** The primary had nothing more at `stamp`. */
  tick(stamp: Micros): void {
    this.#writer.tick(stamp);
    this.#lastStamp = stamp;
  }

  /** The primary's answers to the sampler, each with our stamp. */
  samples(samples: readonly Sample[]): void {
    this.#writer.samples(samples);
  }

  /**
   * The writer gives up its file after a failed sync, durable up to `offset`, a boundary: the bytes behind it come again,
   * in a new segment, while the file keeps them.
   */
  async abandon(offset: Offset, db = this.script.db ?? 0): Promise<void> {
    await this.commit();
    await this.#writer.close();
    const kept = this.stream.subarray(0, offset - this.script.offset);
    const stamp = this.stampOf(offset);
    this.#parts.splice(0, Infinity, kept);
    const reads = this.reads.filter(({ end }) => end < offset);
    this.reads.splice(0, Infinity, ...reads, { end: offset, stamp });
    this.#scanner = new BoundaryScanner({ offset, db });
    this.#writer = this.#openWriter(offset, db);
  }

  /** Seals the segments that have a successor, but for the last `keepOpen` of them. */
  async seal(keepOpen = 0): Promise<void> {
    await this.commit();
    const segments = this.#completed.splice(0, Math.max(0, this.#completed.length - keepOpen));
    for (const { path, end } of segments) await sealSegment(unsyncedDisk, path, end, knownCommands);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.commit();
    await this.#writer.close();
  }

  #openWriter(offset: Offset, db: number): StreamWriter {
    const { id, segmentBytes } = this.script;
    const options = {
      disk: unsyncedDisk,
      clock: systemClock,
      directory: this.directory,
      source: this.#source,
      timeline: this.number,
      writer,
      ...(segmentBytes !== undefined && { segmentBytes }),
      events: {
        durable: () => undefined,
        completed: (path: string, end: Offset) => void this.#completed.push({ path, end }),
        failed: () => undefined,
      },
    };
    const ids = [{ id, offset: this.script.offset + 1 }];
    const lastStamp = this.#lastStamp;
    return new StreamWriter(options, { offset, boundary: offset, db, lastStamp, ids, segment: undefined });
  }
}

async function writeBase(directory: string, script: TimelineScript, timeline: number, rdb: Buffer): Promise<void> {
  const { id, offset, completed, db = 0, magic = 'REDIS', rdbVersion = 10, contents } = script;
  const failed = (error: unknown): void => {
    throw error;
  };
  const check = (path: string): BaseChecker => new Checker(path, contents);
  await using receiver = await BaseReceiver.open({ disk: unsyncedDisk, directory, offset, check, failed });
  receiver.append([rdb], undefined);
  const { stamp = completed } = script;
  const record = { timeline, offset, id, origin: 'received', db, stamp, completed, magic } as const;
  await receiver.publish({ ...record, version: rdbVersion, aux: {} });
}

/** Takes checksums and believes the rest: these bases are of any bytes. */
class Checker implements BaseChecker {
  readonly #path: string;
  readonly #contents: BaseContents | undefined;

  constructor(path: string, contents: BaseContents | undefined) {
    this.#path = path;
    this.#contents = contents;
  }

  available(): void {}

  async finish(size: number): Promise<BaseChecked> {
    const bytes = await readFile(this.#path);
    const chunks = Uint32Array.from({ length: Math.ceil(size / chunkBytes) }, (_, i) =>
      crc32(bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)),
    );
    const contents = this.#contents;
    const findings = { crc64: '0'.repeat(16), chunk: chunkBytes, chunks, ...(contents !== undefined && { contents }) };
    return { findings, head: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
