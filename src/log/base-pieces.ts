/**
 * The bytes of a base's RDB, in order, every one checked against the checksums taken when it was received: what a copy, or
 * a server that loads it, gets.
 */
import { crc32 } from 'node:zlib';
import type { BaseRecord } from '../../journal-format/base.ts';
import { IntegrityError } from '../core/errors.ts';
import { SlabPool } from '../core/slabs.ts';
import type { Slab } from '../core/slabs.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';

/** Read at once; chunks of another size than that are checked in pieces. */
const pieceBytes = 1024 * 1024;
/** Buffers that go around between reading and writing. */
const piecesKept = 8;

export interface BasePiece {
  readonly bytes: Buffer;
  /** What `bytes` are in; used again once the next piece is asked for, unless it is retained. */
  readonly slab: Slab;
}

/** Each piece once the chunk that it belongs to was begun, none behind a wrong chunk. `from`: where a chunk begins. */
export async function* basePieces(
  disk: Disk,
  path: string,
  record: BaseRecord,
  from = 0,
): AsyncGenerator<BasePiece, void, undefined> {
  const pool = new SlabPool(pieceBytes, piecesKept);
  await using file = await disk.open(path, 'read');
  if ((await file.size()) !== record.size) throw wrongSize(path, await file.size(), record.size);
  const check = new ChunkCheck(path, record, from / record.chunk);
  let ahead = readPiece(file, pool, from, record.size);
  for (let at = from; at < record.size;) {
    const { slab, bytes } = await ahead;
    if (bytes.length === 0) throw wrongSize(path, at, record.size);
    const next = at + bytes.length;
    // The next read is under way while this piece is checked and written.
    if (next < record.size) ahead = readPiece(file, pool, next, record.size);
    let isTaken = false;
    try {
      check.take(bytes);
      yield { bytes, slab };
      isTaken = true;
    } finally {
      slab.release();
      if (!isTaken) await ahead.catch(() => undefined);
    }
    at = next;
  }
}

function readPiece(file: DiskFile, pool: SlabPool, at: number, size: number): Promise<BasePiece> {
  const reading = read(file, pool, at, size);
  // It may fail while the piece before it is being written; it is told when it is this one's turn.
  reading.catch(() => undefined);
  return reading;
}

async function read(file: DiskFile, pool: SlabPool, at: number, size: number): Promise<BasePiece> {
  const slab = pool.take();
  const room = slab.bytes.subarray(0, Math.min(pieceBytes, size - at));
  return { slab, bytes: room.subarray(0, await file.read(room, at)) };
}

/** Compares chunk by chunk, whatever the pieces are. */
class ChunkCheck {
  readonly #path: string;
  readonly #record: BaseRecord;
  #index: number;
  #left: number;
  #crc = 0;

  constructor(path: string, record: BaseRecord, index: number) {
    this.#path = path;
    this.#record = record;
    this.#index = index;
    this.#left = Math.min(record.chunk, record.size - index * record.chunk);
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
