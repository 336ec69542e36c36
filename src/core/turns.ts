/**
 * Who shares a thread with something that must not wait takes turns: one in each round of the event loop, and while that
 * other one is behind with its own work, one in so many milliseconds, whatever it is that it waits for: its bytes, the
 * processor, or the disk, which those who read take from it, too. Nobody who takes turns is left out for ever.
 */
import type { Clock, Micros } from './clock.ts';

/** Between two turns while the other one is behind. With what a turn is good for, 64 MB/s for all together. */
const turnEvery: Micros = 8000;
/** What a turn is good for; a piece costs something beside its bytes. */
const turnBytes = 512 * 1024;
const pieceCosts = 4096;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly #isBehind: () => boolean;
  readonly #nextRound: (fn: () => void) => void;
  readonly #waiting: (() => void)[] = [];
  #lastTurn: Micros = -Infinity;

  /** `isBehind`: whether the one that must not wait has more to do than it could do in its last round. */
  constructor(
    clock: Pick<Clock, 'monotonic' | 'after'>,
    isBehind: () => boolean,
    nextRound: (fn: () => void) => void = setImmediate,
  ) {
    this.#clock = clock;
    this.#isBehind = isBehind;
    this.#nextRound = nextRound;
  }

  /** Resolves when it is the caller's turn, first come, first served. */
  take(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#nextRound(this.#round);
    });
  }

  readonly #round = (): void => {
    const now = this.#clock.monotonic();
    const left = this.#isBehind() ? this.#lastTurn + turnEvery - now : 0;
    if (left > 0) {
      this.#clock.after(Math.ceil(left / 1000), this.#round);
      return;
    }
    this.#lastTurn = now;
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#nextRound(this.#round);
  };
}

/** One who takes turns. */
export class Share {
  readonly #turns: Turns;
  #left = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** A piece of work was done; true: it was the last of this turn. */
  spend(bytes: number): boolean {
    this.#left -= bytes + pieceCosts;
    return this.#left <= 0;
  }

  async next(): Promise<void> {
    await this.#turns.take();
    this.#left = turnBytes;
  }
}
