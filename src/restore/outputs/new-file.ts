/**
 * A file that must not exist yet: where it is made until it is whole, and how it appears.
 *
 * Invariant: it is never replaced, and appears whole and synced, or not at all.
 */
import { basename, dirname, join, resolve } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { StorageError, UsageError } from '../../core/errors.ts';
import type { Disk } from '../../storage/disk.ts';
import { removeAbandoned, WorkDirectory } from './work-directory.ts';

export class NewFile implements AsyncDisposable {
  /** Where it will be. */
  readonly to: string;
  readonly work: WorkDirectory;
  readonly #disk: Disk;

  private constructor(disk: Disk, to: string, work: WorkDirectory) {
    this.#disk = disk;
    this.to = to;
    this.work = work;
  }

  /** UsageError when something is in the way (exit 7); nothing is touched then. */
  static async open(disk: Disk, path: string, now: Micros): Promise<NewFile> {
    const to = resolve(path);
    const parent = dirname(to);
    await removeAbandoned(disk, parent, now);
    if ((await disk.size(to)) !== undefined) throw inTheWay(to);
    if ((await disk.size(parent)) === undefined) {
      throw new UsageError('no-parent', `there is no directory ${parent} to make ${basename(to)} in`, {
        hint: `make it first: mkdir -p ${parent}`,
      });
    }
    return new NewFile(disk, to, await WorkDirectory.create(disk, parent, basename(to), now));
  }

  /** Where it is made. */
  get path(): string {
    return join(this.work.data, basename(this.to));
  }

  /** Durable on return. It was synced before. */
  async appear(): Promise<void> {
    try {
      await this.#disk.link(this.path, this.to);
    } catch (error) {
      throw error instanceof StorageError && error.code === 'exists' ? inTheWay(this.to, error) : error;
    }
    await this.#disk.syncDirectory(dirname(this.to));
  }

  /** Removes what has not appeared. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.work[Symbol.asyncDispose]();
  }
}

function inTheWay(path: string, cause?: unknown): UsageError {
  return new UsageError('destination-in-the-way', `${path} exists`, {
    exitCode: 7,
    hint: 'name a file that does not exist; nothing was changed',
    ...(cause !== undefined && { cause }),
  });
}
