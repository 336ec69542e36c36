// CRC-64 against published vectors, a bitwise reference, and itself in pieces.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Crc64, crc64Hex } from '../../src/redis/crc64.ts';
import { pieces } from './bytes.ts';

/** Bit by bit, on big integers. */
function reference(bytes: Uint8Array): string {
  let crc = 0n;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
  }
  return crc.toString(16).padStart(16, '0');
}

test('the check value of the Redis sources comes out', () => {
  expect(crc64Hex(Buffer.from('123456789'))).toBe('e9c6d914c4b8d9ca');
  expect(crc64Hex(Buffer.alloc(0))).toBe('0000000000000000');
});

test('any bytes, in any pieces, give what the bitwise reference gives', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      (bytes, lengths) => {
        const crc = new Crc64();
        for (const piece of pieces(Buffer.from(bytes), lengths)) crc.update(piece);
        expect(crc.hex()).toBe(reference(bytes));
      },
    ),
  );
});

test('every flipped bit of an RDB shows', () => {
  const bytes = Buffer.from('REDIS0011 and forty more bytes of some content');
  const right = crc64Hex(bytes);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    expect(crc64Hex(bytes)).not.toBe(right);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});
