/**
 * How fast restores went on this machine, for the estimates of the next: a small file in the user's cache directory
 * (XDG_CACHE_HOME, else ~/.cache). It may be removed at any time; where it cannot be read or written, nothing is learnt.
 */
import { dirname, isAbsolute, join } from 'node:path';
import type { Environment } from '../daemon/layers.ts';
import { estimateSeconds, learnPace } from '../restore/plan/estimate.ts';
import type { Paces, Work } from '../restore/plan/estimate.ts';
import type { Disk } from '../storage/disk.ts';
import { readSmall, replaceCache } from '../storage/publish.ts';
import type { CliIo } from './io.ts';

type Where = Pick<CliIo, 'disk' | 'env'>;

/** In seconds. */
export async function estimated(work: Work, { disk, env }: Where): Promise<number> {
  return estimateSeconds(work, await readPaces(disk, env));
}

/** After a restore that took so long. */
export async function learnFrom(work: Work, seconds: number, { disk, env }: Where): Promise<void> {
  const paces = await readPaces(disk, env);
  const learnt = learnPace(paces, work, seconds);
  if (learnt !== paces) await keepPaces(disk, env, learnt);
}

export async function readPaces(disk: Disk, env: Environment): Promise<Paces> {
  const file = pacesFile(env);
  if (file === undefined) return {};
  try {
    const paces: unknown = JSON.parse((await readSmall(disk, file)).toString('utf8'));
    if (typeof paces !== 'object' || paces === null) return {};
    return Object.fromEntries(
      Object.entries(paces).filter((entry): entry is [string, number] => Number.isFinite(entry[1]) && entry[1] > 0),
    );
  } catch {
    return {};
  }
}

export async function keepPaces(disk: Disk, env: Environment, paces: Paces): Promise<void> {
  const file = pacesFile(env);
  if (file === undefined) return;
  try {
    // A home that does not exist is not made.
    if ((await disk.size(dirname(dirname(dirname(file))))) === undefined) return;
    await disk.makeDirectory(dirname(file));
    await replaceCache(disk, file, Buffer.from(`${JSON.stringify(paces, undefined, 2)}\n`, 'utf8'));
  } catch {
    // An estimate is all that it is for.
  }
}

function pacesFile({ XDG_CACHE_HOME: cache, HOME: home }: Environment): string | undefined {
  if (cache !== undefined && isAbsolute(cache)) return join(cache, 'journal', 'restore-paces.json');
  if (home !== undefined && isAbsolute(home)) return join(home, '.cache', 'journal', 'restore-paces.json');
  return undefined;
}
