/**
 * A history of our own (pure): the bytes of a journal under another id, with PINGs put in behind any boundary, so that
 * replicas stay linked while nothing else is sent.
 *
 *   journal    … 1000 ┐ 1001 …            numbers of the journal's bytes
 *   served     … 1000 │ PING │ 1015 …     our own: all bytes that were put in before count
 *
 * Invariant: a PING that was served keeps its place, and none is put in before it. So whoever asks for an offset gets the
 * same bytes each time.
 */
import { randomBytes } from 'node:crypto';
import type { Offset, ReplicationId } from '../core/position.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import type { OwnTimeline, PingRun } from './history.ts';

export const ping: Buffer = encodeCommand('PING');

/** One that nobody has had. */
export function ownId(): ReplicationId {
  return randomBytes(20).toString('hex');
}

/** One more PING, behind this byte of the journal: all that is served of it. */
export function withPingBehind(served: OwnTimeline, behind: Offset): OwnTimeline {
  const pings = withPing(served.own.pings, behind);
  return { ...served, durable: servedUpTo(pings, behind), own: { ...served.own, pings } };
}

export function withPing(runs: readonly PingRun[], behind: Offset): readonly PingRun[] {
  const last = runs.at(-1);
  if (last !== undefined && behind < last.behind) throw new RangeError('a PING goes behind those that were served');
  if (last?.behind === behind) return [...runs.slice(0, -1), { behind, count: last.count + 1 }];
  return [...runs, { behind, count: 1 }];
}

/** The last byte that is served when the journal is up to `offset`: all PINGs lie before it, or right behind. */
export function servedUpTo(runs: readonly PingRun[], offset: Offset): Offset {
  return runs.reduce((served, { count }) => served + count * ping.length, offset);
}

/** What a served byte is: one of the journal, and which is the last before the next PING; or one of a run of PINGs. */
export type ServedPlace =
  | { readonly kind: 'journal'; readonly offset: Offset; readonly last: Offset }
  | { readonly kind: 'pings'; readonly at: number; readonly bytes: number };

export function placeOf(runs: readonly PingRun[], served: Offset): ServedPlace {
  let put = 0;
  for (const { behind, count } of runs) {
    const first = behind + put + 1;
    if (served < first) return { kind: 'journal', offset: served - put, last: behind };
    const bytes = count * ping.length;
    if (served < first + bytes) {
      // Which of the run it is makes no difference.
      return { kind: 'pings', at: (served - first) % ping.length, bytes: first + bytes - served };
    }
    put += bytes;
  }
  return { kind: 'journal', offset: served - put, last: Infinity };
}
