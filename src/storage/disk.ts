/**
 * The file system as the journal sees it: a contract with several implementations (local-disk.ts here; a simulated one in
 * the tests), all run by one conformance suite. Everything that touches a disk takes a Disk.
 *
 * Paths are absolute, `/`-separated. Directories are made 0700, files 0600. Failures are StorageErrors that name the
 * operation and the path; `code` is `not-found`, `exists`, `no-space`, `unreadable` (the medium does not give back what is
 * on it), or `io`.
 */
import type { Micros } from '../core/clock.ts';

export interface Disk {
  /** Names in a directory, unsorted. `not-found` when it does not exist. */
  list(directory: string): Promise<string[]>;
  /** Size in bytes, of a directory some number; undefined when there is neither. */
  size(path: string): Promise<number | undefined>;
  /** Creates a directory and those above it; no error when it exists. Not durable before the parent is synced. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Creates a directory and holds it until the result is disposed or this process ends, so that others can tell whether it
   * is in use; where the file system has no locks, they cannot. `since`, RFC 3339, is for people.
   */
  makeHeld(path: string, since: string): Promise<Disposable>;
  /** Whether a directory was held by a process that is gone. False where that cannot be told. */
  isAbandoned(path: string, now: Micros): Promise<boolean>;
  /** Creates a file that must not exist (`exists`), for reading and writing. Its name is durable after syncDirectory. */
  create(path: string): Promise<DiskFile>;
  /** Opens an existing file. Opening for reading never changes it. */
  open(path: string, mode: 'read' | 'write'): Promise<DiskFile>;
  /** Atomic within a directory; replaces an existing target. Durable after syncDirectory. */
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name which must not exist (`exists`). Durable after syncDirectory. */
  link(from: string, to: string): Promise<void>;
  /**
   * Makes a new file (`exists` when it is there) that shares the bytes of `from` until one of them is written to. False,
   * and nothing made, where the file system cannot do that.
   */
  clone(from: string, to: string): Promise<boolean>;
  /** Gives a file or a directory to another user and group; without a group, that stays as it is. */
  changeOwner(path: string, user: number, group: number | undefined): Promise<void>;
  /** Removes a file; no error when it is gone. Durable after syncDirectory. */
  remove(path: string): Promise<void>;
  /** Removes a directory with all that is in it; no error when it is gone. */
  removeTree(path: string): Promise<void>;
  /** On return, every name in the directory is as durable as the medium makes it. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that may still be written here. */
  freeBytes(path: string): Promise<number>;
}

export interface DiskFile extends AsyncDisposable {
  readonly path: string;
  /** Fills `target` from `position`; returns the bytes read, less than asked for only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `parts`, back to back, at `position`. The parts must not change until it returns. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>;
  /** On return, all writes that had returned before the call are on the medium, with the file's size. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  /** Closes once; further calls do nothing. Does not sync. */
  close(): Promise<void>;
}
