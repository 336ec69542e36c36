/**
 * Room that is kept for the worst moment: a file of real bytes which is given up when the disk is full, so that the last
 * small things (the state file, a mark, what was received and the record of a clean stop) can still be written.
 *
 * Invariant: it is there whole or not at all, and what is in it has no meaning.
 */
import { dirname } from 'node:path';
import { StorageError } from '../core/errors.ts';
import type { Disk } from './disk.ts';
import { temporaryPath } from './publish.ts';

const chunk = Buffer.alloc(1024 * 1024);

export class Reserve {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #bytes: number;

  /** A whole number of MiB. */
  constructor(disk: Disk, path: string, bytes: number) {
    this.#disk = disk;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Whether it is there on return; false, and nothing left behind, where the room for it is missing. */
  async make(): Promise<boolean> {
    const directory = dirname(this.#path);
    if ((await this.#disk.size(this.#path)) === this.#bytes) return true;
    // Not to take what little there is from those who may need it now.
    if ((await this.#disk.freeBytes(directory)) < this.#bytes + chunk.length) return false;
    const temporary = temporaryPath(directory);
    try {
      await this.#write(temporary);
      await this.#disk.rename(temporary, this.#path);
      await this.#disk.syncDirectory(directory);
      return true;
    } catch (error) {
      await this.#disk.remove(temporary);
      if (error instanceof StorageError && error.code === 'no-space') return false;
      throw error;
    }
  }

  async giveUp(): Promise<void> {
    await this.#disk.remove(this.#path);
    await this.#disk.syncDirectory(dirname(this.#path));
  }

  async #write(path: string): Promise<void> {
    await using file = await this.#disk.create(path);
    for (let at = 0; at < this.#bytes; at += chunk.length) await file.write([chunk], at);
    await file.sync();
  }
}
