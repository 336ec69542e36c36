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
import { changesTtl } from './ttl-mode.ts';

/** UsageError (exit 1) when none of `programs` can load the dataset. `why` it is, where it is not always so. */
export function planScratch(plan: Plan, programs: readonly ServerProgram[], why?: string): ScratchPlan {
  const program = chooseProgram(originOf(plan), isDirectory(plan) ? loadableFirst(programs, plan.server) : programs);
  return { program, rdb: rdbOf(program), why };
}

/** Why a directory is not made of the journal's bytes, by what is asked for; what these bytes are may be a reason, too. */
export function whyNotOfBytes({ ttl, selection, undo }: Pick<Plan, 'ttl' | 'selection' | 'undo'>): string | undefined {
  if (changesTtl(ttl) && selection !== undefined)
    return `--ttl ${ttl.mode} is done to the dataset, when all is replayed`;
  if (changesTtl(ttl) && undo !== undefined) return 'what had elapsed shows when all but what is left out is replayed';
  if (ttl.isCounted) return '--count-expired counts in the dataset, when all is replayed';
  if (selection?.types !== undefined) return 'what is of a --type is known when all is replayed';
  if (selection?.renames === true) return '--rename gives names when all is replayed: commands have the others';
  return undefined;
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
