/**
 * Takes over an RDB that a scratch server saves: by a second name where both are on one file system, else by a copy; of some
 * keys, by a copy of these.
 */
import { crc32 } from 'node:zlib';
import { StorageError } from '../core/errors.ts';
import type { ScratchDataset } from '../scratch/dataset.ts';
import type { Disk } from '../storage/disk.ts';
import { filterSaved } from './filter-saved.ts';
import type { Picked } from './filter-saved.ts';
import type { RestoreSource } from './output.ts';
import { OutputFile } from './output-file.ts';

const pieceBytes = 1024 * 1024;

export interface Saved {
  readonly bytes: number;
  readonly crc: number;
  readonly picked?: Picked;
}

/** Durable on return, but for its name. `exists` when there is something at `path`. */
export async function saveDataset(
  { disk, plan }: RestoreSource,
  dataset: ScratchDataset,
  path: string,
): Promise<Saved> {
  const saved = await dataset.save();
  const { selection } = plan;
  return selection === undefined ? takeSaved(disk, saved, path) : filterSaved(disk, saved, path, selection);
}

async function takeSaved(disk: Disk, saved: string, path: string): Promise<Saved> {
  const isLinked = await link(disk, saved, path);
  await using copy = isLinked ? undefined : await OutputFile.create(disk, path);
  await using file = await disk.open(saved, 'read');
  const size = await file.size();
  let crc = 0;
  for (let at = 0; at < size;) {
    const room = Buffer.allocUnsafe(Math.min(pieceBytes, size - at));
    const piece = room.subarray(0, await file.read(room, at));
    if (piece.length === 0) throw new StorageError('io', `${saved} ends at ${at} of ${size} bytes`);
    crc = crc32(piece, crc);
    copy?.append(piece);
    await copy?.room();
    at += piece.length;
  }
  await (copy === undefined ? file.sync() : copy.finish());
  return { bytes: size, crc };
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
