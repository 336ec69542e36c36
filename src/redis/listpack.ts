/**
 * Listpacks, the packed lists inside RDB strings: only the reading half, for hashes whose fields expire.
 */
import { IntegrityError } from '../core/errors.ts';

/** Total length and count of elements. */
const headBytes = 6;
const end = 0xff;

/** Of every element the bytes, as a client would see them. They are part of `listpack` where they are in it as they are. */
export function listpackElements(listpack: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let at = headBytes;
  while (at < listpack.length && listpack[at] !== end) {
    const { element, bytes } = elementAt(listpack, at);
    elements.push(element);
    at += bytes + lengthBytes(bytes);
  }
  if (at !== listpack.length - 1) throw new IntegrityError('rdb-broken', 'the RDB has a broken listpack');
  return elements;
}

/** `bytes`: with its encoding, without the length behind it. */
function elementAt(listpack: Buffer, at: number): { readonly element: Buffer; readonly bytes: number } {
  const first = listpack[at]!;
  const text = (head: number, length: number): { element: Buffer; bytes: number } => ({
    element: listpack.subarray(at + head, at + head + length),
    bytes: head + length,
  });
  const number = (value: number | bigint, bytes: number): { element: Buffer; bytes: number } => ({
    element: Buffer.from(String(value), 'latin1'),
    bytes,
  });
  if (first < 0x80) return number(first, 1);
  if (first < 0xc0) return text(1, first & 0x3f);
  if (first < 0xe0) return number(((((first & 0x1f) << 8) | listpack[at + 1]!) << 19) >> 19, 2);
  if (first < 0xf0) return text(2, ((first & 0x0f) << 8) | listpack[at + 1]!);
  switch (first) {
    case 0xf0:
      return text(5, listpack.readUInt32LE(at + 1));
    case 0xf1:
      return number(listpack.readInt16LE(at + 1), 3);
    case 0xf2:
      return number(listpack.readIntLE(at + 1, 3), 4);
    case 0xf3:
      return number(listpack.readInt32LE(at + 1), 5);
    case 0xf4:
      return number(listpack.readBigInt64LE(at + 1), 9);
    default:
      throw new IntegrityError('rdb-broken', `the RDB has a listpack element encoded as ${first}`);
  }
}

/** An element is followed by its length, in 7 bits a byte. */
function lengthBytes(bytes: number): number {
  if (bytes < 2 ** 7) return 1;
  if (bytes < 2 ** 14 - 1) return 2;
  if (bytes < 2 ** 21 - 1) return 3;
  return bytes < 2 ** 28 - 1 ? 4 : 5;
}
