/**
 * Gives a scratch dataset the TTLs that the plan says, and tells what had elapsed.
 */
import type { Clock } from '../core/clock.ts';
import { IntegrityError } from '../core/errors.ts';
import type { ScratchDataset } from '../scratch/dataset.ts';
import { editTtl } from '../scratch/edit-ttl.ts';
import type { Disk } from '../storage/disk.ts';
import { throwIfInterrupted } from './interruption.ts';
import type { Plan } from './plan.ts';
import { changesTtl, ttlOutcome, ttlRule, ttlWarnings } from './ttl-mode.ts';
import type { TtlOutcome } from './ttl-mode.ts';

export interface GivenTtls {
  /** Null where nothing is changed, and nobody looked. */
  readonly ttlOutcome: TtlOutcome | null;
  readonly warnings: readonly string[];
}

const notLookedAt: GivenTtls = { ttlOutcome: null, warnings: [] };

export async function giveTtls(
  disk: Disk,
  { ttl, form, selection }: Plan,
  dataset: ScratchDataset,
  clock: Clock,
  signal: AbortSignal,
): Promise<GivenTtls> {
  // To count takes an RDB; where none is made anyway, it is not worth its room on the disk.
  if (!changesTtl(ttl) && form === 'resp') return notLookedAt;
  const rule = ttlRule(ttl, clock.wall());
  try {
    const advance = (): void => {
      throwIfInterrupted(signal);
    };
    const count = await editTtl(disk, dataset, rule, { clock, selection, advance });
    const outcome = ttlOutcome(rule, count);
    return { ttlOutcome: outcome, warnings: ttlWarnings(ttl, outcome) };
  } catch (error) {
    const isUnknown = error instanceof IntegrityError && error.code === 'rdb-unknown';
    if (isUnknown && !changesTtl(ttl)) return notLookedAt;
    throw error;
  }
}
