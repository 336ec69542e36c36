/**
 * How long ago somebody else had the first byte that is still missing here, from what they say each second of how far they are
 * (pure). So it is good to that second, whatever the stream's pace is.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';

/** Half an hour at one a second; beyond that, every second one does. */
const marksMax = 2000;

export class LagMeter {
  #marks: { readonly at: Micros; readonly offset: Offset }[] = [];

  /** They have all up to `offset`. */
  told(offset: Offset, at: Micros): void {
    if (offset <= (this.#marks.at(-1)?.offset ?? -1)) return;
    this.#marks.push({ at, offset });
    if (this.#marks.length > marksMax) this.#marks = this.#marks.filter((_, i) => i % 2 === 0 || i === marksMax);
  }

  /** We have all up to `offset`. */
  behind(offset: Offset, now: Micros): Micros {
    const missing = this.#marks.findIndex((mark) => mark.offset > offset);
    this.#marks.splice(0, missing === -1 ? this.#marks.length : missing);
    const first = this.#marks[0];
    return first === undefined ? 0 : Math.max(0, now - first.at);
  }
}
