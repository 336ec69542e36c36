/**
 * A disk under the eyes of its user: operations that find no room wait for it (room.ts) and are tried again, and it is
 * known how long the medium has not answered. For the threads that write a journal; readers take the disk as it is.
 *
 * Only what had no effect is tried again: a write refused for lack of room leaves what was written before as it is, and
 * is repeated at the same place. A failed sync never is (SPEC.md 10, step 7).
 */
import type { Clock, Micros } from '../core/clock.ts';
import { StorageError } from '../core/errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { Room } from './room.ts';

/** An operation that has not returned. */
export interface Unanswered {
  readonly operation: string;
  readonly path: string;
  /** On the monotonic clock. */
  readonly since: Micros;
}

export class WatchedDisk implements Disk {
  readonly #disk: Disk;
  readonly #room: Room;
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #unanswered = new Set<Unanswered>();

  constructor(disk: Disk, room: Room, clock: Clock) {
    this.#disk = disk;
    this.#room = room;
    this.#clock = clock;
  }

  /** What the medium has not answered for the longest time. */
  get unanswered(): Unanswered | undefined {
    return this.#unanswered.values().next().value;
  }

  list(directory: string): Promise<string[]> {
    return this.#disk.list(directory);
  }

  size(path: string): Promise<number | undefined> {
    return this.#disk.size(path);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#patiently('create directory', path, () => this.#disk.makeDirectory(path));
  }

  async create(path: string): Promise<DiskFile> {
    return this.#file(await this.#patiently('create', path, () => this.#disk.create(path)));
  }

  async open(path: string, mode: 'read' | 'write'): Promise<DiskFile> {
    const file = await this.#disk.open(path, mode);
    return mode === 'read' ? file : this.#file(file);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#patiently('rename', to, () => this.#disk.rename(from, to));
  }

  link(from: string, to: string): Promise<void> {
    return this.#patiently('link', to, () => this.#disk.link(from, to));
  }

  clone(from: string, to: string): Promise<boolean> {
    return this.#disk.clone(from, to);
  }

  makeHeld(path: string, since: string): Promise<Disposable> {
    return this.#watched('create directory', path, () => this.#disk.makeHeld(path, since));
  }

  isAbandoned(path: string, now: Micros): Promise<boolean> {
    return this.#disk.isAbandoned(path, now);
  }

  changeOwner(path: string, user: number, group: number | undefined): Promise<void> {
    return this.#disk.changeOwner(path, user, group);
  }

  remove(path: string): Promise<void> {
    return this.#watched('remove', path, () => this.#disk.remove(path));
  }

  removeTree(path: string): Promise<void> {
    return this.#watched('remove', path, () => this.#disk.removeTree(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#watched('sync directory', path, () => this.#disk.syncDirectory(path));
  }

  freeBytes(path: string): Promise<number> {
    return this.#disk.freeBytes(path);
  }

  #file(file: DiskFile): DiskFile {
    const { path } = file;
    return {
      path,
      read: (target, position) => file.read(target, position),
      write: (parts, position) => this.#patiently('write', path, () => file.write(parts, position)),
      sync: () => this.#watched('sync', path, () => file.sync()),
      truncate: (size) => this.#watched('truncate', path, () => file.truncate(size)),
      size: () => file.size(),
      close: () => file.close(),
      [Symbol.asyncDispose]: () => file.close(),
    };
  }

  async #patiently<T>(operation: string, path: string, act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#watched(operation, path, act);
      } catch (error) {
        if (!(error instanceof StorageError && error.code === 'no-space')) throw error;
        await this.#room.wait(error);
      }
    }
  }

  async #watched<T>(operation: string, path: string, act: () => Promise<T>): Promise<T> {
    const one = { operation, path, since: this.#clock.monotonic() };
    this.#unanswered.add(one);
    try {
      return await act();
    } finally {
      this.#unanswered.delete(one);
    }
  }
}
