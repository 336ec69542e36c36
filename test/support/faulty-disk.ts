// faultyDisk: a disk whose changes fail when the test says so, before they have had any effect.
// Neighbour: simulated-disk.ts, which keeps its files in memory and loses power; this one is for real files.
import type { StorageError } from '../../src/core/errors.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';

export type DiskOperation =
  | 'create'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'link'
  | 'remove'
  | 'makeDirectory'
  | 'removeTree'
  | 'syncDirectory';

/** `fault` is asked before each change; the path of a rename or link is its target. */
export function faultyDisk(
  disk: Disk,
  fault: (operation: DiskOperation, path: string) => StorageError | undefined,
): Disk {
  const guarded = async <T>(operation: DiskOperation, path: string, act: () => Promise<T>): Promise<T> => {
    const error = fault(operation, path);
    if (error !== undefined) throw error;
    return act();
  };
  const file = (inner: DiskFile): DiskFile => ({
    path: inner.path,
    read: (target, position) => inner.read(target, position),
    write: (parts, position) => guarded('write', inner.path, () => inner.write(parts, position)),
    sync: () => guarded('sync', inner.path, () => inner.sync()),
    truncate: (size) => guarded('truncate', inner.path, () => inner.truncate(size)),
    size: () => inner.size(),
    close: () => inner.close(),
    [Symbol.asyncDispose]: () => inner.close(),
  });
  return {
    ...disk,
    create: (path) => guarded('create', path, async () => file(await disk.create(path))),
    open: async (path, mode) => file(await disk.open(path, mode)),
    rename: (from, to) => guarded('rename', to, () => disk.rename(from, to)),
    link: (from, to) => guarded('link', to, () => disk.link(from, to)),
    remove: (path) => guarded('remove', path, () => disk.remove(path)),
    removeTree: (path) => guarded('removeTree', path, () => disk.removeTree(path)),
    makeHeld: (path, since) => guarded('makeDirectory', path, () => disk.makeHeld(path, since)),
    makeDirectory: (path) => guarded('makeDirectory', path, () => disk.makeDirectory(path)),
    syncDirectory: (path) => guarded('syncDirectory', path, () => disk.syncDirectory(path)),
  };
}
