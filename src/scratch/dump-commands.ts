/**
 * A scratch dataset as commands for another server: functions, then each key as RESTORE … REPLACE ABSTTL, db by db. What
 * has elapsed cannot be seen, and would not stay there either, so it is left out, and counted.
 *
 * Invariant: the dataset stands still, so one SCAN sees every key once at least; a key seen twice is restored twice.
 */
import { RESP_TYPES } from 'redis';
import { encodeCommand } from '../redis/commands-out.ts';
import { keyspaceIn } from '../redis/info.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { hasFunctions, tellsExpiryTimes } from '../redis/server-version.ts';
import type { ScratchDataset } from './dataset.ts';
import type { ServerClient } from './server.ts';

export interface DumpCount {
  keys: number;
  /** Keys that have elapsed. */
  left: number;
}

const scanCount = 1000;
/** Values that are asked for at once: fewer, the larger they are. */
const keysAtOnceMax = 512;
const bytesAtOnce = 4 * 1024 * 1024;

/**
 * Of each key, in one request for many: its value, and the instant at which it ends in ms, -1 for none. Servers before
 * Redis 7.0 tell only what is left, so the clock is read on both sides until it stands still.
 */
const dumpScript = `
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local out = {}
for i, key in ipairs(KEYS) do
  local ends
  if ARGV[1] == '1' then
    ends = redis.call('PEXPIRETIME', key)
  else
    local before
    repeat before = now() ends = redis.call('PTTL', key) until now() == before
    if ends >= 0 then ends = before + ends end
  end
  out[2 * i - 1] = redis.call('DUMP', key)
  out[2 * i] = ends
end
return out`;

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
    for (const { db, keys } of keyspaceIn(await dataset.client.info('keyspace'))) {
      if (selection?.takesDb(db) === false) continue;
      await client.sendCommand(['SELECT', String(db)]);
      yield encodeCommand('SELECT', String(db));
      const before = count.keys;
      yield* keysOf(client, dataset, count, signal, selection);
      count.left += Math.max(0, keys - (count.keys - before));
    }
  } catch (error) {
    signal.throwIfAborted();
    throw await dataset.failed('tell what it holds', error);
  } finally {
    client.destroy();
  }
}

type BytesClient = Pick<ServerClient, 'sendCommand' | 'destroy'>;

/** Keys and values are bytes. */
function bytesClient(client: ServerClient): BytesClient {
  return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
}

async function* functions(client: BytesClient): AsyncGenerator<Buffer, void, undefined> {
  const libraries = await client.sendCommand<unknown[]>(['FUNCTION', 'LIST']);
  if (libraries.length === 0) return;
  const payload = await client.sendCommand<Buffer>(['FUNCTION', 'DUMP']);
  yield encodeCommand('FUNCTION', 'RESTORE', payload, 'REPLACE');
}

async function* keysOf(
  client: BytesClient,
  { program }: ScratchDataset,
  count: DumpCount,
  signal: AbortSignal,
  selection: KeySelection | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  let cursor = '0';
  let atOnce = 16;
  do {
    const [next, seen] = await client.sendCommand<[Buffer, Buffer[]]>(['SCAN', cursor, 'COUNT', String(scanCount)]);
    cursor = next.toString('latin1');
    const keys = selection === undefined ? seen : await wanted(client, seen, selection);
    for (let from = 0; from < keys.length;) {
      signal.throwIfAborted();
      const batch = keys.slice(from, from + atOnce);
      const commands = await restoreCommands(client, batch, tellsExpiryTimes(program), selection);
      count.keys += commands.count;
      yield commands.bytes;
      from += batch.length;
      const average = commands.bytes.length / batch.length;
      atOnce = Math.max(1, Math.min(keysAtOnceMax, Math.floor(bytesAtOnce / (average + 1))));
    }
  } while (cursor !== '0');
}

async function restoreCommands(
  client: BytesClient,
  keys: readonly Buffer[],
  isAbsolute: boolean,
  selection: KeySelection | undefined,
): Promise<{ readonly count: number; readonly bytes: Buffer }> {
  const told = await client.sendCommand<(Buffer | number | null)[]>([
    ...['EVAL', dumpScript, String(keys.length)],
    ...keys,
    isAbsolute ? '1' : '0',
  ]);
  const parts: Uint8Array[] = [];
  let count = 0;
  for (const [i, key] of keys.entries()) {
    const [payload, ends] = [told[2 * i], told[2 * i + 1]];
    // It elapsed between SCAN and now.
    if (!Buffer.isBuffer(payload) || typeof ends !== 'number' || ends === -2) continue;
    const time = String(Math.max(0, ends));
    const name = selection?.nameOf(key) ?? key;
    const before = `\r\n$${time.length}\r\n${time}\r\n$${payload.length}\r\n`;
    parts.push(latin1(`${restoreHead}$${name.length}\r\n`), name, latin1(before), payload, restoreEnd);
    count += 1;
  }
  return { count, bytes: Buffer.concat(parts) };
}

async function wanted(client: BytesClient, keys: readonly Buffer[], selection: KeySelection): Promise<Buffer[]> {
  const named = keys.filter((key) => selection.takesName(key));
  const { types } = selection;
  if (types === undefined) return named;
  const told = await Promise.all(named.map((key) => client.sendCommand<string>(['TYPE', key])));
  return named.filter((_, i) => types.has(told[i] ?? ''));
}

const restoreHead = '*6\r\n$7\r\nRESTORE\r\n';
const restoreEnd = latin1('\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n');

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
