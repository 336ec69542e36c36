/**
 * Seals completed segments behind the writer, one after the other, in whatever the composition root hands in to do the
 * work (a worker thread of low priority; in tests the very function). Capture never waits for it: the backlog is a list
 * of files that are on disk anyway.
 */
import type { Offset } from '../core/position.ts';
import type { Sealed } from './sealing.ts';

/** Seals one segment; see sealSegment. */
export type SealFunction = (path: string, end: Offset) => Promise<Sealed | undefined>;

export interface SealerEvents {
  sealed(from: string, result: Sealed): void;
  /** The segment stays open: readable, and tried again at the next start. */
  sealFailed(path: string, error: unknown): void;
}

export class Sealer {
  readonly #seal: SealFunction;
  readonly #events: SealerEvents;
  readonly #queue: { readonly path: string; readonly end: Offset }[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(seal: SealFunction, events: SealerEvents) {
    this.#seal = seal;
    this.#events = events;
  }

  /** Segments that wait to be sealed. */
  get backlog(): number {
    return this.#queue.length + (this.#running === undefined ? 0 : 1);
  }

  add(path: string, end: Offset): void {
    if (this.#stopped) return;
    this.#queue.push({ path, end });
    this.#running ??= this.#run();
  }

  /** Lets the seal under way finish and leaves the rest for the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#queue.length = 0;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        const result = await this.#seal(next.path, next.end);
        if (result !== undefined) this.#events.sealed(next.path, result);
      } catch (error) {
        this.#events.sealFailed(next.path, error);
      }
    }
    this.#running = undefined;
  }
}
