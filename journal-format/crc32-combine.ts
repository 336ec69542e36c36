/**
 * The CRC-32 of a whole out of those of its parts, by arithmetic on polynomials, as zlib's crc32_combine (which Node does
 * not hand out) does it: what was checked in chunks need not be gone through again.
 */

/** The generator without its highest term, reflected: the highest bit is x^0. */
const generator = 0xedb88320;
const x0 = 0x80000000;
const x1 = 0x40000000;

/** The CRC-32 of A followed by B, where B has `lengthB` bytes. */
export function combineCrc32(crcA: number, crcB: number, lengthB: number): number {
  // A is multiplied by x once for each bit of B, then B is added.
  let factor = x0;
  let power = x1;
  for (let i = 0; i < 3; i += 1) power = multiply(power, power);
  for (let left = lengthB; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) factor = multiply(power, factor);
    power = multiply(power, power);
  }
  return (multiply(factor, crcA) ^ crcB) >>> 0;
}

/** Modulo the generator. */
function multiply(a: number, b: number): number {
  let product = 0;
  let term = b;
  for (let bit = x0; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= term;
    term = (term & 1) === 0 ? term >>> 1 : (term >>> 1) ^ generator;
  }
  return product >>> 0;
}
