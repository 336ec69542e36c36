/**
 * Frames of the link between journals (journal-format/LINK.md, section 2), both directions, pure: LinkFrameWriter makes the
 * bytes, LinkFrameReader takes them as they come. What is in a log or state frame is link-log.ts' and link-state.ts' business.
 *
 * Invariant: no length is believed before the header's checksum was right, none beyond linkBodyBytesMax at all, and nothing
 * is decompressed whose checksum is wrong.
 */
import { constants, crc32, zstdCompress, zstdDecompressSync } from 'node:zlib';
import { promisify } from 'node:util';
import { readUint64, writeUint64 } from '../../journal-format/bytes.ts';
import { isFormatError } from '../../journal-format/errors.ts';
import { LinkError } from '../core/errors.ts';
import { linkBodyBytesMax } from '../core/limits.ts';

export const linkVersion = 1;
/** What a journal answers to `REPLCONF journal-link`. Some servers take any option with OK, and know no link. */
export const linkOffer = `journal-link ${linkVersion}`;

export type LinkFrameKind = 'base' | 'piece' | 'log' | 'state';

export interface LinkFrame {
  readonly kind: LinkFrameKind;
  readonly place: number;
  /** Memory of its own. */
  readonly body: Buffer;
}

/** A body as it is sent. */
export interface PackedBody {
  readonly bytes: Buffer;
  /** Its length before it was compressed; undefined: it was not. */
  readonly meantLength: number | undefined;
}

export const linkHeaderBytes = 32;

const magic = Buffer.from('JLNK', 'latin1');
const numbers: Readonly<Record<LinkFrameKind, number>> = { base: 1, piece: 2, log: 3, state: 4 };
const kinds = new Map<number, LinkFrameKind>(
  (Object.entries(numbers) as [LinkFrameKind, number][]).map(([kind, number]) => [number, kind]),
);
const requiredFlag = 1;
const compressedFlag = 2;
/** Shorter ones come in a packet of their own either way. */
const packedBytesLeast = 256;
/** So much more than is needed that a buffer surely is none of Node's pool, which others have a part of. */
const unpooledBytes = 65_536;
const roomBytesFirst = 64 * 1024;
/** A window of 16 MiB holds any body. A frame may ask for more, and the memory for it is taken before anything is read. */
const windowBitsMax = 24;
const compress = promisify(zstdCompress);

/** Compressed where that makes it shorter. */
export async function packBody(raw: Buffer, level: number): Promise<PackedBody> {
  if (raw.length < packedBytesLeast) return { bytes: raw, meantLength: undefined };
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  const chunkSize = raw.length + (raw.length >> 8) + unpooledBytes;
  const bytes = await compress(raw, { params, pledgedSrcSize: raw.length, chunkSize });
  return bytes.length < raw.length ? { bytes, meantLength: raw.length } : { bytes: raw, meantLength: undefined };
}

/** Of one connection. */
export class LinkFrameWriter {
  #chain = 0;

  /** The header; behind it goes the body. */
  header(kind: LinkFrameKind, place: number, { bytes, meantLength }: PackedBody): Buffer {
    if (bytes.length > linkBodyBytesMax) throw new RangeError(`a link frame of ${bytes.length} bytes`);
    const header = Buffer.alloc(linkHeaderBytes);
    magic.copy(header);
    header[4] = numbers[kind];
    header[5] = (isRequired(kind) ? requiredFlag : 0) | (meantLength === undefined ? 0 : compressedFlag);
    header.writeUInt32LE(bytes.length, 8);
    header.writeUInt32LE(meantLength ?? bytes.length, 12);
    writeUint64(header, place, 16);
    header.writeUInt32LE(crc32(bytes, this.#chain), 24);
    this.#chain = crc32(header.subarray(0, 28));
    header.writeUInt32LE(this.#chain, 28);
    return header;
  }
}

interface Header {
  /** Undefined: of a later version, to be skipped. */
  readonly kind: LinkFrameKind | undefined;
  readonly isCompressed: boolean;
  readonly length: number;
  readonly meantLength: number;
  readonly place: number;
  readonly bodyCrc: number;
  readonly crc: number;
}

/** Of one connection. */
export class LinkFrameReader {
  /** What has come, however it was cut on the way, lies between `#from` and `#to`. */
  #room: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  #header: Header | undefined;
  #chain = 0;

  /** The bytes are the caller's again on return. */
  push(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#room.set(bytes, this.#to);
    this.#to += bytes.length;
  }

  /** Undefined: more bytes are needed. LinkError where they make no sense. */
  next(): LinkFrame | undefined {
    for (;;) {
      if (this.#header === undefined && this.#to - this.#from >= linkHeaderBytes) {
        this.#header = decodeHeader(this.#take(linkHeaderBytes));
      }
      const header = this.#header;
      if (header === undefined || this.#to - this.#from < header.length) return undefined;
      const stored = this.#take(header.length);
      this.#header = undefined;
      if (crc32(stored, this.#chain) !== header.bodyCrc)
        throw broken('a frame has a wrong checksum, or one is missing');
      this.#chain = header.crc;
      const { kind, place } = header;
      if (kind !== undefined) return { kind, place, body: unpack(header, stored) };
    }
  }

  /** Good until the next push. */
  #take(length: number): Buffer {
    const taken = this.#room.subarray(this.#from, this.#from + length);
    this.#from += length;
    return taken;
  }

  #reserve(length: number): void {
    if (this.#to + length <= this.#room.length) return;
    const left = this.#room.subarray(this.#from, this.#to);
    const needed = left.length + length;
    if (needed > this.#room.length / 2) this.#room = Buffer.allocUnsafe(Math.max(2 * needed, roomBytesFirst));
    left.copy(this.#room);
    this.#from = 0;
    this.#to = left.length;
  }
}

function decodeHeader(bytes: Buffer): Header {
  const crc = crc32(bytes.subarray(0, 28));
  if (!bytes.subarray(0, 4).equals(magic) || crc !== bytes.readUInt32LE(28)) throw broken('what came is no frame');
  const [number = 0, flags = 0] = bytes.subarray(4, 6);
  const [length, meantLength] = [bytes.readUInt32LE(8), bytes.readUInt32LE(12)];
  const isCompressed = (flags & compressedFlag) !== 0;
  if (number === 0 || flags > (requiredFlag | compressedFlag) || bytes.readUInt16LE(6) !== 0) {
    throw broken(`a frame of kind ${number} with flags ${flags}`);
  }
  if (
    length > linkBodyBytesMax ||
    meantLength > linkBodyBytesMax ||
    (isCompressed ? length >= meantLength : length !== meantLength)
  ) {
    throw broken(`a frame of ${length} bytes that stand for ${meantLength}`);
  }
  const kind = kinds.get(number);
  const flag = (flags & requiredFlag) !== 0;
  if (kind === undefined && flag) throw newer(`a frame of kind ${number}`);
  if (kind !== undefined && flag !== isRequired(kind)) throw broken(`a ${kind} frame with wrong flags`);
  const place = decoded(() => readUint64(bytes, 16));
  return { kind, isCompressed, length, meantLength, place, bodyCrc: bytes.readUInt32LE(24), crc };
}

/** A bomb ends at the length that it claims. */
function unpack({ isCompressed, meantLength }: Header, stored: Buffer): Buffer {
  if (!isCompressed) return Buffer.from(stored);
  let raw: Buffer;
  try {
    raw = zstdDecompressSync(stored, {
      params: { [constants.ZSTD_d_windowLogMax]: windowBitsMax },
      ...{ maxOutputLength: meantLength, chunkSize: meantLength + unpooledBytes },
    });
  } catch (error) {
    throw broken('a body cannot be decompressed', error);
  }
  if (raw.length !== meantLength) throw broken(`a body of ${raw.length} bytes instead of ${meantLength}`);
  return raw;
}

function isRequired(kind: LinkFrameKind): boolean {
  return kind !== 'state';
}

/** What the codec of the format finds wrong, as what it means for a link. */
export function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!isFormatError(error)) throw error;
    throw error.kind === 'unsupported' ? newer(error.message, error) : broken(error.message, error);
  }
}

export function broken(what: string, cause?: unknown): LinkError {
  return new LinkError('link-broken', `what the journal sent makes no sense: ${what}`, 'soon', {
    hint: 'something on the way alters it, or it is no journal; TLS (rediss://) tells which',
    cause,
  });
}

/** Nothing that waiting mends; another version may come to be there, though. */
export function newer(what: string, cause?: unknown): LinkError {
  return new LinkError('link-unsupported', `the journal sent what this version does not know: ${what}`, 'later', {
    hint: 'use the version of journal that runs there, or a later one',
    cause,
  });
}
