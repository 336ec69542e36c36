/**
 * Which timeline of a journal a delayed copy is in: the newest one whose base is due. Neighbour: delayed-history.ts.
 */
import type { Micros } from '../core/clock.ts';
import type { History, ServedTimeline } from '../downstream/history.ts';
import { loadBase, loadTimeline } from '../log/catalog.ts';
import { readRemoved } from '../log/removed.ts';
import { timelineDirectory, timelineNumbers } from '../log/source-tree.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';

/** A timeline, as far as it goes. */
export type DueSource = Pick<ServedTimeline, 'number' | 'directory' | 'base' | 'ids' | 'durable'>;

export class DueSources {
  readonly #disk: Disk;
  readonly #tree: SourceTree;
  readonly #kept: Pick<History, 'now'>;
  /** One that is not the newest any more, so that it stays as it is. */
  #older: DueSource | undefined;

  /** `kept` is the journal as it is now. */
  constructor(disk: Disk, tree: SourceTree, kept: Pick<History, 'now'>) {
    this.#disk = disk;
    this.#tree = tree;
    this.#kept = kept;
  }

  /** Undefined: there is none. */
  async at(horizon: Micros): Promise<DueSource | undefined> {
    const newest = this.#kept.now();
    if (newest === undefined || isDue(newest, horizon)) return newest;
    const removed = await readRemoved(this.#disk, this.#tree);
    const older = (await timelineNumbers(this.#disk, this.#tree)).filter((number) => number < newest.number);
    for (const number of older.toReversed()) {
      if (removed.some(({ timeline }) => timeline === number)) continue;
      if (this.#older?.number !== number && !(await this.#loadIfDue(number, horizon))) continue;
      return this.#older;
    }
    return undefined;
  }

  /** What was last found under that number. */
  known(number: number): DueSource | undefined {
    return [this.#kept.now(), this.#older].find((one) => one?.number === number);
  }

  async #loadIfDue(number: number, horizon: Micros): Promise<boolean> {
    const directory = timelineDirectory(this.#tree, number);
    const base = await loadBase(this.#disk, directory, number, await this.#disk.list(directory));
    if (base === undefined || !isDue({ base }, horizon)) return false;
    const timeline = await loadTimeline(this.#disk, this.#tree, number);
    if (timeline === undefined) return false;
    this.#older = { ...timeline, durable: timeline.end };
    return true;
  }
}

/** The base holds what had been written when its full sync began. */
function isDue({ base }: Pick<DueSource, 'base'>, horizon: Micros): boolean {
  return base.record.stamp <= horizon;
}
