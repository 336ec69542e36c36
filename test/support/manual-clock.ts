// ManualClock: a clock that stands still until the test moves it. Timers that become due are run by advance(), in their
// order, each at its own time. What they set off runs when the test lets go of the event loop.
// Neighbour: core/clock.ts, the contract it fulfils.
import { sleepOn } from '../../src/core/clock.ts';
import type { Clock, Micros } from '../../src/core/clock.ts';

interface Timer {
  readonly due: Micros;
  readonly fn: () => void;
}

export class ManualClock implements Clock {
  #wall: Micros;
  #elapsed: Micros = 0;
  readonly #timers = new Set<Timer>();

  constructor(start = '2026-11-20T14:30:00Z') {
    this.#wall = Date.parse(start) * 1000;
  }

  wall(): Micros {
    return this.#wall;
  }

  monotonic(): Micros {
    return this.#elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { due: this.#elapsed + ms * 1000, fn };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Timers that were set and neither ran nor were cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Sets the wall clock forward or back, as an operator or NTP would; the monotonic clock does not notice. */
  stepWall(ms: number): void {
    this.#wall += ms * 1000;
  }

  /** Time goes by without a timer that runs, as for a process that is stopped. */
  skip(ms: number): void {
    this.#move(ms * 1000);
  }

  advance(ms: number): void {
    const end = this.#elapsed + ms * 1000;
    for (let next = this.#nextDue(end); next !== undefined; next = this.#nextDue(end)) {
      this.#timers.delete(next);
      this.#move(Math.max(0, next.due - this.#elapsed));
      next.fn();
    }
    this.#move(end - this.#elapsed);
  }

  #nextDue(end: Micros): Timer | undefined {
    return [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
  }

  #move(micros: Micros): void {
    this.#elapsed += micros;
    this.#wall += micros;
  }
}
