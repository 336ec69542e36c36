// The time of a simulated world: a queue of events, run one after the other, each followed by everything that it set off.
// A process in it has a clock of its own (ProcessClock) whose wall can be stepped, and which dies with the process.
// Invariant: events run in the order of their time, those of the same time in the order in which they were set.
import { sleepOn } from '../../src/core/clock.ts';
import type { Clock, Micros } from '../../src/core/clock.ts';

interface Event {
  readonly due: Micros;
  readonly fn: () => void;
}

export class SimulatedTime {
  /** Since the beginning of the world. */
  now: Micros = 0;
  readonly #queue: Event[] = [];

  /** Calls `fn` once after `ms` milliseconds; the result cancels it. */
  after(ms: number, fn: () => void): () => void {
    const event = { due: this.now + Math.max(0, Math.round(ms * 1000)), fn };
    let at = this.#queue.length;
    while (at > 0 && (this.#queue[at - 1]?.due ?? 0) > event.due) at -= 1;
    this.#queue.splice(at, 0, event);
    return () => {
      const index = this.#queue.indexOf(event);
      if (index !== -1) this.#queue.splice(index, 1);
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Runs the next event and all that follows from it, but nothing later than `end`; false when there is none. */
  async step(end: Micros): Promise<boolean> {
    const [next] = this.#queue;
    if (next === undefined || next.due > end) {
      this.now = Math.max(this.now, end);
      return false;
    }
    this.#queue.shift();
    this.now = Math.max(this.now, next.due);
    next.fn();
    await quiet();
    return true;
  }
}

/** Until nothing is left to run that waits for nothing: microtasks end before the event loop turns. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Where the machine's wall clock stands: it outlives the processes. */
export interface WallClock {
  /** At the beginning of the world, with all steps since. */
  origin: Micros;
}

/** The monotonic clock at the beginning of the world. */
export const monotonicOrigin: Micros = 1_000_000_000;

export class ProcessClock implements Clock {
  readonly #time: SimulatedTime;
  readonly #wall: WallClock;
  /** Timers wait until then: the machine stands still, and its clocks go on. */
  #pausedUntil: Micros = 0;
  #isDead = false;

  constructor(time: SimulatedTime, wall: WallClock) {
    this.#time = time;
    this.#wall = wall;
  }

  wall(): Micros {
    return this.#wall.origin + this.#time.now;
  }

  monotonic(): Micros {
    return this.#time.now + monotonicOrigin;
  }

  after(ms: number, fn: () => void): () => void {
    if (this.#isDead) return () => undefined;
    let cancel = this.#time.after(ms, () => {
      if (this.#isDead) return;
      if (this.#time.now < this.#pausedUntil) cancel = this.after(this.pausedMs, fn);
      else fn();
    });
    return () => {
      cancel();
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** How long the machine still stands still. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntil - this.#time.now) / 1000;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  pause(ms: number): void {
    this.#pausedUntil = this.#time.now + ms * 1000;
  }

  /** No timer of it will ever run. */
  die(): void {
    this.#isDead = true;
  }
}
