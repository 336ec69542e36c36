/**
 * What one run of verify carries through its parts: the disk, what was found, how far it is. Every byte that is read is
 * counted here, which is also where a run is stopped.
 */
import type { Clock } from '../core/clock.ts';
import type { Disk } from '../storage/disk.ts';
import type { KnownCommands } from './block-contents.ts';
import { Findings } from './verify-report.ts';

export interface VerifyOptions {
  /** Ends the run; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told now and then; `total` is what there was to read at the beginning, and may be exceeded. */
  readonly progress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  readonly clock?: Clock | undefined;
  /** Filters are held against the commands in their blocks where it is said what there is to know of commands. */
  readonly known?: KnownCommands | undefined;
}

/** A tail that looks unfinished is looked at again so often, for a living writer may be at work on it. */
const looksMax = 4;
const lookAgainMs = 50;

export class VerifyRun {
  readonly disk: Disk;
  readonly findings = new Findings();
  readonly #options: VerifyOptions & { readonly clock: Clock };
  #done = 0;
  #total = 0;

  constructor(disk: Disk, options: VerifyOptions & { readonly clock: Clock }) {
    this.disk = disk;
    this.#options = options;
  }

  get known(): KnownCommands | undefined {
    return this.#options.known;
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#done;
  }

  expect(bytes: number): void {
    this.#total += bytes;
  }

  advance(bytes: number): void {
    const { signal, progress } = this.#options;
    signal?.throwIfAborted();
    this.#done += bytes;
    progress?.(this.#done, this.#total);
  }

  /** Whether `hasChanged` becomes true within a moment. */
  async changesSoon(hasChanged: () => Promise<boolean>): Promise<boolean> {
    const { clock, signal } = this.#options;
    for (let look = 1; look <= looksMax; look += 1) {
      if (await hasChanged()) return true;
      await clock.sleep(lookAgainMs, signal);
    }
    return hasChanged();
  }
}
