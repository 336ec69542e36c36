import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatInstant } from '../../src/core/instant.ts';

describe('formatInstant', () => {
  test.each([
    [0, '1970-01-01T00:00:00.000000Z'],
    [1, '1970-01-01T00:00:00.000001Z'],
    [1_795_185_005_250_000, '2026-11-20T14:30:05.250000Z'],
    [-1, '1969-12-31T23:59:59.999999Z'],
    [Number.MAX_SAFE_INTEGER, '2255-06-05T23:47:34.740991Z'],
    [Number.MIN_SAFE_INTEGER, '1684-07-28T00:12:25.259009Z'],
  ])('%d is %s', (at, text) => {
    expect(formatInstant(at)).toBe(text);
  });

  test('prints every safe integer exactly, and in its order', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        const text = formatInstant(a);
        const seconds = BigInt(Date.parse(`${text.slice(0, 19)}Z`)) / 1000n;
        expect(seconds * 1_000_000n + BigInt(text.slice(20, 26))).toBe(BigInt(a));
        expect(text < formatInstant(b)).toBe(a < b);
      }),
    );
  });

  test.each([1.5, Number.NaN, Infinity, 2 ** 53])('refuses %d, which is not a count of microseconds', (at) => {
    expect(() => formatInstant(at)).toThrow(RangeError);
  });
});
