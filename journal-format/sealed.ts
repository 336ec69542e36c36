/**
 * Blocks and trailer of sealed segments (SPEC.md 7). A reader goes backwards: trailer, footer, then only the blocks that
 * it needs; checkSealed proves that header, blocks and footer fit together before any block is read.
 */
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { asBuffer, readUint64, writeUint64 } from './bytes.ts';
import { documentHeaderBytes } from './document.ts';
import { FormatError } from './errors.ts';
import type { BlockEntry, Footer } from './footer.ts';
import { blockRawBytesMax, blockStoredBytesMax, documentBodyBytesMax } from './limits.ts';
import type { SealedHeader } from './segment-header.ts';

export const trailerBytes = 24;

export interface Trailer {
  /** Where the footer document begins. */
  readonly position: number;
  /** Bytes of the footer document. */
  readonly length: number;
}

const magic = Buffer.from('JRNLSEAL', 'latin1');
/** Level 3 takes twice to three times as long, and what it saves of a stream of commands is a few percent at most. */
const compressionLevel = 1;
/** So much more than is needed that a buffer surely is none of Node's pool, which others have a part of. */
const unpooledBytes = 65_536;

export function encodeTrailer(trailer: Trailer): Buffer {
  const bytes = Buffer.allocUnsafe(trailerBytes);
  writeUint64(bytes, trailer.position, 0);
  bytes.writeUInt32LE(trailer.length, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  magic.copy(bytes, 16);
  return bytes;
}

/** `last24` are the last 24 bytes of a file of `fileBytes` bytes. */
export function decodeTrailer(last24: Uint8Array, fileBytes: number): Trailer {
  if (last24.length < trailerBytes) throw new FormatError('torn', 'no room for a trailer', last24.length);
  const bytes = asBuffer(last24).subarray(0, trailerBytes);
  if (!bytes.subarray(16).equals(magic)) throw new FormatError('corrupt', 'no trailer at the end', 16);
  if (crc32(bytes.subarray(0, 12)) !== bytes.readUInt32LE(12)) {
    throw new FormatError('corrupt', 'trailer checksum is wrong');
  }
  const trailer = { position: readUint64(bytes, 0), length: bytes.readUInt32LE(8) };
  if (trailer.length < documentHeaderBytes || trailer.length > documentHeaderBytes + documentBodyBytesMax) {
    throw new FormatError('corrupt', `footer of ${trailer.length} bytes`, 8);
  }
  if (trailer.position + trailer.length + trailerBytes !== fileBytes) {
    throw new FormatError('corrupt', 'footer does not end at the trailer');
  }
  return trailer;
}

/** Compresses whole frames into the stored bytes of one block, in memory that nothing else has a part of. */
export function encodeBlock(raw: Uint8Array): { stored: Buffer<ArrayBuffer>; crc: number } {
  if (raw.length < 1 || raw.length > blockRawBytesMax) throw new RangeError(`block of ${raw.length} bytes`);
  const params = { [constants.ZSTD_c_compressionLevel]: compressionLevel };
  // One output buffer that surely is large enough: in many small ones, half of the time would go into joining them.
  const chunkSize = raw.length + (raw.length >> 8) + unpooledBytes;
  const stored = zstdCompressSync(raw, { params, pledgedSrcSize: raw.length, chunkSize });
  return { stored, crc: crc32(stored) };
}

/**
 * The frames of a block, in memory that nothing else has a part of. Its checksum is checked first: nothing that rotted
 * reaches the decompressor.
 */
export function decodeBlock(
  entry: Pick<BlockEntry, 'storedLength' | 'rawLength' | 'crc'>,
  stored: Uint8Array,
): Buffer<ArrayBuffer> {
  const { storedLength, rawLength, crc } = entry;
  if (storedLength > blockStoredBytesMax || rawLength < 1 || rawLength > blockRawBytesMax) {
    throw new FormatError('corrupt', `block of ${storedLength} bytes, ${rawLength} uncompressed`);
  }
  if (stored.length < storedLength) throw new FormatError('torn', 'block runs over the end', stored.length);
  const exact = stored.subarray(0, storedLength);
  if (crc32(exact) !== crc) throw new FormatError('corrupt', 'block checksum is wrong');
  let raw: Buffer<ArrayBuffer>;
  try {
    raw = zstdDecompressSync(exact, { maxOutputLength: rawLength, chunkSize: rawLength + unpooledBytes });
  } catch (error) {
    throw new FormatError('corrupt', 'block cannot be decompressed', 0, error);
  }
  if (raw.length !== rawLength) throw new FormatError('corrupt', `block of ${raw.length} bytes, expected ${rawLength}`);
  return raw;
}

/** Whether the parts of a sealed segment fit together without a hole, in bytes of the file and of the stream. */
export function checkSealed(header: SealedHeader, headerLength: number, footer: Footer, trailer: Trailer): void {
  let position = headerLength;
  let raw = 0;
  let next = header.start;
  let lastStamp = footer.first;
  for (const block of footer.blocks) {
    const fits = block.position === position && block.start === next && block.firstStamp >= lastStamp;
    if (!fits) throw new FormatError('corrupt', `block at ${block.position} does not follow the one before`);
    position += block.storedLength;
    raw += block.rawLength;
    next = block.end + 1;
    lastStamp = block.lastStamp;
  }
  const { filters = { position, length: 0 } } = footer;
  const isFilled = position === filters.position && position + filters.length === trailer.position;
  if (!isFilled) throw new FormatError('corrupt', 'blocks do not fill the segment', position);
  const first = footer.blocks[0];
  const agrees =
    footer.start === header.start &&
    footer.end === next - 1 &&
    footer.raw === raw &&
    footer.first === first?.firstStamp &&
    footer.last === lastStamp &&
    first.boundary === header.start - 1 &&
    first.db === header.db;
  if (!agrees) throw new FormatError('corrupt', 'footer disagrees with its blocks', trailer.position);
}
