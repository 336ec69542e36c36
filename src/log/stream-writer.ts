/**
 * Group commit: takes stream bytes from memory to the medium (SPEC.md 10, steps 3 to 5, 7).
 *
 *   append() ──► batches ──► a write, or two ──► one sync at a time ──► events.durable(offset)
 *
 * Writing and syncing overlap: a sync covers the frames whose writes, and all before them, returned before it began. A
 * batch is what arrived while the write before it was under way, or within commitDelayMs; it becomes one frame
 * (batch-queue.ts). Neighbours: the composition root feeds it from the link; sealer.ts takes the segments it is done with.
 *
 * Invariant: `durable` never claims a byte, or a file name, that is not on the medium. After any failure it never moves
 * again and nothing more is written or synced: another writer goes on at `durableTail`, in another file.
 */
import { noData } from '../../journal-format/data-sum.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Clock, Micros } from '../core/clock.ts';
import { commitBytesSoon, commitDelayMs, queueBytesMax, segmentBytesMax } from '../core/limits.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { Disk } from '../storage/disk.ts';
import { BatchQueue } from './batch-queue.ts';
import type { Batch, BoundaryMark, StreamTail } from './batch-queue.ts';
import { StreamProgress } from './stream-progress.ts';
import { SegmentFile } from './segment-file.ts';
import type { NewFrame, SegmentTail } from './segment-file.ts';

export type { BoundaryMark, StreamTail } from './batch-queue.ts';

export interface StreamWriterOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Folder of the timeline. */
  readonly directory: string;
  readonly source: string;
  readonly timeline: number;
  /** Program and version, for the segment headers. */
  readonly writer: string;
  readonly events: StreamWriterEvents;
  readonly segmentBytes?: number;
  /** Whether somebody waits for whatever becomes durable: then nothing waits for company. */
  readonly isAwaited?: (() => boolean) | undefined;
}

export interface StreamWriterEvents {
  /** Everything up to and including `offset` is on the medium. */
  durable(offset: Offset): void;
  /** This segment ends at `end`, will not be written again and is durable: it may be sealed. */
  completed(path: string, end: Offset): void;
  /** A write or sync failed; the writer is dead. Called once. */
  failed(error: unknown): void;
}

const interruptionLeast: Micros = 1_000_000;
const noBytes: readonly Uint8Array[] = [];

/** A write that has begun. */
interface Begun {
  readonly batch: Batch;
  readonly segment: SegmentFile;
  readonly written: Promise<void>;
}

/**
 * So many writes are under way in a flood: when one returns, which this thread may notice late, the disk has the next
 * already. More, and larger ones, were measured not to be faster.
 */
const writesAtOnce = 2;

export class StreamWriter {
  readonly #options: StreamWriterOptions;
  readonly #queue: BatchQueue;
  readonly #dirty = new Set<SegmentFile>();
  /** Segments that have a successor and were not synced and closed since. */
  readonly #retired: { readonly file: SegmentFile; readonly end: Offset }[] = [];
  #segment: SegmentFile | undefined;
  readonly #segmentToReopen: SegmentTail | undefined;
  #directoryDirty = false;
  readonly #progress: StreamProgress;
  /** Of the batches that the queue ever opened, how many should be written now. */
  #batchesDue = 0;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #waiters: { readonly settled: () => boolean; readonly resolve: () => void; readonly reject: (e: unknown) => void }[] =
    [];

  constructor(options: StreamWriterOptions, tail: StreamTail) {
    this.#options = options;
    this.#queue = new BatchQueue(tail, options.segmentBytes ?? segmentBytesMax);
    this.#segmentToReopen = tail.segment;
    this.#progress = new StreamProgress(tail);
  }

  /** Offset of the last byte taken. */
  get received(): Offset {
    return this.#queue.received;
  }

  get durable(): Offset {
    return this.#progress.durable.offset;
  }

  /** Stamp of the last byte taken. */
  get lastStamp(): Micros {
    return this.#queue.lastStamp;
  }

  /** Where a scan of the stream can begin, and how to find the bytes behind it. */
  get tail(): { readonly boundary: Offset; readonly db: number; readonly path: string | undefined } {
    const { boundary, db } = this.#queue;
    return { boundary, db, path: this.#segment?.path ?? this.#segmentToReopen?.path };
  }

  /** All ids that its bytes came under. */
  get ids(): readonly IdEntry[] {
    return this.#queue.ids;
  }

  get id(): ReplicationId {
    return this.#queue.id;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Throws what it failed with. */
  requireWhole(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Where another writer may begin a segment after a failure: behind the last boundary that is on the medium. */
  get durableTail(): StreamTail {
    return this.#progress.tail(this.#queue.ids);
  }

  /** Too much is waiting for the disk: stop reading until `relieved`. */
  get congested(): boolean {
    return this.#queue.bytes > queueBytesMax;
  }

  /**
   * Resolves when half of the queue is free again; rejects when the writer fails. `stamps`: whether those of what comes then
   * are of our clock, so that it is late.
   */
  async relieved(stamps: 'ours' | 'source' = 'ours'): Promise<void> {
    const { lastStamp } = this;
    const since = this.#options.clock.monotonic();
    await this.#when(() => this.#queue.bytes <= queueBytesMax / 2);
    const waited = this.#options.clock.monotonic() - since;
    // What was written meanwhile comes late, as after an interruption of the link.
    if (waited > interruptionLeast && stamps === 'ours') this.#queue.attach(this.id, lastStamp + waited);
  }

  /** Resolves when all that was appended before the call is durable; rejects when the writer fails. */
  async drain(): Promise<void> {
    const wanted = this.#queue.opened;
    this.hurry();
    await this.#when(() => this.#progress.written.batches >= wanted);
    this.#syncSoon();
    await this.#when(() => this.#progress.durable.batches >= wanted);
  }

  /**
   * Takes the next stream bytes, of one socket read. `bytes` must stay as they are until they are written: `slab`, if
   * given, is retained until then. Does nothing after a failure (the link is being closed).
   */
  append(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: BoundaryMark): void {
    if (this.#failure !== undefined || bytes.length === 0) return;
    this.#queue.append(bytes, slab, stamp, mark);
    if (this.#queue.bytes >= commitBytesSoon || this.#options.isAwaited?.() === true) this.hurry();
    else this.#schedule();
  }

  /** Records that the stream goes on after an interruption, under `id`; a new id is a switch. */
  attach(id: ReplicationId, stamp: Micros): void {
    if (this.#failure !== undefined) return;
    this.#queue.attach(id, stamp);
    this.hurry();
  }

  /** Records that the source had nothing more at `stamp`. Durable no later than the bytes that come next. */
  tick(stamp: Micros): void {
    if (this.#failure !== undefined) return;
    this.#queue.tick(stamp);
    this.#schedule();
  }

  /** Records how far the source was, and when. Durable no later than the bytes that come next. */
  samples(samples: readonly Sample[]): void {
    if (this.#failure !== undefined || samples.length === 0) return;
    this.#queue.samples(samples);
    this.#schedule();
  }

  /** Write and sync as soon as the pipe is free: somebody waits for the acknowledgement. */
  hurry(): void {
    this.#batchesDue = this.#queue.opened;
    if (this.#isDue) this.#schedule();
  }

  /** Closes the files once nothing is under way in them. Call after drain(), or after a failure. */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#fail(new RangeError('the writer is closed'), false);
    await this.#writing;
    await this.#syncing;
    await this.#segment?.close();
    for (const { file } of this.#retired) await file.close();
  }

  get #isDue(): boolean {
    return this.#queue.taken < this.#batchesDue;
  }

  /** Starts the write loop when it should run, or the timer that will. */
  #schedule(): void {
    if (this.#writing !== undefined || this.#failure !== undefined) return;
    if (this.#isDue) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      this.#writing = this.#writeDue().then(() => {
        this.#writing = undefined;
        if (this.#queue.length > 0) this.#schedule();
      });
    } else {
      this.#cancelTimer ??= this.#options.clock.after(commitDelayMs, () => {
        this.#cancelTimer = undefined;
        this.hurry();
      });
    }
  }

  async #writeDue(): Promise<void> {
    const underWay: Begun[] = [];
    try {
      for (;;) {
        if (this.#mayBegin(underWay.length)) {
          underWay.push(await this.#begin());
        } else {
          const oldest = underWay.shift();
          if (oldest === undefined) return;
          await this.#end(oldest);
        }
      }
    } catch (error) {
      // The system reads a batch's memory until its write has returned.
      await Promise.allSettled(underWay.map(({ written }) => written));
      for (const { batch } of underWay) this.#queue.release(batch);
      this.#fail(error, true);
    }
  }

  /** A batch that is not full waits for company while another is written, and a segment for the end of the one before. */
  #mayBegin(underWay: number): boolean {
    if (this.#failure !== undefined || !this.#isDue) return false;
    return underWay === 0 || (underWay < writesAtOnce && this.#queue.isNextFull);
  }

  async #begin(): Promise<Begun> {
    const batch = this.#queue.take();
    try {
      const segment = await this.#segmentFor(batch);
      // A sync failed meanwhile: what was written now must not bring another sync of the same file about.
      this.requireWhole();
      this.#progress.begun(batch);
      const written = segment.append(this.#framesOf(batch));
      // It is looked at when those before it are written.
      written.catch(() => undefined);
      return { batch, segment, written };
    } catch (error) {
      this.#queue.release(batch);
      throw error;
    }
  }

  /** Called in the order of the batches: what is counted as written has no hole. */
  async #end({ batch, segment, written }: Begun): Promise<void> {
    try {
      await written;
      if (this.#failure !== undefined) return;
      // No await between these: a sync that begins here must see all or nothing.
      this.#progress.ended(batch);
      this.#dirty.add(segment);
    } finally {
      this.#queue.release(batch);
    }
    if (!batch.isLazy) this.#syncSoon();
    this.#wake();
  }

  #syncSoon(): void {
    if (this.#dirty.size > 0) this.#syncing ??= this.#syncWritten();
  }

  #framesOf(batch: Batch): NewFrame[] {
    const { start, boundary, db, parts, sum } = batch;
    const common = { start, durable: this.durable, wall: this.#options.clock.wall() };
    const frames: NewFrame[] = batch.notes.map(({ kind, meta, stamp, boundary, db }) => {
      const fields = { ...common, boundary, db, firstStamp: stamp, lastStamp: stamp };
      return { kind, fields, meta, data: noBytes, sum: noData };
    });
    if (sum.length > 0) {
      const { meta, firstStamp, lastStamp } = batch.reads.finish();
      const fields = { ...common, boundary, db, firstStamp, lastStamp };
      frames.push({ kind: 'stream', fields, meta, data: parts, sum });
    }
    return frames;
  }

  async #segmentFor(batch: Batch): Promise<SegmentFile> {
    const { disk, directory, source, timeline, writer } = this.#options;
    const current = await this.#currentSegment();
    if (batch.segmentHeader === undefined) {
      if (current === undefined) throw new RangeError('the first bytes of a timeline must begin a segment');
      return current;
    }
    const { start, firstStamp: stamp } = batch;
    const { db, ids } = batch.segmentHeader;
    const header = { source, timeline, start, db, ids, stamp, writer };
    const next = await SegmentFile.create(disk, directory, header);
    // No await between these: what is told to be completed has a successor, whose name the same sync makes durable.
    this.#segment = next;
    this.#directoryDirty = true;
    if (current !== undefined) this.#retired.push({ file: current, end: start - 1 });
    return next;
  }

  /** The file being written, opened again after recovery; undefined before the first one. */
  async #currentSegment(): Promise<SegmentFile | undefined> {
    const tail = this.#segmentToReopen;
    if (this.#segment === undefined && tail !== undefined) {
      this.#segment = await SegmentFile.reopen(this.#options.disk, tail);
    }
    return this.#segment;
  }

  async #syncWritten(): Promise<void> {
    try {
      while (this.#dirty.size > 0 && this.#failure === undefined) await this.#syncOnce();
    } catch (error) {
      this.#fail(error, true);
    }
    this.#syncing = undefined;
  }

  async #syncOnce(): Promise<void> {
    const { disk, directory, events } = this.#options;
    const { written } = this.#progress;
    const files = [...this.#dirty];
    const retired = [...this.#retired];
    const isDirectoryDirty = this.#directoryDirty;
    this.#dirty.clear();
    this.#directoryDirty = false;
    await Promise.all(files.map((file) => file.sync()));
    if (isDirectoryDirty) await disk.syncDirectory(directory);
    if (this.#failure !== undefined) return;
    this.#progress.synced(written);
    events.durable(written.offset);
    for (const { file, end } of retired) {
      await file.close();
      this.#retired.shift();
      events.completed(file.path, end);
    }
    this.#wake();
  }

  async #when(settled: () => boolean): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (settled()) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ settled, resolve, reject });
    });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.settled()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  #fail(error: unknown, tell: boolean): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#queue.clear();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    if (tell) this.#options.events.failed(error);
  }
}
