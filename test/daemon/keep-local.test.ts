// What --keep-local takes, and when it is applied.
import { expect, test } from 'vitest';
import { parseKeepLocal } from '../../src/daemon/keep-local.ts';

test.each([
  ['7d', { kind: 'age', micros: 7 * 86_400 * 1e6 }],
  ['36h', { kind: 'age', micros: 36 * 3600 * 1e6 }],
  ['1.5m', { kind: 'age', micros: 90 * 1e6 }],
  ['200GB', { kind: 'size', bytes: 200e9 }],
  ['1.5 TiB', { kind: 'size', bytes: 1.5 * 2 ** 40 }],
] as const)('%s is a rule', (text, rule) => {
  expect(parseKeepLocal(text)?.rule).toEqual(rule);
});

test.each(['', '7', 'd', '0d', '-1d', '7 days', '1e3GB', '7D', '200gb', '200G', '1..5d'])('%j is none', (text) => {
  expect(parseKeepLocal(text)).toBeUndefined();
});
