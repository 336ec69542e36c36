// Time spans and sizes, as settings are written.
import { expect, test } from 'vitest';
import { parseDuration, parseSize } from '../../src/core/amounts.ts';

test.each([
  ['90s', 90 * 1e6],
  ['1.5m', 90 * 1e6],
  ['36h', 36 * 3600 * 1e6],
  ['2 d', 2 * 86_400 * 1e6],
  ['0.001s', 1000],
  ['0w', 0],
])('%j is a time span', (text, micros) => {
  expect(parseDuration(text)).toBe(micros);
  expect(parseSize(text)).toBeUndefined();
});

test.each([
  ['200GB', 200e9],
  ['1.5 TiB', 1.5 * 2 ** 40],
  ['0.01MB', 10_000],
  ['0.333MiB', 349_176],
])('%j is a size', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
  expect(parseDuration(text)).toBeUndefined();
});

test.each(['', '7', 'd', '-1d', '7 days', '1e3GB', '7D', '200gb', '200G', '1..5d', '1h30m', '1.5555GB', ' 1GB'])(
  '%j is neither',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
    expect(parseSize(text)).toBeUndefined();
  },
);
