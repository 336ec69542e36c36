/**
 * `--keep-local`: what it says, in words and as a rule, and the applying of it while a journal runs: at the start, when
 * there is a new base, and every few minutes. It never runs twice at once and never holds capture up.
 *
 * Neighbours: log/retention.ts decides, log/removal.ts removes.
 */
import type { RemovedRecord } from '../../journal-format/removed.ts';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { loadCatalog } from '../log/catalog.ts';
import { applyRetention, finishRemovals } from '../log/removal.ts';
import type { KeepRule } from '../log/retention.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';
import { localDisk } from '../storage/local-disk.ts';
import { describe } from './describe-error.ts';
import type { Logger } from './logger.ts';

export interface KeepLocal {
  readonly rule: KeepRule;
  /** As it is kept with what goes, and told. */
  readonly words: string;
}

const amountPattern = /^(\d{1,9}(?:\.\d{1,3})?) ?([A-Za-z]{1,3})$/;
const ageUnits: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const sizeUnits: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `200GB`, `1.5TiB`; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, digits = '', unit = ''] = amountPattern.exec(text) ?? [];
  const bytes = sizeUnits[unit];
  return bytes === undefined ? undefined : Math.round(Number(digits) * bytes);
}

/** `7d`, `36h`, `200GB`, `1.5TiB`; undefined for anything else, and for nothing at all to be kept. */
export function parseKeepLocal(text: string): KeepLocal | undefined {
  const [, digits = '', unit = ''] = amountPattern.exec(text) ?? [];
  const amount = Number(digits);
  const seconds = ageUnits[unit];
  const bytes = sizeUnits[unit];
  if (digits === '' || amount <= 0) return undefined;
  const words = `--keep-local ${digits}${unit}`;
  if (seconds !== undefined) return { rule: { kind: 'age', micros: Math.round(amount * seconds * 1e6) }, words };
  if (bytes !== undefined) return { rule: { kind: 'size', bytes: Math.round(amount * bytes) }, words };
  return undefined;
}

export interface RetentionState {
  /** The rule in words. */
  readonly rule: string;
  /** What it asks for in vain while there is no newer base. */
  readonly heldBytes: number;
}

export interface RetentionOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  readonly keep: KeepLocal;
  /** The newest timeline that will stay; undefined while that is not certain. */
  readonly newest: () => number | undefined;
  readonly removed: (record: RemovedRecord) => void;
  /** Told when something begins to be held back, not each time. */
  readonly held: (bytes: number) => void;
  readonly failed: (error: unknown) => void;
}

const intervalMs = 300_000;

export class Retention implements AsyncDisposable {
  readonly #options: RetentionOptions;
  #heldBytes = 0;
  #running: Promise<void> | undefined;
  #again = false;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.apply();
  }

  get state(): RetentionState {
    return { rule: this.#options.keep.words, heldBytes: this.#heldBytes };
  }

  /** There may be something to remove now. */
  apply(): void {
    if (this.#isOver) return;
    this.#again = true;
    this.#running ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#again = false;
    this.#cancelTimer?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#cancelTimer?.();
    while (this.#again) {
      this.#again = false;
      await this.#once().catch(this.#options.failed);
    }
    this.#running = undefined;
    if (this.#isOver) return;
    this.#cancelTimer = this.#options.clock.after(intervalMs, () => {
      this.apply();
    });
  }

  async #once(): Promise<void> {
    const { disk, clock, tree, keep, newest, removed, held } = this.#options;
    await finishRemovals(disk, tree);
    const last = newest();
    if (last === undefined) return;
    const catalog = await loadCatalog(disk, tree);
    // A base that has just got its name may still turn out not to be on the medium, and be given up.
    const timelines = catalog.timelines.filter(({ number }) => number <= last);
    const { heldBytes, removed: records } = await applyRetention(disk, tree, timelines, keep, clock.wall());
    for (const record of records) removed(record);
    if (heldBytes > 0 && this.#heldBytes === 0) held(heldBytes);
    this.#heldBytes = heldBytes;
  }
}

const heldHint = 'a base and all behind it go together: more can go once there is a newer base';

/** The retention of a daemon. Not on the disk that waits for room: it makes some. */
export function loggedRetention(
  options: Pick<RetentionOptions, 'tree' | 'keep' | 'newest'>,
  logger: Logger,
): Retention {
  return new Retention({
    ...options,
    disk: localDisk,
    clock: systemClock,
    removed: ({ timeline, first, last, rule }) => {
      logger.info({ event: 'removed', timeline, from: formatInstant(first), to: formatInstant(last), rule });
    },
    held: (bytes) => {
      logger.warn({ event: 'retention-held', rule: options.keep.words, bytes, hint: heldHint });
    },
    failed: (error) => {
      logger.error({ event: 'retention-failed', ...describe(error) });
    },
  });
}
