/**
 * One RDB file, saved by a scratch server; FILE.restore.json beside it says what it holds.
 *
 * Invariant: FILE is never replaced, and appears last, whole and synced.
 */
import { basename, dirname, join, resolve } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { StorageError, UsageError } from '../../core/errors.ts';
import type { Disk } from '../../storage/disk.ts';
import { restoredFile } from './output.ts';
import type { RestoreOutput, RestoreSource, Written } from './output.ts';
import type { Owner } from './owner.ts';
import { saveDataset } from './saved-rdb.ts';
import { removeAbandoned, WorkDirectory } from './work-directory.ts';

export class RdbOutput implements RestoreOutput {
  readonly to: string;
  readonly #disk: Disk;
  readonly #owner: Owner | undefined;
  readonly #work: WorkDirectory;

  private constructor(disk: Disk, to: string, owner: Owner | undefined, work: WorkDirectory) {
    this.to = to;
    this.#disk = disk;
    this.#owner = owner;
    this.#work = work;
  }

  /** UsageError when something is in the way (exit 7); nothing is touched then. */
  static async open(disk: Disk, path: string, owner: Owner | undefined, now: Micros): Promise<RdbOutput> {
    const to = resolve(path);
    const parent = dirname(to);
    await removeAbandoned(disk, parent, now);
    if ((await disk.size(to)) !== undefined) throw inTheWay(to);
    if ((await disk.size(parent)) === undefined) {
      throw new UsageError('no-parent', `there is no directory ${parent} to restore into`, {
        hint: `make it first: mkdir -p ${parent}`,
      });
    }
    return new RdbOutput(disk, to, owner, await WorkDirectory.create(disk, parent, basename(to), now));
  }

  get scratchParent(): string {
    return dirname(this.to);
  }

  async write(source: RestoreSource): Promise<Written> {
    const { dataset } = source;
    if (dataset === undefined) throw new RangeError('an RDB is saved by a scratch server, and the plan has none');
    const { bytes, crc, picked } = await saveDataset(source, dataset, this.#file);
    return { files: [restoredFile(basename(this.to), bytes, crc)], bytes, isBaseClone: false, warnings: [], picked };
  }

  async publish(record: string): Promise<void> {
    const recordPath = `${this.to}.restore.json`;
    const names = [basename(recordPath), basename(this.to)];
    await this.#writeRecord(record);
    for (const path of [this.#file, this.#record]) await this.#give(path);
    await this.#work.announce(names);
    await this.#disk.rename(this.#record, recordPath);
    try {
      await this.#disk.link(this.#file, this.to);
    } catch (error) {
      await this.#disk.remove(recordPath);
      throw error instanceof StorageError && error.code === 'exists' ? inTheWay(this.to, error) : error;
    }
    await this.#disk.syncDirectory(dirname(this.to));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#work[Symbol.asyncDispose]();
  }

  get #file(): string {
    return join(this.#work.data, basename(this.to));
  }

  get #record(): string {
    return `${this.#file}.restore.json`;
  }

  async #writeRecord(record: string): Promise<void> {
    await using file = await this.#disk.create(this.#record);
    await file.write([Buffer.from(record, 'utf8')], 0);
    await file.sync();
  }

  async #give(path: string): Promise<void> {
    if (this.#owner === undefined) return;
    try {
      await this.#disk.changeOwner(path, this.#owner.user, this.#owner.group);
    } catch (error) {
      throw new UsageError('owner-refused', `cannot give ${this.to} to user ${this.#owner.user}`, {
        hint: 'only root can give files away: run this as root, or leave --owner out and change the owner afterwards',
        cause: error,
      });
    }
  }
}

function inTheWay(path: string, cause?: unknown): UsageError {
  return new UsageError('destination-in-the-way', `${path} exists`, {
    exitCode: 7,
    hint: 'restore to a file that does not exist; nothing was changed',
    ...(cause !== undefined && { cause }),
  });
}
