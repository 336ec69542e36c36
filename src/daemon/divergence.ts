/**
 * What a full sync means for the history before it (pure): why there is a gap, and where the primary's history parted
 * from the one that we hold. A server that was promoted, or restarted from an RDB, remembers the name of the history
 * that it had before and up to where it had it; what we hold behind that is an orphan (SPEC.md 9).
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { GapCause, Orphan } from '../../journal-format/gap.ts';
import type { Offset, Position } from '../core/position.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import type { FullSync } from '../upstream/sink.ts';

/** The timeline that ends. */
export interface Held {
  readonly timeline: number;
  readonly ids: readonly IdEntry[];
  readonly durable: Offset;
}

export interface Divergence {
  readonly cause: GapCause;
  readonly detail: string;
  readonly orphan: Orphan | undefined;
}

/** `position` is that of the full sync, `lineage` what the primary told before it, `broken` why it was asked for. */
export function divergence(
  held: Held,
  position: Position,
  { lineage, broken }: Pick<FullSync, 'lineage' | 'broken'>,
): Divergence {
  const { durable } = held;
  const shared = sharedEnd(held, lineage);
  const isSame = held.ids.at(-1)?.id === position.id || shared?.offset === durable;
  if (isSame && position.offset >= durable) {
    if (broken !== undefined) {
      const detail = `the stream broke ${broken.times} times behind offset ${broken.offset}: ${broken.message}; what was journaled last may have been altered, too`;
      return { cause: 'stream-broken', detail, orphan: undefined };
    }
    const detail = `the primary no longer had the bytes behind offset ${durable}`;
    return { cause: 'backlog-overrun', detail, orphan: undefined };
  }
  if (shared === undefined || shared.offset === durable) {
    const detail = 'the primary has another history: restarted, or promoted behind us';
    return { cause: 'history-changed', detail, orphan: undefined };
  }
  return {
    cause: 'history-changed',
    detail: `the primary has our history up to offset ${shared.offset} only, ${durable - shared.offset} bytes less than we hold: promoted behind us, or restarted from an older RDB`,
    orphan: { timeline: held.timeline, ...shared },
  };
}

/** Where the history that the primary had before ends in ours; undefined when it is none of ours, or not known. */
function sharedEnd({ ids, durable }: Held, lineage: ReplicationInfo | undefined): Position | undefined {
  const before = lineage?.before;
  const index = ids.findLastIndex(({ id }) => id === before?.id);
  if (before === undefined || index === -1) return undefined;
  const next = ids[index + 1];
  const end = next === undefined ? durable : next.offset - 1;
  return { id: before.id, offset: Math.min(before.offset, end) };
}
