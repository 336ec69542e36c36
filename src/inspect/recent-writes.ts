/**
 * Which keys were just written: asked of the keys of few commands, told of all, so that a place is noted for each and nothing
 * else is done. Keys of like names in several dbs are taken for one, and of very many in a moment some are forgotten.
 */
import { KeyHasher } from '../../journal-format/key-hash.ts';
import type { Reads } from '../../journal-format/reads.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import { knownCommandAt, lastAt } from '../redis/command-keys.ts';
import type { CommandGlance } from '../redis/command-glance.ts';

const second: Micros = 1_000_000;
/** That long ago is just now. */
const recentMicros: Micros = 2 * second;
/** A power of two. */
const placeCount = 1 << 18;

export class RecentWrites {
  readonly #hasher = new KeyHasher();
  readonly #hashes = new Int32Array(placeCount);
  readonly #offsets = new Float64Array(placeCount);
  /** Of the frames that may hold what is recent, oldest first. */
  readonly #frames: { readonly reads: Reads; readonly last: Micros }[] = [];

  /** What follows is of this frame, until the next is told. */
  begin(reads: Reads, first: Micros, last: Micros): void {
    this.#frames.push({ reads, last });
    while ((this.#frames[0]?.last ?? Infinity) < first - recentMicros) this.#frames.shift();
  }

  /** A command that writes. */
  take({ bytes, count, at, length, end }: CommandGlance): void {
    const known = knownCommandAt(bytes, at[0] ?? 0, length[0] ?? 0);
    if (known?.isPlain !== true) return;
    this.#hasher.use(bytes);
    for (const place of known.places) {
      const last = lastAt(place, count);
      for (let i = place.begin; i <= last; i += place.step) this.#note(at[i] ?? 0, length[i] ?? 0, end);
    }
  }

  takeKey(key: Buffer, end: Offset): void {
    this.#hasher.use(key);
    this.#note(0, key.length, end);
  }

  /** Whether it was written just before `stamp`. */
  has(key: Buffer, stamp: Micros): boolean {
    this.#hasher.use(key);
    this.#hasher.hash(0, key.length);
    const place = this.#hasher.low & (placeCount - 1);
    if (this.#hashes[place] !== this.#hasher.high) return false;
    const written = this.#stampAt(this.#offsets[place] ?? 0);
    return written !== undefined && written >= stamp - recentMicros;
  }

  #note(at: number, length: number, end: Offset): void {
    const hasher = this.#hasher;
    hasher.hash(at, length);
    const place = hasher.low & (placeCount - 1);
    this.#hashes[place] = hasher.high;
    this.#offsets[place] = end;
  }

  /** Undefined: longer ago than anybody asks. */
  #stampAt(offset: Offset): Micros | undefined {
    for (let i = this.#frames.length - 1; i >= 0; i -= 1) {
      const stamp = this.#frames[i]?.reads.stampAt(offset);
      if (stamp !== undefined) return stamp;
    }
    return undefined;
  }
}
