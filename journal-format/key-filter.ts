/**
 * Key filters (SPEC.md 7): a binary fuse filter of 8-bit fingerprints over the hashes of keys. It says of every key that
 * is in it that it may be there, and of one in 256 others. Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than
 * Xor Filters", 2022; here with 32-bit arithmetic.
 *
 * A key has three slots, one in each of three neighbouring windows; its fingerprint is the XOR of what they hold. To find
 * what to put there, keys are peeled: one that has a slot for itself can be set last, so it is taken away, and so on.
 */
import { asBuffer } from './bytes.ts';
import { FormatError } from './errors.ts';
import type { KeyHash } from './key-hash.ts';
import { finalMix } from './key-hash.ts';
import { keyFilterSlotsMax, keyFilterWindowBitsMax } from './limits.ts';

/** Distinct hashes, of which the first `count` count. */
export interface KeyHashes {
  readonly count: number;
  readonly high: Int32Array;
  readonly low: Int32Array;
}

const headBytes = 9;
/** Of these one fails in a hundred; only keys that were made to collide fail with all of them. */
const attemptsMax = 32;
const twoTo32 = 2 ** 32;

/** Whether a key with this hash may be in it. `filter` was checked by checkKeyFilter. */
export function mayHold(filter: Uint8Array, { high, low }: KeyHash): boolean {
  if (filter.length === 0) return false;
  const { seed, windows, windowBits } = headOf(filter);
  const size = 1 << windowBits;
  const a = finalMix(high ^ seed) >>> 0;
  const b = finalMix(low ^ seed);
  const first = firstSlot(a, windows << windowBits);
  const second = secondSlot(first, b, size);
  const third = thirdSlot(first, b, size);
  const held = filter[headBytes + first]! ^ filter[headBytes + second]! ^ filter[headBytes + third]!;
  return held === (a & 0xff);
}

/** The same of all of them. */
export function mayHoldAll(filter: Uint8Array, { count, high, low }: KeyHashes): boolean {
  for (let i = 0; i < count; i += 1) if (!mayHold(filter, { high: high[i]!, low: low[i]! })) return false;
  return true;
}

/** FormatError unless the bytes are a filter. */
export function checkKeyFilter(filter: Uint8Array): void {
  if (filter.length === 0) return;
  if (filter.length < headBytes) throw new FormatError('corrupt', `key filter of ${filter.length} bytes`);
  const { windows, windowBits } = headOf(filter);
  const isSound =
    windows >= 1 &&
    windowBits <= keyFilterWindowBitsMax &&
    (windows + 2) * 2 ** windowBits <= keyFilterSlotsMax &&
    filter.length === headBytes + (windows + 2) * 2 ** windowBits;
  if (!isSound) throw new FormatError('corrupt', `key filter of ${filter.length} bytes with ${windows} windows`);
}

/** Makes filters, one after the other, in memory that it keeps. */
export class KeyFilterMaker {
  #room = 0;
  /** By slot: how many keys have it, and the XOR of their hashes. */
  #load = new Int32Array(0);
  #a = new Int32Array(0);
  #b = new Int32Array(0);
  #lonely = new Int32Array(0);
  /** The keys in the order in which they were peeled: which slot is theirs alone, and their hashes. */
  #slot = new Int32Array(0);
  #peeledA = new Int32Array(0);
  #peeledB = new Int32Array(0);

  /** Undefined where there are too many keys, or such as were made to collide. */
  make(keys: KeyHashes): Buffer | undefined {
    const { count } = keys;
    if (count === 0) return Buffer.alloc(0);
    const windowBits = windowBitsFor(count);
    const windows = Math.max(1, Math.ceil((count * slotsPerKey(count)) / 2 ** windowBits) - 2);
    const slots = (windows + 2) * 2 ** windowBits;
    if (slots > keyFilterSlotsMax) return undefined;
    this.#makeRoom(slots);
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const seed = Math.imul(attempt, 0x9e37_79b9) >>> 0;
      this.#place(keys, seed, windows, windowBits);
      if (this.#peel(windows, windowBits) === count) return this.#fill(count, seed, windows, windowBits);
    }
    return undefined;
  }

  #makeRoom(slots: number): void {
    if (slots <= this.#room) return;
    this.#room = 2 ** Math.ceil(Math.log2(slots));
    this.#load = new Int32Array(this.#room);
    this.#a = new Int32Array(this.#room);
    this.#b = new Int32Array(this.#room);
    this.#lonely = new Int32Array(this.#room);
    this.#slot = new Int32Array(this.#room);
    this.#peeledA = new Int32Array(this.#room);
    this.#peeledB = new Int32Array(this.#room);
  }

  #place({ count, high, low }: KeyHashes, seed: number, windows: number, windowBits: number): void {
    const [load, as, bs] = [this.#load, this.#a, this.#b];
    const size = 1 << windowBits;
    const slots = (windows + 2) * size;
    for (const one of [load, as, bs]) one.fill(0, 0, slots);
    for (let i = 0; i < count; i += 1) {
      const a = finalMix(high[i]! ^ seed);
      const b = finalMix(low[i]! ^ seed);
      const first = firstSlot(a >>> 0, windows << windowBits);
      const second = secondSlot(first, b, size);
      const third = thirdSlot(first, b, size);
      load[first]! += 1;
      load[second]! += 1;
      load[third]! += 1;
      as[first]! ^= a;
      as[second]! ^= a;
      as[third]! ^= a;
      bs[first]! ^= b;
      bs[second]! ^= b;
      bs[third]! ^= b;
    }
  }

  /** How many keys could be peeled. */
  #peel(windows: number, windowBits: number): number {
    const [load, as, bs, lonely] = [this.#load, this.#a, this.#b, this.#lonely];
    const size = 1 << windowBits;
    const span = windows * size;
    const slots = span + 2 * size;
    let waiting = 0;
    let peeled = 0;
    for (let slot = 0; slot < slots; slot += 1) if (load[slot] === 1) lonely[waiting++] = slot;
    while (waiting > 0) {
      const slot = lonely[--waiting]!;
      if (load[slot] !== 1) continue;
      const a = as[slot]!;
      const b = bs[slot]!;
      this.#slot[peeled] = slot;
      this.#peeledA[peeled] = a;
      this.#peeledB[peeled] = b;
      peeled += 1;
      const first = firstSlot(a >>> 0, span);
      const second = secondSlot(first, b, size);
      const third = thirdSlot(first, b, size);
      load[first]! -= 1;
      load[second]! -= 1;
      load[third]! -= 1;
      as[first]! ^= a;
      as[second]! ^= a;
      as[third]! ^= a;
      bs[first]! ^= b;
      bs[second]! ^= b;
      bs[third]! ^= b;
      if (load[first] === 1) lonely[waiting++] = first;
      if (load[second] === 1) lonely[waiting++] = second;
      if (load[third] === 1) lonely[waiting++] = third;
    }
    return peeled;
  }

  #fill(count: number, seed: number, windows: number, windowBits: number): Buffer {
    const size = 1 << windowBits;
    const filter = Buffer.alloc(headBytes + (windows + 2) * size);
    filter.writeUInt32LE(seed, 0);
    filter.writeUInt32LE(windows, 4);
    filter.writeUInt8(windowBits, 8);
    const held = filter.subarray(headBytes);
    for (let i = count - 1; i >= 0; i -= 1) {
      const a = this.#peeledA[i]!;
      const b = this.#peeledB[i]!;
      const first = firstSlot(a >>> 0, windows << windowBits);
      const others = held[first]! ^ held[secondSlot(first, b, size)]! ^ held[thirdSlot(first, b, size)]!;
      // Its own slot is 0 until now.
      held[this.#slot[i]!] = others ^ (a & 0xff);
    }
    return filter;
  }
}

interface Head {
  readonly seed: number;
  readonly windows: number;
  readonly windowBits: number;
}

function headOf(filter: Uint8Array): Head {
  const bytes = asBuffer(filter);
  return { seed: bytes.readUInt32LE(0), windows: bytes.readUInt32LE(4), windowBits: bytes.readUInt8(8) };
}

/** Below 2^53 before it is divided, so exact. */
function firstSlot(a: number, span: number): number {
  return Math.floor((a * span) / twoTo32);
}

function secondSlot(first: number, b: number, size: number): number {
  return (first + size) ^ (b & (size - 1));
}

function thirdSlot(first: number, b: number, size: number): number {
  return (first + 2 * size) ^ ((b >>> 16) & (size - 1));
}

/** What the authors found by experiment; half as large a window where keys are many wastes less on rounding up. */
function windowBitsFor(count: number): number {
  const bits = Math.floor(Math.log(Math.max(count, 2)) / Math.log(3.33) + 2.25);
  return Math.min(count < 1000 ? bits : bits - 1, keyFilterWindowBitsMax);
}

function slotsPerKey(count: number): number {
  return Math.max(1.125, 0.875 + (0.25 * Math.log(1e6)) / Math.log(Math.max(count, 2)));
}
