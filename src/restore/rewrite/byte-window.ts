/**
 * A stretch of the stream that is held in memory as it came, in pieces, addressed by offsets. Nothing is copied but for
 * peek() and letGo().
 */
import type { Offset } from '../../core/position.ts';

interface Piece {
  /** Offset of the first byte. */
  readonly start: Offset;
  readonly bytes: Buffer;
}

export class ByteWindow {
  readonly #pieces: Piece[] = [];
  #start: Offset;
  #end: Offset;

  /** Empty; `start` is the offset of the first byte to come. */
  constructor(start: Offset) {
    this.#start = start;
    this.#end = start - 1;
  }

  /** The first byte held; one behind `end` when there is none. */
  get start(): Offset {
    return this.#start;
  }

  get end(): Offset {
    return this.#end;
  }

  append(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.push({ start: this.#end + 1, bytes });
    this.#end += bytes.length;
  }

  /** The bytes `from` to `to`, both included, as far as they are held. */
  slice(from: Offset, to: Offset): Buffer[] {
    const found: Buffer[] = [];
    for (const { start, bytes } of this.#pieces) {
      if (start > to) break;
      const first = Math.max(from, this.#start) - start;
      if (first < bytes.length) found.push(bytes.subarray(Math.max(0, first), to + 1 - start));
    }
    return found.filter(({ length }) => length > 0);
  }

  /** Lets go of everything up to and including `to`. */
  drop(to: Offset): void {
    if (to < this.#start) return;
    this.#start = Math.min(to, this.#end) + 1;
    const kept = this.#pieces.findIndex(({ start, bytes }) => start + bytes.length > this.#start);
    this.#pieces.splice(0, kept === -1 ? this.#pieces.length : kept);
  }

  /** What was appended may go: a copy is kept. */
  letGo(): void {
    const held = Buffer.concat(this.slice(this.#start, this.#end));
    this.#pieces.length = 0;
    if (held.length > 0) this.#pieces.push({ start: this.#start, bytes: held });
  }

  /** A copy of the first bytes held, at most `length`. */
  peek(length: number): Buffer {
    return Buffer.concat(this.slice(this.#start, this.#start + length - 1));
  }
}
