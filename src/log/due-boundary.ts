/**
 * How far a timeline is due when it is given out late: the last boundary that had been received by some instant, which moves
 * on with time. Frame by frame: what a frame ends with is due when all of it is, a group commit late at most, and never
 * early. Neighbour: stream-follower.ts, which it reads by.
 */
import type { Micros } from '../core/clock.ts';
import { dueFramesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import type { BlockCache } from './block-cache.ts';
import { StreamFollower } from './stream-follower.ts';

export interface StampedBoundary {
  readonly offset: Offset;
  /** Of the frame that it is in: nothing up to there came later. */
  readonly stamp: Micros;
}

export class DueBoundary implements AsyncDisposable {
  readonly #follower: StreamFollower;
  #last: StampedBoundary;
  #next: StampedBoundary | undefined;

  /** `from` is a boundary that is due. Good for one name of the history, as a follower is. */
  constructor(disk: Disk, directory: string, from: StampedBoundary, blocks: BlockCache) {
    this.#follower = new StreamFollower(disk, directory, from.offset + 1, blocks);
    this.#last = from;
  }

  /**
   * Of what is `durable`, the last boundary that had come by `horizon`; where that is many frames ahead, one on the way
   * there. It never goes back.
   */
  async at(horizon: Micros, durable: Offset): Promise<StampedBoundary> {
    for (let frames = 0; frames < dueFramesMax; frames += 1) {
      this.#next ??= await this.#read(durable);
      if (this.#next === undefined || this.#next.stamp > horizon || this.#next.offset > durable) return this.#last;
      if (this.#next.offset >= this.#last.offset) this.#last = this.#next;
      this.#next = undefined;
    }
    return this.#last;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#follower[Symbol.asyncDispose]();
  }

  async #read(durable: Offset): Promise<StampedBoundary | undefined> {
    const piece = await this.#follower.read(durable);
    return piece && { offset: piece.boundary, stamp: piece.stamp };
  }
}
