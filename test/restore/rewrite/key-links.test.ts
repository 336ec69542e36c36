// A map of numbers, compared with a Map of many.
import { expect, test } from 'vitest';
import { KeyLinks, none } from '../../../src/restore/rewrite/key-links.ts';
import { Random } from '../../support/random.ts';

test('what a hash is linked to is what it was linked to last, among a hundred thousand', () => {
  const random = new Random(7);
  const links = new KeyLinks();
  const expected = new Map<number, number>();
  for (let i = 0; i < 200_000; i++) {
    // Low bits that are all the same, and the largest ones.
    const hash = (2 ** 32 - 1 - random.below(100_000) * 4096) >>> 0;
    links.set(hash, i);
    expected.set(hash, i);
  }
  expect(links.size).toBe(expected.size);
  for (const [hash, to] of expected) if (links.get(hash) !== to) expect.fail(`${hash}`);
  expect(links.get(0)).toBe(none);
  expect(links.get(12_345)).toBe(none);
});
