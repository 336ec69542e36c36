/**
 * The base of what is served, as replicas get it: the journal's, or where what expires ends later, one with these times. How
 * large that becomes has to be known before the first byte is sent.
 */
import { released } from '../core/slabs.ts';
import { basePieces } from '../log/base-pieces.ts';
import type { BasePiece } from '../log/base-pieces.ts';
import type { BaseEntry } from '../log/catalog.ts';
import { RdbFilter } from '../redis/rdb-filter.ts';
import { TtlJudge } from '../redis/ttl-rule.ts';
import type { Disk } from '../storage/disk.ts';
import type { ServedTimeline } from './history.ts';

export function servedBaseBytes({ base, own }: ServedTimeline): number {
  return own?.shift?.baseBytes ?? base.record.size;
}

/** A slab is good until the next piece is asked for, unless it is retained. */
export function servedBase(disk: Disk, { base, own }: ServedTimeline): AsyncGenerator<BasePiece, void, undefined> {
  const laterByMs = own?.shift?.laterByMs;
  if (laterByMs === undefined || !hasTimes(base)) return basePieces(disk, base.rdbPath, base.record);
  return laterBase(disk, base, laterByMs);
}

/** What servedBase() comes to with these times: all of it is read for that. */
export async function laterBaseBytes(disk: Disk, base: BaseEntry, laterByMs: number): Promise<number> {
  if (!hasTimes(base)) return base.record.size;
  let size = 0;
  for await (const { bytes } of laterBase(disk, base, laterByMs)) size += bytes.length;
  return size;
}

function hasTimes({ record: { contents } }: BaseEntry): boolean {
  return contents?.expires !== 0 || contents.hashFieldExpires !== 0;
}

async function* laterBase(
  disk: Disk,
  { rdbPath, record }: BaseEntry,
  laterByMs: number,
): AsyncGenerator<BasePiece, void, undefined> {
  // Nothing is judged here: a later command may have given it another time.
  const ttl = new TtlJudge({ asOfMs: -Infinity, elapsed: 'stays', others: { laterByMs } }, 0);
  const filter = new RdbFilter({ ttl });
  for await (const { bytes } of basePieces(disk, rdbPath, record)) yield* released(filter.push(bytes));
  yield* released(filter.finish());
}
