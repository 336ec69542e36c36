/**
 * The bytes of what is served, from an offset on: those of the journal, and behind a moment that is served for itself, the
 * PINGs that keep its replicas linked.
 */
import type { Offset } from '../core/position.ts';
import type { BlockCache } from '../log/block-cache.ts';
import { StreamFollower } from '../log/stream-follower.ts';
import type { FollowedPiece } from '../log/stream-follower.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import type { Disk } from '../storage/disk.ts';
import type { ServedTimeline } from './history.ts';

export const ping: Buffer = encodeCommand('PING');

export class ServedStream implements AsyncDisposable {
  readonly #journal: StreamFollower;
  /** What lies behind are PINGs. */
  readonly #end: Offset;
  /** Once all of the journal's was read. */
  #next: Offset | undefined;

  constructor(disk: Disk, { directory, pingsBehind }: ServedTimeline, from: Offset, blocks: BlockCache) {
    this.#end = pingsBehind ?? Infinity;
    this.#journal = new StreamFollower(disk, directory, from, blocks);
    if (from > this.#end) this.#next = from;
  }

  /** The first byte that was not given out. */
  get position(): Offset {
    return this.#next ?? this.#journal.position;
  }

  /** The next bytes, none behind `durable`; undefined when there are none up to there. */
  async read(durable: Offset): Promise<FollowedPiece | undefined> {
    if (this.#next === undefined) {
      const piece = await this.#journal.read(Math.min(durable, this.#end));
      if (piece !== undefined || durable <= this.#end) return piece;
    }
    const start = this.#next ?? this.#end + 1;
    if (start > durable) return undefined;
    const at = (start - this.#end - 1) % ping.length;
    const bytes = ping.subarray(at, at + durable + 1 - start);
    this.#next = start + bytes.length;
    return { start, bytes, slab: undefined };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#journal[Symbol.asyncDispose]();
  }
}
