/**
 * Seals completed segments behind the writer, one after the other, in whatever the composition root hands in to do the
 * work (a worker thread; in tests the very function). Capture never waits for it: the backlog is a list of files that
 * are on disk anyway. So a burst is taken first and compressed when it is over; but a stream that stays fast gets its
 * segments sealed beside it, in the background as long as that suffices, else at capture's own priority, so that the
 * backlog stays bounded.
 */
import type { Clock, Micros } from '../core/clock.ts';
import { StorageError } from '../core/errors.ts';
import { sealBurstSegments, sealCatchUpSegments, sealRestMs } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import { retryDelayMs } from '../core/retry.ts';
import type { Sealed } from './sealing.ts';

/** What a seal may take of the processor: what capture leaves over, or a full share. */
export type SealPace = 'background' | 'catch-up';

/** Seals one segment; see sealSegment. */
export type SealFunction = (path: string, end: Offset, pace: SealPace) => Promise<Sealed | undefined>;

export interface SealerEvents {
  sealed(from: string, result: Sealed): void;
  /**
   * The segment stays open, which is all right for readers. When the disk failed it is tried again and again (and told
   * once), else at the next start.
   */
  sealFailed(path: string, error: unknown): void;
}

export interface SealerOptions {
  readonly seal: SealFunction;
  readonly events: SealerEvents;
  readonly clock: Clock;
}

export class Sealer {
  readonly #options: SealerOptions;
  /** The first one is being sealed. */
  readonly #queue: { readonly path: string; readonly end: Offset }[] = [];
  readonly #stopping = new AbortController();
  #pace: SealPace = 'background';
  /** Another segment may come until then: it may be a burst. */
  #burstUntil: Micros = 0;
  #running: Promise<void> | undefined;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /** Segments that wait to be sealed. */
  get backlog(): number {
    return this.#queue.length;
  }

  add(path: string, end: Offset): void {
    if (this.#stopping.signal.aborted) return;
    this.#queue.push({ path, end });
    this.#burstUntil = this.#options.clock.monotonic() + sealRestMs * 1000;
    this.#running ??= this.#run();
  }

  /** Lets the seal under way finish and leaves the rest for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#queue.length = 0;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      await this.#burstOver();
      await this.#sealOne(next.path, next.end);
      this.#queue.shift();
    }
    this.#running = undefined;
  }

  async #burstOver(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    const isBurst = (): boolean => clock.monotonic() < this.#burstUntil && this.#queue.length < sealBurstSegments;
    while (isBurst() && !signal.aborted) await clock.sleep(sealRestMs / 10, signal).catch(() => undefined);
  }

  /** Once too much waits, at a full share until what waits is no more than a burst. */
  #choosePace(): SealPace {
    const most = this.#pace === 'background' ? sealCatchUpSegments : sealBurstSegments;
    this.#pace = this.#queue.length > most ? 'catch-up' : 'background';
    return this.#pace;
  }

  async #sealOne(path: string, end: Offset): Promise<void> {
    const { seal, events, clock } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        const result = await seal(path, end, this.#choosePace());
        if (result !== undefined) events.sealed(path, result);
        return;
      } catch (error) {
        if (attempt === 1) events.sealFailed(path, error);
        if (!(error instanceof StorageError && error.mayPass)) return;
        await clock.sleep(retryDelayMs('later', attempt, 0.5), signal).catch(() => undefined);
      }
    }
  }
}
