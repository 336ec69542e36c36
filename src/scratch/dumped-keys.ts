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
import type { ScratchConnection } from './scratch-connection.ts';
import type { ScratchDataset } from './dataset.ts';

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

const scanCount = '1000';
const keysAtOnce = 512;
/** Values that come at once, or one that is larger. */
const bytesAtOnce = 4 * 1024 * 1024;

/**
 * Of each key, in one request for many: its value, and the instant at which it ends in ms, -1 for none; of the first ones,
 * until there is enough. Servers before Redis 7.0 tell only what is left, so the clock is read on both sides until it
 * stands still.
 */
const dumpScript = `
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local out = {}
local bytes = 0
for i, key in ipairs(KEYS) do
  local ends
  if ARGV[1] == '1' then
    ends = redis.call('PEXPIRETIME', key)
  else
    local before
    repeat before = now() ends = redis.call('PTTL', key) until now() == before
    if ends >= 0 then ends = before + ends end
  end
  local payload = redis.call('DUMP', key)
  out[2 * i - 1] = payload
  out[2 * i] = ends
  if payload then bytes = bytes + #payload end
  if bytes >= tonumber(ARGV[2]) then break end
end
return out`;

/** The dbs in ascending order, none that holds nothing of it. */
export async function* dumpedKeys(
  dataset: ScratchDataset,
  signal: AbortSignal,
  selection?: KeySelection,
): AsyncGenerator<DumpedBatch, void, undefined> {
  using connection = await dataset.connect();
  for (const { db } of keyspaceIn(await dataset.client.info('keyspace'))) {
    if (selection?.takesDb(db) === false) continue;
    await connection.sendCommand(['SELECT', String(db)]);
    for await (const keys of keysOf(connection, dataset, signal, selection)) yield { db, keys };
  }
}

async function* keysOf(
  connection: ScratchConnection,
  { program }: ScratchDataset,
  signal: AbortSignal,
  selection: KeySelection | undefined,
): AsyncGenerator<DumpedKey[], void, undefined> {
  let cursor = '0';
  do {
    const [next, seen] = await connection.sendCommand<[Buffer, Buffer[]]>(['SCAN', cursor, 'COUNT', scanCount]);
    cursor = next.toString('latin1');
    const keys = selection === undefined ? seen : await wanted(connection, seen, selection);
    for (let from = 0; from < keys.length;) {
      signal.throwIfAborted();
      const dumped = await dump(connection, keys.slice(from, from + keysAtOnce), tellsExpiryTimes(program));
      from += dumped.length;
      const found = dumped.filter((one) => one !== undefined);
      if (found.length > 0) yield named(found, selection);
    }
  } while (cursor !== '0');
}

/** Of the first ones of the keys; undefined: it elapsed between SCAN and now. */
async function dump(
  connection: ScratchConnection,
  keys: readonly Buffer[],
  isAbsolute: boolean,
): Promise<(Omit<DumpedKey, 'name'> | undefined)[]> {
  const told = await connection.sendCommand<(Buffer | number | null)[]>([
    ...['EVAL', dumpScript, String(keys.length)],
    ...keys,
    ...[isAbsolute ? '1' : '0', String(bytesAtOnce)],
  ]);
  return keys.slice(0, told.length / 2).map((key, i) => {
    const [payload, ends] = [told[2 * i], told[2 * i + 1]];
    if (!Buffer.isBuffer(payload) || typeof ends !== 'number' || ends === -2) return undefined;
    return { key, payload, endsMs: Math.max(0, ends) };
  });
}

function named(keys: readonly Omit<DumpedKey, 'name'>[], selection: KeySelection | undefined): DumpedKey[] {
  return keys.map((one) => ({ ...one, name: selection?.nameOf(one.key) ?? one.key }));
}

async function wanted(
  connection: ScratchConnection,
  keys: readonly Buffer[],
  selection: KeySelection,
): Promise<Buffer[]> {
  const taken = keys.filter((key) => selection.takesName(key));
  const { types } = selection;
  if (types === undefined) return taken;
  const told = await Promise.all(taken.map((key) => connection.sendCommand<string>(['TYPE', key])));
  return taken.filter((_, i) => types.has(told[i] ?? ''));
}
