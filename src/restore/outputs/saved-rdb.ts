/**
 * Takes over an RDB that a scratch server saves: by a second name where both are on one file system, else by a copy; with
 * some keys only, or other TTLs, by a copy that is made so.
 */
import { crc32 } from 'node:zlib';
import { StorageError } from '../../core/errors.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { Disk } from '../../storage/disk.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import { filterSaved } from './filter-saved.ts';
import type { Picked } from './filter-saved.ts';
import type { RestoreSource } from './output.ts';
import { OutputFile } from './output-file.ts';

export interface Saved {
  readonly bytes: number;
  readonly crc: number;
  readonly picked?: Picked;
}

/** Durable on return, but for its name. `exists` when there is something at `path`. */
export async function saveDataset(
  { disk, plan, ttl, advance }: RestoreSource,
  dataset: ScratchDataset,
  path: string,
): Promise<Saved> {
  const saved = await dataset.save();
  const { selection } = plan;
  if (selection === undefined && ttl === undefined) return takeSaved(disk, saved, path);
  const { picked, ...file } = await filterSaved(disk, saved, path, { selection, ttl }, () => {
    advance(0);
  });
  return selection === undefined ? file : { ...file, picked };
}

async function takeSaved(disk: Disk, saved: string, path: string): Promise<Saved> {
  const isLinked = await link(disk, saved, path);
  await using copy = isLinked ? undefined : await OutputFile.create(disk, path);
  await using file = await disk.open(saved, 'read');
  let bytes = 0;
  let crc = 0;
  for await (const piece of filePieces(file)) {
    bytes += piece.bytes.length;
    crc = crc32(piece.bytes, crc);
    copy?.append(piece.bytes, piece.slab);
    await copy?.room();
  }
  await (copy === undefined ? file.sync() : copy.finish());
  return { bytes, crc };
}

async function link(disk: Disk, saved: string, path: string): Promise<boolean> {
  try {
    await disk.link(saved, path);
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.code === 'exists') throw error;
    // On another file system, or on one without links.
    return false;
  }
}
