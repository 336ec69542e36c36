/**
 * The catalog of a source: its timelines with bases, segments and gaps, derived from a listing and a few small documents
 * each time it is asked for (SPEC.md 3). Nothing is cached on disk, so nothing can be stale. Payload is never read; only
 * the end of an open segment takes a walk over its frame headers.
 *
 * Neighbours: recovery.ts and sealing change the files; restore/, status and verify read them through here.
 */
import { join } from 'node:path';
import { decodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import { decodeGap } from '../../journal-format/gap.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import { fileNames, parseTimelineEntry, rdbName } from '../../journal-format/names.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import { decodeTimeline } from '../../journal-format/timeline.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import type { Micros } from '../core/clock.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { damageIn, whatIsKnown } from './damaged.ts';
import type { DamagedTimeline } from './damaged.ts';
import { readDocumentFile } from './document-file.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
import { walkTail } from './open-tail.ts';
import type { OpenTail } from './open-tail.ts';
import { findEnd } from './segment-end.ts';
import { readRemoved } from './removed.ts';
import { namedSegments, requireOrder, withoutTwins } from './segment-order.ts';
import type { NamedSegment } from './segment-order.ts';
import { SealedReader } from './segment-reader.ts';
import { isNotFound, timelineDirectory, timelineNumbers } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';

export interface SegmentEntry {
  readonly kind: 'open' | 'sealed';
  readonly path: string;
  readonly unique: string;
  readonly start: Offset;
  /** Last stream byte that counts: where the next segment begins, less one. */
  readonly end: Offset;
  /** Stamps of the first and last read. */
  readonly first: Micros;
  readonly last: Micros;
}

export interface BaseEntry {
  readonly record: BaseRecord;
  readonly documentPath: string;
  readonly rdbPath: string;
}

/** A stretch of history without a hole: from its base to its last durable byte. */
export interface Timeline {
  readonly number: number;
  readonly directory: string;
  readonly record: TimelineRecord;
  /** The base that the timeline begins with. */
  readonly base: BaseEntry;
  /** What lies between the timeline before and this one; undefined on the first. */
  readonly gap: GapRecord | undefined;
  readonly segments: readonly SegmentEntry[];
  /** Last stream byte; the base's offset when there is none. */
  readonly end: Offset;
  /** What a clean stop said was durable; 0 without one. Beyond `end`: bytes were lost. */
  readonly stoppedAt: Offset;
  /** The last boundary at or before `end`. */
  readonly boundary: Offset;
  /** Stamp of `end`. */
  readonly lastStamp: Micros;
  readonly ids: readonly IdEntry[];
}

export interface Catalog {
  readonly tree: SourceTree;
  /** Oldest first. */
  readonly timelines: readonly Timeline[];
  /** Timelines that cannot be listed, oldest first. */
  readonly damaged: readonly DamagedTimeline[];
  /** Folders of timelines whose base is not there (yet): a full sync under way, or one that never finished. */
  readonly unfinished: readonly number[];
  /** Timelines that were removed on purpose, oldest first. */
  readonly removed: readonly RemovedRecord[];
}

/** A file that goes each time is not one that was sealed. */
const attemptsMax = 5;

/**
 * Loads the catalog for a reader of what it lists, and anew when a file has gone meanwhile: segments are sealed, and so
 * renamed, behind a journal that runs.
 */
export async function withCatalog<T>(disk: Disk, tree: SourceTree, read: (catalog: Catalog) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read(await loadCatalogLeft(disk, tree));
    } catch (error) {
      if (attempt === attemptsMax || !isNotFound(error)) throw error;
    }
  }
}

/** IntegrityError where a timeline is damaged. */
export async function loadCatalog(disk: Disk, tree: SourceTree): Promise<Catalog> {
  const catalog = await loadCatalogLeft(disk, tree);
  const [first] = catalog.damaged;
  if (first !== undefined) throw first.error;
  return catalog;
}

/** The timelines that are whole, and which are damaged: for those who say so, and refuse what may lie there. */
export async function loadCatalogLeft(disk: Disk, tree: SourceTree): Promise<Catalog> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await loadOnce(disk, tree, attempt === attemptsMax);
    } catch (error) {
      // While we looked, a segment was sealed or removed: the next listing shows things as they are now.
      if (attempt === attemptsMax || !isPassing(error)) throw error;
    }
  }
}

const passingCodes: ReadonlySet<string> = new Set(['segment-missing', 'timeline-missing']);

/** A listing is not taken at one instant, either: of a segment that is sealed meanwhile it may show neither file. */
function isPassing(error: unknown): boolean {
  return isNotFound(error) || (error instanceof IntegrityError && passingCodes.has(error.code));
}

/** The replication id in force at an offset of the timeline. */
export function idAt(timeline: Pick<Timeline, 'ids'>, offset: Offset): ReplicationId {
  const entry = timeline.ids.findLast((candidate) => candidate.offset <= offset) ?? timeline.ids[0];
  if (entry === undefined) throw new RangeError('a timeline has at least one replication id');
  return entry.id;
}

/** What may pass is taken for damage at the last attempt only. */
async function loadOnce(disk: Disk, tree: SourceTree, isLast: boolean): Promise<Catalog> {
  const timelines: Timeline[] = [];
  const damaged: DamagedTimeline[] = [];
  const unfinished: number[] = [];
  const numbers = await timelineNumbers(disk, tree);
  // Behind the listing: of what vanishes from it the record is there before.
  const removed = await readRemoved(disk, tree);
  for (const number of numbers) {
    if (removed.some(({ timeline }) => timeline === number)) continue;
    try {
      const timeline = await loadTimeline(disk, tree, number);
      if (timeline === undefined) unfinished.push(number);
      else timelines.push(timeline);
    } catch (error) {
      const damage = damageIn(error);
      if (damage === undefined || (isPassing(error) && !isLast)) throw error;
      damaged.push(await whatIsKnown(disk, timelineDirectory(tree, number), number, damage));
    }
  }
  if (unfinished.length === 0) return { tree, timelines, damaged, unfinished, removed };
  // What has no base may have begun to be removed while we looked.
  const now = await readRemoved(disk, tree);
  const isRemoved = (number: number): boolean => now.some(({ timeline }) => timeline === number);
  return { tree, timelines, damaged, unfinished: unfinished.filter((number) => !isRemoved(number)), removed: now };
}

/** Undefined when it has no base. */
export async function loadTimeline(disk: Disk, tree: SourceTree, number: number): Promise<Timeline | undefined> {
  const directory = timelineDirectory(tree, number);
  const names = await disk.list(directory);
  const base = await loadBase(disk, directory, number, names);
  if (base === undefined) return undefined;
  const record = await loadRecord(disk, directory);
  requireIdentity(join(directory, fileNames.timeline), record.timeline === number && record.source === tree.source);
  const gap = names.includes(fileNames.gap)
    ? await readDocumentFile(disk, join(directory, fileNames.gap), decodeGap)
    : undefined;
  const firstOffset = base.record.offset + 1;
  const named = withoutTwins(namedSegments(names));
  const { counted, tails } = await findEnd(disk, directory, named, firstOffset, 0);
  requireOrder(directory, counted, firstOffset);
  const segments: SegmentEntry[] = [];
  for (const [i, segment] of counted.entries()) {
    const tail = tails.get(segment.name);
    segments.push(sealedEntry(directory, segment) ?? (await openEntry(disk, directory, segment, tail, counted[i + 1])));
  }
  const last = counted.at(-1);
  const tail = (last && tails.get(last.name)) ?? (await readTail(disk, directory, last, base.record));
  const { end, boundary, lastStamp, ids } = tail;
  const stoppedAt = lastStop(names);
  return { number, directory, record, base, gap, segments, end, stoppedAt, boundary, lastStamp, ids };
}

/** From names alone: verify looks into them. */
function lastStop(names: readonly string[]): Offset {
  const stops = names.filter((name) => name.endsWith('.stop')).map((name) => parseTimelineEntry(name));
  return stops.reduce((most, stop) => (stop.kind === 'stop' ? Math.max(most, stop.durable) : most), 0);
}

async function loadRecord(disk: Disk, directory: string): Promise<TimelineRecord> {
  const path = join(directory, fileNames.timeline);
  try {
    return await readDocumentFile(disk, path, decodeTimeline);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new IntegrityError('timeline-missing', `${path} is not there, and says what the timeline is`, {
      hint: 'bring the file back; journal verify shows the whole picture',
      exitCode: 4,
      cause: error,
    });
  }
}

/** The oldest base that is left; undefined when there is none. */
export async function loadBase(
  disk: Disk,
  directory: string,
  number: number,
  names: readonly string[],
): Promise<BaseEntry | undefined> {
  // Names sort by offset. There are many of segments.
  for (const name of names.filter((one) => one.endsWith('.base')).sort()) {
    const entry = parseTimelineEntry(name);
    if (entry.kind !== 'base') continue;
    const documentPath = join(directory, name);
    const record = await readDocumentFile(disk, documentPath, decodeBase);
    requireIdentity(documentPath, record.timeline === number && record.offset === entry.offset);
    return { record, documentPath, rdbPath: join(directory, rdbName(entry.offset, entry.unique)) };
  }
  return undefined;
}

function requireIdentity(path: string, isOurs: boolean): void {
  if (isOurs) return;
  throw new IntegrityError('misplaced', `${path}: the name and place of the file are not those of what is in it`, {
    hint: 'it was moved, renamed or copied there; journal verify shows the whole picture',
  });
}

type Tail = Pick<Timeline, 'end' | 'boundary' | 'lastStamp' | 'ids'>;

/** The end of a sealed segment, or of the base when there is none. */
async function readTail(
  disk: Disk,
  directory: string,
  last: NamedSegment | undefined,
  base: BaseRecord,
): Promise<Tail> {
  if (last === undefined) {
    const ids = [{ id: base.id, offset: base.offset + 1 }];
    return { end: base.offset, boundary: base.offset, lastStamp: base.completed, ids };
  }
  const path = join(directory, last.name);
  await using file = await disk.open(path, 'read');
  try {
    const { footer } = await SealedReader.over(file);
    return { end: footer.end, boundary: footer.end, lastStamp: footer.last, ids: footer.ids };
  } catch (error) {
    throw fileProblem(path, error);
  }
}

/** Its name says it all. */
function sealedEntry(directory: string, segment: NamedSegment): SegmentEntry | undefined {
  const { kind, unique, start, end, first, last } = segment;
  if (end === undefined || first === undefined || last === undefined) return undefined;
  return { kind, path: `${directory}/${segment.name}`, unique, start, end, first, last };
}

async function openEntry(
  disk: Disk,
  directory: string,
  segment: NamedSegment,
  tail: OpenTail | undefined,
  next: NamedSegment | undefined,
): Promise<SegmentEntry> {
  const { kind, unique, start } = segment;
  const path = join(directory, segment.name);
  const { end, firstStamp, lastStamp } = tail ?? (await walkOpen(disk, path));
  if (next !== undefined && end < next.start - 1) {
    throw new IntegrityError('tail-missing', `${path} ends at offset ${end} instead of ${next.start - 1}`, {
      hint: 'run journal verify for the whole picture; the file was left as it is',
    });
  }
  const counted = next === undefined ? end : next.start - 1;
  return { kind, path, unique, start, end: counted, first: firstStamp, last: lastStamp };
}

async function walkOpen(disk: Disk, path: string): Promise<OpenTail> {
  await using file = await disk.open(path, 'read');
  try {
    return await walkTail(await FrameFile.open(file));
  } catch (error) {
    throw fileProblem(path, error);
  }
}
