/**
 * The stream bytes of a range of offsets, over as many segments as it takes, every one verified, without a hole and
 * without an overlap: the one way in which restores and readers get at the stream.
 */
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import type { SegmentEntry } from './catalog.ts';
import type { Frame } from './frames.ts';
import { openSegmentReader } from './segment-reader.ts';
import type { FramesIn } from './segment-reader.ts';

export interface RangeChunk {
  /** Offset of the first byte. */
  readonly start: Offset;
  /** In memory that is not used again, or in the frame's slab. */
  readonly bytes: Buffer;
  /** The frame that holds them, for its stamps and boundary. */
  readonly frame: Frame;
}

/** Which part of the log a range is read from. */
export type SegmentRange = Pick<SegmentEntry, 'path' | 'kind' | 'start' | 'end'>;

/** Yields the bytes `from` to `to`, both included. IntegrityError when they are not all there. */
export async function* readRange(
  disk: Disk,
  segments: readonly SegmentRange[],
  from: Offset,
  to: Offset,
  framesIn: FramesIn = 'memory',
): AsyncGenerator<RangeChunk, void, undefined> {
  let next = from;
  for (const segment of segments) {
    if (segment.end < next || segment.start > to) continue;
    await using reader = await openSegmentReader(disk, segment.path, segment.kind, framesIn);
    for await (const frame of reader.frames(next, to)) {
      const last = Math.min(frame.header.end, segment.end, to);
      if (frame.header.kind !== 'stream' || last < next) continue;
      const { start } = frame.header;
      if (start > next) break;
      yield { start: next, bytes: frame.data.subarray(next - start, last + 1 - start), frame };
      next = last + 1;
      if (next > to) return;
    }
    if (next <= Math.min(segment.end, to)) throw missing(segment, next, to);
  }
  if (next <= to) throw missing(segments.at(-1), next, to);
}

function missing(segment: SegmentRange | undefined, next: Offset, to: Offset): IntegrityError {
  const where = segment === undefined ? 'the journal' : segment.path;
  return new IntegrityError('bytes-missing', `${where}: the stream bytes ${next} to ${to} are not there`, {
    hint: 'run journal verify for the whole picture',
  });
}
