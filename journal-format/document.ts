/**
 * Documents (SPEC.md 4): the envelope around every header, footer and small object. It is the same in every version of
 * the format, so that a newer file is recognised as newer, and only after its checksum is right: a flipped version byte
 * is corrupt. What the keys mean is in records.ts and its neighbours.
 */
import { crc32 } from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import { asBuffer } from './bytes.ts';
import { FormatError } from './errors.ts';
import { documentBodyBytesMax } from './limits.ts';
import { checkShape } from './shape.ts';

export const formatVersion = 1;
export const documentHeaderBytes = 16;

export type DocumentKind =
  | 'open-header'
  | 'sealed-header'
  | 'sealed-footer'
  | 'timeline'
  | 'base'
  | 'gap'
  | 'mark'
  | 'stop'
  | 'removed'
  | 'filters';

export interface DecodedDocument {
  readonly kind: DocumentKind;
  readonly body: Record<string, unknown>;
  /** Bytes of envelope and body. */
  readonly length: number;
  readonly crc: number;
}

const magic = Buffer.from('JRNL', 'latin1').readUInt32LE(0);
/** Where the checksum lies; it covers what is before it and the body behind it. */
const crcAt = 12;
const kindNumbers: Record<DocumentKind, number> = {
  'open-header': 1,
  'sealed-header': 2,
  'sealed-footer': 3,
  timeline: 4,
  base: 5,
  gap: 6,
  mark: 7,
  stop: 8,
  removed: 9,
  filters: 10,
};
const kindNames: ReadonlyMap<number, DocumentKind> = new Map(
  Object.entries(kindNumbers).map(([name, number]) => [number, name as DocumentKind]),
);

/** `body` may hold safe integers, strings, bytes, booleans, null, arrays and objects of these; else a RangeError. */
export function encodeDocument(kind: DocumentKind, body: Record<string, unknown>): { bytes: Buffer; crc: number } {
  const encoded = asBuffer(encode(body, { ignoreUndefined: true }));
  if (encoded.length > documentBodyBytesMax) throw new RangeError(`document body of ${encoded.length} bytes`);
  try {
    checkShape(encoded, documentHeaderBytes);
  } catch (error) {
    throw new RangeError(`not encodable as a ${kind} document`, { cause: error });
  }
  const bytes = Buffer.allocUnsafe(documentHeaderBytes + encoded.length);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt16LE(kindNumbers[kind], 4);
  bytes.writeUInt16LE(formatVersion, 6);
  bytes.writeUInt32LE(encoded.length, 8);
  const crc = crc32(encoded, crc32(bytes.subarray(0, crcAt)));
  bytes.writeUInt32LE(crc, crcAt);
  encoded.copy(bytes, documentHeaderBytes);
  return { bytes, crc };
}

/** How many bytes the document that begins with these (16 or more) takes. */
export function documentLength(first16: Uint8Array): number {
  const bytes = asBuffer(first16);
  if (bytes.length < documentHeaderBytes) throw new FormatError('torn', 'document runs over the end', bytes.length);
  if (bytes.readUInt32LE(0) !== magic) throw new FormatError('corrupt', 'no document begins here');
  const bodyLength = bytes.readUInt32LE(8);
  if (bodyLength > documentBodyBytesMax) throw new FormatError('corrupt', `document body of ${bodyLength} bytes`, 8);
  return documentHeaderBytes + bodyLength;
}

/** Decodes the document at the beginning of `bytes`, which may go on behind it. */
export function decodeDocument(bytes: Uint8Array, expected?: DocumentKind): DecodedDocument {
  const length = documentLength(bytes);
  if (bytes.length < length) throw new FormatError('torn', 'document runs over the end', bytes.length);
  const whole = asBuffer(bytes).subarray(0, length);
  const encoded = whole.subarray(documentHeaderBytes);
  const crc = whole.readUInt32LE(crcAt);
  if (crc32(encoded, crc32(whole.subarray(0, crcAt))) !== crc) {
    throw new FormatError('corrupt', 'document checksum is wrong');
  }
  const version = whole.readUInt16LE(6);
  if (version > formatVersion) throw new FormatError('unsupported', `document of format version ${version}`, 6);
  const kind = kindNames.get(whole.readUInt16LE(4));
  if (version < 1 || kind === undefined) throw new FormatError('corrupt', 'document of no known kind', 4);
  if (expected !== undefined && kind !== expected) {
    throw new FormatError('corrupt', `${kind} document where a ${expected} document is expected`, 4);
  }
  return { kind, body: decodeBody(encoded), length, crc };
}

function decodeBody(encoded: Buffer): Record<string, unknown> {
  checkShape(encoded, documentHeaderBytes);
  try {
    const length = encoded.length;
    return decode(encoded, {
      maxStrLength: length,
      maxBinLength: length,
      maxArrayLength: length,
      maxMapLength: length,
      maxExtLength: 0,
    }) as Record<string, unknown>;
  } catch (error) {
    throw new FormatError('corrupt', 'document body is not decodable', documentHeaderBytes, error);
  }
}
