/**
 * One RDB file, saved by a scratch server; FILE.restore.json beside it says what it holds.
 *
 * Invariant: FILE is never replaced, and appears last, whole and synced.
 */
import { basename, dirname } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import type { Disk } from '../../storage/disk.ts';
import { NewFile } from './new-file.ts';
import { restoredFile } from './output.ts';
import type { RestoreOutput, RestoreSource, Written } from './output.ts';
import type { Owner } from './owner.ts';
import { saveDataset } from './saved-rdb.ts';

export class RdbOutput implements RestoreOutput {
  readonly to: string;
  readonly #disk: Disk;
  readonly #owner: Owner | undefined;
  readonly #target: NewFile;

  private constructor(disk: Disk, owner: Owner | undefined, target: NewFile) {
    this.to = target.to;
    this.#disk = disk;
    this.#owner = owner;
    this.#target = target;
  }

  /** UsageError when something is in the way (exit 7); nothing is touched then. */
  static async open(disk: Disk, path: string, owner: Owner | undefined, now: Micros): Promise<RdbOutput> {
    return new RdbOutput(disk, owner, await NewFile.open(disk, path, now));
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
    await this.#target.work.announce(names);
    await this.#disk.rename(this.#record, recordPath);
    try {
      await this.#target.appear();
    } catch (error) {
      await this.#disk.remove(recordPath);
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#target[Symbol.asyncDispose]();
  }

  get #file(): string {
    return this.#target.path;
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
