/**
 * A scratch dataset as commands for another server: functions, then each key as RESTORE … REPLACE ABSTTL, db by db. What
 * has elapsed cannot be seen, and would not stay there either, so it is left out, and counted.
 */
import { encodeCommand } from '../redis/commands-out.ts';
import { keysIn } from '../redis/info.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { hasFunctions } from '../redis/server-version.ts';
import type { ScratchDataset } from './dataset.ts';
import { bytesClient } from './client.ts';
import { dumpedKeys } from './dumped-keys.ts';
import type { BytesClient } from './client.ts';
import type { DumpedBatch } from './dumped-keys.ts';

export interface DumpCount {
  keys: number;
  /** Keys that have elapsed, or are not of the selection. */
  left: number;
}

/** Commands in order, of some keys where there is a `selection`; `count` is complete when all were taken. */
export async function* dumpCommands(
  dataset: ScratchDataset,
  count: DumpCount,
  signal: AbortSignal,
  selection?: KeySelection,
): AsyncGenerator<Buffer, void, undefined> {
  const client = bytesClient(await dataset.connect());
  try {
    if (hasFunctions(dataset.program) && selection?.takesFunctions !== false) yield* functions(client);
    let selected: number | undefined;
    for await (const batch of dumpedKeys(client, dataset, signal, selection)) {
      if (batch.db !== selected) yield encodeCommand('SELECT', String(batch.db));
      selected = batch.db;
      count.keys += batch.keys.length;
      yield restoreCommands(batch);
    }
    count.left = Math.max(0, keysIn(await dataset.client.info('keyspace')) - count.keys);
  } catch (error) {
    signal.throwIfAborted();
    throw await dataset.failed('tell what it holds', error);
  } finally {
    client.destroy();
  }
}

export function restoreCommands({ keys }: DumpedBatch): Buffer {
  const parts: Uint8Array[] = [];
  for (const { name, payload, endsMs } of keys) {
    const time = String(endsMs);
    const before = `\r\n$${time.length}\r\n${time}\r\n$${payload.length}\r\n`;
    parts.push(latin1(`${restoreHead}$${name.length}\r\n`), name, latin1(before), payload, restoreEnd);
  }
  return Buffer.concat(parts);
}

async function* functions(client: BytesClient): AsyncGenerator<Buffer, void, undefined> {
  const libraries = await client.sendCommand<unknown[]>(['FUNCTION', 'LIST']);
  if (libraries.length === 0) return;
  const payload = await client.sendCommand<Buffer>(['FUNCTION', 'DUMP']);
  yield encodeCommand('FUNCTION', 'RESTORE', payload, 'REPLACE');
}

const restoreHead = '*6\r\n$7\r\nRESTORE\r\n';
const restoreEnd = latin1('\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n');

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
