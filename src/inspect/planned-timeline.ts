/** The timeline that a plan reads. */
import { withCatalog } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import { removedError } from '../restore/locate/locate-removed.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { Disk } from '../storage/disk.ts';

/** CoverageError where it was removed meanwhile. */
export function plannedTimeline(disk: Disk, { tree, timeline }: Pick<Plan, 'tree' | 'timeline'>): Promise<Timeline> {
  return withCatalog(disk, tree, async ({ timelines, removed }) => {
    const found = timelines.find(({ number }) => number === timeline);
    if (found !== undefined) return found;
    const record = removed.find((one) => one.timeline === timeline);
    throw record === undefined
      ? new RangeError(`timeline ${timeline} is not there any more`)
      : removedError(record, timelines);
  });
}
