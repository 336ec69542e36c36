/**
 * The stretches of the stream that a restore leaves out: whole commands, each. Whoever passes the stream on asks which of
 * its bytes stay; nothing is read for it, so it costs nothing.
 */
import type { Offset } from '../../core/position.ts';

/** First and last byte. */
export interface Stretch {
  readonly from: Offset;
  readonly to: Offset;
}

export class LeftOut {
  readonly #stretches: readonly Stretch[];

  /** In order, without overlaps. */
  constructor(stretches: readonly Stretch[] = []) {
    this.#stretches = stretches;
  }

  has(offset: Offset): boolean {
    const stretch = this.#stretches[this.#firstTo(offset)];
    return stretch !== undefined && stretch.from <= offset;
  }

  /** What stays of `from` to `to`, both included. */
  kept(from: Offset, to: Offset): Stretch[] {
    const kept: Stretch[] = [];
    let next = from;
    for (let i = this.#firstTo(from); next <= to; i += 1) {
      const stretch = this.#stretches[i];
      const end = Math.min(to, (stretch?.from ?? Infinity) - 1);
      if (end >= next) kept.push({ from: next, to: end });
      if (stretch === undefined) break;
      next = stretch.to + 1;
    }
    return kept;
  }

  /** Index of the first one that ends at the offset or behind it. */
  #firstTo(offset: Offset): number {
    let [low, high] = [0, this.#stretches.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#stretches[middle]?.to ?? Infinity) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
