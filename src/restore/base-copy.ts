/**
 * Takes a base's RDB into the output: as a clone where the file system shares extents, else as a copy. Either way every
 * byte that arrives is checked against the checksums taken when the base was received.
 */
import { crc32 } from 'node:zlib';
import type { BaseRecord } from '../../journal-format/base.ts';
import { IntegrityError } from '../core/errors.ts';
import { SlabPool } from '../core/slabs.ts';
import type { Slab } from '../core/slabs.ts';
import type { BaseEntry } from '../log/catalog.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { combineCrc32 } from './crc32-combine.ts';
import { OutputFile } from './output-file.ts';

/** Read at once; chunks of another size than that are checked in pieces. */
const pieceBytes = 1024 * 1024;
/** Buffers that go around between reading and writing. */
const piecesKept = 8;

export interface BaseCopy {
  /** Open behind the base, for what is to follow in the same file. */
  readonly output: OutputFile;
  readonly isClone: boolean;
  /** Of the whole RDB. */
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
    await checkedPieces(disk, path, record, async (piece) => {
      advance(piece.length);
    });
    return { output: await OutputFile.reopen(disk, path, record.size), isClone, crc: wholeCrc(record) };
  }
  const output = await OutputFile.create(disk, path);
  try {
    await checkedPieces(disk, rdbPath, record, async (piece, slab) => {
      output.append(piece, slab);
      advance(piece.length);
      await output.room();
    });
    return { output, isClone, crc: wholeCrc(record) };
  } catch (error) {
    await output[Symbol.asyncDispose]();
    throw error;
  }
}

/** Once every chunk was found right, the whole is what they say. */
function wholeCrc({ chunk, chunks, size }: BaseRecord): number {
  return chunks.reduce((crc, part, i) => combineCrc32(crc, part, Math.min(chunk, size - i * chunk)), 0);
}

/** Hands out the file's bytes in order, each once the chunk that it belongs to was begun, none behind a wrong chunk. */
async function checkedPieces(
  disk: Disk,
  path: string,
  record: BaseRecord,
  take: (piece: Buffer, slab: Slab) => Promise<void>,
): Promise<void> {
  const pool = new SlabPool(pieceBytes, piecesKept);
  await using file = await disk.open(path, 'read');
  if ((await file.size()) !== record.size) throw wrongSize(path, await file.size(), record.size);
  const check = new ChunkCheck(path, record);
  let ahead = readPiece(file, pool, 0, record.size);
  for (let at = 0; at < record.size;) {
    const { slab, piece } = await ahead;
    if (piece.length === 0) throw wrongSize(path, at, record.size);
    const next = at + piece.length;
    // The next read is under way while this piece is checked and written.
    if (next < record.size) ahead = readPiece(file, pool, next, record.size);
    try {
      check.take(piece);
      await take(piece, slab);
    } catch (error) {
      await ahead.catch(() => undefined);
      throw error;
    } finally {
      slab.release();
    }
    at = next;
  }
}

interface Piece {
  readonly slab: Slab;
  readonly piece: Buffer;
}

function readPiece(file: DiskFile, pool: SlabPool, at: number, size: number): Promise<Piece> {
  const reading = read(file, pool, at, size);
  // It may fail while the piece before it is being written; it is told when it is this one's turn.
  reading.catch(() => undefined);
  return reading;
}

async function read(file: DiskFile, pool: SlabPool, at: number, size: number): Promise<Piece> {
  const slab = pool.take();
  const piece = slab.bytes.subarray(0, Math.min(pieceBytes, size - at));
  return { slab, piece: piece.subarray(0, await file.read(piece, at)) };
}

/** Compares chunk by chunk, whatever the pieces are. */
class ChunkCheck {
  readonly #path: string;
  readonly #record: BaseRecord;
  #index = 0;
  #left: number;
  #crc = 0;

  constructor(path: string, record: BaseRecord) {
    this.#path = path;
    this.#record = record;
    this.#left = Math.min(record.chunk, record.size);
  }

  take(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + this.#left);
      this.#crc = crc32(part, this.#crc);
      this.#left -= part.length;
      at += part.length;
      if (this.#left === 0) this.#endChunk();
    }
  }

  #endChunk(): void {
    const { chunk, chunks, size } = this.#record;
    if (this.#crc !== chunks[this.#index]) {
      const from = this.#index * chunk;
      throw new IntegrityError(
        'base-corrupt',
        `${this.#path}: bytes ${from} to ${Math.min(from + chunk, size) - 1} are not those that were received`,
        { hint: 'journal verify shows what else is damaged; an older base or another copy of the journal may serve' },
      );
    }
    this.#index += 1;
    this.#crc = 0;
    this.#left = Math.min(chunk, size - this.#index * chunk);
  }
}

function wrongSize(path: string, actual: number, expected: number): IntegrityError {
  return new IntegrityError('base-corrupt', `${path} has ${actual} bytes instead of ${expected}`, {
    hint: 'journal verify shows what else is damaged',
  });
}

function rdbMissing(path: string): IntegrityError {
  return new IntegrityError('base-missing', `${path} is not there: nothing on its timeline can be restored from it`, {
    hint: 'bring the file back; journal verify shows what else can be restored',
    exitCode: 4,
  });
}
