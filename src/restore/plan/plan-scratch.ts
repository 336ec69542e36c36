/**
 * The scratch server of a plan (pure): which of the programs that are there, and what it will write.
 */
import { chooseProgram, whyNotLoaded } from '../../scratch/can-load.ts';
import type { DatasetOrigin } from '../../scratch/can-load.ts';
import type { ServerProgram } from '../../scratch/find-server.ts';
import { canLoadRdb, rdbOf } from '../../redis/server-version.ts';
import type { ServerVersion } from '../../redis/server-version.ts';
import { isDirectory } from './plan.ts';
import type { Plan, ScratchPlan } from './plan.ts';

/** UsageError (exit 1) when none of `programs` can load the dataset. */
export function planScratch(plan: Plan, programs: readonly ServerProgram[]): ScratchPlan {
  const program = chooseProgram(originOf(plan), isDirectory(plan) ? loadableFirst(programs, plan.server) : programs);
  return { program, rdb: rdbOf(program) };
}

export function canPlanScratch(plan: Plan, programs: readonly ServerProgram[]): boolean {
  return programs.some((program) => whyNotLoaded(originOf(plan), program) === undefined);
}

/** What a server must be able to load for a plan. */
export function originOf({ base, server, bytes }: Plan): DatasetOrigin {
  const { magic, version } = base.record;
  return { magic, rdbVersion: version, server, hasStream: bytes.stream > 0 };
}

/**
 * Those first whose RDB `server` can load: it takes over what they write. (A directory is started by a server such as the
 * source.)
 */
export function loadableFirst(
  programs: readonly ServerProgram[],
  server: ServerVersion | undefined,
): readonly ServerProgram[] {
  if (server === undefined) return programs;
  const isFit = (program: ServerProgram): boolean => {
    const { magic, version } = rdbOf(program);
    return canLoadRdb(server, magic, version);
  };
  return [...programs.filter(isFit), ...programs.filter((program) => !isFit(program))];
}
