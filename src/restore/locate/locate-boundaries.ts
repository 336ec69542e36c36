/**
 * The boundaries next to a place in a timeline, where the place is an offset or an instant. The indexes lead to the last
 * boundary known before it (names of segments, blocks of sealed ones, frame headers of open ones); from there on the
 * stream itself is scanned, so payload is read only where the answer lies. Everything read is verified by the log.
 *
 * Stamps never go back along a timeline. So "received by then" is a prefix of the stream, and both kinds of place come
 * down to the same question: which boundary is the last one inside a prefix, and which the first one outside.
 */
import { decodeReads } from '../../../journal-format/reads.ts';
import type { Reads } from '../../../journal-format/reads.ts';
import type { Micros } from '../../core/clock.ts';
import { IntegrityError } from '../../core/errors.ts';
import type { Offset } from '../../core/position.ts';
import type { SegmentEntry, Timeline } from '../../log/catalog.ts';
import { FrameFile } from '../../log/frame-file.ts';
import { fileProblem } from '../../log/format-problem.ts';
import { readRange } from '../../log/read-range.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import { openListed, SealedReader } from '../../log/segment-reader.ts';
import { BoundaryScanner } from '../../redis/boundary-scanner.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { Disk } from '../../storage/disk.ts';
import { stampIn } from './stamp-in.ts';

/** An offset, and the stamp of the read that held its byte. */
export interface StampedOffset {
  readonly offset: Offset;
  readonly stamp: Micros;
}

/** The prefix of a timeline up to and including a byte, or all that was received up to and including an instant. */
export type Prefix =
  { readonly by: 'offset'; readonly offset: Offset } | { readonly by: 'stamp'; readonly stamp: Micros };

export interface Neighbours {
  /** The last boundary inside the prefix. */
  readonly last: StampedOffset;
  /** The first one outside: the position of the first command, or group, that is not whole in it. */
  readonly next: StampedOffset | undefined;
}

/** The prefix must reach to the base of the timeline at least. */
export async function boundariesAround(disk: Disk, timeline: Timeline, prefix: Prefix): Promise<Neighbours> {
  const known = await knownBoundary(disk, timeline, prefix);
  if (known.offset === timeline.boundary) return { last: await stampOf(disk, timeline, known.offset), next: undefined };
  const finder = new BoundaryFinder(known);
  let last: StampedOffset | undefined;
  for await (const chunk of readRange(disk, timeline.segments, known.offset + 1, timeline.boundary)) {
    const reads = decodeReads(chunk.frame.meta, chunk.frame.header);
    const inside = bytesInside(chunk, reads, prefix);
    const before = finder.boundary;
    finder.pass(chunk.bytes, 0, inside);
    if (finder.boundary > before) last = stamped(finder.boundary, reads);
    const next = finder.first(chunk.bytes, inside, chunk.bytes.length);
    if (next === undefined) continue;
    return { last: last ?? (await stampOf(disk, timeline, known.offset)), next: stamped(next, reads) };
  }
  return { last: last ?? (await stampOf(disk, timeline, known.offset)), next: undefined };
}

/** The nearest boundary inside the prefix that is known without looking at payload. */
export async function knownBoundary(disk: Disk, timeline: Timeline, prefix: Prefix): Promise<ScannerState> {
  const segment = timeline.segments.findLast((candidate) =>
    prefix.by === 'offset' ? candidate.start - 1 <= prefix.offset : candidate.first <= prefix.stamp,
  );
  if (segment === undefined) return { offset: timeline.base.record.offset, db: timeline.base.record.db };
  const { file, kind } = await openListed(disk, segment.path, segment.kind);
  await using _file = file;
  try {
    return kind === 'sealed'
      ? lastBeforeBlock(await SealedReader.over(file), prefix)
      : await lastBeforeFrame(await FrameFile.open(file), segment, prefix);
  } catch (error) {
    throw fileProblem(file.path, error);
  }
}

/** The stamp of a byte of the timeline; of its base, the one when that was complete. */
export async function stampOf(disk: Disk, timeline: Timeline, offset: Offset): Promise<StampedOffset> {
  const { base } = timeline;
  if (offset === base.record.offset) return { offset, stamp: base.record.completed };
  for await (const { frame } of readRange(disk, timeline.segments, offset, offset)) {
    return stamped(offset, decodeReads(frame.meta, frame.header));
  }
  throw new RangeError(`offset ${offset} is not on timeline ${timeline.number}`);
}

function stamped(offset: Offset, reads: Reads): StampedOffset {
  return { offset, stamp: stampIn(reads, offset) };
}

/** How many bytes of the chunk belong to the prefix. */
function bytesInside(chunk: RangeChunk, reads: Reads, prefix: Prefix): number {
  let end = chunk.start - 1;
  if (prefix.by === 'offset') end = prefix.offset;
  else {
    reads.forEach((stamp, readEnd) => {
      if (stamp <= prefix.stamp) end = readEnd;
    });
  }
  return Math.max(0, Math.min(chunk.bytes.length, end + 1 - chunk.start));
}

function lastBeforeBlock({ header, footer }: SealedReader, prefix: Prefix): ScannerState {
  // A boundary before a block was received no later than the block's first byte.
  const block = footer.blocks.findLast(({ boundary, firstStamp }) =>
    prefix.by === 'offset' ? boundary <= prefix.offset : firstStamp <= prefix.stamp,
  );
  return block === undefined ? { offset: header.start - 1, db: header.db } : { offset: block.boundary, db: block.db };
}

/** Headers alone, each chained to the one before; the bodies are checked when they are scanned. */
async function lastBeforeFrame(walk: FrameFile, segment: SegmentEntry, prefix: Prefix): Promise<ScannerState> {
  let known: ScannerState = { offset: walk.header.start - 1, db: walk.header.db };
  for (let header = await walk.nextHeader(); header !== undefined; header = await walk.nextHeader()) {
    const { boundary, db, end, lastStamp } = header;
    const isInside = prefix.by === 'offset' ? boundary <= prefix.offset : lastStamp <= prefix.stamp;
    // What lies beyond the segment's end (an abandoned file) is not part of the timeline.
    if (!isInside || end > segment.end) break;
    known = { offset: boundary, db };
  }
  return known;
}

/** At most this much is gone through twice, byte by byte, to tell the first boundary of several. */
const stepBytes = 4096;

/**
 * Finds single boundaries. The scanner runs at memory speed but tells only the last boundary of what it was given; so a
 * second one follows a step behind, and takes the step in which a boundary comes byte by byte.
 */
class BoundaryFinder {
  readonly #ahead: BoundaryScanner;
  readonly #behind: BoundaryScanner;

  constructor(known: ScannerState) {
    this.#ahead = new BoundaryScanner(known);
    this.#behind = new BoundaryScanner(known);
  }

  /** The last boundary so far. */
  get boundary(): Offset {
    return this.#behind.boundary;
  }

  pass(bytes: Buffer, from: number, to: number): void {
    scan(this.#ahead, bytes, from, to);
    scan(this.#behind, bytes, from, to);
  }

  /** The first boundary in bytes[from, to); the finder is of no further use then. Undefined: passed, there is none. */
  first(bytes: Buffer, from: number, to: number): Offset | undefined {
    const before = this.boundary;
    for (let at = from; at < to; at += stepBytes) {
      const end = Math.min(at + stepBytes, to);
      scan(this.#ahead, bytes, at, end);
      if (this.#ahead.boundary === before) {
        scan(this.#behind, bytes, at, end);
        continue;
      }
      for (let i = at; this.boundary === before && i < end; i += 1) scan(this.#behind, bytes, i, i + 1);
      return this.boundary;
    }
    return undefined;
  }
}

/** These bytes passed a scanner when they were received: a violation now is damage, or a bad index. */
function scan(scanner: BoundaryScanner, bytes: Buffer, from: number, to: number): void {
  try {
    scanner.scan(bytes, from, to);
  } catch (error) {
    throw new IntegrityError('stream-broken', `the journaled stream is broken behind offset ${scanner.offset}`, {
      hint: 'run journal verify for the whole picture',
      cause: error,
    });
  }
}
