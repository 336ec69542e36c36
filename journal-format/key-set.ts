/**
 * The distinct hashes of keys: what a key filter is made of. An open-addressed table in typed arrays, for every key of
 * every sealed command goes through it. It is used again and again, and bounded.
 */
import type { KeyHashes } from './key-filter.ts';

const firstRoom = 1024;

export class KeySet implements KeyHashes {
  count = 0;
  high = new Int32Array(firstRoom);
  low = new Int32Array(firstRoom);
  /** More came than fit. */
  isFull = false;
  /** Index in high and low + 1, or 0; at most half of them are taken. */
  #table = new Int32Array(2 * firstRoom);
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(someHigh: number, someLow: number): void {
    const high = someHigh | 0;
    const low = someLow | 0;
    const table = this.#table;
    const mask = table.length - 1;
    let at = (high ^ (low >>> 7)) & mask;
    for (let index = table[at]!; index !== 0; index = table[at]!) {
      if (this.high[index - 1] === high && this.low[index - 1] === low) return;
      at = (at + 1) & mask;
    }
    if (this.count === this.#most) {
      this.isFull = true;
      return;
    }
    this.high[this.count] = high;
    this.low[this.count] = low;
    this.count += 1;
    table[at] = this.count;
    if (this.count === this.high.length) this.#grow();
  }

  addAll({ count, high, low }: KeyHashes): void {
    for (let i = 0; i < count; i += 1) this.add(high[i]!, low[i]!);
  }

  clear(): void {
    if (this.count > 0) this.#table.fill(0);
    this.count = 0;
    this.isFull = false;
  }

  #grow(): void {
    this.high = doubled(this.high);
    this.low = doubled(this.low);
    const { high, low } = this;
    this.#table = new Int32Array(2 * high.length);
    const mask = this.#table.length - 1;
    for (let i = 0; i < this.count; i += 1) {
      let at = (high[i]! ^ (low[i]! >>> 7)) & mask;
      while (this.#table[at] !== 0) at = (at + 1) & mask;
      this.#table[at] = i + 1;
    }
  }
}

/** What it had goes back at once. */
function doubled(numbers: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  return new Int32Array(numbers.buffer.transfer(2 * numbers.byteLength));
}
