/**
 * The hash of a key in key filters (SPEC.md 7): MurmurHash3_x86_32 with two seeds, which are two halves of one number.
 * The sealer takes it of every key that a command names, so it is computed in place and nothing is allocated for it.
 */

export interface KeyHash {
  readonly high: number;
  readonly low: number;
}

const highSeed = 0;
const lowSeed = 0x9e37_79b9;

/** Hashes one key after the other; the halves of the last one are 32-bit integers, signed or not. */
export class KeyHasher implements KeyHash {
  high = 0;
  low = 0;
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** Where the keys to come lie. */
  use(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Takes the key at [at, at + length). */
  hash(at: number, length: number): void {
    const view = this.#view;
    const whole = at + (length & ~3);
    let high = highSeed;
    let low = lowSeed | 0;
    let next = at;
    for (; next < whole; next += 4) {
      const word = mixWord(view.getInt32(next, true));
      high = (Math.imul(rotate13(high ^ word), 5) + 0xe654_6b64) | 0;
      low = (Math.imul(rotate13(low ^ word), 5) + 0xe654_6b64) | 0;
    }
    if ((length & 3) !== 0) {
      let rest = 0;
      for (let i = at + length - 1; i >= whole; i -= 1) rest = (rest << 8) | view.getUint8(i);
      const word = mixWord(rest);
      high ^= word;
      low ^= word;
    }
    this.high = finalMix(high ^ length);
    this.low = finalMix(low ^ length);
  }
}

/** Both halves unsigned. */
export function hashKey(key: Uint8Array): KeyHash {
  const hasher = new KeyHasher();
  hasher.use(key);
  hasher.hash(0, key.length);
  return { high: hasher.high >>> 0, low: hasher.low >>> 0 };
}

/** The last step of MurmurHash3: every bit of the result depends on every bit of the argument. Signed. */
export function finalMix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85eb_ca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}

function mixWord(word: number): number {
  const mixed = Math.imul(word, 0xcc9e_2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593);
}

function rotate13(value: number): number {
  return (value << 13) | (value >>> 19);
}
