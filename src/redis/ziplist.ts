/**
 * Ziplists and intsets, the packed collections of servers before Redis 7.0 (intsets of all): only the reading half.
 */
import { IntegrityError } from '../core/errors.ts';

/** Total length, offset of the last element, count. */
const ziplistHeadBytes = 10;
const end = 0xff;

/** Of every element the bytes, as a client would see them. */
export function ziplistElements(ziplist: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let at = ziplistHeadBytes;
  while (at < ziplist.length && ziplist[at] !== end) {
    // The length of the element before.
    at += ziplist[at] === 0xfe ? 5 : 1;
    const { element, bytes } = elementAt(ziplist, at);
    elements.push(element);
    at += bytes;
  }
  if (at !== ziplist.length - 1) throw new IntegrityError('rdb-broken', 'the RDB has a broken ziplist');
  return elements;
}

export function intsetElements(intset: Buffer): Buffer[] {
  const width = intset.readUInt32LE(0);
  const count = intset.readUInt32LE(4);
  const numberAt = (at: number): bigint => {
    if (width === 8) return intset.readBigInt64LE(at);
    return BigInt(width === 4 ? intset.readInt32LE(at) : intset.readInt16LE(at));
  };
  return Array.from({ length: count }, (_, i) => Buffer.from(String(numberAt(8 + i * width)), 'latin1'));
}

function elementAt(ziplist: Buffer, at: number): { readonly element: Buffer; readonly bytes: number } {
  const first = ziplist[at]!;
  const text = (head: number, length: number): { element: Buffer; bytes: number } => ({
    element: ziplist.subarray(at + head, at + head + length),
    bytes: head + length,
  });
  const number = (value: number | bigint, bytes: number): { element: Buffer; bytes: number } => ({
    element: Buffer.from(String(value), 'latin1'),
    bytes,
  });
  if (first < 0x40) return text(1, first);
  if (first < 0x80) return text(2, ((first & 0x3f) << 8) | ziplist[at + 1]!);
  if (first === 0x80) return text(5, ziplist.readUInt32BE(at + 1));
  switch (first) {
    case 0xc0:
      return number(ziplist.readInt16LE(at + 1), 3);
    case 0xd0:
      return number(ziplist.readInt32LE(at + 1), 5);
    case 0xe0:
      return number(ziplist.readBigInt64LE(at + 1), 9);
    case 0xf0:
      return number(ziplist.readIntLE(at + 1, 3), 4);
    case 0xfe:
      return number(ziplist.readInt8(at + 1), 2);
    default:
      if (first > 0xf0 && first < 0xfe) return number((first & 0x0f) - 1, 1);
      throw new IntegrityError('rdb-broken', `the RDB has a ziplist element encoded as ${first}`);
  }
}
