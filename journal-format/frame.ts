/**
 * Frames (SPEC.md 5): an 80-byte header, then meta, then verbatim stream bytes. Writing is the hot path: nothing is
 * copied, the caller writes [header, meta, ...data]. Reading is three separate questions, because recovery must tell
 * them apart: is this a header of this segment (decodeFrameHeader), is its body whole (checkFrameBody), and does it
 * belong right here (checkFollows). The meaning of meta is in reads.ts, samples.ts and attach.ts.
 */
import { crc32 } from 'node:zlib';
import { readUint64, writeUint64 } from './bytes.ts';
import { combineCrc32 } from './crc32-combine.ts';
import type { DataSum } from './data-sum.ts';
import { FormatError } from './errors.ts';
import { frameDataBytesMax, frameMetaBytesMax, integerMax, uint32Max } from './limits.ts';

export const frameHeaderBytes = 80;

export type FrameKind = 'stream' | 'tick' | 'sample' | 'attach';

export interface FrameFields {
  /** Offset of the first data byte; without data, of the next stream byte. */
  readonly start: number;
  /** The last boundary at or before the end of the frame. */
  readonly boundary: number;
  /** The highest offset known to be durable when the frame was formed. */
  readonly durable: number;
  readonly firstStamp: number;
  readonly lastStamp: number;
  /** The raw wall clock in µs when the frame was formed. */
  readonly wall: number;
  /** The db selected at `boundary`. */
  readonly db: number;
}

export interface FrameHeader extends FrameFields {
  /** `unknown` is an optional kind of a newer version: to be skipped, its place in the chain kept. */
  readonly kind: FrameKind | 'unknown';
  readonly metaLength: number;
  readonly dataLength: number;
  readonly bodyCrc: number;
  readonly chain: number;
  readonly crc: number;
  /** Bytes of the whole frame. */
  readonly length: number;
  /** The last offset covered: start − 1 without data. */
  readonly end: number;
}

/** What a frame is checked against; the first of a segment against its header document's checksum and start. */
export interface FramePlace {
  readonly crc: number;
  readonly nextOffset: number;
  readonly lastStamp: number;
}

const magic = Buffer.from('JFRM', 'latin1');
const magicNumber: number = magic.readUInt32LE(0);
const crcAt = 76;
const kindNumbers: Record<FrameKind, number> = { stream: 1, tick: 2, sample: 3, attach: 4 };
const kindNames: readonly (FrameKind | undefined)[] = [undefined, 'stream', 'tick', 'sample', 'attach'];

/** A reader that does not know a required kind must stop: skipping stream bytes or a switch would be a lie. */
function isRequired(kind: FrameKind): boolean {
  return kind === 'stream' || kind === 'attach';
}

/** The header of a frame, and its checksum, which is the chain of the next frame. */
export function encodeFrame(
  kind: FrameKind,
  fields: FrameFields,
  meta: Uint8Array,
  data: DataSum,
  salt: number,
  chain: number,
): { header: Buffer; crc: number } {
  const mistake = mistakeIn(kind, fields, meta.length, data.length);
  if (mistake !== undefined) throw new RangeError(mistake);
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32LE(magicNumber, 0);
  header.writeUInt32LE(kindNumbers[kind] | (isRequired(kind) ? 0x100 : 0), 4);
  header.writeUInt32LE(meta.length, 8);
  header.writeUInt32LE(data.length, 12);
  writeUint64(header, fields.start, 16);
  writeUint64(header, fields.boundary, 24);
  writeUint64(header, fields.durable, 32);
  writeUint64(header, fields.firstStamp, 40);
  writeUint64(header, fields.lastStamp, 48);
  writeUint64(header, fields.wall, 56);
  header.writeUInt32LE(fields.db, 64);
  header.writeUInt32LE(combineCrc32(crc32(meta, salt), data.crc, data.length), 68);
  header.writeUInt32LE(chain, 72);
  const crc = crc32(header.subarray(0, crcAt), salt);
  header.writeUInt32LE(crc, crcAt);
  return { header, crc };
}

/** Reads and checks the header at `at`. Nothing is said about body and place: see checkFrameBody and checkFollows. */
export function decodeFrameHeader(bytes: Buffer, at: number, salt: number): FrameHeader {
  requireMagic(bytes, at);
  if (crc32(bytes.subarray(at, at + crcAt), salt) !== bytes.readUInt32LE(at + crcAt)) {
    throw new FormatError('corrupt', 'frame header checksum is wrong', at);
  }
  return decodeUnproven(bytes, at);
}

/**
 * What a header says whose salt was lost: it is checked like any other, but for the checksum. A forged one is taken for
 * right, and so may be one that was torn; FormatError when no frame could have it.
 */
export function decodeFrameHeaderUnsalted(bytes: Buffer, at: number): FrameHeader {
  requireMagic(bytes, at);
  const header = decodeUnproven(bytes, at);
  // What is in a frame, or behind it, was not durable when that was formed.
  if (header.durable < header.start) return header;
  throw new FormatError('corrupt', `frame at offset ${header.start} that says it was durable before it was there`, at);
}

function requireMagic(bytes: Buffer, at: number): void {
  if (bytes.length - at < frameHeaderBytes) throw new FormatError('torn', 'frame header runs over the end', at);
  if (bytes.readUInt32LE(at) !== magicNumber) throw new FormatError('corrupt', 'no frame begins here', at);
}

function decodeUnproven(bytes: Buffer, at: number): FrameHeader {
  const kind = decodeKind(bytes, at);
  const metaLength = bytes.readUInt32LE(at + 8);
  const dataLength = bytes.readUInt32LE(at + 12);
  const start = readUint64(bytes, at + 16);
  const header: FrameHeader = {
    kind,
    metaLength,
    dataLength,
    start,
    boundary: readUint64(bytes, at + 24),
    durable: readUint64(bytes, at + 32),
    firstStamp: readUint64(bytes, at + 40),
    lastStamp: readUint64(bytes, at + 48),
    wall: readUint64(bytes, at + 56),
    db: bytes.readUInt32LE(at + 64),
    bodyCrc: bytes.readUInt32LE(at + 68),
    chain: bytes.readUInt32LE(at + 72),
    crc: bytes.readUInt32LE(at + crcAt),
    length: frameHeaderBytes + metaLength + dataLength,
    end: start + dataLength - 1,
  };
  const mistake = mistakeIn(kind, header, metaLength, dataLength);
  if (mistake !== undefined) throw new FormatError('corrupt', mistake, at);
  return header;
}

/** `body` holds meta and data, and may go on behind them. Gives the CRC-32 of the data alone. */
export function checkFrameBody(header: FrameHeader, body: Uint8Array, salt: number): number {
  const { metaLength, dataLength, bodyCrc, start, end } = header;
  const length = metaLength + dataLength;
  if (body.length < length) throw new FormatError('torn', 'frame body runs over the end', body.length);
  const dataCrc = crc32(body.subarray(metaLength, length));
  if (combineCrc32(crc32(body.subarray(0, metaLength), salt), dataCrc, dataLength) !== bodyCrc) {
    throw new FormatError('corrupt', `frame body checksum is wrong (offsets ${start} to ${end})`);
  }
  return dataCrc;
}

/** Whether the frame belongs behind the one before: a missing, doubled or foreign frame does not. */
export function checkFollows(header: FrameHeader, previous: FramePlace): void {
  if (header.chain !== previous.crc) {
    throw new FormatError('corrupt', `frame at offset ${header.start} is not chained to the one before`);
  }
  if (header.start !== previous.nextOffset) {
    throw new FormatError('corrupt', `frame starts at offset ${header.start}, expected ${previous.nextOffset}`);
  }
  if (header.firstStamp < previous.lastStamp) {
    throw new FormatError('corrupt', `stamps go back at offset ${header.start}`);
  }
}

/** What checkFollows asks of the frame behind this one. */
export function placeAfter(header: FrameHeader): FramePlace {
  return { crc: header.crc, nextOffset: header.end + 1, lastStamp: header.lastStamp };
}

/**
 * The next position at or behind `from` where a header with the right magic and checksum begins, or −1. Only whole
 * headers are found: a caller that reads a file in pieces overlaps them by frameHeaderBytes − 1.
 */
export function findFrame(bytes: Buffer, from: number, salt: number): number {
  for (let at = bytes.indexOf(magic, from); at !== -1; at = bytes.indexOf(magic, at + 1)) {
    if (bytes.length - at < frameHeaderBytes) return -1;
    if (crc32(bytes.subarray(at, at + crcAt), salt) === bytes.readUInt32LE(at + crcAt)) return at;
  }
  return -1;
}

function decodeKind(bytes: Buffer, at: number): FrameKind | 'unknown' {
  const number = bytes.readUInt8(at + 4);
  const flags = bytes.readUInt8(at + 5);
  if (number === 0) throw new FormatError('corrupt', 'frame of kind 0', at);
  if (flags > 1 || bytes.readUInt16LE(at + 6) !== 0) throw new FormatError('corrupt', 'frame with unknown flags', at);
  const kind = kindNames[number];
  if (kind === undefined) {
    if (flags === 1) throw new FormatError('unsupported', `frame of a newer kind (${number})`, at);
    return 'unknown';
  }
  if ((flags === 1) !== isRequired(kind)) throw new FormatError('corrupt', `${kind} frame with wrong flags`, at);
  return kind;
}

/** The rules of the header that its checksum cannot prove, shared by both directions. */
function mistakeIn(
  kind: FrameKind | 'unknown',
  fields: FrameFields,
  metaLength: number,
  dataLength: number,
): string | undefined {
  if (metaLength > frameMetaBytesMax) return `frame meta of ${metaLength} bytes`;
  if (dataLength > frameDataBytesMax) return `frame data of ${dataLength} bytes`;
  if (dataLength > 0 !== (kind === 'stream')) return `${kind} frame with ${dataLength} bytes of data`;
  if (kind !== 'unknown' && metaLength > 0 !== (kind !== 'tick'))
    return `${kind} frame with ${metaLength} bytes of meta`;
  if (fields.start < 1 || fields.start + dataLength - 1 > integerMax) return `frame starts at offset ${fields.start}`;
  if (fields.boundary >= fields.start + dataLength) return `frame ends before its boundary ${fields.boundary}`;
  if (fields.firstStamp > fields.lastStamp) return `stamps go back within the frame at offset ${fields.start}`;
  if (fields.db > uint32Max) return `db ${fields.db}`;
  return undefined;
}
