/**
 * T, the moment of a cut by the primary's clock, by which everything in the dataset ends. A time was asked for by that clock;
 * of other targets the last applied command tells, whose stamp is of our clock.
 */
import type { Micros } from '../../core/clock.ts';
import type { Timeline } from '../../log/catalog.ts';
import type { Disk } from '../../storage/disk.ts';
import { skewOf } from './certainty.ts';
import type { Cut } from './locate.ts';
import { gather } from './time-evidence.ts';

export async function primaryTimeOf(disk: Disk, timeline: Timeline, { requested, reached }: Cut): Promise<Micros> {
  const { target } = requested;
  return target.kind === 'time' ? target.at : reached - (await skewNear(disk, timeline, reached));
}

/** Our clock less the primary's, by the sample nearest to `stamp`; 0 where they agree, or nothing is known. */
async function skewNear(disk: Disk, timeline: Timeline, stamp: Micros): Promise<Micros> {
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
