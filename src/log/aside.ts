/**
 * Bytes that are taken out of a journal are never thrown away: recovery keeps them in `aside/` (SPEC.md 11), durably,
 * before it takes anything away. Nothing reads them again but people.
 */
import { basename, dirname, join } from 'node:path';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { uniqueHex } from '../storage/publish.ts';
import type { SourceTree } from './source-tree.ts';

const copyBytes = 4 * 1024 * 1024;

export interface Kept {
  readonly path: string;
  readonly bytes: number;
}

/** A durable copy of the file's bytes from `from` on. */
export async function keepAside(disk: Disk, tree: SourceTree, file: DiskFile, from: number): Promise<Kept> {
  await disk.makeDirectory(tree.aside);
  await disk.syncDirectory(tree.directory);
  const path = join(tree.aside, `${basename(file.path)}-at-${from}-${uniqueHex()}`);
  await using copy = await disk.create(path);
  const buffer = Buffer.allocUnsafe(copyBytes);
  let bytes = 0;
  for (let got = await file.read(buffer, from); got > 0; got = await file.read(buffer, from + bytes)) {
    await copy.write([buffer.subarray(0, got)], bytes);
    bytes += got;
  }
  await copy.sync();
  await disk.syncDirectory(tree.aside);
  return { path, bytes };
}

/** The whole file; returns where it is now. Copied rather than renamed: a rename across directories is not atomic. */
export async function moveAside(disk: Disk, tree: SourceTree, path: string): Promise<string> {
  await using file = await disk.open(path, 'read');
  const kept = await keepAside(disk, tree, file, 0);
  await disk.remove(path);
  await disk.syncDirectory(dirname(path));
  return kept.path;
}
