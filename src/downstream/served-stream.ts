/**
 * The bytes of what is served, from an offset on: those of the journal, or what is made of them (with other times); and
 * where the numbering is our own, the PINGs that are put in between. It goes on over switches of the history's name.
 */
import type { Offset } from '../core/position.ts';
import type { BlockCache } from '../log/block-cache.ts';
import { StreamFollower } from '../log/stream-follower.ts';
import type { FollowedPiece } from '../log/stream-follower.ts';
import { startOfSegment } from '../log/segment-order.ts';
import type { Disk } from '../storage/disk.ts';
import type { ServedTimeline } from './history.ts';
import { ping, placeOf } from './own-numbering.ts';
import { StreamShift } from './stream-shift.ts';

export type ServedPiece = Pick<FollowedPiece, 'start' | 'bytes' | 'slab'>;

export class ServedStream implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #blocks: BlockCache;
  #next: Offset;
  /** Good for one name of the journal's history. */
  #journal: { readonly names: number; readonly stream: StreamFollower } | undefined;
  #shift: StreamShift | undefined;

  constructor(disk: Disk, from: Offset, blocks: BlockCache) {
    this.#disk = disk;
    this.#blocks = blocks;
    this.#next = from;
  }

  /** The first byte that was not given out. */
  get position(): Offset {
    return this.#next;
  }

  /** The next bytes, all of them durable; undefined when there are none (yet). It is always the same timeline. */
  async read(served: ServedTimeline): Promise<ServedPiece | undefined> {
    const start = this.#next;
    const left = served.durable + 1 - start;
    if (left <= 0) return undefined;
    const place = placeOf(served.own?.pings ?? [], start);
    if (place.kind === 'pings') {
      const bytes = ping.subarray(place.at, place.at + Math.min(left, place.bytes));
      this.#next += bytes.length;
      return { start, bytes, slab: undefined };
    }
    const piece = await this.#journalPiece(served, place.offset, Math.min(place.offset + left - 1, place.last));
    if (piece === undefined) return undefined;
    this.#next += piece.bytes.length;
    return { start, bytes: piece.bytes, slab: piece.slab };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const journal = this.#journal;
    this.#journal = undefined;
    await journal?.stream[Symbol.asyncDispose]();
  }

  /** Of the journal's bytes `from` to `to`, the first ones. */
  async #journalPiece(
    served: ServedTimeline,
    from: Offset,
    to: Offset,
  ): Promise<Pick<FollowedPiece, 'bytes' | 'slab'> | undefined> {
    const shift = served.own?.shift;
    if (shift === undefined) return (await this.#journalAt(served, from)).read(to);
    if (this.#shift === undefined) {
      // Commands are told apart from a boundary on.
      const first = await startOfSegment(this.#disk, served.directory, from, served.base.record.offset + 1);
      this.#shift = new StreamShift(shift.stream(first - 1), first, from);
    }
    const journal = await this.#journalAt(served, this.#shift.next);
    const bytes = await this.#shift.read(() => journal.read(to));
    return bytes && { bytes, slab: undefined };
  }

  async #journalAt({ directory, ids, own }: ServedTimeline, offset: Offset): Promise<StreamFollower> {
    const names = own?.names ?? ids.length;
    if (this.#journal?.names !== names) {
      await this[Symbol.asyncDispose]();
      this.#journal = { names, stream: new StreamFollower(this.#disk, directory, offset, this.#blocks) };
    }
    return this.#journal.stream;
  }
}
