/**
 * What the next writer does before it attaches (SPEC.md 11): clears away unfinished work, proves where the newest
 * timeline ends, cuts a torn tail, and leaves everything that it found durable. Runs under the writer's lock.
 *
 * Invariant: nothing is cut that had been acknowledged, and damage that is not a torn tail is never cut at all.
 */
import { basename, join } from 'node:path';
import { isFormatError } from '../../journal-format/errors.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { parseTimelineEntry } from '../../journal-format/names.ts';
import { decodeAttach } from '../../journal-format/attach.ts';
import type { Micros } from '../core/clock.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { temporaryPrefix, uniqueHex } from '../storage/publish.ts';
import { loadCatalog } from './catalog.ts';
import type { Timeline } from './catalog.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile, lastOffset } from './frame-file.ts';
import { SealedReader } from './segment-reader.ts';
import { timelineDirectory } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import type { StreamTail } from './stream-writer.ts';
import { readMarks } from './timeline-store.ts';

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

export async function recover(disk: Disk, tree: SourceTree): Promise<Recovered> {
  const actions: string[] = [];
  await clearTemporary(disk, tree, actions);
  const { timelines, unfinished } = await loadCatalog(disk, tree);
  for (const number of unfinished) {
    await removeUnfinished(disk, tree, number, timelines.at(-1)?.number ?? 0, actions);
  }
  for (const timeline of timelines) await removeSealedTwins(disk, timeline, actions);
  const nextTimeline = Math.max(0, ...timelines.map(({ number }) => number), ...unfinished) + 1;
  const newest = timelines.at(-1);
  if (newest === undefined) return { newest: undefined, nextTimeline, unsealed: [], actions };
  const known = await durableElsewhere(disk, tree, newest);
  const tail = await recoverTail(disk, tree, newest, known, actions);
  const unsealed = timelines.flatMap(({ segments }) =>
    segments
      .slice(0, -1)
      .filter(({ kind }) => kind === 'open')
      .map(({ path, end }) => ({ path, end })),
  );
  return { newest: { timeline: newest, tail }, nextTimeline, unsealed, actions };
}

async function clearTemporary(disk: Disk, tree: SourceTree, actions: string[]): Promise<void> {
  const directories = [tree.directory, tree.marks, tree.timelines];
  for (const name of await disk.list(tree.timelines)) directories.push(join(tree.timelines, name));
  for (const directory of directories) {
    for (const name of await disk.list(directory)) {
      if (!name.startsWith(temporaryPrefix)) continue;
      await disk.remove(join(directory, name));
      actions.push(`removed unfinished ${join(directory, name)}`);
    }
  }
}

/** A timeline whose base was never published: nothing of it was acknowledged. One that others follow lost its base. */
async function removeUnfinished(
  disk: Disk,
  tree: SourceTree,
  number: number,
  newest: number,
  actions: string[],
): Promise<void> {
  const directory = timelineDirectory(tree, number);
  if (number < newest) {
    throw new IntegrityError('base-missing', `${directory} has no base document, yet a later timeline exists`, {
      hint: 'bring the file back, or move the folder away: nothing in it can be restored without its base',
      exitCode: 4,
    });
  }
  await disk.removeTree(directory);
  await disk.syncDirectory(tree.timelines);
  actions.push(`removed ${directory}: its full sync never finished`);
}

/** Step 2: of a segment's open and sealed file the sealed one stays, once its footer is proven. */
async function removeSealedTwins(disk: Disk, timeline: Timeline, actions: string[]): Promise<void> {
  const names = await disk.list(timeline.directory);
  const open = new Map<Offset, string>();
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    if (entry.kind === 'open') open.set(entry.start, name);
  }
  for (const segment of timeline.segments) {
    const twin = open.get(segment.start);
    if (segment.kind !== 'sealed' || twin === undefined) continue;
    await using file = await disk.open(segment.path, 'read');
    try {
      await SealedReader.over(file);
    } catch (error) {
      throw fileProblem(segment.path, error);
    }
    await disk.remove(join(timeline.directory, twin));
    await disk.syncDirectory(timeline.directory);
    actions.push(`removed ${twin}: it is sealed`);
  }
}

/** Step 5: the highest durable offset that stops and marks know of. */
async function durableElsewhere(disk: Disk, tree: SourceTree, timeline: Timeline): Promise<Offset> {
  let durable = timeline.base.record.offset;
  for (const name of await disk.list(timeline.directory)) {
    const entry = parseTimelineEntry(name);
    if (entry.kind === 'stop') durable = Math.max(durable, entry.durable);
  }
  for (const mark of await readMarks(disk, tree)) {
    if (mark.timeline === timeline.number) durable = Math.max(durable, mark.offset);
  }
  return durable;
}

async function recoverTail(
  disk: Disk,
  tree: SourceTree,
  timeline: Timeline,
  known: Offset,
  actions: string[],
): Promise<StreamTail> {
  const last = timeline.segments.at(-1);
  const atBoundary = { ids: timeline.ids, segment: undefined, lastStamp: timeline.lastStamp };
  if (last === undefined) {
    const { offset, db } = timeline.base.record;
    requireDurable(timeline.directory, offset, known);
    return { ...atBoundary, offset, boundary: offset, db };
  }
  if (last.kind === 'sealed') {
    await using file = await disk.open(last.path, 'read');
    const { footer } = await SealedReader.over(file);
    requireDurable(last.path, footer.end, known);
    return { ...atBoundary, offset: footer.end, boundary: footer.end, db: footer.db };
  }
  return recoverOpen(disk, tree, last.path, known, actions);
}

/** Steps 4 to 7. */
async function recoverOpen(
  disk: Disk,
  tree: SourceTree,
  path: string,
  known: Offset,
  actions: string[],
): Promise<StreamTail> {
  await using file = await disk.open(path, 'write');
  const walk = await openWalk(file);
  const seen = await walkFrames(walk);
  const offset = lastOffset(walk.place);
  const durable = Math.max(known, seen.durable);
  await judgeRest(disk, tree, file, walk, offset, durable, actions);
  await file.sync();
  await disk.syncDirectory(join(path, '..'));
  const { header } = walk;
  return {
    offset,
    boundary: seen.last?.boundary ?? header.start - 1,
    db: seen.last?.db ?? header.db,
    lastStamp: seen.last?.lastStamp ?? header.stamp,
    ids: seen.ids,
    segment: { path, position: walk.position, chain: walk.place.crc, salt: header.salt, firstStamp: seen.firstStamp },
  };
}

async function openWalk(file: DiskFile): Promise<FrameFile> {
  try {
    return await FrameFile.open(file);
  } catch (error) {
    throw fileProblem(file.path, error);
  }
}

interface Seen {
  readonly last: FrameHeader | undefined;
  readonly durable: Offset;
  readonly ids: StreamTail['ids'];
  readonly firstStamp: Micros;
}

async function walkFrames(walk: FrameFile): Promise<Seen> {
  const ids = [...walk.header.ids];
  let last: FrameHeader | undefined;
  let durable = 0;
  let firstStamp: Micros | undefined;
  for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) {
    last = frame.header;
    durable = Math.max(durable, last.durable);
    firstStamp ??= last.firstStamp;
    if (last.kind !== 'attach') continue;
    const { id } = decodeAttach(frame.meta);
    if (id !== ids.at(-1)?.id) ids.push({ id, offset: last.start });
  }
  return { last, durable, ids, firstStamp: firstStamp ?? walk.header.stamp };
}

/** Clean, torn (cut, with the bytes kept aside), or corrupt (refused). */
async function judgeRest(
  disk: Disk,
  tree: SourceTree,
  file: DiskFile,
  walk: FrameFile,
  offset: Offset,
  durable: Offset,
  actions: string[],
): Promise<void> {
  const { problem } = walk;
  if (isFormatError(problem) && problem.kind === 'unsupported') throw fileProblem(file.path, problem, walk.position);
  const rest = await walk.rest();
  if (rest === 'frames') throw fileProblem(file.path, problem, walk.position);
  requireDurable(file.path, offset, durable);
  if (rest === 'nothing') return;
  if (rest === 'remains') {
    const kept = await keepAside(disk, tree, file, walk.position);
    actions.push(`cut a torn frame of ${kept.bytes} bytes behind offset ${offset}; the bytes are in ${kept.path}`);
  }
  await file.truncate(walk.position);
}

function requireDurable(path: string, offset: Offset, durable: Offset): void {
  if (offset >= durable) return;
  throw new IntegrityError('tail-missing', `${path} ends at offset ${offset}, but ${durable} had been durable`, {
    hint: 'acknowledged bytes are gone: the disk lost or reverted writes. Nothing was changed. Keep this directory for restores (journal verify shows what is whole) and begin a new one with another --name',
  });
}

const copyBytes = 4 * 1024 * 1024;

async function keepAside(
  disk: Disk,
  tree: SourceTree,
  file: DiskFile,
  from: number,
): Promise<{ readonly path: string; readonly bytes: number }> {
  await disk.makeDirectory(tree.aside);
  await disk.syncDirectory(tree.directory);
  const path = join(tree.aside, `${basename(file.path)}-at-${from}-${uniqueHex()}`);
  await using copy = await disk.create(path);
  const buffer = Buffer.allocUnsafe(copyBytes);
  let bytes = 0;
  for (let got = await file.read(buffer, from); got > 0; got = await file.read(buffer, from + bytes)) {
    await copy.write([buffer.subarray(0, got)], bytes);
    bytes += got;
  }
  await copy.sync();
  await disk.syncDirectory(tree.aside);
  return { path, bytes };
}
