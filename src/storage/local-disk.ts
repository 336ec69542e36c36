/**
 * Disk on the machine's own file system. A thin shell over node:fs: it adds full writes and reads, permissions, and
 * errors that name operation, path and remedy. It keeps no state; the contract is in disk.ts.
 *
 * Its calls go to the threads that Node has for them, of which there are four for the whole process; or, for a thread
 * that does nothing else meanwhile, they block (blocking-calls.ts).
 */
import { constants } from 'node:fs';
import * as pooledCalls from 'node:fs/promises';
import { blockingCalls } from './blocking-calls.ts';
import type { FileCalls, FileHandle } from './blocking-calls.ts';
import { attempt, errorCode, storageError } from './disk-errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { isAbandoned } from './held-directory.ts';
import { WriterLock } from './writer-lock.ts';

const fileMode = 0o600;
const directoryMode = 0o700;

/** Linux takes at most 1024 parts in one writev. */
const partsPerWriteMax = 1024;

export const localDisk: Disk = diskOf(pooledCalls);

/** The same in a thread of its own: it takes no place in the pool, where capture's writes and syncs would wait behind it. */
export const blockingDisk: Disk = diskOf(blockingCalls);

function diskOf(fs: FileCalls): Disk {
  return {
    list: (directory) => attempt('list', directory, () => fs.readdir(directory)),

    async size(path) {
      try {
        return (await fs.stat(path)).size;
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return undefined;
        throw storageError('stat', path, error);
      }
    },

    async makeDirectory(path) {
      await attempt('create directory', path, () => fs.mkdir(path, { recursive: true, mode: directoryMode }));
    },

    async makeHeld(path, since) {
      await attempt('create directory', path, () => fs.mkdir(path, { recursive: true, mode: directoryMode }));
      try {
        return WriterLock.acquire(path, since);
      } catch {
        // No locks here: what is left behind will be taken for another's, and stay.
        return { [Symbol.dispose]: () => undefined };
      }
    },

    isAbandoned,

    create: (path) =>
      attempt('create', path, async () => new LocalFile(path, await fs.open(path, createFlags, fileMode))),

    open: (path, mode) =>
      attempt('open', path, async () => new LocalFile(path, await fs.open(path, mode === 'read' ? 'r' : 'r+'))),

    rename: (from, to) => attempt('rename', from, () => fs.rename(from, to)),
    link: (from, to) => attempt('link', to, () => fs.link(from, to)),

    async clone(from, to) {
      try {
        await fs.copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
      } catch (error) {
        if (cannotClone.has(errorCode(error))) return false;
        throw storageError('clone', to, error);
      }
      await attempt('change mode of', to, () => fs.chmod(to, fileMode));
      return true;
    },

    changeOwner: (path, user, group) =>
      attempt('change owner of', path, () => fs.chown(path, user, group ?? unchanged)),

    remove: (path) => attempt('remove', path, () => fs.rm(path, { force: true })),
    removeTree: (path) => attempt('remove', path, () => fs.rm(path, { force: true, recursive: true })),

    syncDirectory: (path) =>
      attempt('sync directory', path, async () => {
        await using handle = await fs.open(path, 'r');
        await handle.sync();
      }),

    freeBytes: (path) =>
      attempt('stat file system', path, async () => {
        const { bavail, bsize } = await fs.statfs(path);
        return bavail * bsize;
      }),
  };
}

/** What file systems without shared extents say, and what one says of a file on another. */
const cannotClone: ReadonlySet<string> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EINVAL', 'EXDEV']);
/** chown(2) leaves what is −1 as it is. */
const unchanged = -1;

const createFlags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;

class LocalFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #closing: Promise<void> | undefined;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return attempt('read', this.path, async () => {
      let done = 0;
      while (done < target.length) {
        const { bytesRead } = await this.#handle.read(target, done, target.length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  write(parts: readonly Uint8Array[], position: number): Promise<void> {
    return attempt('write', this.path, async () => {
      let at = position;
      for (let from = 0; from < parts.length; from += partsPerWriteMax) {
        at = await this.#writeSome(parts.slice(from, from + partsPerWriteMax), at);
      }
    });
  }

  sync(): Promise<void> {
    return attempt('sync', this.path, () => this.#handle.datasync());
  }

  truncate(size: number): Promise<void> {
    return attempt('truncate', this.path, () => this.#handle.truncate(size));
  }

  size(): Promise<number> {
    return attempt('stat', this.path, async () => (await this.#handle.stat()).size);
  }

  close(): Promise<void> {
    this.#closing ??= attempt('close', this.path, () => this.#handle.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** writev may write less than asked (a nearly full disk, a signal): the rest follows until all is written or refused. */
  async #writeSome(parts: Uint8Array[], position: number): Promise<number> {
    let rest = parts;
    let at = position;
    for (;;) {
      const wanted = rest.reduce((sum, part) => sum + part.length, 0);
      if (wanted === 0) return at;
      const { bytesWritten } = await this.#handle.writev(rest, at);
      at += bytesWritten;
      if (bytesWritten === wanted) return at;
      rest = dropBytes(rest, bytesWritten);
    }
  }
}

function dropBytes(parts: Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}
