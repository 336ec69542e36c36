/**
 * The slot that a key has in a cluster (pure): CRC-16 of the key, or of its hash tag, what stands between the first { and the
 * } behind it where that is anything.
 */

export const slotCount = 16_384;

const openBrace = 0x7b;
const closeBrace = 0x7d;

export function keySlot(key: Uint8Array): number {
  return crc16(hashed(key)) % slotCount;
}

function hashed(key: Uint8Array): Uint8Array {
  const open = key.indexOf(openBrace);
  const close = open === -1 ? -1 : key.indexOf(closeBrace, open + 1);
  return close > open + 1 ? key.subarray(open + 1, close) : key;
}

/** As XMODEM has it: polynomial 0x1021, from 0, most significant bit first. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ byte]!;
  return crc;
}

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021);
  return crc;
});
