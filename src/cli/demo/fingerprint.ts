/**
 * What a dataset is, in one line: every value (DEBUG DIGEST sees them all), and the exact time at which each key expires.
 * Two servers with the same fingerprint hold the same data. Only for servers of the demo: it walks over all keys.
 */
import { createHash } from 'node:crypto';
import type { ScratchConnection } from '../../scratch/scratch-connection.ts';

export interface Fingerprint {
  readonly keys: number;
  /** Hex; the first digits are enough to compare by eye. */
  readonly sha256: string;
}

export async function fingerprint(client: ScratchConnection, knowsExpiryTimes: boolean): Promise<Fingerprint> {
  const hash = createHash('sha256');
  hash.update(await text(client, ['DEBUG', 'DIGEST']));
  let keys = 0;
  for (const db of await databases(client)) {
    await client.sendCommand(['SELECT', String(db)]);
    const names = (await client.sendCommand<Buffer[]>(['KEYS', '*'])).map(String).sort();
    keys += names.length;
    const times = knowsExpiryTimes
      ? await Promise.all(names.map((name) => client.sendCommand(['PEXPIRETIME', name])))
      : [];
    hash.update(JSON.stringify([db, names, times.map(String)]));
  }
  await client.sendCommand(['SELECT', '0']);
  return { keys, sha256: hash.digest('hex') };
}

/** Numbers of the dbs that hold anything. */
async function databases(client: ScratchConnection): Promise<number[]> {
  const info = await text(client, ['INFO', 'keyspace']);
  return [...info.matchAll(/^db(\d+):/gm)].map(([, db]) => Number(db));
}

async function text(client: ScratchConnection, command: readonly string[]): Promise<string> {
  const reply = await client.sendCommand(command);
  if (typeof reply !== 'string' && !Buffer.isBuffer(reply))
    throw new TypeError(`${command.join(' ')} answered with something else than a string`);
  return String(reply);
}
