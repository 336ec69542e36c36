/**
 * The frames of a timeline from a stream byte on, notes too (ticks, samples, attaches), over sealed and open segments alike,
 * while it may still be growing: what another journal is sent. Neighbour: stream-follower.ts, for the bytes alone.
 *
 * Invariant: in the order of the files, verified, without a hole. No byte behind the offset that the caller knows to be durable
 * is given out, and no attachment before the first byte behind it is durable: it may be another history's. Notes at a place where
 * a segment ends may come twice. A follower is good for one name of the history, as a StreamFollower is.
 */
import type { FrameHeader } from '../../journal-format/frame.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import type { BlockCache } from './block-cache.ts';
import { bytesMissing, openFollowed, openingsMax } from './followed-segment.ts';
import type { FollowedSegment } from './followed-segment.ts';
import type { Frame } from './frames.ts';

export interface FollowedFrame {
  /** Good until the next one is asked for. */
  readonly frame: Frame;
  /** Its stream bytes from here to there are new. */
  readonly from: Offset;
  readonly to: Offset;
}

export class FrameFollower implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #blocks: BlockCache;
  #next: Offset;
  /** The one that ends just before the first byte wanted may hold notes that lie behind that end. */
  #isBefore = true;
  #opened: FollowedSegment | undefined;
  /** Not durable when it was read. */
  #held: FollowedFrame | undefined;

  /** `directory` is the timeline's, `from` the first byte wanted; `blocks` is shared with others who read there. */
  constructor(disk: Disk, directory: string, from: Offset, blocks: BlockCache) {
    this.#disk = disk;
    this.#directory = directory;
    this.#blocks = blocks;
    this.#next = from;
  }

  /** Undefined when there is none (yet) up to `durable`. IntegrityError: bytes are missing. */
  async next(durable: Offset): Promise<FollowedFrame | undefined> {
    for (let attempt = 0; attempt < openingsMax; attempt += 1) {
      const found = this.#held ?? (await this.#read());
      this.#held = undefined;
      if (found !== undefined) {
        if (!isDue(found, durable)) {
          this.#held = found;
          return undefined;
        }
        this.#next = found.to + 1;
        return found;
      }
      if (this.#opened !== undefined && this.#next > durable) return undefined;
      await this.#reopen();
      if (this.#opened === undefined && this.#next > durable) return undefined;
    }
    throw bytesMissing(this.#directory, this.#next);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held = undefined;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.[Symbol.asyncDispose]();
  }

  /** The next one in the segment that is open. */
  async #read(): Promise<FollowedFrame | undefined> {
    const opened = this.#opened;
    for (let frame = await opened?.next(); frame !== undefined; frame = await opened?.next()) {
      const { header } = frame;
      if (!isFrom(header, this.#next)) continue;
      // What lies beyond (an abandoned file) is not part of the timeline.
      if (header.start > (opened?.end ?? 0) + 1) return undefined;
      if (header.kind !== 'stream') return { frame, from: header.start, to: header.start - 1 };
      const to = Math.min(header.end, opened?.end ?? 0);
      if (to < this.#next) return undefined;
      return { frame, from: this.#next, to };
    }
    return undefined;
  }

  async #reopen(): Promise<void> {
    await this[Symbol.asyncDispose]();
    const [disk, directory, blocks, from] = [this.#disk, this.#directory, this.#blocks, this.#next];
    const isWanted = (header: FrameHeader): boolean => isFrom(header, from);
    const before = this.#isBefore
      ? await openFollowed({ disk, directory, blocks, holds: from - 1, isWanted })
      : undefined;
    this.#opened = before ?? (await openFollowed({ disk, directory, blocks, holds: from, isWanted }));
    if (this.#opened !== undefined) this.#isBefore = false;
  }
}

/** Of frames without bytes, those just before `from` count. */
function isFrom({ kind, start, end }: FrameHeader, from: Offset): boolean {
  return kind === 'stream' ? end >= from : start >= from;
}

function isDue({ frame, to }: FollowedFrame, durable: Offset): boolean {
  const { kind, start } = frame.header;
  if (kind === 'stream') return to <= durable;
  return start <= (kind === 'attach' ? durable : durable + 1);
}
