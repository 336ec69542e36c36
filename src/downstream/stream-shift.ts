/**
 * Stream bytes on their way through a change that leaves each its number: from a boundary on, where the change begins, given
 * out from the byte on that is wanted. Neighbour: served-stream.ts.
 */
import type { Offset } from '../core/position.ts';
import type { FollowedPiece } from '../log/stream-follower.ts';
import type { StreamChange } from './history.ts';

export class StreamShift {
  readonly #change: StreamChange;
  #next: Offset;
  #ready: Buffer[] = [];
  /** Bytes before the one that is wanted. */
  #before: number;

  /** `first` is the byte behind the boundary where the change begins; `from` the one that is wanted. */
  constructor(change: StreamChange, first: Offset, from: Offset) {
    this.#change = change;
    this.#next = first;
    this.#before = from - first;
  }

  /** The byte of the journal that is to be read next; some before it may be held. */
  get next(): Offset {
    return this.#next;
  }

  /** `read` gives the journal's next bytes; undefined: there are no more, and up to a boundary none is held. */
  async read(read: () => Promise<FollowedPiece | undefined>): Promise<Buffer | undefined> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready !== undefined && ready.length > this.#before) {
        const bytes = ready.subarray(this.#before);
        this.#before = 0;
        return bytes;
      }
      this.#before -= ready?.length ?? 0;
      if (ready !== undefined) continue;
      const piece = await read();
      if (piece === undefined) return undefined;
      this.#next += piece.bytes.length;
      // It changes them where they lie, and others read in the same.
      this.#ready.push(...this.#change.push(Buffer.from(piece.bytes)));
      this.#change.letGo();
    }
  }
}
