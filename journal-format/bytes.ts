/**
 * Numbers as bytes: little-endian 64-bit fields held in two 32-bit halves (no BigInt on the hot path), and unsigned
 * LEB128. Whatever is read here is a safe integer, or the bytes are corrupt.
 */
import { FormatError } from './errors.ts';
import { integerMax } from './limits.ts';

const twoTo32 = 2 ** 32;
const highHalfMax = Math.floor(integerMax / twoTo32);

/** The longest LEB128 of a safe integer: 53 bits, seven a byte. */
export const leb128BytesMax = 8;

/** A Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function writeUint64(target: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned safe integer: ${value}`);
  target.writeUInt32LE(value >>> 0, at);
  target.writeUInt32LE(Math.floor(value / twoTo32), at + 4);
}

export function readUint64(source: Buffer, at: number): number {
  const high = source.readUInt32LE(at + 4);
  if (high > highHalfMax) throw new FormatError('corrupt', 'number above 2^53 − 1', at);
  return high * twoTo32 + source.readUInt32LE(at);
}

export function leb128Bytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Writes `value` in its shortest form and returns the position behind it. */
export function writeLeb128(target: Uint8Array, value: number, at: number): number {
  let rest = value;
  let next = at;
  // Shifts work on 32 bits only; larger values are first brought below that by division.
  while (rest > 0x7fff_ffff) {
    target[next++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 127) {
    target[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[next++] = rest;
  return next;
}

/** Reads LEB128 numbers one behind the other; only the shortest form of each is accepted. */
export class Leb128Reader {
  readonly #bytes: Uint8Array;
  position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.position;
  }

  next(): number {
    const first = this.position;
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.position];
      if (byte === undefined) throw new FormatError('corrupt', 'number runs over the end', first);
      this.position += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw new FormatError('corrupt', 'number not in its shortest form', first);
        break;
      }
      if (this.position - first === leb128BytesMax) throw new FormatError('corrupt', 'number too long', first);
      scale *= 128;
    }
    if (value > integerMax) throw new FormatError('corrupt', 'number above 2^53 − 1', first);
    return value;
  }
}
