// Files and disks with one thing changed.
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';

/** As it is, but for the `changes`. */
export function fileWith(file: DiskFile, changes: Partial<DiskFile>): DiskFile {
  return {
    path: file.path,
    read: (target, position) => file.read(target, position),
    write: (parts, position) => file.write(parts, position),
    sync: () => file.sync(),
    truncate: (size) => file.truncate(size),
    size: () => file.size(),
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    ...changes,
  };
}

/** The local disk as it is, but with what `change` makes of every file that is created or opened. */
export function diskWithFiles(change: (file: DiskFile) => Partial<DiskFile>): Disk {
  return {
    ...localDisk,
    create: async (path) => changed(await localDisk.create(path)),
    open: async (path, mode) => changed(await localDisk.open(path, mode)),
  };

  function changed(file: DiskFile): DiskFile {
    return fileWith(file, change(file));
  }
}

/** For journals that are made for a test: syncing takes longer than all the rest, and they need not survive a power failure. */
export const unsyncedDisk: Disk = {
  ...diskWithFiles(() => ({ sync: async () => {} })),
  syncDirectory: async () => {},
};
