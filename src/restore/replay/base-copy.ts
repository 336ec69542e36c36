/**
 * Takes a base's RDB into the output: as a clone where the file system shares extents, else as a copy; of some keys, what
 * is made of it for these. In any case every byte that arrives is checked against the checksums taken when the base was
 * received.
 */
import { crc32 } from 'node:zlib';
import type { BaseRecord } from '../../../journal-format/base.ts';
import { IntegrityError } from '../../core/errors.ts';
import type { BaseEntry } from '../../log/catalog.ts';
import type { Disk } from '../../storage/disk.ts';
import { basePieces } from '../../log/base-pieces.ts';
import type { BasePiece } from '../../log/base-pieces.ts';
import { combineCrc32 } from '../../../journal-format/crc32-combine.ts';
import { OutputFile } from '../outputs/output-file.ts';

export interface BaseCopy {
  /** Open behind the base, for what is to follow in the same file. */
  readonly output: OutputFile;
  readonly isClone: boolean;
  /** Of the whole file. */
  readonly crc: number;
}

/**
 * `reserve` is called before anything but a clone is written, with the bytes that it will take; `advance` after each
 * piece, with its size, and may throw to end it.
 */
export async function copyBase(
  disk: Disk,
  base: BaseEntry,
  path: string,
  reserve: (bytes: number) => Promise<void>,
  advance: (bytes: number) => void,
): Promise<BaseCopy> {
  const { record, rdbPath } = base;
  if ((await disk.size(rdbPath)) === undefined) throw rdbMissing(rdbPath);
  const isClone = await disk.clone(rdbPath, path);
  await reserve(isClone ? 0 : record.size);
  if (isClone) {
    for await (const { bytes } of basePieces(disk, path, record)) advance(bytes.length);
    return { output: await OutputFile.reopen(disk, path, record.size), isClone, crc: wholeCrc(record) };
  }
  const take = ({ length }: Buffer): void => {
    advance(length);
  };
  const output = await written(disk, path, basePieces(disk, rdbPath, record), take);
  return { output, isClone, crc: wholeCrc(record) };
}

/** The same of pieces that a base's RDB comes to. */
export async function copyPieces(disk: Disk, path: string, pieces: AsyncIterable<BasePiece>): Promise<BaseCopy> {
  let crc = 0;
  const output = await written(disk, path, pieces, (bytes) => {
    crc = crc32(bytes, crc);
  });
  return { output, isClone: false, crc };
}

async function written(
  disk: Disk,
  path: string,
  pieces: AsyncIterable<BasePiece>,
  take: (bytes: Buffer) => void,
): Promise<OutputFile> {
  const output = await OutputFile.create(disk, path);
  try {
    for await (const { bytes, slab } of pieces) {
      output.append(bytes, slab);
      take(bytes);
      await output.room();
    }
    return output;
  } catch (error) {
    await output[Symbol.asyncDispose]();
    throw error;
  }
}

/** Once every chunk was found right, the whole is what they say. */
function wholeCrc({ chunk, chunks, size }: BaseRecord): number {
  return chunks.reduce((crc, part, i) => combineCrc32(crc, part, Math.min(chunk, size - i * chunk)), 0);
}

function rdbMissing(path: string): IntegrityError {
  return new IntegrityError('base-missing', `${path} is not there: nothing on its timeline can be restored from it`, {
    hint: 'bring the file back; journal verify shows what else can be restored',
    exitCode: 4,
  });
}
