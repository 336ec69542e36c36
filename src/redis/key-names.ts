/**
 * Names of keys, as many as a list has, to be found among bytes as they pass: each in its own length and some 12 bytes. What
 * it says is exact.
 */
import { randomInt } from 'node:crypto';
import { hashOfKey } from './key-hash.ts';

export class KeyNames {
  /** Where the list came from, as the user said it. */
  readonly from: string;
  readonly size: number;
  readonly #names: readonly Uint8Array[];
  /** Open addressing: 1 + the index of a name, 0 where there is none. */
  readonly #slots: Uint32Array;
  readonly #seed = randomInt(2 ** 32) | 0;

  /** A name that comes twice counts once. */
  constructor(from: string, names: Iterable<Uint8Array>) {
    const given = [...names];
    this.from = from;
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * given.length + 2)));
    const kept: Uint8Array[] = [];
    this.#names = kept;
    for (const name of given) {
      const slot = this.#slotOf(name, 0, name.length);
      if (this.#slots[slot] === 0) this.#slots[slot] = kept.push(name);
    }
    this.size = kept.length;
  }

  /** Whether bytes[at, at + length) is one of them. */
  hasAt(bytes: Uint8Array, at: number, length: number): boolean {
    return this.#slots[this.#slotOf(bytes, at, length)] !== 0;
  }

  /** Where it is, or would be. */
  #slotOf(bytes: Uint8Array, at: number, length: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOfKey(this.#seed, bytes, at, length) & mask;
    for (let number = this.#slots[slot]!; number !== 0; number = this.#slots[slot]!) {
      if (isSame(this.#names[number - 1]!, bytes, at, length)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}

function isSame(name: Uint8Array, bytes: Uint8Array, at: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i += 1) if (name[i] !== bytes[at + i]) return false;
  return true;
}
