/**
 * `--keep-local`: what it says, in words and as a rule, and the applying of it while a journal runs: at the start, when
 * there is a new base, and every few minutes; more often while something is left only to delayed copies, which a disk that
 * runs full comes before. It never runs twice at once and never holds capture up.
 *
 * Neighbours: log/retention.ts decides, log/removal.ts removes, copy-note.ts tells what delayed copies need.
 */
import type { RemovedRecord } from '../../journal-format/removed.ts';
import { parseDuration, parseSize } from '../core/amounts.ts';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { freeBytesLow } from '../core/limits.ts';
import { loadCatalog } from '../log/catalog.ts';
import { applyRetention, finishRemovals } from '../log/removal.ts';
import type { HeldFor, KeepRule } from '../log/retention.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';
import { localDisk } from '../storage/local-disk.ts';
import { clearCopies, holderOf, readCopies } from './copy-note.ts';
import { describe } from './describe-error.ts';
import type { Logger } from './logger.ts';

export interface KeepLocal {
  readonly rule: KeepRule;
  /** As it is kept with what goes, and told. */
  readonly words: string;
}

/** `7d`, `36h`, `200GB`, `1.5TiB`; undefined for anything else, and for nothing at all to be kept. */
export function parseKeepLocal(text: string): KeepLocal | undefined {
  const words = `--keep-local ${text.replace(' ', '')}`;
  const micros = parseDuration(text) ?? 0;
  if (micros > 0) return { rule: { kind: 'age', micros }, words };
  const bytes = parseSize(text) ?? 0;
  if (bytes > 0) return { rule: { kind: 'size', bytes }, words };
  return undefined;
}

export interface RetentionState {
  /** The rule in words. */
  readonly rule: string;
  /** What it asks for in vain while there is no newer base. */
  readonly heldBytes: number;
  /** What it asks for, and is left to these delayed copies. */
  readonly copies: readonly HeldFor[];
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
  /** The same, of something that is left to a delayed copy. */
  readonly heldForCopy: (copy: HeldFor) => void;
  /** There is so little room that a delayed copy was taken what it needs. */
  readonly copyLost: (name: string) => void;
  readonly failed: (error: unknown) => void;
}

const intervalMs = 300_000;
/** While it is for free room whether something stays. */
const intervalHeldMs = 10_000;

export class Retention implements AsyncDisposable {
  readonly #options: RetentionOptions;
  #heldBytes = 0;
  #copies: readonly HeldFor[] = [];
  #running: Promise<void> | undefined;
  #again = false;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.apply();
  }

  get state(): RetentionState {
    return { rule: this.#options.keep.words, heldBytes: this.#heldBytes, copies: this.#copies };
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
    const interval = this.#copies.length === 0 ? intervalMs : intervalHeldMs;
    this.#cancelTimer = this.#options.clock.after(interval, () => {
      this.apply();
    });
  }

  async #once(): Promise<void> {
    const { disk, clock, tree, keep, newest, removed, held, heldForCopy, copyLost } = this.#options;
    await finishRemovals(disk, tree);
    const now = clock.wall();
    await clearCopies(disk, tree, now);
    const last = newest();
    if (last === undefined) return;
    const catalog = await loadCatalog(disk, tree);
    // A base that has just got its name may still turn out not to be on the medium, and be given up.
    const timelines = catalog.timelines.filter(({ number }) => number <= last);
    const holders = (await readCopies(disk, tree, now)).map(holderOf);
    const shortBytes = holders.length === 0 ? 0 : freeBytesLow - (await disk.freeBytes(tree.directory));
    const done = await applyRetention(disk, tree, timelines, keep, now, { holders, shortBytes });
    for (const record of done.removed) removed(record);
    for (const name of done.lost) copyLost(name);
    if (done.heldBytes > 0 && this.#heldBytes === 0) held(done.heldBytes);
    for (const copy of done.heldFor) if (!this.#copies.some(({ name }) => name === copy.name)) heldForCopy(copy);
    this.#heldBytes = done.heldBytes;
    this.#copies = done.heldFor;
  }
}

const heldHint = 'a base and all behind it go together: more can go once there is a newer base';
const heldForCopyHint = `it goes all the same as soon as less than ${freeBytesLow / 2 ** 20} MiB are free on this disk`;
const lostHint = 'its replicas keep what they have; journal serve resume goes on in what is left';

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
    heldForCopy: ({ name, bytes }) => {
      logger.warn({ event: 'delayed-copy-holds', copy: name, bytes, rule: options.keep.words, hint: heldForCopyHint });
    },
    copyLost: (copy) => {
      logger.error({ event: 'delayed-copy-lost', copy, rule: options.keep.words, hint: lostHint });
    },
    failed: (error) => {
      logger.error({ event: 'retention-failed', ...describe(error) });
    },
  });
}
