/**
 * What the next writer does before it attaches (SPEC.md 11): clears away unfinished work, proves where the newest
 * timeline ends, cuts a torn tail, and leaves everything that it found durable. Runs under the writer's lock. Of older
 * timelines it only asks what is still to be sealed: damage there is for verify to tell, and no reason not to go on.
 *
 * Invariant: nothing is cut that is known to have been durable, and damage that is not a torn tail is never cut at all.
 */
import { join } from 'node:path';
import { parseTimelineEntry } from '../../journal-format/names.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { temporaryPrefix, uniqueHex } from '../storage/publish.ts';
import { moveAside } from './aside.ts';
import { loadBase, loadTimeline } from './catalog.ts';
import type { Timeline } from './catalog.ts';
import { fileProblem } from './format-problem.ts';
import { recoverTail } from './recover-tail.ts';
import { finishRemovals } from './removal.ts';
import { findEnd } from './segment-end.ts';
import { namedSegments, withoutTwins } from './segment-order.ts';
import { SealedReader } from './segment-reader.ts';
import { listOrEmpty, timelineDirectory, timelineNumbers } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import type { StreamTail } from './stream-writer.ts';
import { readMarksLeft } from './timeline-store.ts';

export interface Recovered {
  /** The newest timeline and where to go on in it; undefined: nothing has been journaled yet. */
  readonly newest: { readonly timeline: Timeline; readonly tail: StreamTail } | undefined;
  /** The number that the next timeline gets. */
  readonly nextTimeline: number;
  /** Open segments that have a successor: to be sealed. */
  readonly unsealed: readonly { readonly path: string; readonly end: Offset }[];
  /** What was done, for the log. */
  readonly actions: readonly string[];
}

/** All but the source's own folder, which holds nothing of a timeline: its writer clears it before it uses it. */
export async function recover(disk: Disk, tree: SourceTree): Promise<Recovered> {
  const actions = await finishRemovals(disk, tree);
  const numbers = await timelineNumbers(disk, tree);
  const nextTimeline = Math.max(0, ...numbers) + 1;
  const folders = [tree.marks, tree.removed, ...numbers.map((number) => timelineDirectory(tree, number))];
  for (const folder of folders) actions.push(...(await clearTemporary(disk, folder)));
  const finished = await removeUnfinished(disk, tree, numbers, actions);
  const number = finished.at(-1);
  if (number === undefined) return { newest: undefined, nextTimeline, unsealed: [], actions };
  await removeTwins(disk, timelineDirectory(tree, number), actions);
  const newest = await recoverNewest(disk, tree, number, actions);
  const unsealed = await findUnsealed(disk, tree, finished);
  return { newest, nextTimeline, unsealed, actions };
}

/** Removes what was begun in this folder and never finished; returns what was done, for the log. */
export async function clearTemporary(disk: Disk, directory: string): Promise<string[]> {
  const unfinished = (await listOrEmpty(disk, directory)).filter((name) => name.startsWith(temporaryPrefix));
  for (const name of unfinished) await disk.remove(join(directory, name));
  return unfinished.map((name) => `removed unfinished ${join(directory, name)}`);
}

/**
 * A timeline whose base was never published: nothing of it was acknowledged. Returns those that have one. Without one, an
 * older timeline is left as it is, and so is what may be a lost base of the newest; what has a whole RDB is kept, for a
 * document that was lost looks the same as one that was never written.
 */
async function removeUnfinished(
  disk: Disk,
  tree: SourceTree,
  numbers: readonly number[],
  actions: string[],
): Promise<number[]> {
  const finished: number[] = [];
  const unfinished: { readonly number: number; readonly kinds: ReadonlySet<string> }[] = [];
  for (const number of numbers) {
    const names = await disk.list(timelineDirectory(tree, number));
    const kinds = new Set(names.map((name) => parseTimelineEntry(name).kind));
    if (kinds.has('base')) finished.push(number);
    else unfinished.push({ number, kinds });
  }
  const marks = unfinished.length === 0 ? [] : (await readMarksLeft(disk, tree)).marks;
  for (const { number, kinds } of unfinished) {
    const directory = timelineDirectory(tree, number);
    if (number < (finished.at(-1) ?? 0)) {
      actions.push(`left ${directory} as it is: it has no base document, so nothing in it can be restored`);
      continue;
    }
    if (kinds.has('stop')) throw baseMissing(directory, 'its writer had stopped cleanly');
    if (number < (numbers.at(-1) ?? 0)) throw baseMissing(directory, 'a later timeline exists');
    if (marks.some(({ timeline }) => timeline === number)) throw baseMissing(directory, 'there are marks on it');
    if (kinds.has('rdb')) {
      const kept = `${directory}-unpublished-${uniqueHex()}`;
      await disk.rename(directory, kept);
      actions.push(`renamed ${directory} to ${kept}: it has an RDB, but no base document`);
    } else {
      await disk.removeTree(directory);
      actions.push(`removed ${directory}: its full sync never finished`);
    }
    await disk.syncDirectory(tree.timelines);
  }
  return finished;
}

/** What was begun and never finished has no successor, no mark and no end: this timeline lost its base. */
function baseMissing(directory: string, evidence: string): IntegrityError {
  return new IntegrityError('base-missing', `${directory} has no base document, yet ${evidence}`, {
    hint: 'bring the file back, or move the folder away: nothing in it can be restored without its base',
    exitCode: 4,
  });
}

/** Step 2: of a segment's open and sealed file the sealed one stays, once its footer is proven. */
async function removeTwins(disk: Disk, directory: string, actions: string[]): Promise<void> {
  const segments = namedSegments(await disk.list(directory));
  for (const twin of segments) {
    const sealed = segments.find(({ kind, start }) => kind === 'sealed' && start === twin.start);
    if (twin.kind === 'sealed' || sealed === undefined) continue;
    const path = join(directory, sealed.name);
    await using file = await disk.open(path, 'read');
    try {
      await SealedReader.over(file);
    } catch (error) {
      throw fileProblem(path, error);
    }
    // Who sealed it may have ended before its name was durable.
    await disk.syncDirectory(directory);
    await disk.remove(join(directory, twin.name));
    await disk.syncDirectory(directory);
    actions.push(`removed ${join(directory, twin.name)}: it is sealed`);
  }
}

/** Steps 3 to 7. */
async function recoverNewest(
  disk: Disk,
  tree: SourceTree,
  number: number,
  actions: string[],
): Promise<Recovered['newest']> {
  const directory = timelineDirectory(tree, number);
  const known = await durableElsewhere(disk, tree, number);
  const names = await disk.list(directory);
  const base = await loadBase(disk, directory, number, names);
  if (base === undefined) throw baseMissing(directory, 'it had one a moment ago');
  const segments = withoutTwins(namedSegments(names));
  const { passedOver, tails } = await findEnd(disk, directory, segments, base.record.offset + 1, known);
  for (const { name } of passedOver) {
    const kept = await moveAside(disk, tree, join(directory, name));
    actions.push(`moved ${join(directory, name)} to ${kept}: it was begun, but nothing in it had been durable`);
  }
  const timeline = await loadTimeline(disk, tree, number);
  if (timeline === undefined) throw baseMissing(directory, 'it had one a moment ago');
  const durable = Math.max(known, ...[...tails.values()].map((tail) => tail.durable));
  return { timeline, tail: await recoverTail(disk, tree, timeline, durable, actions) };
}

/** Step 5: the highest durable offset that stops and marks know of. */
async function durableElsewhere(disk: Disk, tree: SourceTree, timeline: number): Promise<Offset> {
  let durable = 0;
  for (const name of await disk.list(timelineDirectory(tree, timeline))) {
    const entry = parseTimelineEntry(name);
    if (entry.kind === 'stop') durable = Math.max(durable, entry.durable);
  }
  for (const mark of (await readMarksLeft(disk, tree)).marks) {
    if (mark.timeline === timeline) durable = Math.max(durable, mark.offset);
  }
  return durable;
}

/** The last segment of a timeline stays open: it has no successor. */
async function findUnsealed(
  disk: Disk,
  tree: SourceTree,
  timelines: readonly number[],
): Promise<{ path: string; end: Offset }[]> {
  const unsealed: { path: string; end: Offset }[] = [];
  for (const number of timelines) {
    const directory = timelineDirectory(tree, number);
    const segments = withoutTwins(namedSegments(await disk.list(directory)));
    for (const [i, { kind, name }] of segments.entries()) {
      const next = segments[i + 1];
      if (kind === 'open' && next !== undefined) unsealed.push({ path: join(directory, name), end: next.start - 1 });
    }
  }
  return unsealed;
}
