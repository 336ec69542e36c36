/**
 * A file from its beginning to its end, piece by piece: for files that nobody writes to meanwhile.
 */
import { StorageError } from '../core/errors.ts';
import type { DiskFile } from './disk.ts';

const pieceBytes = 1024 * 1024;

/** Each piece is in memory of its own. StorageError where the file turns out to be shorter than it said. */
export async function* filePieces(file: DiskFile): AsyncGenerator<Buffer, void, undefined> {
  const size = await file.size();
  for (let at = 0; at < size;) {
    const room = Buffer.allocUnsafe(Math.min(pieceBytes, size - at));
    const piece = room.subarray(0, await file.read(room, at));
    if (piece.length === 0) throw new StorageError('io', `${file.path} ends at ${at} of ${size} bytes`);
    yield piece;
    at += piece.length;
  }
}
