/**
 * Decides what goes when a journal is to keep only so much (pure): the oldest whole timelines, as many as the rule asks
 * for, never the newest. Everything behind a base needs that base, so of a timeline nothing can go before all of it can;
 * what a rule asks for beyond that is held back until there is a newer base.
 *
 * Somebody may still need what the rule asks for: that stays, and is told of. Only a disk that runs out of room comes
 * first: then the oldest goes all the same, no more than makes room.
 *
 * Neighbour: removal.ts, which does it.
 */
import type { Micros } from '../core/clock.ts';

export type KeepRule =
  { readonly kind: 'age'; readonly micros: Micros } | { readonly kind: 'size'; readonly bytes: number };

/** A timeline as far as this goes. */
export interface KeptTimeline {
  readonly number: number;
  /** The last instant that it covers. */
  readonly last: Micros;
  /** Of its base. */
  readonly baseBytes: number;
  readonly segments: readonly { readonly last: Micros; readonly bytes: number }[];
}

export interface Holder {
  readonly name: string;
  /** It needs this timeline and all that are newer. */
  readonly from: number;
}

export interface Demands {
  readonly holders: readonly Holder[];
  /** So much has to become free, whoever needs what goes. */
  readonly shortBytes: number;
}

export const noDemands: Demands = { holders: [], shortBytes: 0 };

export interface HeldFor {
  readonly name: string;
  readonly bytes: number;
}

export interface RetentionPlan {
  /** Oldest first: in this order they are to go. */
  readonly remove: readonly number[];
  /** What the rule asks for in vain while there is no newer base. */
  readonly heldBytes: number;
  /** What it asks for, and stays for these; each counted as if it were the only one. */
  readonly heldFor: readonly HeldFor[];
  /** Those who need something that goes. */
  readonly lost: readonly string[];
}

/** `timelines`: oldest first. */
export function planRetention(
  timelines: readonly KeptTimeline[],
  rule: KeepRule,
  now: Micros,
  demands: Demands = noDemands,
): RetentionPlan {
  const { asked, heldBytes } = askedFor(timelines, rule, now);
  const count = Math.max(unneeded(asked, demands), mustGo(asked, demands));
  const stays = asked.slice(count);
  const goes = asked.slice(0, count);
  return {
    remove: goes.map(({ number }) => number),
    heldBytes,
    heldFor: demands.holders.flatMap(({ name, from }) => {
      const bytes = sum(stays.filter(({ number }) => number >= from));
      return bytes === 0 ? [] : [{ name, bytes }];
    }),
    lost: demands.holders.filter(({ from }) => goes.some(({ number }) => number >= from)).map(({ name }) => name),
  };
}

/** What the rule asks for, whoever needs it. */
function askedFor(
  timelines: readonly KeptTimeline[],
  rule: KeepRule,
  now: Micros,
): { readonly asked: readonly KeptTimeline[]; readonly heldBytes: number } {
  const newest = timelines.at(-1);
  if (newest === undefined) return { asked: [], heldBytes: 0 };
  const older = timelines.slice(0, -1);
  if (rule.kind === 'age') {
    const limit = now - rule.micros;
    const kept = older.findIndex(({ last }) => last >= limit);
    const count = kept === -1 ? older.length : kept;
    return { asked: older.slice(0, count), heldBytes: count < older.length ? 0 : bytesBefore(newest, limit) };
  }
  let excess = sum(timelines) - rule.bytes;
  let count = 0;
  for (const timeline of older) {
    if (excess <= 0) break;
    excess -= bytesOf(timeline);
    count += 1;
  }
  return { asked: older.slice(0, count), heldBytes: Math.max(0, Math.min(excess, bytesOf(newest))) };
}

function unneeded(asked: readonly KeptTimeline[], { holders }: Demands): number {
  const needed = asked.findIndex(({ number }) => holders.some(({ from }) => number >= from));
  return needed === -1 ? asked.length : needed;
}

function mustGo(asked: readonly KeptTimeline[], { shortBytes }: Demands): number {
  let short = shortBytes;
  let count = 0;
  for (const timeline of asked) {
    if (short <= 0) break;
    short -= bytesOf(timeline);
    count += 1;
  }
  return count;
}

function sum(timelines: readonly KeptTimeline[]): number {
  return timelines.reduce((total, timeline) => total + bytesOf(timeline), 0);
}

function bytesOf({ baseBytes, segments }: KeptTimeline): number {
  return segments.reduce((total, { bytes }) => total + bytes, baseBytes);
}

/** Segments that are older as a whole. */
function bytesBefore({ segments }: KeptTimeline, limit: Micros): number {
  return segments.reduce((total, { last, bytes }) => total + (last < limit ? bytes : 0), 0);
}
