/**
 * How far a stream is written and how far it is durable, and where another writer can go on when this one has failed.
 * stream-writer.ts reports each batch and each sync. Pure; both ends only ever move forward.
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { Batch, StreamTail } from './batch-queue.ts';

/** The end of some part of the stream. */
export interface Reach {
  /** Of its last byte. */
  readonly offset: Offset;
  /** The last boundary in it. */
  readonly boundary: Offset;
  /** Selected there. */
  readonly db: number;
  /** Commands that are not whole there end no earlier. */
  readonly lastStamp: Micros;
  /** Of the batches that the queue ever opened, how many are in it. */
  readonly batches: number;
}

export class StreamProgress {
  #written: Reach;
  #durable: Reach;
  /**
   * Up to which stamp frames were written behind these offsets before any byte behind them was: they may be there, and
   * whole, when what came then is not. None before the durable offset.
   */
  #quiet: { readonly offset: Offset; readonly stamp: Micros }[] = [];

  constructor({ offset, boundary, db, lastStamp }: StreamTail) {
    this.#written = this.#durable = { offset, boundary, db, lastStamp, batches: 0 };
  }

  get written(): Reach {
    return this.#written;
  }

  get durable(): Reach {
    return this.#durable;
  }

  /** The write of a batch is about to begin. */
  begun({ notes, start }: Batch): void {
    const last = notes.at(-1);
    if (last === undefined) return;
    const offset = start - 1;
    this.#quiet = [...this.#quiet.filter((other) => other.offset !== offset), { offset, stamp: last.stamp }];
  }

  /** This batch, the next one behind `written`, is written. */
  ended({ sum, boundary, db, lastStamp }: Batch): void {
    const { offset, batches } = this.#written;
    this.#written = { offset: offset + sum.length, boundary, db, lastStamp, batches: batches + 1 };
  }

  synced(reach: Reach): void {
    this.#durable = reach;
    this.#quiet = this.#quiet.filter(({ offset }) => offset >= reach.offset);
  }

  /** Where another writer may begin a segment after a failure: behind the last boundary that is on the medium. */
  tail(ids: readonly IdEntry[]): StreamTail {
    const { boundary, db, lastStamp } = this.#durable;
    const quiet = this.#quiet.find(({ offset }) => offset === boundary);
    return {
      offset: boundary,
      boundary,
      db,
      lastStamp: Math.max(lastStamp, quiet?.stamp ?? 0),
      // Bytes that are fetched again are fetched under the newest id.
      ids: ids.map(({ id, offset }) => ({ id, offset: Math.min(offset, boundary + 1) })),
      segment: undefined,
    };
  }
}
