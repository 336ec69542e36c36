/**
 * Takes timelines out of a journal on purpose, and knows which were (SPEC.md 10, step 9). First the record of what it
 * covered, then the timeline: from the moment the record is there nobody reads the timeline any more, so a crash at any
 * point leaves a catalog that tells the truth, and the next writer finishes the work.
 */
import { dirname, join } from 'node:path';
import { removedName } from '../../journal-format/names.ts';
import { encodeRemoved } from '../../journal-format/removed.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import type { Micros } from '../core/clock.ts';
import type { Disk } from '../storage/disk.ts';
import { publish } from '../storage/publish.ts';
import type { Timeline } from './catalog.ts';
import { readRemoved } from './removed.ts';
import { noDemands, planRetention } from './retention.ts';
import type { Demands, KeepRule, RetentionPlan } from './retention.ts';
import { withSizes } from './segment-sizes.ts';
import { timelineDirectory, timelineNumbers } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import { removeTimeline } from './timeline-store.ts';

export interface Retained extends Omit<RetentionPlan, 'remove'> {
  readonly removed: readonly RemovedRecord[];
}

/** Applies the rule to these timelines, of which the last one stays; `rule` in words is kept with what goes. */
export async function applyRetention(
  disk: Disk,
  tree: SourceTree,
  timelines: readonly Timeline[],
  keep: { readonly rule: KeepRule; readonly words: string },
  now: Micros,
  demands: Demands = noDemands,
): Promise<Retained> {
  const kept = (await withSizes(disk, timelines)).map(({ number, lastStamp, base, segments }) => ({
    number,
    last: Math.max(lastStamp, base.record.completed),
    baseBytes: base.record.size,
    segments,
  }));
  // Age counts from the last thing that was received: neither a clock that was set nor a journal that was away ages it.
  const newest = kept.at(-1)?.last ?? now;
  const { remove, ...rest } = planRetention(kept, keep.rule, Math.min(now, newest), demands);
  const removed: RemovedRecord[] = [];
  for (const timeline of timelines) {
    if (!remove.includes(timeline.number)) continue;
    const record = recordOf(timeline, keep.words, now);
    await publishRemoved(disk, tree, record);
    await removeTimeline(disk, tree, timeline.directory);
    removed.push(record);
  }
  return { removed, ...rest };
}

/** What a crash, or a failure, left of timelines that are recorded as removed. Returns what was done, for the log. */
export async function finishRemovals(disk: Disk, tree: SourceTree): Promise<string[]> {
  const left = new Set(await timelineNumbers(disk, tree));
  const actions: string[] = [];
  for (const { timeline, rule } of await readRemoved(disk, tree)) {
    if (!left.has(timeline)) continue;
    const directory = timelineDirectory(tree, timeline);
    await removeTimeline(disk, tree, directory);
    actions.push(`removed what was left of ${directory}: it had been removed by ${rule}`);
  }
  return actions;
}

async function publishRemoved(disk: Disk, tree: SourceTree, record: RemovedRecord): Promise<void> {
  await disk.makeDirectory(tree.removed);
  await disk.syncDirectory(dirname(tree.removed));
  await publish(disk, join(tree.removed, removedName(record.timeline)), encodeRemoved(record).bytes);
}

function recordOf({ number, ids, base, boundary, lastStamp }: Timeline, rule: string, now: Micros): RemovedRecord {
  const { offset, completed } = base.record;
  const last = Math.max(completed, lastStamp);
  return { timeline: number, ids, offset, end: boundary, first: completed, last, removed: now, rule };
}
