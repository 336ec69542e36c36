/**
 * One writer per source. The lock is the operating system's (a POSIX record lock, taken through SQLite because Node has
 * no call for it): it dies with its process, also by kill -9, so there is nothing stale to clean up and no process id to
 * misread across containers. `holder.json` beside it only names the holder for people.
 *
 * This is the one part of storage/ that is not behind Disk: a simulated disk has one writer by construction.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../core/errors.ts';

export interface Holder {
  readonly pid: number;
  readonly host: string;
  /** RFC 3339. */
  readonly since: string;
}

/** SQLite's codes for a lock that another process holds, for a full disk, and for a file that is none of its own. */
const sqliteBusy = 5;
const sqliteFull = 13;
const sqliteNotADatabase = 26;

/** Waits this long for a probe or a dying process to let go. */
const patienceMs = 1000;

export class WriterLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Takes the lock of an existing source directory, or throws StorageError `locked` (exit 8) that names the holder. */
  static acquire(directory: string, since: string): WriterLock {
    let database: DatabaseSync | undefined;
    try {
      createPrivate(lockPath(directory));
      database = new DatabaseSync(lockPath(directory), { timeout: patienceMs });
      database.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
      writeHolder(directory, { pid: process.pid, host: hostname(), since });
      return new WriterLock(database);
    } catch (error) {
      database?.close();
      throw isBusy(error) ? locked(directory, error) : unusable(directory, error);
    }
  }

  /** The holder of the lock, or undefined when nobody writes. Never blocks a writer for longer than an instant. */
  static probe(directory: string): Holder | undefined {
    if (!existsSync(lockPath(directory))) return undefined; // nobody has ever written here
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(lockPath(directory), { readOnly: true });
      database.exec('SELECT count(*) FROM sqlite_schema');
      return undefined;
    } catch (error) {
      if (!isBusy(error)) throw unusable(directory, error);
      return readHolder(directory) ?? { pid: 0, host: 'unknown', since: 'unknown' };
    } finally {
      database?.close();
    }
  }

  /** Lets go. The files stay: removing a lock file would race with the next holder. */
  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

function lockPath(directory: string): string {
  return join(directory, 'lock');
}

function holderPath(directory: string): string {
  return join(directory, 'holder.json');
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy;
}

/**
 * SQLite would make the file readable for others. Only ever creates: closing a descriptor of a lock file that exists
 * would let go of what this process holds on it.
 */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function locked(directory: string, cause: unknown): StorageError {
  return new StorageError('locked', `another journal writes to ${directory}: ${describe(readHolder(directory))}`, {
    hint: 'stop that process first, or choose another --dir or --name; two writers would spoil the journal',
    exitCode: 8,
    cause,
  });
}

function unusable(directory: string, cause: unknown): StorageError {
  if (cause instanceof Error && 'errcode' in cause && cause.errcode === sqliteNotADatabase) {
    return new StorageError('lock-damaged', `${lockPath(directory)} is damaged: who holds it cannot be told`, {
      hint: 'make sure that no journal runs on this directory, then remove that file; it holds nothing but the lock',
      cause,
    });
  }
  if (isNoSpace(cause)) {
    return new StorageError('no-space', `cannot lock ${directory}: no space left`, {
      hint: 'free some space on its file system',
      cause,
    });
  }
  return new StorageError('io', `cannot lock ${directory}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    hint: 'the directory must be writable, on a file system with POSIX record locks',
    cause,
  });
}

/** A full disk is no reason not to begin: who holds the lock only informs, and the journal waits for room by itself. */
function writeHolder(directory: string, holder: Holder): void {
  const temporary = join(directory, `.tmp-holder-${process.pid}`);
  const text = `${JSON.stringify(holder)}\n`;
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, holderPath(directory));
  } catch (error) {
    rmSync(temporary, { force: true });
    if (!isNoSpace(error)) throw error;
    if (!overwriteHolder(directory, text)) rmSync(holderPath(directory), { force: true });
  }
}

/** In the room that the file has, where it stays at its place. Whether it worked: if not, it names who held the lock before. */
function overwriteHolder(directory: string, text: string): boolean {
  let file: number | undefined;
  try {
    file = openSync(holderPath(directory), 'r+');
    const bytes = Buffer.from(text.padEnd(fstatSync(file).size));
    return writeSync(file, bytes, 0, bytes.length, 0) === bytes.length;
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('errcode' in error && error.errcode === sqliteFull) return true;
  return 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

function readHolder(directory: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(holderPath(directory), 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, host, since } = value as Partial<Holder>;
    return { pid: Number(pid), host: String(host), since: String(since) };
  } catch {
    return undefined;
  }
}

function describe(holder: Holder | undefined): string {
  if (holder === undefined) return 'it has not said who it is';
  return `process ${holder.pid} on ${holder.host}, since ${holder.since}`;
}
