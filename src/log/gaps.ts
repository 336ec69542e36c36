/**
 * The gaps of a journal, as everybody tells them (pure): status, ls, verify and the refusals of restore. Each is recorded
 * with the timeline behind it (SPEC.md 9), as it was known when that began.
 *
 * Invariant: where the timeline before it is whole, a gap begins where that ends. After a failed write or sync that may be
 * later than what was recorded: bytes of which nobody could know whether they would stay, and which did.
 */
import type { GapRecord } from '../../journal-format/gap.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import { idAt } from './catalog.ts';
import type { Timeline } from './catalog.ts';

/** A timeline with its end; where that is not known it is undefined. */
export interface Bounded {
  readonly number: number;
  readonly gap: GapRecord | undefined;
  readonly ends: { readonly ids: readonly IdEntry[]; readonly offset: Offset; readonly stamp: Micros } | undefined;
}

export function boundsOf({ number, gap, ids, end, lastStamp, base }: Timeline): Bounded {
  return { number, gap, ends: { ids, offset: end, stamp: Math.max(base.record.completed, lastStamp) } };
}

/** In the order of the timelines. */
export function gapsOf(timelines: readonly Bounded[]): GapRecord[] {
  const inOrder = timelines.toSorted((a, b) => a.number - b.number);
  return inOrder.flatMap(({ gap }) => {
    if (gap === undefined) return [];
    const { from } = gap;
    const ends = timelines.find(({ number }) => number === from.timeline)?.ends;
    if (ends === undefined || ends.offset < from.offset) return [gap];
    const { offset, stamp } = ends;
    return [{ ...gap, from: { timeline: from.timeline, id: idAt(ends, offset), offset, stamp } }];
  });
}
