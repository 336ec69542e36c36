/**
 * The private directory of a scratch server: made anew beside the destination, 0700, held by a lock of the kernel, removed
 * when it is disposed. What a killed process left there, files or even a server, is removed by the next that comes.
 *
 * Invariant: a directory is taken for left behind only if it says whose it was and nobody holds its lock any more. One
 * that is just being made has no such file yet; it is left alone for a minute.
 */
import { mkdir, readdir, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { StorageError, UsageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { storageError } from '../storage/disk-errors.ts';
import { isAbandoned } from '../storage/held-directory.ts';
import { uniqueHex } from '../storage/publish.ts';
import { WriterLock } from '../storage/writer-lock.ts';

const prefix = '.journal-scratch-';

export class PrivateDirectory implements AsyncDisposable {
  /** Absolute, free of links. */
  readonly path: string;
  readonly #lock: WriterLock;

  private constructor(path: string, lock: WriterLock) {
    this.path = path;
    this.#lock = lock;
  }

  static async create(parent: string, clock: Clock): Promise<PrivateDirectory> {
    const home = await realpath(parent).catch((error: unknown) => {
      throw new UsageError('no-scratch-dir', `there is no directory ${parent} for a scratch server`, {
        hint: 'make it first, or name another with --scratch-dir',
        cause: error,
      });
    });
    await removeLeftBehind(home, clock);
    const path = join(home, `${prefix}${uniqueHex()}`);
    try {
      await mkdir(path, { mode: 0o700 });
      return new PrivateDirectory(path, WriterLock.acquire(path, formatInstant(clock.wall())));
    } catch (error) {
      await rm(path, { recursive: true, force: true });
      if (error instanceof StorageError) throw error;
      throw storageError('make a directory for a scratch server in', home, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    this.#lock[Symbol.dispose]();
  }
}

/** Ends and removes what processes that were killed have left in `parent`; returns the names. */
export async function removeLeftBehind(parent: string, clock: Clock): Promise<string[]> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(prefix));
  const removed: string[] = [];
  for (const name of names) {
    const path = join(parent, name);
    if (!(await isAbandoned(path, clock.wall()))) continue;
    for (const pid of await processesIn(path)) kill(pid);
    await rm(path, { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

/** Processes that work in that very directory; none where the system does not tell. */
async function processesIn(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => ((await readlink(`/proc/${pid}/cwd`).catch(() => '')) === directory ? [Number(pid)] : [])),
  );
  return found.flat().filter((pid) => pid !== process.pid);
}
