// What time it was: what the clock of the primary showed at each moment of the world, and when the journal was told.
// Neighbours: history.ts knows what had been written at each moment; time-audit.ts asks both.
// Invariant: it knows the world's time only; what the journal made of it, it does not.
import type { Clock, Micros } from '../../src/core/clock.ts';
import type { Offset } from '../../src/core/position.ts';
import type { SourceSample } from '../../src/upstream/source-sample.ts';
import type { SimulatedTime } from './time.ts';

/** The clock showed `origin` and as much more as the world was old, from `from` on. */
interface Setting {
  readonly from: Micros;
  readonly origin: Micros;
}

/** An answer that the journal got. */
export interface Told {
  /** In the world's time: when it asked, and when it heard. */
  readonly asked: Micros;
  readonly heard: Micros;
  readonly offset: Offset;
}

export class Truth {
  /** Whether the journal may ask. */
  readonly isTold: boolean;
  readonly told: Told[] = [];
  /** When the journal's machine stood still. */
  readonly pauses: { readonly lost: Micros; readonly back: Micros }[] = [];
  readonly #time: SimulatedTime;
  readonly #settings: Setting[] = [];

  constructor(time: SimulatedTime, isTold: boolean) {
    this.#time = time;
    this.isTold = isTold;
  }

  /** From now on. */
  shows(origin: Micros): void {
    this.#settings.push({ from: this.#time.now, origin });
  }

  sampled({ sentAt, offset }: SourceSample, clock: Clock): void {
    const asked = this.#time.now - (clock.monotonic() - sentAt);
    if (offset !== undefined) this.told.push({ asked, heard: this.#time.now, offset });
  }

  get now(): Micros {
    return this.#time.now;
  }

  /** What the clock showed then. */
  shownAt(moment: Micros): Micros {
    return (this.#settings.findLast(({ from }) => from <= moment)?.origin ?? 0) + moment;
  }

  /** All moments at which the clock showed it, or went past it by a step. */
  momentsOf(shown: Micros): Micros[] {
    const moments = this.#settings.flatMap(({ from, origin }, i) => {
      const to = this.#settings[i + 1]?.from ?? Infinity;
      const before = this.#settings[i - 1];
      const isPast = before !== undefined && before.origin + from <= shown && shown < origin + from;
      const moment = shown - origin;
      return [...(isPast ? [from] : []), ...(from <= moment && moment < to ? [moment] : [])];
    });
    return [...new Set(moments)];
  }

  /** The journal's machine stands still for so long from now on. */
  pause(ms: number): void {
    this.pauses.push({ lost: this.#time.now, back: this.#time.now + ms * 1000 });
  }

  /** Around a moment: the last answer of before, and the first that was given behind it. */
  around(moment: Micros): { readonly before: Told | undefined; readonly after: Told | undefined } {
    const index = this.told.findLastIndex(({ heard }) => heard <= moment);
    return { before: this.told[index], after: this.told.slice(index + 1).find(({ asked }) => asked > moment) };
  }
}
