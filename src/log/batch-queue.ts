/**
 * What has been received and waits for the disk, as batches: each becomes one frame (SPEC.md 5, and 10 step 4). Decides
 * where a batch ends and where a segment begins; knows neither files nor clocks. stream-writer.ts takes the batches out.
 *
 * Invariant: batches are consecutive, and one that begins a segment begins behind a boundary.
 */
import { encodeAttach } from '../../journal-format/attach.ts';
import { addToSum, noData } from '../../journal-format/data-sum.ts';
import type { DataSum } from '../../journal-format/data-sum.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { FrameKind } from '../../journal-format/frame.ts';
import { frameHeaderBytes } from '../../journal-format/frame.ts';
import { ReadsEncoder } from '../../journal-format/reads.ts';
import { encodeSamples } from '../../journal-format/samples.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import { segmentSecondsMax } from '../core/limits.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { SegmentTail } from './segment-file.ts';

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

export interface Batch {
  readonly start: Offset;
  readonly parts: Uint8Array[];
  readonly slabs: Slab[];
  readonly reads: ReadsEncoder;
  firstStamp: Micros;
  lastStamp: Micros;
  /** Of all parts. Summed when they come: a part that has waited for the disk has left the processor's cache. */
  sum: DataSum;
  boundary: Offset;
  db: number;
  /** Set when a new segment begins with this batch: what its header says of the stream before it. */
  readonly segmentHeader: { readonly db: number; readonly ids: readonly IdEntry[] } | undefined;
  /** Frames that go before the bytes. */
  readonly notes: NoteFrame[];
  /** What the queue counts of them. */
  noteBytes: number;
  /** Set when no byte and no attachment is in it: what it says may be synced along with what comes next. */
  isLazy: boolean;
}

/** A frame without stream bytes, with the boundary at that point. */
export interface NoteFrame {
  readonly kind: Exclude<FrameKind, 'stream'>;
  readonly meta: Buffer;
  readonly stamp: Micros;
  readonly boundary: Offset;
  readonly db: number;
}

const noMeta = Buffer.alloc(0);

/**
 * A batch is full at this size, or at a 64th of a small segment; with one more read it stays below the format's 8 MiB.
 * Writes of twice the size take the system half as much again for each byte (ext4, Linux 6.18).
 */
const batchBytesMost = 1024 * 1024;
const batchesPerSegment = 64;
/** A note in memory, until it is written. */
const noteBytesBeside = 400;

export class BatchQueue {
  readonly #segmentBytes: number;
  readonly #batchBytesFull: number;
  readonly #batches: Batch[] = [];
  readonly #ids: IdEntry[];
  /** What the current segment's file will hold once the queue is written; 0: there is none. */
  #segmentWillHold: number;
  /** Where its stream bytes begin. */
  #segmentStart: Offset;
  #segmentSince: Micros;
  #received: Offset;
  #boundary: Offset;
  #db: number;
  #lastStamp: Micros;
  #bytes = 0;
  #opened = 0;

  constructor(tail: StreamTail, segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
    this.#batchBytesFull = Math.min(batchBytesMost, segmentBytes / batchesPerSegment);
    this.#segmentWillHold = tail.segment?.position ?? 0;
    this.#segmentStart = tail.segment?.start ?? 0;
    this.#segmentSince = tail.segment?.firstStamp ?? 0;
    this.#received = tail.offset;
    this.#boundary = tail.boundary;
    this.#db = tail.db;
    this.#lastStamp = tail.lastStamp;
    this.#ids = [...tail.ids];
  }

  /** Offset of the last byte taken. */
  get received(): Offset {
    return this.#received;
  }

  get boundary(): Offset {
    return this.#boundary;
  }

  get db(): number {
    return this.#db;
  }

  get lastStamp(): Micros {
    return this.#lastStamp;
  }

  get ids(): readonly IdEntry[] {
    return this.#ids;
  }

  get id(): ReplicationId {
    return this.#ids.at(-1)?.id ?? '';
  }

  /** Batches ever taken out. */
  get taken(): number {
    return this.#opened - this.#batches.length;
  }

  /** Batches that wait. */
  get length(): number {
    return this.#batches.length;
  }

  /** Batches ever begun: a count to compare with those that were written. */
  get opened(): number {
    return this.#opened;
  }

  /** What was appended and not yet released: stream bytes, and about what the notes take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the bytes of one socket read, which lie in `slab`, if given; begins a segment where one is due. */
  append(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: BoundaryMark): void {
    const cut = this.#rotationDue(stamp) ? this.#cutAt(bytes.length, mark) : undefined;
    if (cut === undefined) {
      this.#add(bytes, slab, stamp, mark);
      return;
    }
    if (cut > 0) this.#add(bytes.subarray(0, cut), slab, stamp, mark);
    this.#beginSegment(stamp);
    this.#add(bytes.subarray(cut), slab, stamp, mark);
  }

  /** The stream goes on after an interruption, under `id`. */
  attach(id: ReplicationId, stamp: Micros): void {
    if (id !== this.id) this.#ids.push({ id, offset: this.#received + 1 });
    this.#note('attach', encodeAttach({ id, lostStamp: this.#lastStamp, stamp })).isLazy = false;
  }

  /** The source had nothing more at `stamp`; nothing is done unless that is news. */
  tick(stamp: Micros): void {
    if (stamp <= this.#lastStamp) return;
    this.#lastStamp = stamp;
    this.#note('tick', noMeta);
  }

  /** One sample at least. */
  samples(samples: readonly Sample[]): void {
    this.#note('sample', encodeSamples(samples));
  }

  /** Whether the oldest batch will get no more bytes, and belongs into the segment of the one before it. */
  get isNextFull(): boolean {
    const next = this.#batches[0];
    return next !== undefined && next.sum.length >= this.#batchBytesFull && next.segmentHeader === undefined;
  }

  /** The oldest batch; its memory stays in use until it is released. */
  take(): Batch {
    const batch = this.#batches.shift();
    if (batch === undefined) throw new RangeError('no batch waits');
    return batch;
  }

  /** The batch is written, or never will be. */
  release(batch: Batch): void {
    this.#bytes -= batch.sum.length + batch.noteBytes;
    for (const slab of batch.slabs) slab.release();
  }

  /** Gives up all that waits. */
  clear(): void {
    for (const batch of this.#batches.splice(0)) this.release(batch);
  }

  #rotationDue(stamp: Micros): boolean {
    if (this.#segmentWillHold === 0) return true;
    // One that was begun before a crash and holds no stream byte yet: a second one would begin at the same offset.
    if (this.#segmentStart > this.#received) return false;
    if (this.#segmentWillHold >= this.#segmentBytes) return true;
    return stamp - this.#segmentSince >= segmentSecondsMax * 1_000_000;
  }

  /** How many of the next `length` bytes still belong to the current segment; undefined: no boundary to cut at. */
  #cutAt(length: number, mark: BoundaryMark): number | undefined {
    if (this.#boundary === this.#received) return 0;
    const cut = mark.boundary - this.#received;
    return cut > 0 && cut < length ? cut : undefined;
  }

  #add(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: BoundaryMark): void {
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.sum.length >= this.#batchBytesFull || batch.reads.isFull) batch = this.#open();
    if (batch.sum.length === 0) batch.firstStamp = stamp;
    batch.isLazy = false;
    batch.parts.push(bytes);
    if (slab !== undefined && batch.slabs.at(-1) !== slab) batch.slabs.push(slab.retain());
    batch.sum = addToSum(batch.sum, bytes);
    batch.reads.add(stamp, bytes.length);
    batch.lastStamp = stamp;
    this.#received += bytes.length;
    this.#bytes += bytes.length;
    this.#segmentWillHold += bytes.length;
    this.#lastStamp = stamp;
    if (mark.boundary <= this.#received) {
      this.#boundary = mark.boundary;
      this.#db = mark.boundaryDb;
    }
    batch.boundary = this.#boundary;
    batch.db = this.#db;
  }

  /** Notes do not advance the stamps: a tick has done so before. */
  #note(kind: NoteFrame['kind'], meta: Buffer): Batch {
    if (this.#segmentWillHold === 0) this.#beginSegment(this.#lastStamp);
    const last = this.#batches.at(-1);
    const batch = last?.sum.length === 0 ? last : this.#open();
    batch.lastStamp = this.#lastStamp;
    batch.notes.push({ kind, meta, stamp: this.#lastStamp, boundary: this.#boundary, db: this.#db });
    this.#segmentWillHold += frameHeaderBytes + meta.length;
    batch.noteBytes += noteBytesBeside + meta.length;
    this.#bytes += noteBytesBeside + meta.length;
    return batch;
  }

  /** With the next batch, at the boundary where we are. */
  #beginSegment(stamp: Micros): void {
    const { start } = this.#open({ db: this.#db, ids: [...this.#ids] });
    this.#segmentWillHold = 0;
    this.#segmentStart = start;
    this.#segmentSince = stamp;
  }

  #open(segmentHeader?: Batch['segmentHeader']): Batch {
    const batch: Batch = {
      start: this.#received + 1,
      parts: [],
      slabs: [],
      reads: new ReadsEncoder(),
      firstStamp: this.#lastStamp,
      lastStamp: this.#lastStamp,
      sum: noData,
      boundary: this.#boundary,
      db: this.#db,
      segmentHeader,
      notes: [],
      noteBytes: 0,
      isLazy: true,
    };
    this.#batches.push(batch);
    this.#opened += 1;
    return batch;
  }
}
