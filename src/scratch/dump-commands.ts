/**
 * A scratch dataset as commands for another server: functions, then each key as RESTORE … REPLACE ABSTTL, db by db. What
 * has elapsed cannot be seen, and would not stay there either, so it is left out, and counted.
 */
import { keysIn } from '../redis/info.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { hasFunctions } from '../redis/server-version.ts';
import type { ScratchDataset } from './dataset.ts';
import { dumpedKeys } from './dumped-keys.ts';
import type { DumpedBatch } from './dumped-keys.ts';

/** Its words; the values are views. */
export type DumpCommand = readonly (string | Buffer)[];

export interface DumpCount {
  keys: number;
  /** Keys that have elapsed, or are not of the selection. */
  left: number;
}

/** Commands in order, in batches, of some keys where there is a `selection`; `count` is complete when all were taken. */
export async function* dumpCommands(
  dataset: ScratchDataset,
  count: DumpCount,
  signal: AbortSignal,
  selection?: KeySelection,
): AsyncGenerator<readonly DumpCommand[], void, undefined> {
  try {
    if (hasFunctions(dataset.program) && selection?.takesFunctions !== false) yield* functions(dataset);
    let selected: number | undefined;
    for await (const batch of dumpedKeys(dataset, signal, selection)) {
      if (batch.db !== selected) yield [['SELECT', String(batch.db)]];
      selected = batch.db;
      count.keys += batch.keys.length;
      yield restoreCommands(batch);
    }
    count.left = Math.max(0, keysIn(await dataset.client.info('keyspace')) - count.keys);
  } catch (error) {
    signal.throwIfAborted();
    throw await dataset.failed('tell what it holds', error);
  }
}

/** Where they replace nothing, a key that is there by then is refused with BUSYKEY. */
export function restoreCommands({ keys }: DumpedBatch, replaces = true): readonly DumpCommand[] {
  const how = replaces ? ['REPLACE', 'ABSTTL'] : ['ABSTTL'];
  return keys.map(({ name, payload, endsMs }) => ['RESTORE', name, String(endsMs), payload, ...how]);
}

async function* functions(dataset: ScratchDataset): AsyncGenerator<readonly DumpCommand[], void, undefined> {
  using connection = await dataset.connect();
  const libraries = await connection.sendCommand<unknown[]>(['FUNCTION', 'LIST']);
  if (libraries.length === 0) return;
  const payload = await connection.sendCommand<Buffer>(['FUNCTION', 'DUMP']);
  yield [['FUNCTION', 'RESTORE', payload, 'REPLACE']];
}
