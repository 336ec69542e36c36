/**
 * A file from its beginning to its end, piece by piece: for files that nobody writes to meanwhile. A few buffers go around,
 * however large the file is: left to the collector, which sees only small objects, they would pile up.
 */
import { StorageError } from '../core/errors.ts';
import { SlabPool } from '../core/slabs.ts';
import type { Slab } from '../core/slabs.ts';
import type { DiskFile } from './disk.ts';

const pieceBytes = 1024 * 1024;
const piecesKept = 8;

export interface FilePiece {
  readonly bytes: Buffer;
  /** What `bytes` are in; used again once the next piece is asked for, unless it is retained. */
  readonly slab: Slab;
}

/** StorageError where the file turns out to be shorter than it said. */
export async function* filePieces(file: DiskFile): AsyncGenerator<FilePiece, void, undefined> {
  const pool = new SlabPool(pieceBytes, piecesKept);
  const size = await file.size();
  for (let at = 0; at < size;) {
    const slab = pool.take();
    try {
      const room = slab.bytes.subarray(0, Math.min(pieceBytes, size - at));
      const bytes = room.subarray(0, await file.read(room, at));
      if (bytes.length === 0) throw new StorageError('io', `${file.path} ends at ${at} of ${size} bytes`);
      yield { bytes, slab };
      at += bytes.length;
    } finally {
      slab.release();
    }
  }
}
