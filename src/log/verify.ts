/**
 * Proves a journal, or shows exactly what of it is whole: reads every byte of a source, checks every checksum, chain and
 * neighbourhood, and tells what can be restored. It never stops at the first problem, never changes anything, needs no
 * lock, and works beside a living writer. Memory is bounded by the largest frame and the number of files.
 */
import { join } from 'node:path';
import { decodeGap } from '../../journal-format/gap.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import {
  fileNames,
  isRemovedName,
  parseTimelineFolder,
  removedName,
  temporaryPrefix,
} from '../../journal-format/names.ts';
import { decodeRemoved } from '../../journal-format/removed.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import { systemClock } from '../core/clock.ts';
import type { Disk } from '../storage/disk.ts';
import { gapsOf } from './gaps.ts';
import type { Bounded } from './gaps.ts';
import { orphansOf } from './orphans.ts';
import type { OrphanRange } from './orphans.ts';
import { listOrEmpty, timelineDirectory, timelineNumbers } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import { verifyDocument, verifyMarks } from './verify-objects.ts';
import type { VerifyMark, VerifyReport, VerifyTimeline } from './verify-report.ts';
import { VerifyRun } from './verify-run.ts';
import type { VerifyOptions } from './verify-run.ts';
import { verifyTimeline } from './verify-timeline.ts';

export type { VerifyOptions } from './verify-run.ts';

interface FoundMark {
  readonly path: string;
  readonly record: MarkRecord;
}

export async function verifySource(disk: Disk, tree: SourceTree, options: VerifyOptions = {}): Promise<VerifyReport> {
  const run = new VerifyRun(disk, { ...options, clock: options.clock ?? systemClock });
  const removed = await verifyRemoved(run, tree);
  const numbers = (await timelineNumbers(disk, tree)).filter((number) => !removed.has(number));
  for (const directory of [tree.marks, ...numbers.map((number) => timelineDirectory(tree, number))]) {
    run.expect(await bytesIn(disk, directory));
  }
  await noteStrangers(run, tree);
  const marks = await verifyMarks(run, tree);
  const gaps = await verifyGaps(run, tree, numbers);
  const timelines: VerifyTimeline[] = [];
  for (const [i, number] of numbers.entries()) {
    timelines.push(
      await verifyTimeline(run, {
        tree,
        number,
        isFollowed: i < numbers.length - 1,
        marks: marks.filter(({ record }) => record.timeline === number),
        known: Math.max(0, ...gaps.filter(({ from }) => from.timeline === number).map(({ from }) => from.offset)),
      }),
    );
  }
  checkGapEnds(run, tree, gaps, timelines);
  const told = gapsOf(timelines.flatMap((timeline) => boundsIn(timeline, gaps)));
  const placed = marks.map((mark) => verifyPlace(run, mark, timelines, removed));
  return {
    source: tree.source,
    directory: tree.directory,
    timelines,
    gaps: told,
    orphans: orphansIn(timelines, told),
    marks: placed,
    problems: run.findings.problems,
    problemsOmitted: run.findings.omitted,
    notes: run.findings.notes,
    bytes: run.bytes,
    exitCode: run.findings.exitCode(told.length > 0),
  };
}

async function bytesIn(disk: Disk, directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await listOrEmpty(disk, directory)) bytes += (await disk.size(join(directory, name))) ?? 0;
  return bytes;
}

/**
 * By names alone. The lock file must never be opened here: closing any descriptor of it would let go of the lock that
 * this very process may hold.
 */
async function noteStrangers(run: VerifyRun, tree: SourceTree): Promise<void> {
  const own = new Set<string>([
    ...[fileNames.lock, fileNames.holder, fileNames.state, fileNames.reserve],
    ...[fileNames.marks, fileNames.timelines, fileNames.aside, fileNames.removed, fileNames.partial],
    ...[fileNames.delayedSocket, fileNames.delayedPause],
  ]);
  for (const name of await listOrEmpty(run.disk, tree.directory)) {
    if (own.has(name) || name.startsWith(temporaryPrefix)) continue;
    run.findings.note(`not of journal: ${join(tree.directory, name)}`);
  }
  for (const name of await listOrEmpty(run.disk, tree.timelines)) {
    if (parseTimelineFolder(name) === undefined) run.findings.note(`not of journal: ${join(tree.timelines, name)}`);
  }
  for (const name of await listOrEmpty(run.disk, tree.aside)) {
    run.findings.note(`damaged or unfinished bytes kept aside: ${join(tree.aside, name)}`);
  }
}

/** The timelines that were removed on purpose: nothing of them is missing. */
async function verifyRemoved(run: VerifyRun, tree: SourceTree): Promise<ReadonlySet<number>> {
  const removed = new Set<number>();
  for (const name of await listOrEmpty(run.disk, tree.removed)) {
    const path = join(tree.removed, name);
    if (!isRemovedName(name)) {
      if (!name.startsWith(temporaryPrefix)) run.findings.note(`not of journal: ${path}`);
      continue;
    }
    const isOurs = ({ timeline }: RemovedRecord): boolean => removedName(timeline) === name;
    const record = await verifyDocument(run, path, undefined, decodeRemoved, isOurs);
    if (record !== undefined) removed.add(record.timeline);
  }
  return removed;
}

/** The gap of every timeline that has one before it. */
async function verifyGaps(run: VerifyRun, tree: SourceTree, numbers: readonly number[]): Promise<GapRecord[]> {
  const gaps: GapRecord[] = [];
  let isFollowing = false;
  for (const number of numbers) {
    const directory = timelineDirectory(tree, number);
    const path = join(directory, fileNames.gap);
    const names = await listOrEmpty(run.disk, directory);
    if (names.includes(fileNames.gap)) {
      const isOurs = ({ from, to }: GapRecord): boolean => to.timeline === number && from.timeline < number;
      const gap = await verifyDocument(run, path, number, decodeGap, isOurs);
      if (gap !== undefined) gaps.push(gap);
    } else if (isFollowing && names.some((name) => name.endsWith('.base'))) {
      const message = 'what lies between this timeline and the one before is not recorded';
      run.findings.add({ kind: 'missing', path, timeline: number, message });
    }
    isFollowing ||= names.some((name) => name.endsWith('.base'));
  }
  return gaps;
}

/** A gap ends at the base that its timeline began with. */
function checkGapEnds(
  run: VerifyRun,
  tree: SourceTree,
  gaps: readonly GapRecord[],
  timelines: readonly VerifyTimeline[],
): void {
  for (const { to } of gaps) {
    const first = timelines.find(({ number }) => number === to.timeline)?.ids[0];
    if (first === undefined || (first.offset === to.offset + 1 && first.id === to.id)) continue;
    const path = join(timelineDirectory(tree, to.timeline), fileNames.gap);
    const message = `the gap ends at ${to.id}:${to.offset}, but its timeline begins at ${first.id}:${first.offset - 1}`;
    run.findings.add({ kind: 'corrupt', path, timeline: to.timeline, message });
  }
}

/** A timeline without the document of its base is none (yet), and the gap before it is none either. */
function boundsIn({ number, ids, ends, bases }: VerifyTimeline, gaps: readonly GapRecord[]): Bounded[] {
  if (bases.length === 0) return [];
  return [{ number, gap: gaps.find(({ to }) => to.timeline === number), ends: ends && { ids, ...ends } }];
}

function orphansIn(timelines: readonly VerifyTimeline[], gaps: readonly GapRecord[]): OrphanRange[] {
  return orphansOf(
    timelines.map(({ number, ids, intervals }) => ({
      number,
      ids,
      end: intervals.at(-1)?.to ?? (ids[0]?.offset ?? 1) - 1,
      gap: gaps.find(({ to }) => to.timeline === number),
    })),
  );
}

/** Whether a mark can be restored, and whether the timeline that it names is there and knows its id. */
function verifyPlace(
  run: VerifyRun,
  mark: FoundMark,
  timelines: readonly VerifyTimeline[],
  removed: ReadonlySet<number>,
): VerifyMark {
  const { path, record } = mark;
  const timeline = timelines.find(({ number }) => number === record.timeline);
  const what = `the mark ${JSON.stringify(record.name)}`;
  if (removed.has(record.timeline)) {
    run.findings.note(`${what} is on timeline ${record.timeline}, which was removed`);
  } else if (timeline === undefined) {
    const message = `${what} is on timeline ${record.timeline}, which is not there`;
    run.findings.add({ kind: 'missing', path, timeline: record.timeline, message });
  } else if (timeline.ids.length > 0 && !timeline.ids.some(({ id }) => id === record.id)) {
    const message = `${what} names a replication id that its timeline never had`;
    run.findings.add({ kind: 'corrupt', path, timeline: record.timeline, message });
  }
  const { offset } = record;
  return { record, isRestorable: timeline?.restorable.some(({ from, to }) => from <= offset && offset <= to) ?? false };
}
