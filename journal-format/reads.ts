/**
 * The meta of stream frames (SPEC.md 5, kind 1): when each socket read of the frame was received and how many bytes it
 * held, delta-coded. ReadsEncoder is fed by the receive path and allocates nothing per read; decodeReads checks that the
 * reads cover exactly the frame's data and stamps.
 */
import { Leb128Reader, leb128Bytes, leb128BytesMax, writeLeb128 } from './bytes.ts';
import { FormatError } from './errors.ts';
import type { FrameHeader } from './frame.ts';
import { frameDataBytesMax, frameMetaBytesMax, integerMax } from './limits.ts';

const countBytesMax = 5;
const pairBytesMax: number = leb128BytesMax + 5;
const firstCapacity = 4096;

/** Collects the reads of one frame after the other. */
export class ReadsEncoder {
  // The count is known last but comes first: room for it is kept at the front.
  #buffer: Buffer = Buffer.allocUnsafe(firstCapacity);
  #position = countBytesMax;
  #count = 0;
  #dataLength = 0;
  #firstStamp = 0;
  #lastStamp = 0;

  /** Reads added so far. */
  get count(): number {
    return this.#count;
  }

  /** Stream bytes of the reads added so far. */
  get dataLength(): number {
    return this.#dataLength;
  }

  /** True when one more read might not fit into the meta of a frame: form the frame first. */
  get isFull(): boolean {
    return this.#position + pairBytesMax > frameMetaBytesMax;
  }

  add(stamp: number, byteCount: number): void {
    const previous = this.#count === 0 ? stamp : this.#lastStamp;
    if (!(stamp >= previous && stamp >= 0 && Number.isSafeInteger(stamp))) {
      throw new RangeError(`stamp ${stamp} after ${previous}`);
    }
    if (!(byteCount >= 1 && byteCount <= frameDataBytesMax && Number.isInteger(byteCount))) {
      throw new RangeError(`a read of ${byteCount} bytes`);
    }
    if (this.isFull) throw new RangeError(`more than ${this.#count} reads in a frame`);
    if (this.#position + pairBytesMax > this.#buffer.length) this.#grow();
    const next = writeLeb128(this.#buffer, stamp - previous, this.#position);
    this.#position = writeLeb128(this.#buffer, byteCount, next);
    if (this.#count === 0) this.#firstStamp = stamp;
    this.#lastStamp = stamp;
    this.#count += 1;
    this.#dataLength += byteCount;
  }

  /** The meta of what was added, in memory of its own (a write may still need it), and an empty encoder. */
  finish(): { meta: Buffer; firstStamp: number; lastStamp: number } {
    if (this.#count === 0) throw new RangeError('a stream frame holds at least one read');
    const from = countBytesMax - leb128Bytes(this.#count);
    writeLeb128(this.#buffer, this.#count, from);
    const meta = Buffer.allocUnsafe(this.#position - from);
    this.#buffer.copy(meta, 0, from, this.#position);
    const result = { meta, firstStamp: this.#firstStamp, lastStamp: this.#lastStamp };
    this.reset();
    return result;
  }

  /** Forgets what was added. */
  reset(): void {
    this.#position = countBytesMax;
    this.#count = 0;
    this.#dataLength = 0;
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
    this.#buffer.copy(larger, 0, 0, this.#position);
    this.#buffer = larger;
  }
}

/** One socket read: when it was received, and the offset of its last byte. */
export interface Read {
  readonly stamp: number;
  readonly end: number;
}

export class Reads {
  readonly count: number;
  readonly #start: number;
  readonly #stamps: Float64Array;
  readonly #ends: Float64Array;

  constructor(start: number, stamps: Float64Array, ends: Float64Array) {
    this.count = stamps.length;
    this.#start = start;
    this.#stamps = stamps;
    this.#ends = ends;
  }

  forEach(visit: (stamp: number, end: number) => void): void {
    for (let i = 0; i < this.count; i += 1) visit(this.#stamps[i]!, this.#ends[i]!);
  }

  toArray(): Read[] {
    return Array.from(this.#stamps, (stamp, i) => ({ stamp, end: this.#ends[i]! }));
  }

  /** The stamp of the read that held the byte at `offset`; undefined outside of the frame. */
  stampAt(offset: number): number | undefined {
    if (offset < this.#start) return undefined;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return this.#stamps[low];
  }
}

export function decodeReads(
  meta: Uint8Array,
  header: Pick<FrameHeader, 'start' | 'dataLength' | 'firstStamp' | 'lastStamp'>,
): Reads {
  const reader = new Leb128Reader(meta);
  const count = reader.next();
  // A pair takes two bytes at least: the count is known to be honest before anything is allocated for it.
  if (count < 1 || count > reader.left / 2) throw new FormatError('corrupt', `${count} reads in ${meta.length} bytes`);
  const stamps = new Float64Array(count);
  const ends = new Float64Array(count);
  let stamp = header.firstStamp;
  let end = header.start - 1;
  for (let i = 0; i < count; i += 1) {
    const delta = reader.next();
    const byteCount = reader.next();
    if ((i === 0 && delta !== 0) || byteCount < 1) throw new FormatError('corrupt', `read ${i} is malformed`);
    stamp += delta;
    end += byteCount;
    if (stamp > integerMax || end > integerMax) throw new FormatError('corrupt', `read ${i} is malformed`);
    stamps[i] = stamp;
    ends[i] = end;
  }
  if (reader.left > 0) throw new FormatError('corrupt', 'bytes behind the last read', reader.position);
  if (stamp !== header.lastStamp || end !== header.start + header.dataLength - 1) {
    throw new FormatError('corrupt', `reads do not cover the frame at offset ${header.start}`);
  }
  return new Reads(header.start, stamps, ends);
}
