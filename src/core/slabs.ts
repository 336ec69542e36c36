/**
 * Receive buffers that are used again. A socket read lands in a slab; views of it travel to the disk; when the last
 * holder lets go the slab returns to the pool. So the hot path neither copies nor makes garbage, and memory is bounded
 * by what is under way (the link pauses at limits.queueBytesMax).
 */

export class Slab {
  readonly bytes: Buffer;
  readonly #pool: Buffer[];
  readonly #keep: number;
  #holders = 1;

  constructor(bytes: Buffer, pool: Buffer[], keep: number) {
    this.bytes = bytes;
    this.#pool = pool;
    this.#keep = keep;
  }

  retain(): this {
    if (this.#holders === 0) throw new RangeError('a slab was retained after its last holder had let go');
    this.#holders += 1;
    return this;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders < 0) throw new RangeError('a slab was released more often than retained');
    if (this.#holders === 0 && this.#pool.length < this.#keep) this.#pool.push(this.bytes);
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
    return new Slab(bytes, this.#free, this.#keep);
  }
}
