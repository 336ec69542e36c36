/**
 * Looks at a journal again and again, one look after the other, until it is disposed of. A look that fails is told of once
 * for each run of failures, and there is another one. For kept-history.ts and delayed-history.ts.
 */
import type { Clock } from '../core/clock.ts';

export const lookMs = 200;

export interface LookingOptions {
  readonly clock: Clock;
  readonly look: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

export class Looking implements Disposable {
  readonly #options: LookingOptions;
  #hasFailed = false;
  #isClosed = false;
  #cancel: (() => void) | undefined;

  constructor(options: LookingOptions) {
    this.#options = options;
  }

  /** Resolves when it has looked once. */
  async begin(): Promise<void> {
    await this.#look();
    this.#schedule();
  }

  /** A look that is under way goes on to its end. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#options.clock.after(lookMs, () => {
      void this.begin();
    });
  }

  async #look(): Promise<void> {
    try {
      await this.#options.look();
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) this.#options.failed(error);
      this.#hasFailed = true;
    }
  }
}
