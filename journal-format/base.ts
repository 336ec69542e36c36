/**
 * The document that publishes a base (SPEC.md 8): which position its RDB is exact at, and the checksums by which the RDB
 * can be checked piece by piece for as long as it is kept.
 */
import { FormatError } from './errors.ts';
import type { Fields } from './fields.ts';
import { uint32Max } from './limits.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface BaseContents {
  readonly keys: number;
  readonly expires: number;
  readonly hashFieldExpires: number;
  /** 0 when no hash field expires. */
  readonly minHashFieldExpireMs: number;
}

export interface BaseRecord {
  readonly timeline: number;
  readonly offset: number;
  readonly id: string;
  readonly origin: 'received' | 'synthetic';
  /** The db selected in the stream at `offset`. */
  readonly db: number;
  readonly stamp: number;
  readonly completed: number;
  /** Bytes of the RDB. */
  readonly size: number;
  readonly magic: 'REDIS' | 'VALKEY';
  readonly version: number;
  readonly aux: Readonly<Record<string, string>>;
  /** 16 hex digits; zeros where the primary wrote none. */
  readonly crc64: string;
  /** Bytes of a chunk. */
  readonly chunk: number;
  /** The CRC-32 of each chunk of the RDB. */
  readonly chunks: Uint32Array;
  /** Absent when the RDB could not be walked. */
  readonly contents?: BaseContents;
}

const layout: Layout<BaseRecord> = { kind: 'base', write: writeBase, read: readBase };

export function encodeBase(record: BaseRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeBase(bytes: Uint8Array): Decoded<BaseRecord> {
  return decodeRecord(layout, bytes);
}

function writeBase(record: BaseRecord): Record<string, unknown> {
  const { contents } = record;
  return {
    timeline: record.timeline,
    offset: record.offset,
    id: record.id,
    origin: record.origin,
    db: record.db,
    stamp: record.stamp,
    completed: record.completed,
    size: record.size,
    magic: record.magic,
    version: record.version,
    aux: { ...record.aux },
    crc64: record.crc64,
    chunk: record.chunk,
    chunks: writeChunks(record.chunks),
    ...(contents !== undefined && {
      contents: {
        keys: contents.keys,
        expires: contents.expires,
        hashFieldExpires: contents.hashFieldExpires,
        minHashFieldExpireMs: contents.minHashFieldExpireMs,
      },
    }),
  };
}

function readBase(fields: Fields): BaseRecord {
  const record: BaseRecord = {
    timeline: fields.timeline(),
    offset: fields.uint('offset'),
    id: fields.id(),
    origin: fields.oneOf('origin', ['received', 'synthetic']),
    db: fields.uint32('db'),
    stamp: fields.uint('stamp'),
    completed: fields.uint('completed'),
    size: fields.uint('size', undefined, 1),
    magic: fields.oneOf('magic', ['REDIS', 'VALKEY']),
    version: fields.uint32('version'),
    aux: fields.texts('aux'),
    crc64: fields.textThat('crc64', (text) => /^[0-9a-f]{16}$/.test(text)),
    chunk: fields.uint('chunk', uint32Max, 1),
    chunks: readChunks(fields.bytes('chunks')),
    ...(fields.has('contents') && { contents: readContents(fields.map('contents')) }),
  };
  if (record.chunks.length !== Math.ceil(record.size / record.chunk)) {
    throw new FormatError('corrupt', `base: ${record.chunks.length} chunks for ${record.size} bytes`);
  }
  return record;
}

function readContents(fields: Fields): BaseContents {
  return {
    keys: fields.uint('keys'),
    expires: fields.uint('expires'),
    hashFieldExpires: fields.uint('hashFieldExpires'),
    minHashFieldExpireMs: fields.uint('minHashFieldExpireMs'),
  };
}

function writeChunks(chunks: Uint32Array): Buffer {
  const bytes = Buffer.allocUnsafe(chunks.length * 4);
  chunks.forEach((crc, i) => bytes.writeUInt32LE(crc, i * 4));
  return bytes;
}

function readChunks(bytes: Buffer): Uint32Array {
  if (bytes.length % 4 !== 0) throw new FormatError('corrupt', 'base: chunks is malformed');
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4));
}
