/**
 * Where in a range of a timeline to look for commands: of sealed segments what their filters do not exclude, of others all.
 * Filters are read, blocks are not. Neighbours: stretches.ts decides for one segment, read-range.ts reads the bytes.
 */
import { isFormatError } from '../../journal-format/errors.ts';
import type { Filters } from '../../journal-format/filters.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
import type { SegmentRange } from './read-range.ts';
import { openListed, SealedReader } from './segment-reader.ts';
import { stretchesOf } from './stretches.ts';
import type { Stretch, Wanted } from './stretches.ts';

export interface SearchRange {
  /** A boundary, and the db selected there. */
  readonly from: { readonly offset: Offset; readonly db: number };
  /** A boundary. */
  readonly to: Offset;
}

export type SearchStretch = Pick<Stretch, 'from' | 'to'>;

/** In order, and none begins where the one before ends. Reading each finds every command of the range that is wanted. */
export async function* searchStretches(
  disk: Disk,
  segments: readonly SegmentRange[],
  range: SearchRange,
  wanted: Wanted,
): AsyncGenerator<SearchStretch, void, undefined> {
  let last: SearchStretch | undefined;
  for await (const stretch of eachStretch(disk, segments, range, wanted)) {
    if (last?.to === stretch.from.offset) {
      last = { from: last.from, to: stretch.to };
    } else {
      if (last !== undefined) yield last;
      last = stretch;
    }
  }
  if (last !== undefined) yield last;
}

async function* eachStretch(
  disk: Disk,
  segments: readonly SegmentRange[],
  { from, to }: SearchRange,
  wanted: Wanted,
): AsyncGenerator<SearchStretch, void, undefined> {
  const start = { ...from, multiDb: undefined };
  if (wanted.keys === undefined && wanted.names === undefined) {
    yield { from: start, to };
    return;
  }
  for (const segment of segments) {
    if (segment.end <= from.offset || segment.start > to) continue;
    for (const stretch of await stretchesIn(disk, segment, wanted)) {
      if (stretch.to <= from.offset || stretch.from.offset >= to) continue;
      // What begins before the range is no part of it.
      const isBefore = stretch.from.offset < from.offset;
      yield { from: isBefore ? start : stretch.from, to: Math.min(stretch.to, to) };
    }
  }
}

async function stretchesIn(disk: Disk, segment: SegmentRange, wanted: Wanted): Promise<readonly SearchStretch[]> {
  const { file, kind } = await openListed(disk, segment.path, segment.kind);
  await using _file = file;
  try {
    if (kind === 'open') {
      const { start, db } = (await FrameFile.open(file)).header;
      return [{ from: { offset: start - 1, db, multiDb: undefined }, to: segment.end }];
    }
    const reader = await SealedReader.over(file);
    return stretchesOf(reader.footer, await soundFilters(reader), wanted);
  } catch (error) {
    throw fileProblem(file.path, error);
  }
}

/** Where filters are damaged, or too new, every block may hold everything: nothing is missed, and verify tells of it. */
async function soundFilters(reader: SealedReader): Promise<Filters | undefined> {
  try {
    return await reader.filters();
  } catch (error) {
    if (isFormatError(error)) return undefined;
    throw error;
  }
}
