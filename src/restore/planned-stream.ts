/**
 * The stream bytes of a plan, in order, each verified. A journal that is being written seals its segments meanwhile: a
 * file that has gone by the time it is needed is looked for anew, under the name it has now.
 */
import { StorageError } from '../core/errors.ts';
import { loadCatalog } from '../log/catalog.ts';
import { readRange } from '../log/read-range.ts';
import type { RangeChunk, SegmentRange } from '../log/read-range.ts';
import type { Disk } from '../storage/disk.ts';
import type { Plan } from './plan.ts';

/** So often is one place looked for anew before its absence is believed. */
const attemptsMax = 5;

export async function* plannedStream(disk: Disk, plan: Plan): AsyncGenerator<RangeChunk, void, undefined> {
  const end = plan.cut.offset;
  let next = plan.base.record.offset + 1;
  let segments: readonly SegmentRange[] = plan.ranges;
  for (let attempt = 1; next <= end; attempt += 1) {
    try {
      for await (const chunk of readRange(disk, segments, next, end)) {
        yield chunk;
        next = chunk.start + chunk.bytes.length;
        attempt = 1;
      }
    } catch (error) {
      if (attempt === attemptsMax || !(error instanceof StorageError && error.code === 'not-found')) throw error;
      segments = await segmentsNow(disk, plan);
    }
  }
}

async function segmentsNow(disk: Disk, plan: Plan): Promise<readonly SegmentRange[]> {
  const { timelines } = await loadCatalog(disk, plan.tree);
  const timeline = timelines.find(({ number }) => number === plan.timeline);
  if (timeline !== undefined) return timeline.segments;
  throw new StorageError('not-found', `timeline ${plan.timeline} was removed while it was being restored`, {
    hint: 'plan the restore again',
  });
}
