/**
 * Loads what a plan says into a scratch server: base and stream, every byte verified, over a replication link.
 */
import type { Clock } from '../../core/clock.ts';
import { ScratchDataset } from '../../scratch/dataset.ts';
import type { FeedSource } from '../../scratch/master-feed.ts';
import { freeMemory, requireMemory } from '../../scratch/memory.ts';
import type { Plan } from '../plan/plan.ts';
import type { PlannedBytes } from './planned-bytes.ts';

export interface LoadOptions {
  /** Where its private directory is made. */
  readonly parent: string;
  /** What it may take, whatever is free. */
  readonly allowedBytes: number | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Of a plan with a scratch server. `replayed` is of the same plan; it is read to its end. */
export async function loadScratch(plan: Plan, replayed: PlannedBytes, options: LoadOptions): Promise<ScratchDataset> {
  const { record } = plan.base;
  if (plan.scratch === undefined) throw new RangeError('the plan has no scratch server');
  const { program } = plan.scratch;
  const { parent, allowedBytes, clock, signal } = options;
  const usedBytes = usedMemory(record.aux['used-mem']);
  // How much some keys take is seen when they are loaded.
  const memoryBytes = replayed.isPart
    ? (allowedBytes ?? (await freeMemory()))
    : await requireMemory({ usedBytes, rdbBytes: record.size, allowedBytes });
  const source: FeedSource = {
    rdbBytes: replayed.isPart ? undefined : record.size,
    async *rdb() {
      for await (const { bytes } of replayed.rdb()) yield bytes;
    },
    db: record.db,
    stream: () => replayed.stream(),
  };
  return ScratchDataset.load(source, {
    ...{ program, parent, memoryBytes, clock, signal },
    mayFail: plan.undo !== undefined,
  });
}

function usedMemory(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
