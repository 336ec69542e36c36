// Disks for these tests: the machine's own with one thing changed, which the tests on restoring need in several forms.
import { localDisk } from '../../src/storage/local-disk.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { StorageError } from '../../src/core/errors.ts';
import { fileWith } from '../support/wrapped-disk.ts';

/** Calls `before` ahead of every operation, with its name and path; it may throw. */
export function watchedDisk(before: (operation: string, path: string) => void, disk: Disk = localDisk): Disk {
  const watch = <A extends [string, ...unknown[]], R>(name: string, fn: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      before(name, args[0]);
      return fn(...args);
    };
  };
  return {
    list: watch('list', (path) => disk.list(path)),
    size: watch('size', (path) => disk.size(path)),
    makeDirectory: watch('makeDirectory', (path) => disk.makeDirectory(path)),
    makeHeld: watch('makeHeld', (path, since: string) => disk.makeHeld(path, since)),
    isAbandoned: (path, now) => disk.isAbandoned(path, now),
    create: watch('create', async (path) => watchedFile(await disk.create(path), before)),
    open: watch('open', async (path, mode: 'read' | 'write') => watchedFile(await disk.open(path, mode), before)),
    rename: watch('rename', (from, to: string) => disk.rename(from, to)),
    link: watch('link', (from, to: string) => disk.link(from, to)),
    clone: watch('clone', (from, to: string) => disk.clone(from, to)),
    changeOwner: watch('changeOwner', (path, user: number, group: number | undefined) =>
      disk.changeOwner(path, user, group),
    ),
    remove: (path) => disk.remove(path),
    removeTree: (path) => disk.removeTree(path),
    syncDirectory: watch('syncDirectory', (path) => disk.syncDirectory(path)),
    freeBytes: watch('freeBytes', (path) => disk.freeBytes(path)),
  };
}

function watchedFile(file: DiskFile, before: (operation: string, path: string) => void): DiskFile {
  return fileWith(file, {
    read: async (target, position) => {
      before('read', file.path);
      return file.read(target, position);
    },
    write: async (parts, position) => {
      before('write', file.path);
      await file.write(parts, position);
    },
    sync: async () => {
      before('sync', file.path);
      await file.sync();
    },
  });
}

/** A disk whose `failing`-th operation fails, counted from 1; `failed` tells which that was, if it came to it. */
export function failingDisk(failing: number): { disk: Disk; failed: () => string | undefined } {
  let count = 0;
  let failed: string | undefined;
  const disk = watchedDisk((operation, path) => {
    count += 1;
    if (count !== failing) return;
    failed = operation;
    throw new StorageError('io', `${operation} of ${path} failed, as the test wanted it`);
  });
  return { disk, failed: () => failed };
}
