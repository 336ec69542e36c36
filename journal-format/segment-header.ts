/**
 * The documents at the head of segments (SPEC.md 6 and 7). A sealed segment repeats the header of the open segment that
 * it was made of, and adds what a reader needs to check the frames in its blocks: the chain they began with.
 */
import { FormatError } from './errors.ts';
import type { Fields, IdEntry } from './fields.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface SegmentHeader {
  readonly source: string;
  readonly timeline: number;
  /** The `unique` of the open file's name. */
  readonly segment: string;
  /** Offset of the first stream byte; the offset before it is a boundary. */
  readonly start: number;
  /** The db selected at `start − 1`. */
  readonly db: number;
  /** The replication ids of the timeline so far. */
  readonly ids: readonly IdEntry[];
  readonly stamp: number;
  /** Seed of the checksums of all frames. */
  readonly salt: number;
  /** Program and version. */
  readonly writer: string;
}

export interface SealedHeader extends SegmentHeader {
  readonly codec: 'zstd';
  /** The checksum of the open segment's header document. */
  readonly chain: number;
}

const openLayout: Layout<SegmentHeader> = { kind: 'open-header', write: writeHeader, read: readHeader };

const sealedLayout: Layout<SealedHeader> = {
  kind: 'sealed-header',
  write: (record) => ({ ...writeHeader(record), codec: record.codec, chain: record.chain }),
  read: (fields) => ({ ...readHeader(fields), codec: readCodec(fields), chain: fields.uint32('chain') }),
};

export function encodeSegmentHeader(record: SegmentHeader): Encoded {
  return encodeRecord(openLayout, record);
}

export function decodeSegmentHeader(bytes: Uint8Array): Decoded<SegmentHeader> {
  return decodeRecord(openLayout, bytes);
}

export function encodeSealedHeader(record: SealedHeader): Encoded {
  return encodeRecord(sealedLayout, record);
}

export function decodeSealedHeader(bytes: Uint8Array): Decoded<SealedHeader> {
  return decodeRecord(sealedLayout, bytes);
}

/** Blocks in a codec of the future are whole, only not for us. */
function readCodec(fields: Fields): 'zstd' {
  const codec = fields.text('codec');
  if (codec !== 'zstd') throw new FormatError('unsupported', `blocks compressed by ${JSON.stringify(codec)}`);
  return codec;
}

function writeHeader(record: SegmentHeader): Record<string, unknown> {
  return {
    source: record.source,
    timeline: record.timeline,
    segment: record.segment,
    start: record.start,
    db: record.db,
    ids: record.ids.map(({ id, offset }) => [id, offset]),
    stamp: record.stamp,
    salt: record.salt,
    writer: record.writer,
  };
}

function readHeader(fields: Fields): SegmentHeader {
  return {
    source: fields.source(),
    timeline: fields.timeline(),
    segment: fields.unique('segment'),
    start: fields.uint('start', undefined, 1),
    db: fields.uint32('db'),
    ids: fields.ids(),
    stamp: fields.uint('stamp'),
    salt: fields.uint32('salt'),
    writer: fields.text('writer'),
  };
}
