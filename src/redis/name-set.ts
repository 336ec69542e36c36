/**
 * Which names of keys have been before, of millions, in 8 to 24 bytes each: it holds hashes of 64 bits, seeded anew each
 * time, so that nobody can make names that look alike. What it takes for seen is all but certain, and to be looked up; what
 * it takes for new is new.
 */
import { randomInt } from 'node:crypto';

const initialSlots = 1024;

export class NameSet {
  #slots = new Int32Array(2 * initialSlots);
  #size = 0;
  /** Of the name that was looked at last. */
  #low = 0;
  #high = 0;
  readonly #seedLow = randomInt(2 ** 32) | 0;
  readonly #seedHigh = randomInt(2 ** 32) | 0;

  /** Names that are in it. */
  get size(): number {
    return this.#size;
  }

  /** Whether the name may have been added before. */
  add(db: number, name: Uint8Array): boolean {
    const slot = this.#slotOf(db, name);
    if (this.#slots[slot] !== 0) return true;
    this.#slots[slot] = this.#low;
    this.#slots[slot + 1] = this.#high;
    this.#size += 1;
    if (this.#size > this.#slots.length / 3) this.#grow();
    return false;
  }

  has(db: number, name: Uint8Array): boolean {
    return this.#slots[this.#slotOf(db, name)] !== 0;
  }

  clear(): void {
    this.#slots = new Int32Array(2 * initialSlots);
    this.#size = 0;
  }

  #slotOf(db: number, name: Uint8Array): number {
    let low = this.#seedLow ^ db;
    let high = this.#seedHigh ^ db;
    for (const byte of name) {
      low = Math.imul(low ^ byte, 0x01000193);
      high = Math.imul(high ^ (high >>> 15) ^ byte, 0x2c1b3c6d);
    }
    low = mixed(low ^ name.length);
    // Two zeros are an empty slot.
    this.#low = low === 0 ? 1 : low;
    this.#high = mixed(high ^ low);
    return this.#find(this.#low, this.#high);
  }

  /** Where it is, or where it belongs. */
  #find(low: number, high: number): number {
    const mask = this.#slots.length - 1;
    let slot = (high << 1) & mask;
    while (this.#slots[slot] !== 0 && (this.#slots[slot] !== low || this.#slots[slot + 1] !== high)) {
      slot = (slot + 2) & mask;
    }
    return slot;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === 0) continue;
      const slot = this.#find(old[i]!, old[i + 1]!);
      this.#slots[slot] = old[i]!;
      this.#slots[slot + 1] = old[i + 1]!;
    }
  }
}

function mixed(half: number): number {
  const once = Math.imul(half ^ (half >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35 | 0);
  return twice ^ (twice >>> 16);
}
