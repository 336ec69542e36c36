/**
 * How small immutable objects come into being (SPEC.md 10, step 1): written whole under a temporary name, synced, and
 * only then given their name. A reader sees all of an object or nothing; after a crash at any point there is either the
 * object or a `.tmp-` file that the next writer removes.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { StorageError } from '../core/errors.ts';
import { smallFileBytesMax } from '../core/limits.ts';
import type { Disk } from './disk.ts';

export const temporaryPrefix = '.tmp-';

/** A name that no earlier attempt has used and that recovery may remove. */
export function temporaryPath(directory: string): string {
  return join(directory, `${temporaryPrefix}${uniqueHex()}`);
}

/** 8 random hex digits. */
export function uniqueHex(): string {
  return randomBytes(4).toString('hex');
}

/** Durable on return. Replaces an object of the same name, which only happens where the name says it is the same. */
export async function publish(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(disk, dirname(path), bytes);
  await orRemove(disk, temporary, () => disk.rename(temporary, path));
  await disk.syncDirectory(dirname(path));
}

/** Durable on return; StorageError `exists`, and nothing changed, when the name is taken. */
export async function publishNew(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(disk, dirname(path), bytes);
  try {
    await disk.link(temporary, path);
  } finally {
    await disk.remove(temporary);
  }
  await disk.syncDirectory(dirname(path));
}

/**
 * Replaces a cache file of text, not synced: whole or not at all to a reader, unless the disk is full. Then it is written
 * over, in the room that it has: what it says of a full disk matters more than that a reader may find half of it.
 */
export async function replaceCache(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  try {
    await replaceWhole(disk, path, bytes);
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'no-space')) throw error;
    await overwrite(disk, path, bytes).catch(() => {
      throw error;
    });
  }
}

async function replaceWhole(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPath(dirname(path));
  await using file = await disk.create(temporary);
  await orRemove(disk, temporary, async () => {
    await file.write([bytes], 0);
    await disk.rename(temporary, path);
  });
}

/** What is left of a longer text before it becomes blanks. */
async function overwrite(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  await using file = await disk.open(path, 'write');
  const blanks = Buffer.alloc(Math.max(0, (await file.size()) - bytes.length), ' ');
  await file.write([bytes, blanks], 0);
}

/** All of a small file; StorageError `not-found` when it is not there. */
export async function readSmall(disk: Disk, path: string): Promise<Buffer> {
  await using file = await disk.open(path, 'read');
  const size = await file.size();
  if (size > smallFileBytesMax) throw new StorageError('io', `${path} is not read: it has ${size} bytes`);
  const bytes = Buffer.alloc(size);
  const got = await file.read(bytes, 0);
  return bytes.subarray(0, got);
}

async function writeTemporary(disk: Disk, directory: string, bytes: Uint8Array): Promise<string> {
  const path = temporaryPath(directory);
  await using file = await disk.create(path);
  await orRemove(disk, path, async () => {
    await file.write([bytes], 0);
    await file.sync();
  });
  return path;
}

/** What fails leaves no temporary file: on a full disk each attempt would take more of the little room there is. */
async function orRemove(disk: Disk, temporary: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    // Recovery removes it if this fails, too; the first error is the one that says why.
    await disk.remove(temporary).catch(() => undefined);
    throw error;
  }
}
