/**
 * Looks at one key of a scratch dataset in some dbs, whether or not its time has passed: a replica tells clients nothing of
 * what has elapsed, but a script that comes over its replication link sees everything, and puts it where clients can read it.
 * On Redis 6.0 to 8.0 and Valkey 8.0 to 9.1.
 *
 * Invariant: the dataset is as it was, but for a db that nobody uses.
 */
import { probedValueBytesMax } from '../core/limits.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import { tellsExpiryTimes } from '../redis/server-version.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import { lastDb } from './dataset.ts';
import type { ScratchDataset } from './dataset.ts';

export interface ProbedKey {
  readonly db: number;
  /** What DUMP tells; undefined where it is too large to be looked at. */
  readonly payload: Buffer | undefined;
  readonly payloadBytes: number;
  /** In ms since the epoch, 0: never; `past`: that was so, and servers before 7.0 do not tell when. */
  readonly endsMs: number | 'past';
}

const script = `
for i = 3, #ARGV do
  redis.call('SELECT', ARGV[i])
  local payload = redis.call('DUMP', KEYS[1])
  local ends = 0
  if payload and ARGV[1] == '1' then
    ends = math.max(0, redis.call('PEXPIRETIME', KEYS[1]))
  elseif payload then
    local time = redis.call('TIME')
    local left = redis.call('PTTL', KEYS[1])
    if left == 0 then ends = -1 end
    if left > 0 then ends = time[1] * 1000 + math.floor(time[2] / 1000) + left end
  end
  redis.call('SELECT', ARGV[2])
  redis.call('DEL', 'value:' .. ARGV[i], 'ends:' .. ARGV[i])
  if payload then
    redis.call('SET', 'value:' .. ARGV[i], payload)
    redis.call('SET', 'ends:' .. ARGV[i], string.format('%.0f', ends))
  end
end`;

/** To be sent over the link of the dataset, behind the commands whose outcome is asked for. */
export function probeCommands(program: ServerVersion, key: Buffer, dbs: readonly number[]): Buffer {
  const isAbsolute = tellsExpiryTimes(program) ? '1' : '0';
  const words = ['EVAL', script, '1', key, isAbsolute, String(lastDb), ...dbs.map(String)];
  return Buffer.concat([encodeCommand('SELECT', String(lastDb)), encodeCommand(...words)]);
}

/** What the probe has found, where the key is there. */
export async function probedKeys(dataset: ScratchDataset, dbs: readonly number[]): Promise<ProbedKey[]> {
  using connection = await dataset.connect();
  await connection.sendCommand(['SELECT', String(lastDb)]);
  const found: ProbedKey[] = [];
  for (const db of dbs) {
    const ends = await connection.sendCommand<Buffer | null>(['GET', `ends:${db}`]);
    if (ends === null) continue;
    const endsMs = Number(ends.toString('latin1'));
    const payloadBytes = await connection.sendCommand<number>(['STRLEN', `value:${db}`]);
    const isSmall = payloadBytes <= probedValueBytesMax;
    const payload = isSmall ? await connection.sendCommand<Buffer>(['GET', `value:${db}`]) : undefined;
    found.push({ db, payload, payloadBytes, endsMs: endsMs < 0 ? 'past' : endsMs });
  }
  return found;
}
