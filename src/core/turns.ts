/**
 * Who shares a thread with something that must not wait takes turns: one in each round of the event loop, and while that
 * other one is behind with its own work, only one in so many. Nobody who takes turns is left out for ever, and no clock
 * is asked: a round takes as long as the work in it.
 */

/** Rounds that go to who is behind, for one turn of the others. */
const roundsAhead = 16;
/** What a turn is good for; a piece costs something beside its bytes. */
const turnBytes = 512 * 1024;
const pieceCosts = 4096;

export class Turns {
  readonly #isBehind: () => boolean;
  readonly #nextRound: (fn: () => void) => void;
  readonly #waiting: (() => void)[] = [];
  #passed = 0;

  /** `isBehind`: whether the one that must not wait has more to do than it could do in its last round. */
  constructor(isBehind: () => boolean, nextRound: (fn: () => void) => void = setImmediate) {
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
    if (this.#isBehind() && this.#passed < roundsAhead) {
      this.#passed += 1;
    } else {
      this.#passed = 0;
      this.#waiting.shift()?.();
    }
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
