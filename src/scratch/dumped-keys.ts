/**
 * The keys of a scratch dataset with their values, as DUMP tells them, and the instants at which they end, db by db: all, or
 * those of a selection, with the names that it gives them. What has elapsed cannot be seen.
 *
 * Invariant: the dataset stands still, so one SCAN sees every key once at least; a key seen twice comes twice. No more than
 * a few megabytes are held, or one value that is larger.
 */
import { keyspaceIn } from '../redis/info.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { tellsExpiryTimes } from '../redis/server-version.ts';
import type { ScratchDataset } from './dataset.ts';
import type { BytesClient } from './client.ts';

export interface DumpedKey {
  readonly key: Buffer;
  /** The same buffer, unless the selection renames it. */
  readonly name: Buffer;
  /** What RESTORE takes. */
  readonly payload: Buffer;
  /** In ms since the epoch; 0: never. */
  readonly endsMs: number;
}

export interface DumpedBatch {
  readonly db: number;
  readonly keys: readonly DumpedKey[];
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

/** Over a connection of bytesClient; the dbs in ascending order, none that holds nothing of it. */
export async function* dumpedKeys(
  client: BytesClient,
  dataset: ScratchDataset,
  signal: AbortSignal,
  selection?: KeySelection,
): AsyncGenerator<DumpedBatch, void, undefined> {
  for (const { db } of keyspaceIn(await dataset.client.info('keyspace'))) {
    if (selection?.takesDb(db) === false) continue;
    await client.sendCommand(['SELECT', String(db)]);
    for await (const keys of keysOf(client, dataset, signal, selection)) yield { db, keys };
  }
}

async function* keysOf(
  client: BytesClient,
  { program }: ScratchDataset,
  signal: AbortSignal,
  selection: KeySelection | undefined,
): AsyncGenerator<DumpedKey[], void, undefined> {
  let cursor = '0';
  let atOnce = 16;
  do {
    const [next, seen] = await client.sendCommand<[Buffer, Buffer[]]>(['SCAN', cursor, 'COUNT', String(scanCount)]);
    cursor = next.toString('latin1');
    const keys = selection === undefined ? seen : await wanted(client, seen, selection);
    for (let from = 0; from < keys.length;) {
      signal.throwIfAborted();
      const batch = keys.slice(from, from + atOnce);
      const dumped = await dump(client, batch, tellsExpiryTimes(program), selection);
      if (dumped.length > 0) yield dumped;
      from += batch.length;
      const average = dumped.reduce((sum, { payload }) => sum + payload.length, 0) / batch.length;
      atOnce = Math.max(1, Math.min(keysAtOnceMax, Math.floor(bytesAtOnce / (average + 100))));
    }
  } while (cursor !== '0');
}

async function dump(
  client: BytesClient,
  keys: readonly Buffer[],
  isAbsolute: boolean,
  selection: KeySelection | undefined,
): Promise<DumpedKey[]> {
  const told = await client.sendCommand<(Buffer | number | null)[]>([
    ...['EVAL', dumpScript, String(keys.length)],
    ...keys,
    isAbsolute ? '1' : '0',
  ]);
  return keys.flatMap((key, i) => {
    const [payload, ends] = [told[2 * i], told[2 * i + 1]];
    // It elapsed between SCAN and now.
    if (!Buffer.isBuffer(payload) || typeof ends !== 'number' || ends === -2) return [];
    return [{ key, name: selection?.nameOf(key) ?? key, payload, endsMs: Math.max(0, ends) }];
  });
}

async function wanted(client: BytesClient, keys: readonly Buffer[], selection: KeySelection): Promise<Buffer[]> {
  const named = keys.filter((key) => selection.takesName(key));
  const { types } = selection;
  if (types === undefined) return named;
  const told = await Promise.all(named.map((key) => client.sendCommand<string>(['TYPE', key])));
  return named.filter((_, i) => types.has(told[i] ?? ''));
}
