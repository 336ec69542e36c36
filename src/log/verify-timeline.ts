/**
 * Checks a timeline: its documents, its bases, each of its segments, and that the segments make one unbroken stream
 * (SPEC.md 3 to 9). Neighbours: verify-segment.ts reads the files, verify-coverage.ts puts together what they hold.
 */
import { join } from 'node:path';
import type { FrameHeader } from '../../journal-format/frame.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import { fileNames, parseTimelineEntry } from '../../journal-format/names.ts';
import { decodeTimeline } from '../../journal-format/timeline.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import type { Offset } from '../core/position.ts';
import { findEnd } from './segment-end.ts';
import { namedSegments, withoutTwins } from './segment-order.ts';
import type { NamedSegment } from './segment-order.ts';
import { findSealed } from './segment-reader.ts';
import { listOrEmpty, timelineDirectory } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import { coverage, restorable } from './verify-coverage.ts';
import { verifyBases, verifyDocument, verifyStops } from './verify-objects.ts';
import type { CheckedBase } from './verify-objects.ts';
import type { VerifyTimeline } from './verify-report.ts';
import type { VerifyRun } from './verify-run.ts';
import { auditSegment } from './verify-segment.ts';
import type { SegmentAudit } from './verify-segment.ts';
import { checkSequence } from './verify-sequence.ts';

export interface TimelineTask {
  readonly tree: SourceTree;
  readonly number: number;
  /** Whether there is a later one. */
  readonly isFollowed: boolean;
  /** The marks on it, with the paths of their files. */
  readonly marks: readonly { readonly path: string; readonly record: MarkRecord }[];
  /** What the gap behind it says was its end. */
  readonly known: Offset;
}

export async function verifyTimeline(run: VerifyRun, task: TimelineTask): Promise<VerifyTimeline> {
  const { tree, number } = task;
  const directory = timelineDirectory(tree, number);
  const names = await listTwice(run, directory);
  noteStrangers(run, directory, names);
  if (!hasKind(names, 'base') && !lostItsBase(run, task, directory, names)) {
    run.findings.note(`${directory}: its full sync is under way, or never finished`);
    return { number, isUnfinished: true, ids: [], ends: undefined, bases: [], intervals: [], restorable: [] };
  }
  const path = join(directory, fileNames.timeline);
  const isOurs = (record: TimelineRecord): boolean => record.timeline === number && record.source === tree.source;
  const record = await verifyDocument(run, path, number, decodeTimeline, isOurs);
  const bases = await verifyBases(run, directory, number, names);
  const stops = await verifyStops(run, directory, number, names);
  const known = Math.max(task.known, 0, ...stops, ...task.marks.map(({ record: mark }) => mark.offset));
  return verifyStream(run, task, { directory, names, record, bases, known });
}

interface Found {
  readonly directory: string;
  readonly names: readonly string[];
  readonly record: TimelineRecord | undefined;
  readonly bases: readonly CheckedBase[];
  readonly known: Offset;
}

async function verifyStream(run: VerifyRun, task: TimelineTask, found: Found): Promise<VerifyTimeline> {
  const { number } = task;
  const { directory, bases, record } = found;
  const named = namedSegments(found.names);
  const base = bases[0];
  const from = base?.offset ?? record?.offset ?? (named[0]?.start ?? 1) - 1;
  const counted = await countedSegments(run, { ...found, named, from, number });
  const audits = await auditAll(run, task, directory, counted);
  const known = audits.reduce((most, { tail }) => Math.max(most, tail?.durable ?? 0), found.known);
  checkSequence(run.findings, { number, base: base?.record, record, audits });
  const last = audits.at(-1);
  const intervals = coverage({
    from: { offset: from, stamp: base?.completed ?? record?.stamp ?? 0 },
    contributions: audits.map(({ segment, runs, tail, claimed }) => ({
      start: segment.start,
      runs,
      first: runs[0]?.first ?? tail?.firstStamp,
      claimed,
    })),
    known,
    tailState: last === undefined || last.endsCleanly ? 'missing' : 'damaged',
  });
  for (const { state, from: first, to } of intervals) {
    if (state !== 'missing') continue;
    const message = `the stream bytes ${first} to ${to} are in no file`;
    run.findings.add({ kind: 'missing', path: directory, timeline: number, range: { from: first, to }, message });
  }
  requireKnown(run, number, last, known);
  const whole = bases.flatMap(({ state, offset, completed }) =>
    state === 'ok' && completed !== undefined ? [{ offset, completed }] : [],
  );
  const ids = audits.findLast(({ tail }) => tail !== undefined)?.tail?.ids;
  const isWhole = intervals.every(({ state }) => state === 'ok');
  const ends =
    isWhole && base?.completed !== undefined
      ? { offset: last?.tail?.end ?? from, stamp: Math.max(base.completed, last?.tail?.lastStamp ?? 0) }
      : undefined;
  return {
    number,
    isUnfinished: false,
    ends,
    ids: ids ?? (record === undefined ? [] : [{ id: record.id, offset: record.offset + 1 }]),
    bases: bases.map(({ path, offset, state, completed }) => ({ path, offset, state, completed })),
    intervals,
    restorable: restorable(whole, intervals, ends),
  };
}

/** An end that could be that of an unfinished write, had not something else said that what is behind it was durable. */
function requireKnown(run: VerifyRun, number: number, last: SegmentAudit | undefined, known: Offset): void {
  const end = last?.tail?.end;
  if (last === undefined || end === undefined || last.endsCleanly || end >= known) return;
  const message = `the whole frames end at offset ${end}, but ${known} had been durable`;
  const range = { from: end + 1, to: known };
  run.findings.add({ kind: 'corrupt', path: last.path, timeline: number, range, message });
}

/** A listing is not taken at one instant: of a segment that is being sealed, one may show neither file, two don't. */
async function listTwice(run: VerifyRun, directory: string): Promise<string[]> {
  const first = await listOrEmpty(run.disk, directory);
  const second = await listOrEmpty(run.disk, directory);
  return [...new Set([...second, ...first])].sort();
}

function noteStrangers(run: VerifyRun, directory: string, names: readonly string[]): void {
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    const path = join(directory, name);
    if (entry.kind === 'foreign') run.findings.note(`not of journal: ${path}`);
    else if (entry.kind === 'temporary') run.findings.note(`unfinished work: ${path}`);
    else if (entry.kind === 'rdb' && !names.includes(name.replace(/rdb$/, 'base'))) {
      run.findings.note(`an RDB without a document: ${path}`);
    }
  }
}

function hasKind(names: readonly string[], kind: string): boolean {
  return names.some((name) => parseTimelineEntry(name).kind === kind);
}

/** A full sync that is under way, or never finished, leaves a temporary file, and nothing that comes after a base. */
function lostItsBase(run: VerifyRun, task: TimelineTask, directory: string, names: readonly string[]): boolean {
  const wasBegunOnly = hasKind(names, 'temporary') || !(hasKind(names, 'open') || hasKind(names, 'sealed'));
  const isLost = task.isFollowed || task.marks.length > 0 || ['stop', 'rdb'].some((kind) => hasKind(names, kind));
  if (!isLost && wasBegunOnly) return false;
  const message = 'the base document of the timeline is not there';
  run.findings.add({ kind: 'missing', path: directory, timeline: task.number, message });
  return true;
}

interface Naming extends Found {
  readonly number: number;
  readonly named: readonly NamedSegment[];
  readonly from: Offset;
}

/** Without the files that the next writer takes away; those are told. */
async function countedSegments(run: VerifyRun, naming: Naming): Promise<readonly NamedSegment[]> {
  const { directory, number, named, from, known } = naming;
  const single = withoutTwins(named);
  for (const segment of named) {
    if (!single.includes(segment)) run.findings.note(`sealed already, to be removed: ${join(directory, segment.name)}`);
  }
  const passedOver = async (): Promise<readonly NamedSegment[]> => {
    try {
      return (await findEnd(run.disk, directory, single, from + 1, known)).passedOver;
    } catch {
      return []; // damaged, or sealed meanwhile: the audit of each file tells
    }
  };
  if ((await passedOver()).length === 0) return single;
  // A living writer is about to write what it has begun.
  if (await run.changesSoon(async () => (await passedOver()).length === 0)) return single;
  const left = await passedOver();
  for (const { name } of left) {
    const message = 'the segment was begun and never synced; the next writer moves it aside';
    run.findings.add({ kind: 'torn', path: join(directory, name), timeline: number, message });
  }
  return single.filter((segment) => !left.includes(segment));
}

async function auditAll(
  run: VerifyRun,
  task: TimelineTask,
  directory: string,
  segments: readonly NamedSegment[],
): Promise<SegmentAudit[]> {
  const audits: SegmentAudit[] = [];
  const visit = (path: string) => (header: FrameHeader) => {
    checkMarks(run, task, path, header);
  };
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1];
    const path = join(directory, segment.name);
    const place = { timeline: task.number, limit: next === undefined ? undefined : next.start - 1 };
    let audit = await auditSegment(run, { ...place, path, segment, visit: visit(path) });
    const sealed = audit === undefined ? await findSealed(run.disk, path) : undefined;
    const [now] = sealed === undefined ? [] : namedSegments([sealed.slice(directory.length + 1)]);
    if (sealed !== undefined && now !== undefined) {
      audit = await auditSegment(run, { ...place, path: sealed, segment: now, visit: visit(sealed) });
    }
    if (audit !== undefined) audits.push(audit);
  }
  return audits;
}

/** What a frame says of marks inside it: behind its last boundary there is none. */
function checkMarks(run: VerifyRun, task: TimelineTask, path: string, header: FrameHeader): void {
  for (const { path: markPath, record } of task.marks) {
    if (record.offset <= header.boundary || record.offset > header.end) continue;
    const message = `the mark ${JSON.stringify(record.name)} is at offset ${record.offset}, which is no boundary (${path})`;
    run.findings.add({ kind: 'corrupt', path: markPath, timeline: task.number, message });
  }
}
