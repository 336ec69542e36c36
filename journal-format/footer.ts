/**
 * The footer of a sealed segment (SPEC.md 7): what it holds, and its blocks, which are the index by offset and by time.
 * On disk a block is an array of ten numbers; a footer may have thousands.
 */
import { documentHeaderBytes } from './document.ts';
import type { Fields, IdEntry } from './fields.ts';
import { blockRawBytesMax, blockStoredBytesMax, documentBodyBytesMax, uint32Max } from './limits.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import { FormatError } from './errors.ts';
import type { Sample } from './samples.ts';

export interface BlockEntry {
  /** Where the stored bytes begin in the file. */
  readonly position: number;
  readonly storedLength: number;
  readonly rawLength: number;
  /** CRC-32 of the stored bytes. */
  readonly crc: number;
  readonly start: number;
  /** start − 1 when the block holds no stream bytes. */
  readonly end: number;
  /** The last boundary before `start`. */
  readonly boundary: number;
  /** The db selected at `boundary`. */
  readonly db: number;
  readonly firstStamp: number;
  readonly lastStamp: number;
}

/** An attach frame in the footer's words. */
export interface Interruption {
  /** The last byte received before it. */
  readonly offset: number;
  /** Stamp of that byte; 0 when there was none. */
  readonly lostStamp: number;
  /** Stamp of the attachment. */
  readonly stamp: number;
}

/** Where the filters of the blocks are (filters.ts). */
export interface FiltersEntry {
  readonly position: number;
  /** Of the whole document. */
  readonly length: number;
  readonly crc: number;
}

export interface Footer {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
  /** The db selected at `end`. */
  readonly db: number;
  readonly ids: readonly IdEntry[];
  readonly durable: number;
  readonly frames: number;
  /** Bytes of all frames before compression. */
  readonly raw: number;
  readonly blocks: readonly BlockEntry[];
  /** What the frames say of time: both, or neither in footers that do not tell. */
  readonly attaches?: readonly Interruption[] | undefined;
  readonly samples?: readonly Sample[] | undefined;
  readonly filters?: FiltersEntry | undefined;
  /** Of the header document and all blocks, as stored. */
  readonly sha256: Uint8Array;
}

const layout: Layout<Footer> = { kind: 'sealed-footer', write: writeFooter, read: readFooter };

export function encodeFooter(record: Footer): Encoded {
  return encodeRecord(layout, record);
}

export function decodeFooter(bytes: Uint8Array): Decoded<Footer> {
  return decodeRecord(layout, bytes);
}

function writeFooter(record: Footer): Record<string, unknown> {
  return {
    start: record.start,
    end: record.end,
    first: record.first,
    last: record.last,
    db: record.db,
    ids: record.ids.map(({ id, offset }) => [id, offset]),
    durable: record.durable,
    frames: record.frames,
    raw: record.raw,
    blocks: record.blocks.map((block) => [
      block.position,
      block.storedLength,
      block.rawLength,
      block.crc,
      block.start,
      block.end,
      block.boundary,
      block.db,
      block.firstStamp,
      block.lastStamp,
    ]),
    sha256: record.sha256,
    ...(record.filters !== undefined && {
      filters: [record.filters.position, record.filters.length, record.filters.crc],
      required: ['filters'],
    }),
    ...(record.attaches !== undefined && {
      attaches: record.attaches.map(({ offset, lostStamp, stamp }) => [offset, lostStamp, stamp]),
    }),
    ...(record.samples !== undefined && {
      samples: record.samples.map((one) => [one.stamp, one.primaryTime, one.primaryOffset, one.roundTripMicros]),
    }),
  };
}

function readFooter(fields: Fields): Footer {
  const footer: Footer = {
    start: fields.uint('start', undefined, 1),
    end: fields.uint('end'),
    first: fields.uint('first'),
    last: fields.uint('last'),
    db: fields.uint32('db'),
    ids: fields.ids(),
    durable: fields.uint('durable'),
    frames: fields.uint('frames', undefined, 1),
    raw: fields.uint('raw', undefined, 1),
    blocks: fields.rows('blocks', 10).map(blockOf),
    sha256: fields.bytes('sha256'),
    ...readEvidence(fields),
    ...readFiltersEntry(fields),
  };
  if (footer.end < footer.start - 1 || footer.last < footer.first || footer.sha256.length !== 32) {
    throw new FormatError('corrupt', 'sealed-footer: start, end, first, last or sha256 is malformed');
  }
  return footer;
}

function readEvidence(fields: Fields): Pick<Footer, 'attaches' | 'samples'> {
  if (!fields.has('attaches') && !fields.has('samples')) return {};
  const attaches = fields.rows('attaches', 3).map(([offset = 0, lostStamp = 0, stamp = 0]) => ({
    offset,
    lostStamp,
    stamp,
  }));
  const samples = fields
    .rows('samples', 4)
    .map(([stamp = 0, primaryTime = 0, primaryOffset = 0, roundTripMicros = 0]) => {
      if (roundTripMicros > uint32Max) throw new FormatError('corrupt', 'sealed-footer: malformed sample');
      return { stamp, primaryTime, primaryOffset, roundTripMicros };
    });
  return { attaches, samples };
}

function readFiltersEntry(fields: Fields): Pick<Footer, 'filters'> {
  if (!fields.has('filters')) return {};
  const [position = 0, length = 0, crc = 0] = fields.uints('filters', 3);
  const isSound = length >= documentHeaderBytes && length <= documentHeaderBytes + documentBodyBytesMax;
  if (!isSound || crc > uint32Max) throw new FormatError('corrupt', 'sealed-footer: filters is malformed');
  return { filters: { position, length, crc } };
}

function blockOf(row: readonly number[]): BlockEntry {
  const [position = 0, storedLength = 0, rawLength = 0, crc = 0, start = 0] = row;
  const [end = 0, boundary = 0, db = 0, firstStamp = 0, lastStamp = 0] = row.slice(5);
  const isSound =
    storedLength > 0 &&
    storedLength <= blockStoredBytesMax &&
    rawLength > 0 &&
    rawLength <= blockRawBytesMax &&
    crc <= uint32Max &&
    start > 0 &&
    end >= start - 1 &&
    boundary < start &&
    db <= uint32Max &&
    lastStamp >= firstStamp;
  if (!isSound) throw new FormatError('corrupt', `sealed-footer: malformed block at ${position}`);
  return { position, storedLength, rawLength, crc, start, end, boundary, db, firstStamp, lastStamp };
}
