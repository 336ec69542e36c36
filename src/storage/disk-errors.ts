/**
 * What goes wrong on the file system, as errors that name operation, path and remedy. For whatever calls node:fs: the
 * local disk, and the private directories that are not behind Disk.
 */
import { dirname } from 'node:path';
import { StorageError } from '../core/errors.ts';

export async function attempt<T>(operation: string, path: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw storageError(operation, path, error);
  }
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const reading: ReadonlySet<string> = new Set(['read', 'open', 'list', 'stat']);
/** The disk's own word for it, and those of file systems whose checksums do not match (EUCLEAN has no name in Node). */
const mediumFailed: ReadonlySet<string> = new Set(['EIO', 'EBADMSG', 'Unknown system error -117']);

export function storageError(operation: string, path: string, cause: unknown): StorageError {
  const code = errorCode(cause);
  const what = `cannot ${operation} ${path}`;
  switch (code) {
    case 'ENOENT':
      return new StorageError('not-found', `${what}: no such file or directory`, { cause });
    case 'EEXIST':
      return new StorageError('exists', `${what}: it exists`, { cause });
    case 'ENOSPC':
    case 'EDQUOT':
      return new StorageError('no-space', `${what}: no space left`, {
        cause,
        hint: `free some space on the file system of ${dirname(path)}`,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new StorageError('io', `${what}: ${code === 'EROFS' ? 'read-only file system' : 'permission denied'}`, {
        cause,
        hint: 'run journal as the user who owns the journal directory',
      });
    default:
      if (reading.has(operation) && mediumFailed.has(code)) {
        return new StorageError('unreadable', `${what}: ${code}`, {
          cause,
          hint: 'look for errors of the disk in the log of the kernel (dmesg); bring the file back from a copy, if there is one',
        });
      }
      return new StorageError('io', `${what}: ${code === '' ? String(cause) : code}`, { cause });
  }
}
