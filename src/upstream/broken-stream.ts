/**
 * The way out of a stream that cannot be read on (a decider, no clock of its own). When bytes that were altered on their
 * way are journaled before the byte that gives them away, every resumption breaks at that byte again. After a few breaks
 * at the same offset, without one more byte durable, a full sync is asked for until one is complete. It costs a gap, so
 * there is at most one an hour: a primary whose stream is not one for us must not do nothing but make RDBs.
 *
 * Neighbour: follow.ts asks it behind each session. It counts by offset, whoever sent the bytes.
 */
import type { Micros } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';

/** Why a full sync is asked for although the journal could go on. */
export interface BrokenStream {
  /** The last byte that is durable: each attempt went on behind it. */
  readonly offset: Offset;
  readonly times: number;
  /** How the stream broke the last time. */
  readonly message: string;
}

const breaksMost = 3;
const apartMs = 3_600_000;

export class StreamBreaks {
  #offset: Offset | undefined;
  #times = 0;
  #wanted: BrokenStream | undefined;
  #syncedAt: Micros | undefined;

  /** Set while a full sync is to be asked for. */
  get wanted(): BrokenStream | undefined {
    return this.#wanted;
  }

  /** A stream that went on behind `offset` broke its own grammar. Returns what is to be told of it. */
  broke(offset: Offset, error: LinkError, now: Micros): LinkError {
    this.#times = offset === this.#offset ? this.#times + 1 : 1;
    this.#offset = offset;
    if (this.#times < breaksMost) return error;
    const leftMs = this.#syncedAt === undefined ? 0 : apartMs - (now - this.#syncedAt) / 1000;
    if (leftMs > 0) return heldBack(error, leftMs);
    this.#wanted = { offset, times: this.#times, message: error.message };
    return new LinkError(
      'stream-broken',
      `the stream broke ${this.#times} times behind offset ${offset}, which is as far as the journal comes: ${error.message}`,
      'later',
      {
        hint: 'the next attempt asks for a full sync, which leaves a gap; what was journaled last may have been altered, too: look for what alters the stream (TLS protects it)',
        cause: error,
      },
    );
  }

  /** A full sync is complete. */
  synced(now: Micros): void {
    if (this.#wanted === undefined) return;
    this.#wanted = undefined;
    this.#offset = undefined;
    this.#syncedAt = now;
  }
}

function heldBack(error: LinkError, leftMs: number): LinkError {
  const minutes = Math.ceil(leftMs / 60_000);
  return new LinkError(error.code, error.message, 'later', {
    hint: `a full sync did not help: another one is asked for in ${minutes} min at the earliest; look for what alters the stream between here and the primary`,
    cause: error,
  });
}
