/**
 * The steps that an RDB is walked over in (pure): how long is what begins here. Each looks at no more than LOOKAHEAD bytes,
 * which the caller has there; but for stringAt(), which takes the whole of a string.
 */
import { lzfDecompress } from './lzf.ts';

/** The longest step: a module's opcode, and a compressed string with both its lengths. */
export const LOOKAHEAD = 32;

/** What a compressed string may come to; a server takes none that is longer. */
const stringBytesMax = 4 * 1024 * 1024 * 1024 - 1;

/** What cannot be stepped over. */
export class BrokenStep extends Error {
  readonly at: number;

  constructor(at: number, what: string) {
    super(what);
    this.at = at;
  }
}

export function lengthAt(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x40) return first;
  if (first < 0x80) return ((first & 0x3f) << 8) | bytes[at + 1]!;
  if (first === 0x80) return bytes.readUInt32BE(at + 1);
  const length = bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5);
  if (first === 0x81) return length;
  throw new BrokenStep(at, `a length encoded as ${first}`);
}

export function lengthEnd(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x40) return at + 1;
  if (first < 0x80) return at + 2;
  if (first === 0x80) return at + 5;
  if (first === 0x81) return at + 9;
  throw new BrokenStep(at, `a length encoded as ${first}`);
}

export function stringEnd(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x40) return at + 1 + first;
  if (first < 0xc0) return lengthEnd(bytes, at) + lengthAt(bytes, at);
  if (first === 0xc3) {
    const sizeAt = lengthEnd(bytes, at + 1);
    return lengthEnd(bytes, sizeAt) + lengthAt(bytes, at + 1);
  }
  // An integer of 8, 16 or 32 bits.
  if (first < 0xc3) return at + 1 + (1 << (first & 3));
  throw new BrokenStep(at, `a string encoded as ${first}`);
}

/** As a client would see it; it is all there, and ends at `stop`. */
export function stringAt(bytes: Buffer, at: number, stop: number): Buffer {
  const first = bytes[at]!;
  if (first < 0xc0) return bytes.subarray(lengthEnd(bytes, at), stop);
  if (first < 0xc3) return Buffer.from(String(bytes.readIntLE(at + 1, 1 << (first & 3))), 'latin1');
  const sizeAt = lengthEnd(bytes, at + 1);
  const size = lengthAt(bytes, sizeAt);
  const text = size > stringBytesMax ? undefined : lzfDecompress(bytes.subarray(lengthEnd(bytes, sizeAt), stop), size);
  if (text === undefined) throw new BrokenStep(at, 'a compressed string that cannot be decompressed');
  return text;
}

/** One pair of a module's value: what kind of thing follows, and it. Kind 0 ends the value. */
export function moduleValueEnd(bytes: Buffer, at: number): number {
  const kind = lengthAt(bytes, at);
  const end = lengthEnd(bytes, at);
  switch (kind) {
    case 0:
      return end;
    case 1:
    case 2:
      return lengthEnd(bytes, end);
    case 3:
      return end + 4;
    case 4:
      return end + 8;
    case 5:
      return stringEnd(bytes, end);
    default:
      throw new BrokenStep(at, `a module value of kind ${kind}`);
  }
}

/** Signed, little-endian; exact for every time within some 285,000 years of the epoch. */
export function millisecondsAt(bytes: Buffer, at: number): number {
  return bytes.readInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at);
}
