/**
 * Where a restored directory comes into being: out of sight first, and in its place only when it is whole and synced.
 *
 *   OUT does not exist         a hidden sibling is filled, then renamed
 *   OUT is an empty directory  (a mounted volume) a hidden directory in it is filled; what is in that is renamed into
 *                              OUT, and last the entry that a server looks for: with it, all of it is there
 *
 * Invariant: until publish() returns, nothing under OUT is of use to a server; when it isn't reached, what was made is
 * removed, by the next restore at the latest (work-directory.ts).
 */
import { basename, dirname, join, resolve } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { StorageError, UsageError } from '../../core/errors.ts';
import type { Disk } from '../../storage/disk.ts';
import type { Owner } from './owner.ts';
import { isWorkDirectory, removeAbandoned, WorkDirectory } from './work-directory.ts';

/** What a freshly made file system holds by itself. */
const notOurs = 'lost+found';

/** Left free for directories, the manifest, and what the file system needs. */
const spareBytes = 4 * 1024 * 1024;

export class DirectorySink implements AsyncDisposable {
  /** Where the directory will be. */
  readonly to: string;
  readonly #work: WorkDirectory;
  /** What is filled: the directory to be, or what is to be in it. */
  readonly #root: string;
  readonly #disk: Disk;
  readonly #owner: Owner | undefined;
  readonly #isVolume: boolean;
  readonly #directories: string[] = [];
  readonly #files: string[] = [];
  readonly #moved: string[] = [];
  #isPublished = false;

  private constructor(disk: Disk, to: string, owner: Owner | undefined, work: WorkDirectory, isVolume: boolean) {
    this.#disk = disk;
    this.#owner = owner;
    this.#work = work;
    this.#isVolume = isVolume;
    this.#root = isVolume ? work.data : join(work.data, basename(to));
    this.to = to;
  }

  /** UsageError when something is in the way (exit 7); nothing is touched then. */
  static async open(disk: Disk, path: string, owner: Owner | undefined, now: Micros): Promise<DirectorySink> {
    const to = resolve(path);
    for (const home of [dirname(to), to]) await removeAbandoned(disk, home, now);
    const isVolume = await isEmptyDirectory(disk, to);
    const work = await (isVolume
      ? WorkDirectory.create(disk, to, undefined, now)
      : WorkDirectory.create(disk, dirname(to), basename(to), now));
    const sink = new DirectorySink(disk, to, owner, work, isVolume);
    try {
      await sink.makeDirectory('.');
      // Whoever may not give files away should know before the first of them is written.
      if (owner !== undefined) await sink.#give(sink.#root, owner);
    } catch (error) {
      await sink[Symbol.asyncDispose]();
      throw error;
    }
    return sink;
  }

  /** StorageError `no-space` unless so much can be written. */
  async reserve(bytes: number): Promise<void> {
    const free = await this.#disk.freeBytes(this.#root);
    if (free >= bytes + spareBytes) return;
    throw new StorageError('no-space', `${bytes} bytes are to be written to ${this.to}, where ${free} are free`, {
      hint: 'free some space, or restore to another file system',
    });
  }

  async makeDirectory(name: string): Promise<void> {
    const path = join(this.#root, name);
    this.#directories.push(path);
    await this.#disk.makeDirectory(path);
  }

  /** The path of a file that will be created; its name is taken down for owner and removal. */
  file(name: string): string {
    const path = join(this.#root, name);
    this.#files.push(path);
    return path;
  }

  /** The path of a file that may be created, and will be gone. */
  get aside(): string {
    return this.#work.aside;
  }

  /** A small file, whole and synced. */
  async writeFile(name: string, text: string): Promise<void> {
    await using file = await this.#disk.create(this.file(name));
    await file.write([Buffer.from(text, 'utf8')], 0);
    await file.sync();
  }

  /** `entries`: what is in the work directory, in the order of appearance; the last one makes it a dataset. */
  async publish(entries: readonly string[]): Promise<void> {
    if (this.#owner !== undefined) {
      for (const path of [...this.#files, ...this.#directories]) await this.#give(path, this.#owner);
    }
    for (const directory of this.#directories.toReversed()) await this.#disk.syncDirectory(directory);
    await (this.#isVolume ? this.#moveIn(entries) : this.#appear());
    this.#isPublished = true;
  }

  /** Removes what was made, unless it was published. */
  async [Symbol.asyncDispose](): Promise<void> {
    const moved = this.#isPublished ? [] : this.#moved.toReversed();
    // What led here is the failure to be told.
    for (const path of moved) await this.#disk.removeTree(path).catch(() => undefined);
    await this.#work[Symbol.asyncDispose]();
  }

  async #appear(): Promise<void> {
    try {
      await this.#disk.rename(this.#root, this.to);
    } catch (error) {
      if ((await this.#disk.size(this.to)) === undefined) throw error;
      throw inTheWay(this.to, 'appeared in the meantime', error);
    }
    this.#moved.push(this.to);
    await this.#disk.syncDirectory(dirname(this.to));
  }

  async #moveIn(entries: readonly string[]): Promise<void> {
    await this.#work.announce(entries);
    for (const name of entries) {
      const path = join(this.to, name);
      if ((await this.#disk.size(path)) !== undefined) throw inTheWay(path, 'appeared in the meantime');
      await this.#disk.rename(join(this.#root, name), path);
      this.#moved.push(path);
      await this.#disk.syncDirectory(this.to);
    }
    if (this.#owner !== undefined) await this.#give(this.to, this.#owner);
  }

  async #give(path: string, { user, group }: Owner): Promise<void> {
    try {
      await this.#disk.changeOwner(path, user, group);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new UsageError('owner-refused', `cannot give ${this.to} to user ${user}`, {
        hint: 'only root can give files away: run this as root, or leave --owner out and change the owner afterwards',
        cause: error,
      });
    }
  }
}

/** False when there is nothing yet. */
async function isEmptyDirectory(disk: Disk, to: string): Promise<boolean> {
  if ((await disk.size(to)) === undefined) {
    const parent = dirname(to);
    if ((await disk.size(parent)) !== undefined) return false;
    throw new UsageError('no-parent', `there is no directory ${parent} to restore into`, {
      hint: `make it first: mkdir -p ${parent}`,
    });
  }
  const names = (await listDirectory(disk, to)).filter((name) => name !== notOurs);
  if (names.length === 0) return true;
  const why = names.every(isWorkDirectory)
    ? `holds ${names[0] ?? ''}: another restore goes on there, or was killed where that cannot be told`
    : `is not empty: it holds ${names.slice(0, 3).join(', ')}`;
  throw inTheWay(to, why);
}

async function listDirectory(disk: Disk, path: string): Promise<string[]> {
  try {
    return await disk.list(path);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw inTheWay(path, 'is not a directory that can be read', error);
  }
}

function inTheWay(path: string, why: string, cause?: unknown): UsageError {
  return new UsageError('destination-in-the-way', `${path} ${why}`, {
    exitCode: 7,
    hint: 'restore to a path that does not exist, or to an empty directory; nothing was changed',
    ...(cause !== undefined && { cause }),
  });
}
