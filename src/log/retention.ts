/**
 * Decides what goes when a journal is to keep only so much (pure): the oldest whole timelines, as many as the rule asks
 * for, never the newest. Everything behind a base needs that base, so of a timeline nothing can go before all of it can;
 * what a rule asks for beyond that is held back until there is a newer base. Neighbour: removal.ts, which does it.
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

export interface RetentionPlan {
  /** Oldest first: in this order they are to go. */
  readonly remove: readonly number[];
  /** What the rule asks for in vain while there is no newer base. */
  readonly heldBytes: number;
}

/** `timelines`: oldest first. */
export function planRetention(timelines: readonly KeptTimeline[], rule: KeepRule, now: Micros): RetentionPlan {
  const newest = timelines.at(-1);
  if (newest === undefined) return { remove: [], heldBytes: 0 };
  const older = timelines.slice(0, -1);
  if (rule.kind === 'age') {
    const limit = now - rule.micros;
    const kept = older.findIndex(({ last }) => last >= limit);
    const count = kept === -1 ? older.length : kept;
    return { remove: numbers(older, count), heldBytes: count < older.length ? 0 : bytesBefore(newest, limit) };
  }
  let excess = timelines.reduce((total, timeline) => total + bytesOf(timeline), 0) - rule.bytes;
  let count = 0;
  for (const timeline of older) {
    if (excess <= 0) break;
    excess -= bytesOf(timeline);
    count += 1;
  }
  return { remove: numbers(older, count), heldBytes: Math.max(0, Math.min(excess, bytesOf(newest))) };
}

function numbers(timelines: readonly KeptTimeline[], count: number): number[] {
  return timelines.slice(0, count).map(({ number }) => number);
}

function bytesOf({ baseBytes, segments }: KeptTimeline): number {
  return segments.reduce((total, { bytes }) => total + bytes, baseBytes);
}

/** Segments that are older as a whole. */
function bytesBefore({ segments }: KeptTimeline, limit: Micros): number {
  return segments.reduce((total, { last, bytes }) => total + (last < limit ? bytes : 0), 0);
}
