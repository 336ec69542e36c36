/**
 * One segment of a timeline that may still be growing, opened to be read from an offset on: what stream-follower.ts and
 * frame-follower.ts go along.
 */
import { join } from 'node:path';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { isFormatError } from '../../journal-format/errors.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import type { BlockCache } from './block-cache.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
import type { Frame } from './frames.ts';
import { namedSegments, withoutTwins } from './segment-order.ts';
import type { NamedSegment } from './segment-order.ts';
import { openSegmentReader } from './segment-reader.ts';
import { isNotFound } from './source-tree.ts';

export interface FollowedSegment extends AsyncDisposable {
  /** Undefined: there is none (yet). What comes first may lie before what was asked for. */
  next(): Promise<Frame | undefined>;
  /** Behind it another segment counts. */
  readonly end: Offset;
}

export interface SegmentWanted {
  readonly disk: Disk;
  /** Of the timeline. */
  readonly directory: string;
  /** Shared with others who read there. */
  readonly blocks: BlockCache;
  /** The segment that holds this byte, or will. */
  readonly holds: Offset;
  /** Frames before the first one of these may be left out. */
  readonly isWanted: (header: FrameHeader) => boolean;
}

/** A segment may be sealed between a listing and its opening, again and again; but not this often. */
export const openingsMax = 5;

/** Undefined: it is not there, or was sealed since it was listed. */
export async function openFollowed(wanted: SegmentWanted): Promise<FollowedSegment | undefined> {
  const segments = withoutTwins(namedSegments(await wanted.disk.list(wanted.directory)));
  const index = segments.findLastIndex(({ start }) => start <= wanted.holds);
  const segment = segments[index];
  if (segment === undefined) return undefined;
  const end = segment.end ?? (segments[index + 1]?.start ?? Infinity) - 1;
  try {
    return await openSegment(wanted, segment, end);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export function bytesMissing(directory: string, offset: Offset): IntegrityError {
  return new IntegrityError('bytes-missing', `${directory}: the stream byte ${offset} is not there`, {
    hint: 'run journal verify for the whole picture',
  });
}

async function openSegment(wanted: SegmentWanted, segment: NamedSegment, end: Offset): Promise<FollowedSegment> {
  const { disk, directory, blocks, holds, isWanted } = wanted;
  const path = join(directory, segment.name);
  if (segment.kind === 'open') return OpenSegment.open(await disk.open(path, 'read'), isWanted, end);
  const reader = await openSegmentReader(disk, path, 'sealed', blocks);
  const frames = reader.frames(holds);
  return {
    end,
    next: async () => (await frames.next()).value ?? undefined,
    async [Symbol.asyncDispose]() {
      await frames.return();
      await reader[Symbol.asyncDispose]();
    },
  };
}

/** One that may be growing. */
class OpenSegment implements FollowedSegment {
  readonly end: Offset;
  readonly #file: DiskFile;
  readonly #walk: FrameFile;

  private constructor(file: DiskFile, walk: FrameFile, end: Offset) {
    this.end = end;
    this.#file = file;
    this.#walk = walk;
  }

  /** Takes over the file, and stands before the first frame that is wanted, or behind the last one. */
  static async open(file: DiskFile, isWanted: SegmentWanted['isWanted'], end: Offset): Promise<OpenSegment> {
    try {
      const walk = await FrameFile.open(file, 'slabs');
      let mark = walk.mark;
      for (let header = await walk.nextHeader(); header !== undefined; header = await walk.nextHeader()) {
        if (isWanted(header)) {
          walk.goTo(mark);
          break;
        }
        mark = walk.mark;
      }
      return new OpenSegment(file, walk, end);
    } catch (error) {
      await file.close();
      throw fileProblem(file.path, error);
    }
  }

  async next(): Promise<Frame | undefined> {
    const frame = await this.#walk.next();
    const { problem } = this.#walk;
    // What is durable is whole: damage there is no end.
    if (frame === undefined && problem !== undefined && isFormatError(problem) && problem.kind === 'unsupported') {
      throw fileProblem(this.#file.path, problem, this.#walk.position);
    }
    return frame;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#walk[Symbol.dispose]();
    await this.#file.close();
  }
}
