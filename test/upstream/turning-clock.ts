// TurningClock: time that passes only when a test says so, with turns of the event loop after each timer, so that what
// one second sets in motion has happened before the next one comes.
// Invariant: timers run in the order in which they are due, none early; `pending` tells what an ended session left set.
import type { Clock, Micros } from '../../src/core/clock.ts';

interface Timer {
  readonly due: Micros;
  readonly fn: () => void;
}

const turnsPerTimer = 6;

export class TurningClock implements Clock {
  #now: Micros = 1_800_000_000_000_000;
  #timers: Timer[] = [];

  wall(): Micros {
    return this.#now;
  }

  monotonic(): Micros {
    return this.#now;
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.length;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { due: this.#now + ms * 1000, fn };
    this.#timers = [...this.#timers, timer].sort((a, b) => a.due - b.due);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms * 1000;
    await turns(turnsPerTimer);
    for (let next = this.#timers[0]; next !== undefined && next.due <= end; next = this.#timers[0]) {
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.due);
      next.fn();
      await turns(turnsPerTimer);
    }
    this.#now = end;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise<void>((resolve) => void setImmediate(resolve));
}
