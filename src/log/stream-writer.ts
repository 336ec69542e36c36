/**
 * Group commit: takes stream bytes from memory to the medium (SPEC.md 10, steps 3 to 5, 7).
 *
 *   append() ──► batches ──► one write at a time ──► one sync at a time ──► events.durable(offset)
 *
 * Writing and syncing overlap: a sync covers every frame whose write returned before it began. A batch is what arrived
 * while the write before it was under way, or within commitDelayMs; it becomes one frame. Neighbours: the composition
 * root feeds it from the link; sealer.ts takes the segments it is done with.
 *
 * Invariant: `durable` never claims a byte, or a file name, that is not on the medium. After any failure it never moves
 * again and nothing more is written.
 */
import { encodeAttach } from '../../journal-format/attach.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import { ReadsEncoder } from '../../journal-format/reads.ts';
import type { Clock, Micros } from '../core/clock.ts';
import { commitBytesSoon, commitDelayMs, queueBytesMax, segmentBytesMax, segmentSecondsMax } from '../core/limits.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { Disk } from '../storage/disk.ts';
import { SegmentFile } from './segment-file.ts';
import type { SegmentTail } from './segment-file.ts';

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
}

export interface StreamWriterEvents {
  /** Everything up to and including `offset` is on the medium. */
  durable(offset: Offset): void;
  /** This segment ends at `end`, will not be written again and is durable: it may be sealed. */
  completed(path: string, end: Offset): void;
  /** A write or sync failed; the writer is dead. Called once. */
  failed(error: unknown): void;
}

/** Where the stream stands when a writer takes over. */
export interface StreamTail {
  /** Last byte in the log; durable. */
  readonly offset: Offset;
  readonly boundary: Offset;
  /** db selected at the boundary. */
  readonly db: number;
  readonly lastStamp: Micros;
  readonly ids: readonly IdEntry[];
  /** The segment to go on with; undefined at the start of a timeline. */
  readonly segment: SegmentTail | undefined;
}

/** What the boundary scanner knows after the appended bytes. */
export interface BoundaryMark {
  readonly boundary: Offset;
  readonly boundaryDb: number;
}

/** A batch is closed at this size; with one more read it stays below the format's 8 MiB. */
const batchBytesFull = 3 * 1024 * 1024;
const noBytes: readonly Uint8Array[] = [];

interface Batch {
  readonly start: Offset;
  readonly parts: Uint8Array[];
  readonly slabs: Slab[];
  readonly reads: ReadsEncoder;
  firstStamp: Micros;
  bytes: number;
  boundary: Offset;
  db: number;
  /** Set when a new segment begins with this batch: what its header says of the stream before it. */
  readonly segmentHeader: { readonly db: number; readonly ids: readonly IdEntry[] } | undefined;
  /** An attach frame that goes before the bytes, with the boundary at that point. */
  readonly attach: AttachFrame | undefined;
}

interface AttachFrame {
  readonly meta: Buffer;
  readonly stamp: Micros;
  readonly boundary: Offset;
  readonly db: number;
}

export class StreamWriter {
  readonly #options: StreamWriterOptions;
  readonly #segmentBytes: number;
  readonly #queue: Batch[] = [];
  readonly #dirty = new Set<SegmentFile>();
  readonly #retired: { readonly file: SegmentFile; readonly end: Offset }[] = [];
  readonly #ids: IdEntry[];
  #segment: SegmentFile | undefined;
  readonly #segmentToReopen: SegmentTail | undefined;
  /** What the current segment will hold once the queue is written. */
  #segmentWillHold: number;
  #segmentSince: Micros;
  #directoryDirty = false;
  #received: Offset;
  #written: Offset;
  #durable: Offset;
  #boundary: Offset;
  #db: number;
  #lastStamp: Micros;
  #queuedBytes = 0;
  #due = false;
  #cancelTimer: (() => void) | undefined;
  #writing = false;
  #syncing = false;
  #failure: { readonly error: unknown } | undefined;
  #waiters: { readonly settled: () => boolean; readonly resolve: () => void; readonly reject: (e: unknown) => void }[] =
    [];

  constructor(options: StreamWriterOptions, tail: StreamTail) {
    this.#options = options;
    this.#segmentBytes = options.segmentBytes ?? segmentBytesMax;
    this.#segmentToReopen = tail.segment;
    this.#segmentWillHold = tail.segment?.position ?? 0;
    this.#segmentSince = tail.segment?.firstStamp ?? 0;
    this.#received = this.#written = this.#durable = tail.offset;
    this.#boundary = tail.boundary;
    this.#db = tail.db;
    this.#lastStamp = tail.lastStamp;
    this.#ids = [...tail.ids];
  }

  /** Offset of the last byte taken. */
  get received(): Offset {
    return this.#received;
  }

  get durable(): Offset {
    return this.#durable;
  }

  /** Stamp of the last byte taken. */
  get lastStamp(): Micros {
    return this.#lastStamp;
  }

  /** Where a scan of the stream can begin, and how to find the bytes behind it. */
  get tail(): { readonly boundary: Offset; readonly db: number; readonly path: string | undefined } {
    return { boundary: this.#boundary, db: this.#db, path: this.#segment?.path ?? this.#segmentToReopen?.path };
  }

  get id(): ReplicationId {
    return this.#ids.at(-1)?.id ?? '';
  }

  /** Too much is waiting for the disk: stop reading until `relieved`. */
  get congested(): boolean {
    return this.#queuedBytes > queueBytesMax;
  }

  /** Resolves when half of the queue is free again; rejects when the writer fails. */
  relieved(): Promise<void> {
    return this.#when(() => this.#queuedBytes <= queueBytesMax / 2);
  }

  /** Resolves when all that was appended is durable; rejects when the writer fails. */
  async drain(): Promise<void> {
    this.hurry();
    await this.#when(() => this.#durable === this.#received && this.#dirty.size === 0 && this.#queue.length === 0);
  }

  /**
   * Takes the next stream bytes, of one socket read. `bytes` must stay as they are until they are written: `slab`, if
   * given, is retained until then. Does nothing after a failure (the link is being closed).
   */
  append(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: BoundaryMark): void {
    if (this.#failure !== undefined || bytes.length === 0) return;
    const cut = this.#rotationDue(stamp) ? this.#cutAt(bytes.length, mark) : undefined;
    if (cut === undefined) {
      this.#add(bytes, slab, stamp, mark);
    } else {
      if (cut > 0) this.#add(bytes.subarray(0, cut), slab, stamp, mark);
      this.#openBatch({ beginsSegment: true });
      this.#segmentWillHold = 0;
      this.#segmentSince = stamp;
      this.#add(bytes.subarray(cut), slab, stamp, mark);
    }
    if (this.#queuedBytes >= commitBytesSoon) this.#due = true;
    this.#schedule();
  }

  /** Records that the stream goes on after an interruption, under `id`; a new id is a switch. */
  attach(id: ReplicationId, stamp: Micros): void {
    const meta = encodeAttach({ id, lostStamp: this.#lastStamp, stamp });
    this.#lastStamp = Math.max(this.#lastStamp, stamp);
    if (id !== this.id) this.#ids.push({ id, offset: this.#received + 1 });
    // A timeline without segments needs no frame for it: the header of its first segment will carry the ids.
    if (!this.#hasSegment) return;
    this.#openBatch({ attach: { meta, stamp: this.#lastStamp, boundary: this.#boundary, db: this.#db } });
    this.hurry();
  }

  /** Write and sync as soon as the pipe is free: somebody waits for the acknowledgement. */
  hurry(): void {
    if (this.#queue.length === 0) return;
    this.#due = true;
    this.#schedule();
  }

  /** Closes the file. Call after drain(), or after a failure. */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#fail(new RangeError('the writer is closed'), false);
    await this.#segment?.close();
    for (const { file } of this.#retired) await file.close();
  }

  get #hasSegment(): boolean {
    return this.#segmentWillHold > 0;
  }

  #rotationDue(stamp: Micros): boolean {
    if (!this.#hasSegment || this.#segmentWillHold >= this.#segmentBytes) return true;
    return stamp - this.#segmentSince >= segmentSecondsMax * 1_000_000;
  }

  /** How many of the next `length` bytes still belong to the current segment; undefined: no boundary to cut at. */
  #cutAt(length: number, mark: BoundaryMark): number | undefined {
    if (this.#boundary === this.#received) return 0;
    const cut = mark.boundary - this.#received;
    return cut > 0 && cut < length ? cut : undefined;
  }

  #add(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: BoundaryMark): void {
    let batch = this.#queue.at(-1);
    if (batch === undefined || batch.bytes >= batchBytesFull || batch.reads.isFull) batch = this.#openBatch({});
    if (batch.bytes === 0) batch.firstStamp = stamp;
    batch.parts.push(bytes);
    if (slab !== undefined && batch.slabs.at(-1) !== slab) batch.slabs.push(slab.retain());
    batch.reads.add(stamp, bytes.length);
    batch.bytes += bytes.length;
    this.#received += bytes.length;
    this.#queuedBytes += bytes.length;
    this.#segmentWillHold += bytes.length;
    this.#lastStamp = stamp;
    if (mark.boundary <= this.#received) {
      this.#boundary = mark.boundary;
      this.#db = mark.boundaryDb;
    }
    batch.boundary = this.#boundary;
    batch.db = this.#db;
  }

  #openBatch(special: { readonly beginsSegment?: boolean; readonly attach?: AttachFrame }): Batch {
    const batch: Batch = {
      start: this.#received + 1,
      parts: [],
      slabs: [],
      reads: new ReadsEncoder(),
      firstStamp: 0,
      bytes: 0,
      boundary: this.#boundary,
      db: this.#db,
      segmentHeader: special.beginsSegment === true ? { db: this.#db, ids: [...this.#ids] } : undefined,
      attach: special.attach,
    };
    this.#queue.push(batch);
    return batch;
  }

  /** Starts the write loop when it should run, or the timer that will. */
  #schedule(): void {
    if (this.#writing || this.#failure !== undefined) return;
    if (this.#due) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      void this.#writeQueue();
    } else {
      this.#cancelTimer ??= this.#options.clock.after(commitDelayMs, () => {
        this.#cancelTimer = undefined;
        this.#due = true;
        this.#schedule();
      });
    }
  }

  async #writeQueue(): Promise<void> {
    this.#writing = true;
    try {
      do {
        this.#due = false;
        for (let count = this.#queue.length; count > 0; count -= 1) await this.#writeNext();
      } while (this.#due);
    } catch (error) {
      this.#fail(error, true);
    }
    this.#writing = false;
    if (this.#queue.length > 0) this.#schedule();
  }

  async #writeNext(): Promise<void> {
    const batch = this.#queue.shift();
    if (batch === undefined) return;
    const segment = await this.#segmentFor(batch);
    const fields = { start: batch.start, durable: this.#durable, wall: this.#options.clock.wall() };
    if (batch.attach !== undefined) {
      const { meta, stamp, boundary, db } = batch.attach;
      await segment.append('attach', { ...fields, boundary, db, firstStamp: stamp, lastStamp: stamp }, meta, noBytes);
    }
    if (batch.bytes > 0) {
      const { meta, firstStamp, lastStamp } = batch.reads.finish();
      const { boundary, db } = batch;
      await segment.append('stream', { ...fields, boundary, db, firstStamp, lastStamp }, meta, batch.parts);
    }
    // No await between these two: a sync that begins here must see both or neither.
    this.#written += batch.bytes;
    this.#dirty.add(segment);
    this.#queuedBytes -= batch.bytes;
    for (const slab of batch.slabs) slab.release();
    if (!this.#syncing) void this.#syncWritten();
    this.#wake();
  }

  async #segmentFor(batch: Batch): Promise<SegmentFile> {
    const { disk, directory, source, timeline, writer } = this.#options;
    if (batch.segmentHeader !== undefined) {
      const before = await this.#currentSegment();
      if (before !== undefined) this.#retired.push({ file: before, end: batch.start - 1 });
      const { db, ids } = batch.segmentHeader;
      const stamp = batch.firstStamp;
      this.#segment = await SegmentFile.create(disk, directory, {
        source,
        timeline,
        start: batch.start,
        db,
        ids,
        stamp,
        writer,
      });
      this.#directoryDirty = true;
    }
    const segment = await this.#currentSegment();
    if (segment === undefined) throw new RangeError('the first bytes of a timeline must begin a segment');
    return segment;
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
    this.#syncing = true;
    try {
      while (this.#dirty.size > 0) {
        const upTo = this.#written;
        const files = [...this.#dirty];
        const retired = this.#retired.splice(0);
        const directory = this.#directoryDirty;
        this.#dirty.clear();
        this.#directoryDirty = false;
        await Promise.all(files.map((file) => file.sync()));
        if (directory) await this.#options.disk.syncDirectory(this.#options.directory);
        this.#durable = upTo;
        this.#options.events.durable(upTo);
        for (const { file, end } of retired) {
          await file.close();
          this.#options.events.completed(file.path, end);
        }
        this.#wake();
      }
    } catch (error) {
      this.#fail(error, true);
    }
    this.#syncing = false;
  }

  #when(settled: () => boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error as Error);
    if (settled()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ settled, resolve, reject }));
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
    for (const batch of this.#queue.splice(0)) for (const slab of batch.slabs) slab.release();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    if (tell) this.#options.events.failed(error);
  }
}
