/**
 * Decides what we tell the primary (invariant: acknowledge only what is durable). Pure: progress goes in, bytes to send
 * come out. session.ts asks it each second and at each durable advance.
 *
 *   transfer      a bare newline a second: the link lives, nothing is claimed
 *   base-pending  REPLCONF ACK 0 FACK 0 a second: opens a diskless stream, claims nothing (Redis 7.0, 8.0, Valkey 8.0,
 *                 9.1; a single ACK right after the RDB can be missed by 7.0, so it is repeated)
 *   streaming     REPLCONF ACK durable FACK durable a second, and at once when the primary asked with GETACK and what
 *                 it had sent before asking has become durable; while later questions wait, at each durable advance
 *
 * Where another journal has to have it as well, durable is what both have. While there is none, nothing new is claimed, and
 * the old is repeated just often enough to keep the link.
 */
import type { Offset } from '../core/position.ts';
import { encodeCommand } from '../redis/commands-out.ts';

/** How far another journal is that has to have it as well; undefined: there is none just now. */
export type Elsewhere = () => Offset | undefined;

export type AckPhase = 'transfer' | 'base-pending' | 'streaming';

const newline = Buffer.from('\n');
/** A primary drops a replica that it has not heard of for 60 s, and takes one for gone after 10 (min-replicas-max-lag). */
const aloneTicks = 30;

export class Acker {
  phase: AckPhase;
  readonly #elsewhere: Elsewhere | undefined;
  #told: Offset = 0;
  /** Ticks without anybody elsewhere. */
  #alone = 0;
  /**
   * Where the stream stood at the first and last question that waits for an answer. Only the last would not do: under
   * many small WAITs it is always ahead of what is durable, and nobody would be answered.
   */
  #wanted: { readonly first: Offset; readonly last: Offset } | undefined;

  constructor(phase: AckPhase, elsewhere?: Elsewhere) {
    this.phase = phase;
    this.#elsewhere = elsewhere;
  }

  /** The primary asked for an acknowledgement of all up to `offset`. */
  asked(offset: Offset): void {
    this.#wanted = { first: this.#wanted?.first ?? offset, last: offset };
  }

  /** Once a second; undefined: nothing is said. */
  tick(durable: Offset): Buffer | undefined {
    switch (this.phase) {
      case 'transfer':
        return newline;
      case 'base-pending':
        return encodeAck(0);
      case 'streaming':
        this.#alone = this.#isAlone() ? this.#alone + 1 : 0;
        return this.#alone % aloneTicks > 1 ? undefined : this.#ack(durable);
    }
  }

  /** Before the link is closed. */
  last(durable: Offset): Buffer {
    return this.phase === 'streaming' ? this.#ack(durable) : Buffer.alloc(0);
  }

  /** `durable` has advanced, or the phase is new: undefined when nobody waits for it. */
  advanced(durable: Offset): Buffer | undefined {
    if (this.phase !== 'streaming' || this.#wanted === undefined) return undefined;
    return this.#safe(durable) < this.#wanted.first ? undefined : this.#ack(durable);
  }

  #ack(durable: Offset): Buffer {
    const { first = 0, last = 0 } = this.#wanted ?? {};
    const safe = (this.#told = this.#safe(durable));
    this.#wanted = safe < last ? { first: Math.max(first, safe + 1), last } : undefined;
    return encodeAck(safe);
  }

  /** What was told once stays so, whoever goes away. */
  #safe(durable: Offset): Offset {
    if (this.#elsewhere === undefined) return durable;
    return Math.max(this.#told, Math.min(durable, this.#elsewhere() ?? 0));
  }

  #isAlone(): boolean {
    return this.#elsewhere !== undefined && this.#elsewhere() === undefined;
  }
}

function encodeAck(offset: Offset): Buffer {
  return encodeCommand('REPLCONF', 'ACK', String(offset), 'FACK', String(offset));
}
