/**
 * Gives a dataset the TTLs that the plan says, and tells what had elapsed: while the RDB that was saved is copied, where
 * one is the output; else in the scratch server.
 */
import type { Clock } from '../../core/clock.ts';
import { IntegrityError } from '../../core/errors.ts';
import { TtlJudge } from '../../redis/ttl-rule.ts';
import type { TtlCount } from '../../redis/ttl-rule.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { editTtl } from '../../scratch/edit-ttl.ts';
import type { Disk } from '../../storage/disk.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { Plan } from '../plan/plan.ts';
import { changesTtl, ttlOutcome, ttlRule, ttlWarnings } from '../plan/ttl-mode.ts';
import type { TtlOutcome } from '../plan/ttl-mode.ts';

export interface GivenTtls {
  /** What is left to the output: it gives them, and counts. */
  readonly ttl?: TtlJudge;
  /** To be asked when the output is written. */
  readonly told: () => ToldTtls;
}

export interface ToldTtls {
  /** Null where nothing is changed, and nobody looked. */
  readonly ttlOutcome: TtlOutcome | null;
  readonly warnings: readonly string[];
}

const notLookedAt: GivenTtls = { told: () => ({ ttlOutcome: null, warnings: [] }) };

export async function giveTtls(
  disk: Disk,
  plan: Plan,
  dataset: ScratchDataset,
  clock: Clock,
  signal: AbortSignal,
): Promise<GivenTtls> {
  const { ttl, form, selection } = plan;
  // To count takes an RDB; where none is made anyway, it is not worth its room on the disk.
  if (!changesTtl(ttl) && form === 'resp' && !ttl.isCounted) return notLookedAt;
  const rule = ttlRule(ttl, clock.wall());
  const tell = (count: TtlCount): ToldTtls => {
    const outcome = ttlOutcome(rule, count);
    return { ttlOutcome: outcome, warnings: ttlWarnings(ttl, outcome) };
  };
  if (changesTtl(ttl) && form !== 'resp' && form !== 'server') {
    const judge = new TtlJudge(rule, Math.floor(clock.wall() / 1000));
    return { ttl: judge, told: () => tell(judge.count) };
  }
  try {
    const advance = (): void => {
      throwIfInterrupted(signal);
    };
    const count = await editTtl(disk, dataset, rule, { clock, selection, advance });
    return { told: () => tell(count) };
  } catch (error) {
    const isUnknown = error instanceof IntegrityError && error.code === 'rdb-unknown';
    if (isUnknown && !changesTtl(ttl) && !ttl.isCounted) return notLookedAt;
    throw error;
  }
}
