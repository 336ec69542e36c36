/**
 * Keys that were given little time to live, by one or several commands together, in bounded memory (pure): what they did, when
 * the last of the keys ends, and how often such a key was put off again.
 *
 * Who keeps keys alive (sessions, locks, caches whose time begins anew with each look) puts off the same ones again and again;
 * who dooms them does so once, or once more to be sure.
 */
import { hashKey } from '../../journal-format/key-hash.ts';
import type { Micros } from '../core/clock.ts';
import { doomedKeysMax } from '../core/limits.ts';
import type { Part } from './bursts.ts';
import { Extent } from './extent.ts';
import type { Place } from './extent.ts';

/** Put off that often, on average, they are kept alive. */
const aliveTimes = 2;

export class Doomed implements Part<Doomed> {
  extent: Extent;
  /** Of the one that ends last, by our clock. */
  ends: Micros;
  #keys: Set<number>;
  #putOff = 0;

  constructor(extent: Extent, ends: Micros, keys: Set<number>) {
    this.extent = extent;
    this.ends = ends;
    this.#keys = keys;
  }

  static key(place: Place, name: string, { key, db }: { key: Buffer; db: number }, ends: Micros): Doomed {
    const extent = new Extent(place);
    extent.add(place, name, [{ key, db }]);
    return new Doomed(extent, ends, new Set([numberOf(key, db)]));
  }

  /** Neither may be used any more. */
  merge(other: Doomed): Doomed {
    const [many, few] = this.#keys.size >= other.#keys.size ? [this, other] : [other, this];
    many.extent = this.extent.merge(other.extent);
    many.ends = Math.max(this.ends, other.ends);
    many.#putOff = this.#putOff + other.#putOff;
    for (const key of few.#keys) {
      if (many.#keys.has(key)) many.#putOff += 1;
      else if (many.#keys.size < doomedKeysMax) many.#keys.add(key);
    }
    return many;
  }

  has(key: number): boolean {
    return this.#keys.has(key);
  }

  /** Its end comes later, or not at all (`isSaved`), if it is one of them. */
  putOff(key: number, isSaved: boolean): void {
    if (this.#keys.has(key)) this.#putOff += isSaved ? aliveTimes : 1;
  }

  /** False when it is none of them, or was taken already. */
  take(key: number): boolean {
    return this.#keys.delete(key);
  }

  get isKeptAlive(): boolean {
    return this.#putOff >= aliveTimes * this.#keys.size;
  }

  /** Most of its keys are among those of the other. */
  isMostlyOf(other: Doomed): boolean {
    let shared = 0;
    for (const key of this.#keys) if (other.#keys.has(key)) shared += 1;
    return shared * 2 > this.#keys.size;
  }
}

/** Of a key, as good as unique. */
export function numberOf(key: Buffer, db: number): number {
  const { high, low } = hashKey(key);
  return ((high ^ db) & 0x1f_ffff) * 0x1_0000_0000 + low;
}
