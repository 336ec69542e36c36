/**
 * Looks through base and stream of a plan for what had elapsed at T, so that a directory with other TTLs can be made of the
 * journal's bytes. Where that cannot be told, or where a command's time cannot be moved, a scratch server must make it, and
 * why is told.
 */
import { IntegrityError } from '../../core/errors.ts';
import { CommandReader } from '../../redis/command-reader.ts';
import { RdbExpiries } from '../../redis/rdb-expiries.ts';
import type { Disk } from '../../storage/disk.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { basePieces } from '../../log/base-pieces.ts';
import { ElapsedKeys } from '../rewrite/elapsed-keys.ts';
import { LeftOut } from '../rewrite/left-out.ts';
import { RelativeTtl } from '../rewrite/relative-ttl.ts';
import type { Plan } from './plan.ts';
import { plannedStream } from './planned-stream.ts';

/** What had elapsed, or why that cannot be told. */
export type ElapsedFinding = { readonly elapsed: ElapsedKeys } | { readonly why: string };

export async function planElapsed(disk: Disk, plan: Plan, signal: AbortSignal | undefined): Promise<ElapsedFinding> {
  const elapsed = new ElapsedKeys(Math.floor(plan.ttl.asOf / 1000));
  const why = (await lookAtBase(disk, plan, elapsed, signal)) ?? (await lookAtStream(disk, plan, elapsed, signal));
  return why === undefined ? { elapsed } : { why };
}

async function lookAtBase(
  disk: Disk,
  { base: { record, rdbPath } }: Plan,
  elapsed: ElapsedKeys,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { contents } = record;
  if (contents?.expires === 0 && contents.hashFieldExpires === 0) return undefined;
  const expiries = new RdbExpiries();
  try {
    for await (const { bytes } of basePieces(disk, rdbPath, record)) {
      throwIfInterrupted(signal);
      for (const expiry of expiries.push(bytes)) if (!elapsed.begin(expiry)) return tooMany;
      expiries.letGo();
    }
    for (const expiry of expiries.finish()) if (!elapsed.begin(expiry)) return tooMany;
    return undefined;
  } catch (error) {
    if (error instanceof IntegrityError && error.code === 'rdb-unknown') return 'the base cannot be looked into';
    throw error;
  }
}

const tooMany = 'too many keys may have elapsed';

async function lookAtStream(
  disk: Disk,
  plan: Plan,
  elapsed: ElapsedKeys,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { record } = plan.base;
  const relativeTtl = plan.transform === 'relative-ttl' ? new RelativeTtl(record, new LeftOut()) : undefined;
  const reader = new CommandReader(record, { isMatch: (command) => elapsed.mayMatter(command) });
  for await (const chunk of plannedStream(disk, plan, 'slabs')) {
    throwIfInterrupted(signal);
    for (const bytes of relativeTtl?.push(chunk) ?? [chunk.bytes]) reader.push(bytes);
    for (let command = reader.next(); command !== undefined; command = reader.next()) {
      const why = elapsed.take(command);
      if (why !== undefined) return why;
    }
    reader.letGo();
    relativeTtl?.letGo();
  }
  return undefined;
}
