/**
 * Decides what we tell the primary (invariant: acknowledge only what is durable). Pure: progress goes in, bytes to send
 * come out. session.ts asks it each second and at each durable advance.
 *
 *   transfer      a bare newline a second: the link lives, nothing is claimed
 *   base-pending  REPLCONF ACK 0 FACK 0 a second: opens a diskless stream, claims nothing (Redis 7.0, 8.0, Valkey 8.0,
 *                 9.1; a single ACK right after the RDB can be missed by 7.0, so it is repeated)
 *   streaming     REPLCONF ACK durable FACK durable a second, and at once when the primary asked with GETACK and what
 *                 it had sent before asking has become durable; while later questions wait, at each durable advance
 */
import type { Offset } from '../core/position.ts';
import { encodeCommand } from '../redis/commands-out.ts';

export type AckPhase = 'transfer' | 'base-pending' | 'streaming';

const newline = Buffer.from('\n');

export class Acker {
  phase: AckPhase;
  /**
   * Where the stream stood at the first and last question that waits for an answer. Only the last would not do: under
   * many small WAITs it is always ahead of what is durable, and nobody would be answered.
   */
  #wanted: { readonly first: Offset; readonly last: Offset } | undefined;

  constructor(phase: AckPhase) {
    this.phase = phase;
  }

  /** The primary asked for an acknowledgement of all up to `offset`. */
  asked(offset: Offset): void {
    this.#wanted = { first: this.#wanted?.first ?? offset, last: offset };
  }

  /** Once a second. */
  tick(durable: Offset): Buffer {
    switch (this.phase) {
      case 'transfer':
        return newline;
      case 'base-pending':
        return encodeAck(0);
      case 'streaming':
        return this.#ack(durable);
    }
  }

  /** `durable` has advanced, or the phase is new: undefined when nobody waits for it. */
  advanced(durable: Offset): Buffer | undefined {
    if (this.phase !== 'streaming' || this.#wanted === undefined || durable < this.#wanted.first) return undefined;
    return this.#ack(durable);
  }

  #ack(durable: Offset): Buffer {
    const { first = 0, last = 0 } = this.#wanted ?? {};
    this.#wanted = durable < last ? { first: Math.max(first, durable + 1), last } : undefined;
    return encodeAck(durable);
  }
}

function encodeAck(offset: Offset): Buffer {
  return encodeCommand('REPLCONF', 'ACK', String(offset), 'FACK', String(offset));
}
