/**
 * Directories in which something is being made that nobody is to see half done: held by a lock of the kernel for as long
 * as the process lives that makes it. One that was killed leaves it, and whoever comes next can tell.
 *
 * Invariant: a directory is taken for abandoned only if it says whose it was and nobody holds its lock any more. One that
 * is just being made has no such file yet; it is left alone for a minute.
 */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Micros } from '../core/clock.ts';
import { WriterLock } from './writer-lock.ts';

/** Longer than it takes to make one. */
const birthMs = 60_000;

/** False also where it cannot be told. */
export async function isAbandoned(path: string, now: Micros): Promise<boolean> {
  return isLeftBehind(path) || (await isStillborn(path, now));
}

function isLeftBehind(path: string): boolean {
  try {
    return existsSync(join(path, 'holder.json')) && WriterLock.probe(path) === undefined;
  } catch {
    // Another's, or just being removed by another.
    return false;
  }
}

/** Its maker died before it could say whose it was. */
async function isStillborn(path: string, now: Micros): Promise<boolean> {
  try {
    const names = await readdir(path);
    if (!names.every((name) => name.startsWith('lock') || name.startsWith('.tmp-holder-'))) return false;
    return (await stat(path)).mtimeMs < now / 1000 - birthMs;
  } catch {
    return false;
  }
}
