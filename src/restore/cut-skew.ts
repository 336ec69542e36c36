/**
 * By how much our clock and the primary's differed at a cut: what brings its stamp, which is of our clock, to the primary's,
 * by which everything in the dataset ends.
 */
import type { Micros } from '../core/clock.ts';
import type { Timeline } from '../log/catalog.ts';
import type { Disk } from '../storage/disk.ts';
import { skewOf } from './certainty.ts';
import { gather } from './time-evidence.ts';

/** Our clock less the primary's, by the sample nearest to `stamp`; 0 where they agree, or nothing is known. */
export async function skewNear(disk: Disk, timeline: Timeline, stamp: Micros): Promise<Micros> {
  const { segments } = timeline;
  const index = Math.max(
    0,
    segments.findLastIndex(({ first }) => first <= stamp),
  );
  // Samples come behind the bytes that they are about, and not every segment has one.
  const { samples } = await gather(disk, timeline, segments.slice(Math.max(0, index - 2), index + 3));
  const distance = (one: (typeof samples)[number]): number => Math.abs(one.stamp - stamp);
  let nearest = samples[0];
  for (const sample of samples) if (nearest === undefined || distance(sample) < distance(nearest)) nearest = sample;
  return skewOf(nearest);
}
