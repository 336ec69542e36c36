/**
 * Buffers whose end is known. A socket read lands in a slab; views of it travel to the disk; when the last holder lets go
 * the slab returns to its pool, or to the system. So the hot path neither copies nor makes garbage, and memory is bounded
 * by what is under way (the link pauses at limits.queueBytesMax).
 */

export class Slab implements Disposable {
  readonly bytes: Buffer;
  readonly #free: (bytes: Buffer) => void;
  #holders = 1;

  constructor(bytes: Buffer, free: (bytes: Buffer) => void) {
    this.bytes = bytes;
    this.#free = free;
  }

  /**
   * Of memory that nothing else has a part of: it goes back at once. The collector sees a large buffer as a small object,
   * so it runs far too often for such, or far too late.
   */
  static ofOwn(bytes: Buffer<ArrayBuffer>): Slab {
    return new Slab(bytes, () => {
      bytes.buffer.transfer(0);
    });
  }

  retain(): this {
    if (this.#holders === 0) throw new RangeError('a slab was retained after its last holder had let go');
    this.#holders += 1;
    return this;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders < 0) throw new RangeError('a slab was released more often than retained');
    if (this.#holders === 0) this.#free(this.bytes);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Each has been taken when the next one is asked for, unless it is retained. */
export function* released<T extends { readonly slab: Slab }>(pieces: readonly T[]): Generator<T, void, undefined> {
  for (const piece of pieces) {
    yield piece;
    piece.slab.release();
  }
}

export class SlabPool {
  readonly #size: number;
  readonly #keep: number;
  readonly #free: Buffer[] = [];

  /** `keep`: how many unused slabs stay allocated. */
  constructor(size: number, keep: number) {
    this.#size = size;
    this.#keep = keep;
  }

  /** A slab with one holder: the caller. */
  take(): Slab {
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    return new Slab(bytes, (unused) => {
      if (this.#free.length < this.#keep) this.#free.push(unused);
    });
  }
}
