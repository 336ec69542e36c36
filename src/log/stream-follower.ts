/**
 * The stream of a timeline from any offset on, over sealed and open segments alike, while it may still be growing: what a
 * feed reads, and reads on as more becomes durable. Neighbours: read-range.ts reads what is there once and is done.
 *
 * Invariant: bytes come verified, in order, without a hole. Nothing behind the offset that the caller knows to be durable
 * is given out. A follower is good for one name of the history: behind a switch another one is made, since what an
 * abandoned file holds there may be another history's (SPEC.md 6).
 */
import type { FrameHeader } from '../../journal-format/frame.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { Disk } from '../storage/disk.ts';
import type { BlockCache } from './block-cache.ts';
import { bytesMissing, openFollowed, openingsMax } from './followed-segment.ts';
import type { FollowedSegment } from './followed-segment.ts';
import type { Frame } from './frames.ts';

export interface FollowedPiece {
  readonly start: Offset;
  readonly bytes: Buffer;
  /** Good until the next piece is asked for, unless it is retained; absent: the bytes stay as they are. */
  readonly slab: Slab | undefined;
  /** The last boundary that is known in its frame, which may lie before or behind the piece, and the frame's last stamp. */
  readonly boundary: Offset;
  readonly stamp: Micros;
}

export class StreamFollower implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #blocks: BlockCache;
  #next: Offset;
  #opened: FollowedSegment | undefined;
  #frame: Frame | undefined;

  /** `directory` is the timeline's, `from` the first byte wanted; `blocks` is shared with others who read there. */
  constructor(disk: Disk, directory: string, from: Offset, blocks: BlockCache) {
    this.#disk = disk;
    this.#blocks = blocks;
    this.#directory = directory;
    this.#next = from;
  }

  /** The first byte that was not given out. */
  get position(): Offset {
    return this.#next;
  }

  /** The next bytes, none behind `durable`; undefined when there are none up to there. IntegrityError: they are missing. */
  async read(durable: Offset): Promise<FollowedPiece | undefined> {
    if (this.#next > durable) return undefined;
    const frame = await this.#frameAt();
    const { start, end: frameEnd, lastStamp: stamp } = frame.header;
    const end = this.#opened?.end ?? 0;
    const from = this.#next;
    const last = Math.min(frameEnd, end, durable);
    this.#next = last + 1;
    // Where another segment goes on, the one before it ends at a boundary, whatever else its frames hold.
    const boundary = Math.min(frame.header.boundary, end);
    return {
      start: from,
      bytes: frame.data.subarray(from - start, last + 1 - start),
      slab: frame.slab,
      boundary,
      stamp,
    };
  }

  /** All of it up to there. */
  async *upTo(durable: Offset): AsyncGenerator<FollowedPiece, void, undefined> {
    for (let piece = await this.read(durable); piece !== undefined; piece = await this.read(durable)) yield piece;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#frame = undefined;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.[Symbol.asyncDispose]();
  }

  /** The one that holds the next byte, which is known to be there. */
  async #frameAt(): Promise<Frame> {
    for (let attempt = 1; attempt <= openingsMax; attempt += 1) {
      const frame = await this.#frameHere();
      if (frame !== undefined) return frame;
      await this[Symbol.asyncDispose]();
      this.#opened = await this.#open();
    }
    throw bytesMissing(this.#directory, this.#next);
  }

  /** In the segment that is open, if it goes on as far. */
  async #frameHere(): Promise<Frame | undefined> {
    if (this.#opened === undefined || this.#next > this.#opened.end) return undefined;
    if (this.#frame !== undefined && this.#frame.header.end >= this.#next) return this.#frame;
    for (;;) {
      this.#frame = await this.#opened.next();
      if (this.#frame === undefined || isStreamUpTo(this.#frame.header, this.#next)) break;
    }
    return this.#frame !== undefined && this.#frame.header.start <= this.#next ? this.#frame : undefined;
  }

  #open(): Promise<FollowedSegment | undefined> {
    const [disk, directory, blocks, holds] = [this.#disk, this.#directory, this.#blocks, this.#next];
    return openFollowed({ disk, directory, blocks, holds, isWanted: (header) => isStreamUpTo(header, holds) });
  }
}

function isStreamUpTo({ kind, end }: FrameHeader, offset: Offset): boolean {
  return kind === 'stream' && end >= offset;
}
