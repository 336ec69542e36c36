/**
 * Stamps: the time of receipt, in µs since the epoch. They advance with the monotonic clock and are slewed towards the
 * wall clock, so that neither a step of the wall clock nor its slow drift can make them go back, stand still or leap
 * without a reason. Pure but for the clock it is given.
 *
 *   wall clock within 1 s of the stamps      slewed towards it, at most 1 % faster or slower
 *   further away                             ignored at first: a step may be a mistake that is corrected soon
 *   further away for 60 s, or the            believed: forward by a leap, backward by running at half speed
 *   primary's clock agrees with it
 */
import type { Clock, Micros } from './clock.ts';

const slewLimit: Micros = 1_000_000;
const believeAfter: Micros = 60_000_000;
/** The primary's clock is asked ten times a second; what it said longer ago says nothing any more. */
const heardRecently: Micros = 2_000_000;
const slewRate = 0.01;
const catchUpRate = 0.5;

export class Stamper {
  readonly #clock: Clock;
  #stamp: Micros;
  #monotonic: Micros;
  #farSince: Micros | undefined;
  /** What the primary's clock said, and when on the monotonic clock. */
  #heard: { readonly time: Micros; readonly at: Micros } | undefined;
  /** What was corrected by less than a microsecond: at thousands of reads a second, that is all of it. */
  #fraction = 0;

  /** `floor`: the last stamp already in the journal (0 when none); no stamp will be below it. */
  constructor(clock: Clock, floor: Micros) {
    this.#clock = clock;
    this.#stamp = Math.max(clock.wall(), floor);
    this.#monotonic = clock.monotonic();
  }

  /** The stamp for a read that happened now: not below any earlier one. */
  now(): Micros {
    const monotonic = this.#clock.monotonic();
    const elapsed = Math.max(0, monotonic - this.#monotonic);
    this.#monotonic = monotonic;
    const even = this.#stamp + elapsed;
    const correction = this.#correction(this.#clock.wall() - even, elapsed) + this.#fraction;
    const whole = Math.floor(correction);
    this.#fraction = correction - whole;
    this.#stamp = Math.max(this.#stamp, even + whole);
    return this.#stamp;
  }

  /** Stamps of somebody else were written: none will be below them. */
  notBelow(stamp: Micros): void {
    this.#stamp = Math.max(this.#stamp, stamp);
  }

  /** The primary's clock shows `time` now. */
  heard(time: Micros): void {
    this.#heard = { time, at: this.#clock.monotonic() };
  }

  /** The wall clock less the stamps: what is not believed yet, or is being made up for. */
  get error(): Micros {
    const passed = this.#clock.monotonic() - this.#monotonic;
    return this.#clock.wall() - (this.#stamp + passed);
  }

  #correction(error: Micros, elapsed: Micros): Micros {
    if (Math.abs(error) <= slewLimit) {
      this.#farSince = undefined;
      return clamp(error, slewRate * elapsed);
    }
    this.#farSince ??= this.#monotonic;
    if (this.#monotonic - this.#farSince < believeAfter && !this.#primaryAgrees()) return 0;
    return error > 0 ? error : clamp(error, catchUpRate * elapsed);
  }

  #primaryAgrees(): boolean {
    if (this.#heard === undefined) return false;
    const age = this.#monotonic - this.#heard.at;
    return age <= heardRecently && Math.abs(this.#clock.wall() - (this.#heard.time + age)) <= slewLimit;
  }
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}
