/**
 * The parts of timelines that no surviving history contains (pure), from what the gaps record (SPEC.md 9). Restores may
 * go there, and everybody who shows coverage says so.
 */
import type { GapRecord, Orphan } from '../../journal-format/gap.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Offset, ReplicationId } from '../core/position.ts';

/** Positions of a timeline, both ends included. `from` is that of its base when the base itself is one. */
export interface OrphanRange {
  readonly timeline: number;
  /** The history that they were received under, or the one before it. */
  readonly id: ReplicationId;
  readonly from: Offset;
  readonly to: Offset;
}

interface Stretch {
  readonly number: number;
  readonly gap: GapRecord | undefined;
  readonly ids: readonly IdEntry[];
  readonly end: Offset;
}

/** A timeline that cannot be listed still tells which orphans it left behind, if its gap is whole. */
export function stretchOf({ number, gap }: Pick<Stretch, 'number' | 'gap'>): Stretch {
  return { number, gap, ids: [], end: -1 };
}

/**
 * One for each timeline that has any, oldest first. A history has one name on all timelines, so an older timeline that
 * holds some of the same bytes has the same orphan.
 */
export function orphansOf(timelines: readonly Stretch[]): OrphanRange[] {
  return timelines.flatMap((stretch) => {
    const cuts = timelines.flatMap(({ gap, number }) =>
      gap?.orphan !== undefined && number > stretch.number && isOf(stretch, gap.orphan) ? [gap.orphan] : [],
    );
    const first = cuts.sort((a, b) => a.offset - b.offset)[0];
    if (first === undefined) return [];
    const base = (stretch.ids[0]?.offset ?? 1) - 1;
    const from = Math.max(base, first.offset + 1);
    return from > stretch.end ? [] : [{ timeline: stretch.number, id: first.id, from, to: stretch.end }];
  });
}

/** An older timeline that ends in another history than the orphan's may well be in the one that survived. */
function isOf({ number, ids }: Stretch, orphan: Orphan): boolean {
  return number === orphan.timeline || ids.at(-1)?.id === orphan.id;
}
