/**
 * The keys of a dataset as it was, one after the other, each with its value as clients saw it: out of what a scratch server
 * saves, since it tells clients nothing of keys whose time has passed by now. Those whose time had passed then are left out.
 *
 * Memory: one value, no larger than probedValueBytesMax.
 */
import { probedValueBytesMax } from '../core/limits.ts';
import { RdbEntries } from '../redis/rdb-entries.ts';
import type { RdbEntry } from '../redis/rdb-entries.ts';
import type { RdbMagic } from '../redis/server-version.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { ScratchDataset } from '../scratch/dataset.ts';
import type { Disk } from '../storage/disk.ts';
import { filePieces } from '../storage/file-pieces.ts';
import { throwIfInterrupted } from './interruption.ts';
import { keyValue } from './key-value.ts';
import type { KeyValue } from './key-value.ts';

export interface DatasetKey {
  readonly key: Buffer;
  readonly value: KeyValue;
}

/** Of the selection of the plan, db by db. Each is good until the next one is asked for. */
export async function* datasetKeys(
  disk: Disk,
  { selection, ttl }: Pick<Plan, 'selection' | 'ttl'>,
  dataset: ScratchDataset,
  signal: AbortSignal,
): AsyncGenerator<DatasetKey, void, undefined> {
  const atMs = Math.floor(ttl.asOf / 1000);
  let magic: RdbMagic = 'REDIS';
  const entries = new RdbEntries(({ db, code, key, endsMs }, itsMagic) => {
    magic = itsMagic;
    return (endsMs === 0 || endsMs >= atMs) && selection?.takes(db, code, key) !== false;
  }, probedValueBytesMax);
  const keyOf = ({ db, code, key, endsMs, value, valueBytes }: RdbEntry): DatasetKey => {
    const bytes = 'bytes' in value ? value.bytes : undefined;
    return { key, value: keyValue({ db, code, magic, value: bytes, bytes: valueBytes, endsMs }, atMs) };
  };
  await using file = await disk.open(await dataset.save(), 'read');
  for await (const { bytes } of filePieces(file)) {
    throwIfInterrupted(signal);
    for (const entry of entries.push(bytes)) yield keyOf(entry);
  }
  for (const entry of entries.finish()) yield keyOf(entry);
}
