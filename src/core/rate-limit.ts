/**
 * How long to wait so that bytes leave at no more than some rate (pure, but for the clock that is handed in). What was sent
 * too early is waited for behind it, so that a large piece goes whole; a pause is not made up for afterwards.
 */
import type { Clock, Micros } from './clock.ts';

export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** When all that was sent so far is through. */
  #throughAt: Micros = -Infinity;

  constructor(bytesPerSecond: number, clock: Pick<Clock, 'monotonic'>) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** Bytes were sent, by one of those who share it: when that one may send more, by the monotonic clock. */
  sent(bytes: number): Micros {
    const from = Math.max(this.#throughAt, this.#clock.monotonic());
    this.#throughAt = from + (bytes / this.#bytesPerSecond) * 1_000_000;
    return this.#throughAt;
  }
}
