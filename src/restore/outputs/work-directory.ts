/**
 * The hidden directory in which a restore makes what is to appear: `.NAME.restoring-XXXXXXXX` beside it, or
 * `.restoring-XXXXXXXX` in it. What a process that was killed has left of it is removed by the next restore that comes by.
 *
 *   holder.json, lock   whose it is, and whether that one still lives (storage/disk.ts)
 *   data/               what will appear, under the names that it will have
 *   appearing           where that takes several steps: the names, in their order; the last one makes it complete
 *   aside               what is put aside while it is made
 *
 * Invariant: nothing is removed but what such a directory, abandoned, says of itself.
 */
import { join } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { formatInstant } from '../../core/instant.ts';
import type { Disk } from '../../storage/disk.ts';
import { readSmall, uniqueHex } from '../../storage/publish.ts';

const namePattern = /^\.(?:.+\.)?restoring-[0-9a-f]{8}$/s;
const dataFolder = 'data';
const appearingFile = 'appearing';
const asideFile = 'aside';

export class WorkDirectory implements AsyncDisposable {
  /** Empty at first. */
  readonly data: string;
  readonly #path: string;
  readonly #disk: Disk;
  readonly #hold: Disposable;

  private constructor(disk: Disk, path: string, hold: Disposable) {
    this.#disk = disk;
    this.#path = path;
    this.#hold = hold;
    this.data = join(path, dataFolder);
  }

  /** For what is to appear in `home`, as `name` or as several. */
  static async create(disk: Disk, home: string, name: string | undefined, now: Micros): Promise<WorkDirectory> {
    const path = join(home, `${name === undefined ? '' : `.${name}`}.restoring-${uniqueHex()}`);
    const work = new WorkDirectory(disk, path, await disk.makeHeld(path, formatInstant(now)));
    try {
      await disk.makeDirectory(work.data);
      return work;
    } catch (error) {
      await work[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where a file may be made that will not appear. */
  get aside(): string {
    return join(this.#path, asideFile);
  }

  /** Before the first of several: what has appeared of them without the last is removed with this. */
  async announce(names: readonly string[]): Promise<void> {
    await using file = await this.#disk.create(join(this.#path, appearingFile));
    await file.write([Buffer.from(JSON.stringify(names), 'utf8')], 0);
    await file.sync();
  }

  /** Removes it, with all that is still in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A disk that cannot even remove leaves a hidden directory, to the next restore; what led here is to be told.
    await this.#disk.removeTree(this.#path).catch(() => undefined);
    this.#hold[Symbol.dispose]();
  }
}

export function isWorkDirectory(name: string): boolean {
  return namePattern.test(name);
}

/** What processes that were killed have left in `home`. One that cannot be removed is in nobody's way. */
export async function removeAbandoned(disk: Disk, home: string, now: Micros): Promise<void> {
  const names = await disk.list(home).catch(() => []);
  for (const name of names.filter(isWorkDirectory)) {
    const path = join(home, name);
    if (!(await disk.isAbandoned(path, now))) continue;
    await takeBack(disk, home, path).catch(() => undefined);
    await disk.removeTree(path).catch(() => undefined);
  }
}

/** What had appeared without the last: what is no longer in `data`. */
async function takeBack(disk: Disk, home: string, path: string): Promise<void> {
  const names = await announced(disk, path);
  const last = names.at(-1);
  if (last === undefined || (await disk.size(join(home, last))) !== undefined) return;
  for (const name of names) {
    if ((await disk.size(join(path, dataFolder, name))) === undefined) await disk.removeTree(join(home, name));
  }
}

async function announced(disk: Disk, path: string): Promise<string[]> {
  const file = join(path, appearingFile);
  if ((await disk.size(file)) === undefined) return [];
  const names: unknown = JSON.parse((await readSmall(disk, file)).toString('utf8'));
  const isName = (name: unknown): name is string => typeof name === 'string' && !/^\.{0,2}$|[/\0]/.test(name);
  return Array.isArray(names) && names.every(isName) ? names : [];
}
