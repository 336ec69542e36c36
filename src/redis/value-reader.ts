/**
 * Reads the parts of one value as an RDB has them, from the beginning to the end of what DUMP tells (pure).
 */
import { lengthAt, lengthEnd, millisecondsAt, stringAt, stringEnd } from './rdb-steps.ts';

export class ValueReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, from: number) {
    this.#bytes = bytes;
    this.#at = from;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  length(): number {
    const value = lengthAt(this.#bytes, this.#at);
    this.#at = lengthEnd(this.#bytes, this.#at);
    return value;
  }

  /** A length as it is written, which has but one form: exact, also beyond what a number holds. */
  lengthBytes(): Buffer {
    return this.take(lengthEnd(this.#bytes, this.#at) - this.#at);
  }

  string(): Buffer {
    const end = this.#within(stringEnd(this.#bytes, this.#at));
    const text = stringAt(this.#bytes, this.#at, end);
    this.#at = end;
    return text;
  }

  take(bytes: number): Buffer {
    const from = this.#at;
    this.#at = this.#within(from + bytes);
    return this.#bytes.subarray(from, this.#at);
  }

  milliseconds(): number {
    return millisecondsAt(this.take(8), 0);
  }

  /** The score of an old sorted set: its length in a byte, then ASCII. */
  oldScore(): number {
    const bytes = this.take(1)[0]!;
    if (bytes === 253) return Number.NaN;
    if (bytes >= 254) return bytes === 254 ? Infinity : -Infinity;
    return parseScore(this.take(bytes));
  }

  #within(end: number): number {
    if (end > this.#bytes.length) throw new RangeError(`the value ends at ${this.#bytes.length}, not at ${end}`);
    return end;
  }
}

/** As servers write it. */
export function parseScore(text: Buffer): number {
  const written = text.toString('latin1');
  if (written === 'inf') return Infinity;
  return written === '-inf' ? -Infinity : Number(written);
}
