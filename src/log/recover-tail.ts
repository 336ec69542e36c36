/**
 * Proves where a timeline ends, and makes that durable (SPEC.md 11, steps 4 to 8). Neighbour: recovery.ts, which has put
 * the folder in order first.
 *
 * Invariant: a file is only ever cut behind its last whole frame, when what is behind is an unfinished write and is kept
 * aside; everything before is on the medium on return.
 */
import { dirname } from 'node:path';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { keepAside } from './aside.ts';
import type { Timeline } from './catalog.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
import { tailAfter, tailAtStart } from './open-tail.ts';
import type { OpenTail } from './open-tail.ts';
import { SealedReader } from './segment-reader.ts';
import type { SourceTree } from './source-tree.ts';
import type { StreamTail } from './stream-writer.ts';

/** `known`: the highest offset that anything says was durable. */
export async function recoverTail(
  disk: Disk,
  tree: SourceTree,
  timeline: Timeline,
  known: Offset,
  actions: string[],
): Promise<StreamTail> {
  const last = timeline.segments.at(-1);
  for (const { path, kind, end } of timeline.segments.slice(0, -1)) {
    if (kind === 'open' && end >= known) await recoverEarlier(disk, tree, { path, end }, known, actions);
  }
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
  await using file = await disk.open(last.path, 'write');
  return await recoverOpen(disk, tree, file, known, actions);
}

/** A segment that has a successor may not have been synced either: one sync covers both. */
async function recoverEarlier(
  disk: Disk,
  tree: SourceTree,
  segment: { readonly path: string; readonly end: Offset },
  known: Offset,
  actions: string[],
): Promise<void> {
  await using file = await disk.open(segment.path, 'write');
  const walk = await openWalk(file);
  const { tail, proven } = await walkFrames(walk, known);
  // An abandoned one ends where its successor begins, whatever is in it behind that.
  if (tail.end === segment.end) await judgeRest(disk, tree, { file, walk, end: tail.end, durable: 0 }, actions);
  await writeAgain(file, proven, walk.position);
  await file.sync();
}

async function recoverOpen(
  disk: Disk,
  tree: SourceTree,
  file: DiskFile,
  known: Offset,
  actions: string[],
): Promise<StreamTail> {
  const { path } = file;
  const walk = await openWalk(file);
  const { tail, proven } = await walkFrames(walk, known);
  await judgeRest(disk, tree, { file, walk, end: tail.end, durable: Math.max(known, tail.durable) }, actions);
  await writeAgain(file, proven, walk.position);
  await file.sync();
  await disk.syncDirectory(dirname(path));
  const { position, place, header } = walk;
  const { start, salt } = header;
  const segment = { path, start, position, chain: place.crc, salt, firstStamp: tail.firstStamp };
  return { offset: tail.end, boundary: tail.boundary, db: tail.db, lastStamp: tail.lastStamp, ids: tail.ids, segment };
}

async function openWalk(file: DiskFile): Promise<FrameFile> {
  try {
    return await FrameFile.open(file);
  } catch (error) {
    throw fileProblem(file.path, error);
  }
}

/** All frames with their bodies; `proven` is the file position up to which the file is known to be on the medium. */
async function walkFrames(walk: FrameFile, known: Offset): Promise<{ tail: OpenTail; proven: number }> {
  let tail = tailAtStart(walk.header);
  const ends: { readonly end: Offset; readonly position: number }[] = [];
  let proven = 0;
  for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) {
    tail = tailAfter(tail, frame.header, frame.meta);
    if (frame.header.dataLength > 0) ends.push({ end: tail.end, position: walk.position });
    const durable = Math.max(known, tail.durable);
    for (let first = ends[0]; first !== undefined && first.end <= durable; first = ends[0]) {
      proven = first.position;
      ends.shift();
    }
  }
  return { tail, proven };
}

interface Rest {
  readonly file: DiskFile;
  readonly walk: FrameFile;
  readonly end: Offset;
  readonly durable: Offset;
}

/** Clean, torn (cut, with the bytes kept aside), or corrupt (refused). */
async function judgeRest(disk: Disk, tree: SourceTree, what: Rest, actions: string[]): Promise<void> {
  const { file, walk, end, durable } = what;
  const { problem, position } = walk;
  if (problem?.kind === 'unsupported') throw fileProblem(file.path, problem, position);
  const rest = await walk.rest();
  if (rest === 'damage') throw fileProblem(file.path, problem, position);
  requireDurable(file.path, end, durable);
  if (rest === 'nothing') return;
  if (rest === 'remains') {
    const kept = await keepAside(disk, tree, file, position);
    actions.push(`cut an unfinished write of ${kept.bytes} bytes behind offset ${end}; the bytes are in ${kept.path}`);
  }
  await file.truncate(position);
}

function requireDurable(path: string, offset: Offset, durable: Offset): void {
  if (offset >= durable) return;
  throw new IntegrityError('tail-missing', `${path} ends at offset ${offset}, but ${durable} had been durable`, {
    hint: 'acknowledged bytes are gone: the disk lost or reverted writes. Nothing was changed. Keep this directory for restores (journal verify shows what is whole) and begin a new one with another --name',
  });
}

const windowBytes = 4 * 1024 * 1024;

/**
 * A sync that failed before may have left pages that are right in memory, marked as written, and not on the medium: a
 * sync now would pass over them. So what is not known to be there is written once more.
 */
async function writeAgain(file: DiskFile, from: number, to: number): Promise<void> {
  const window = Buffer.allocUnsafe(Math.min(windowBytes, Math.max(0, to - from)));
  for (let at = from; at < to; at += window.length) {
    const bytes = window.subarray(0, Math.min(window.length, to - at));
    const got = await file.read(bytes, at);
    await file.write([bytes.subarray(0, got)], at);
  }
}
