/** What is recorded of a timeline when it begins, and of the gap before it (SPEC.md 9; pure). Neighbour: capture.ts. */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { FullSync } from '../upstream/sink.ts';
import { divergence } from './divergence.ts';
import { writerName } from './version.ts';

export function timelineRecord(
  { tree, address }: { readonly tree: SourceTree; readonly address: string },
  timeline: number,
  sync: FullSync,
): TimelineRecord {
  return {
    source: tree.source,
    timeline,
    id: sync.position.id,
    offset: sync.position.offset,
    stamp: sync.stamp,
    address: sync.address ?? address,
    server: { kind: sync.server?.kind ?? 'unknown', version: sync.server?.version ?? 'unknown' },
    writer: writerName,
  };
}

/** Where the log of a timeline ends. */
export interface LogEnd {
  readonly durable: Offset;
  readonly ids: readonly IdEntry[];
  readonly lastStamp: Micros;
}

export function gapBefore(before: number, log: LogEnd, timeline: number, sync: FullSync): GapRecord {
  const { durable, ids, lastStamp } = log;
  const { id, offset } = sync.position;
  const { orphan, ...reason } = divergence({ timeline: before, ids, durable }, sync.position, sync);
  return {
    from: { timeline: before, id: idAt(log, durable), offset: durable, stamp: lastStamp },
    to: { timeline, id, offset, stamp: sync.stamp },
    ...reason,
    ...(orphan !== undefined && { orphan }),
  };
}
