/**
 * Checks what neighbouring objects of a timeline say of each other: the base of the first segment, each segment of the
 * next (SPEC.md 6 to 9). Every file may be whole in itself and yet not belong beside the other.
 */
import type { BaseRecord } from '../../journal-format/base.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import type { Findings } from './verify-report.ts';
import type { SegmentAudit } from './verify-segment.ts';

export interface Sequence {
  readonly number: number;
  /** The first that is left. */
  readonly base: BaseRecord | undefined;
  readonly record: TimelineRecord | undefined;
  readonly audits: readonly SegmentAudit[];
}

export function checkSequence(findings: Findings, sequence: Sequence): void {
  const { number, base, record, audits } = sequence;
  for (const [i, audit] of audits.entries()) {
    const before = i === 0 ? undefined : audits[i - 1];
    for (const message of [...againstBase(audit, base, record), ...againstBefore(audit, before)]) {
      findings.add({ kind: 'corrupt', path: audit.path, timeline: number, message });
    }
  }
}

function againstBase(
  { header }: SegmentAudit,
  base: BaseRecord | undefined,
  record: TimelineRecord | undefined,
): string[] {
  const messages: string[] = [];
  const first = header?.ids[0];
  if (record !== undefined && first !== undefined && (first.id !== record.id || first.offset !== record.offset + 1)) {
    messages.push('the replication ids in its header do not begin with that of the timeline');
  }
  if (header !== undefined && header.start - 1 === base?.offset && header.db !== base.db) {
    messages.push(`its header says db ${header.db}, but the base before it ${base.db}`);
  }
  return messages;
}

/** Where a segment goes on exactly at the end of the one before; where it does not, the intervals tell. */
function againstBefore({ header, runs, tail, segment }: SegmentAudit, before: SegmentAudit | undefined): string[] {
  if (header === undefined || tail === undefined || before?.tail === undefined) return [];
  const messages: string[] = [];
  const earlier = before.tail;
  if (earlier.end >= header.start) {
    return before.segment.kind === 'sealed' ? [`it begins inside ${before.segment.name}, which is sealed`] : [];
  }
  if (earlier.end !== header.start - 1) return [];
  if (!goOn(header, earlier.ids)) messages.push('the replication ids in its header are not those before it');
  if (earlier.boundary !== earlier.end) messages.push('it does not begin at a boundary');
  else if (header.db !== earlier.db) messages.push(`its header says db ${header.db}, but it was ${earlier.db}`);
  const first = runs[0]?.first ?? tail.firstStamp;
  if (first < earlier.lastStamp) messages.push(`its stamps go back to before those of ${before.segment.name}`);
  if (segment.start !== header.start) messages.push('it is named for another offset');
  return messages;
}

/** The ids before it, and such as came into force just there. */
function goOn({ ids, start }: SegmentHeader, before: readonly IdEntry[]): boolean {
  return ids.every(({ id, offset }, i) => {
    const known = before[i];
    return known === undefined ? offset === start : known.id === id && known.offset === offset;
  });
}
