/**
 * The catalog of a source: its timelines with bases, segments and gaps, derived from a listing and a few small documents
 * each time it is asked for (SPEC.md 3). Nothing is cached on disk, so nothing can be stale. Payload is never read; only
 * the end of an open segment takes a walk over its frame headers.
 *
 * Neighbours: recovery.ts and sealing change the files; restore/, status and verify read them through here.
 */
import { join } from 'node:path';
import { decodeAttach } from '../../journal-format/attach.ts';
import { decodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import { decodeGap } from '../../journal-format/gap.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import { parseTimelineEntry, parseTimelineFolder, rdbName } from '../../journal-format/names.ts';
import { decodeTimeline } from '../../journal-format/timeline.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import type { Micros } from '../core/clock.ts';
import { IntegrityError, StorageError } from '../core/errors.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { readSmall } from '../storage/publish.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile, lastOffset } from './frame-file.ts';
import { SealedReader } from './segment-reader.ts';
import { listOrEmpty, timelineDirectory } from './source-tree.ts';
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
  /** Size of the file. */
  readonly bytes: number;
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
  /** Folders of timelines whose base is not there (yet): a full sync under way, or one that never finished. */
  readonly unfinished: readonly number[];
}

export async function loadCatalog(disk: Disk, tree: SourceTree): Promise<Catalog> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await loadOnce(disk, tree);
    } catch (error) {
      // Between listing and opening, a segment was sealed or removed: the next listing shows it as it is now.
      if (attempt === 5 || !(error instanceof StorageError && error.code === 'not-found')) throw error;
    }
  }
}

/** The replication id in force at an offset of the timeline. */
export function idAt(timeline: Pick<Timeline, 'ids'>, offset: Offset): ReplicationId {
  const entry = timeline.ids.findLast((candidate) => candidate.offset <= offset) ?? timeline.ids[0];
  if (entry === undefined) throw new RangeError('a timeline has at least one replication id');
  return entry.id;
}

async function loadOnce(disk: Disk, tree: SourceTree): Promise<Catalog> {
  const numbers = (await listOrEmpty(disk, tree.timelines))
    .map(parseTimelineFolder)
    .filter((number) => number !== undefined)
    .sort((a, b) => a - b);
  const timelines: Timeline[] = [];
  const unfinished: number[] = [];
  for (const number of numbers) {
    const timeline = await loadTimeline(disk, timelineDirectory(tree, number), number);
    if (timeline === undefined) unfinished.push(number);
    else timelines.push(timeline);
  }
  return { tree, timelines, unfinished };
}

/** Undefined when it has no base. */
async function loadTimeline(disk: Disk, directory: string, number: number): Promise<Timeline | undefined> {
  const names = await disk.list(directory);
  const base = await loadBase(disk, directory, names);
  if (base === undefined) return undefined;
  const record = await readDocumentFile(disk, join(directory, 'timeline'), decodeTimeline);
  const gap = names.includes('gap') ? await readDocumentFile(disk, join(directory, 'gap'), decodeGap) : undefined;
  const named = orderSegments(directory, names, base.record.offset + 1);
  const tail = await readTail(disk, directory, named.at(-1), base.record);
  const segments = await Promise.all(named.map((segment, i) => measure(disk, directory, segment, named[i + 1], tail)));
  const { end, boundary, lastStamp, ids } = tail;
  return { number, directory, record, base, gap, segments, end, boundary, lastStamp, ids };
}

async function loadBase(disk: Disk, directory: string, names: readonly string[]): Promise<BaseEntry | undefined> {
  const bases = names
    .map((name) => ({ name, entry: parseTimelineEntry(name) }))
    .filter(({ entry }) => entry.kind === 'base')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const first = bases[0];
  if (first?.entry.kind !== 'base') return undefined;
  const documentPath = join(directory, first.name);
  const record = await readDocumentFile(disk, documentPath, decodeBase);
  const rdbPath = join(directory, rdbName(first.entry.offset, first.entry.unique));
  return { record, documentPath, rdbPath };
}

async function readDocumentFile<T>(
  disk: Disk,
  path: string,
  decode: (bytes: Uint8Array) => { record: T; length: number },
): Promise<T> {
  const bytes = await readSmall(disk, path);
  try {
    return decode(bytes).record;
  } catch (error) {
    throw fileProblem(path, error);
  }
}

interface NamedSegment {
  readonly name: string;
  readonly kind: 'open' | 'sealed';
  readonly unique: string;
  readonly start: Offset;
  /** Of sealed segments, from the name. */
  readonly end?: Offset;
  readonly first?: Micros;
  readonly last?: Micros;
}

/**
 * The segments of a timeline in order. Where a segment was just sealed both files may be there: the sealed one counts.
 * A segment that begins inside an open one before it ends that one (an abandoned file, SPEC.md 6).
 */
export function orderSegments(directory: string, names: readonly string[], firstOffset: Offset): NamedSegment[] {
  const all: NamedSegment[] = [];
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    if (entry.kind === 'open' || entry.kind === 'sealed') all.push({ name, ...entry });
  }
  all.sort((a, b) => a.start - b.start || (a.kind === 'sealed' ? -1 : 1));
  const kept = all.filter((segment, i) => !(segment.kind === 'open' && all[i - 1]?.start === segment.start));
  let expected = firstOffset;
  for (const [i, segment] of kept.entries()) {
    const before = kept[i - 1];
    const inside = before?.kind === 'open' && segment.start > before.start;
    if (segment.start !== expected && !inside) {
      throw new IntegrityError(
        'segment-missing',
        `${join(directory, segment.name)} begins at offset ${segment.start}, but the segment before ends at ${expected - 1}`,
        { exitCode: 4, hint: 'a segment is missing or doubled; journal verify shows the whole picture' },
      );
    }
    expected = (segment.end ?? segment.start - 1) + 1;
  }
  return kept;
}

type Tail = Pick<Timeline, 'end' | 'boundary' | 'lastStamp' | 'ids'> & { readonly firstStamp: Micros };

async function readTail(
  disk: Disk,
  directory: string,
  last: NamedSegment | undefined,
  base: BaseRecord,
): Promise<Tail> {
  if (last === undefined) {
    const ids = [{ id: base.id, offset: base.offset + 1 }];
    return { end: base.offset, boundary: base.offset, lastStamp: base.completed, ids, firstStamp: base.completed };
  }
  const path = join(directory, last.name);
  await using file = await disk.open(path, 'read');
  try {
    if (last.kind === 'sealed') {
      const { footer } = await SealedReader.over(file);
      return { end: footer.end, boundary: footer.end, lastStamp: footer.last, ids: footer.ids, firstStamp: footer.first };
    }
    return await walkTail(await FrameFile.open(file));
  } catch (error) {
    throw fileProblem(path, error);
  }
}

/** Where an open segment ends, from its frame headers alone. */
async function walkTail(walk: FrameFile): Promise<Tail> {
  const ids = [...walk.header.ids];
  let boundary = walk.header.start - 1;
  let firstStamp: Micros | undefined;
  let lastStamp = walk.header.stamp;
  for (let header = await walk.nextHeader(); header !== undefined; header = await walk.nextHeader()) {
    boundary = header.boundary;
    firstStamp ??= header.firstStamp;
    lastStamp = header.lastStamp;
    if (header.kind !== 'attach') continue;
    const { id } = decodeAttach(await walk.metaOf(header));
    if (id !== ids.at(-1)?.id) ids.push({ id, offset: header.start });
  }
  return { end: lastOffset(walk.place), boundary, lastStamp, ids, firstStamp: firstStamp ?? lastStamp };
}

async function measure(
  disk: Disk,
  directory: string,
  segment: NamedSegment,
  next: NamedSegment | undefined,
  tail: Tail,
): Promise<SegmentEntry> {
  const { kind, unique, start } = segment;
  const path = join(directory, segment.name);
  const bytes = (await disk.size(path)) ?? 0;
  if (segment.end !== undefined && segment.first !== undefined && segment.last !== undefined) {
    return { kind, path, unique, start, end: segment.end, first: segment.first, last: segment.last, bytes };
  }
  if (next === undefined) {
    return { kind, path, unique, start, end: tail.end, first: tail.firstStamp, last: tail.lastStamp, bytes };
  }
  await using file = await disk.open(path, 'read');
  try {
    const { firstStamp, lastStamp } = await walkTail(await FrameFile.open(file));
    return { kind, path, unique, start, end: next.start - 1, first: firstStamp, last: lastStamp, bytes };
  } catch (error) {
    throw fileProblem(path, error);
  }
}
