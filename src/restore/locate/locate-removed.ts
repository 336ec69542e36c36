/**
 * The refusal of a target that was covered once and removed on purpose, be it while it was read: it says so, since "never
 * covered" would be a lie. Neighbours: locate.ts refuses first, in the terms of what is there; log/removal.ts removes.
 */
import type { RemovedRecord } from '../../../journal-format/removed.ts';
import { CoverageError } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import { loadCatalogLeft } from '../../log/catalog.ts';
import type { Catalog } from '../../log/catalog.ts';
import { removedMeanwhile } from '../../log/removed.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import type { Disk } from '../../storage/disk.ts';
import { formatInstantShort } from './instant.ts';
import { timeCoverage } from './locate-coverage.ts';
import type { Target } from './target.ts';

/** `error` as it is, or, where the target lies in what was removed, what happened to it. */
export function explainRemoved(error: unknown, { removed, timelines }: Catalog, target: Target): unknown {
  if (!(error instanceof CoverageError && refusals.has(error.code))) return error;
  const record = removed.find((candidate) => holds(candidate, target));
  return record === undefined ? error : removedError(record, timelines);
}

/** What to throw when reading one of the timelines failed. */
export async function explainGone(
  disk: Disk,
  tree: SourceTree,
  timelines: readonly number[],
  error: unknown,
): Promise<unknown> {
  for (const timeline of timelines) {
    const record = await removedMeanwhile(disk, tree, timeline, error);
    if (record !== undefined) return removedError(record, (await loadCatalogLeft(disk, tree)).timelines);
  }
  return error;
}

export function removedError(record: RemovedRecord, timelines: Catalog['timelines']): CoverageError {
  const { timeline, first, last, removed, rule } = record;
  const [oldest] = timelines;
  const [from, to, at] = [first, last, removed].map(formatInstantShort);
  return new CoverageError(
    'removed',
    `that was removed by ${rule} at ${at}: timeline ${timeline}, from ${from} to ${to}`,
    {
      hint:
        oldest === undefined
          ? 'nothing is covered now'
          : `the oldest covered instant is --at ${formatInstantShort(timeCoverage(oldest).from)} (position ${formatPosition(oldest.base.record)})`,
    },
  );
}

const refusals: ReadonlySet<string> = new Set(['nothing-covered', 'time-not-covered', 'position-not-covered']);

function holds(record: RemovedRecord, target: Target): boolean {
  switch (target.kind) {
    case 'time':
      return record.first <= target.at && target.at <= record.last;
    case 'position':
      return (
        record.ids.some(({ id }) => id.startsWith(target.idPrefix)) &&
        record.offset <= target.offset &&
        target.offset <= record.end
      );
    case 'mark':
    case 'latest':
      return false;
  }
}
