/**
 * The stream bytes of a plan, in order, each verified. Segments that are sealed while it runs are found by the log.
 */
import { readRange } from '../../log/read-range.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { FramesIn } from '../../log/segment-reader.ts';
import type { Disk } from '../../storage/disk.ts';
import type { Plan } from './plan.ts';

export function plannedStream(
  disk: Disk,
  { base, ranges, cut }: Plan,
  framesIn: FramesIn = 'memory',
): AsyncGenerator<RangeChunk, void, undefined> {
  return readRange(disk, ranges, base.record.offset + 1, cut.offset, framesIn);
}
