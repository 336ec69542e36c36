// Names that were there are known; of a million different ones none is taken for another.
import { expect, test } from 'vitest';
import { NameSet } from '../../src/redis/name-set.ts';

test('a name is new once in each db, among a million', () => {
  const names = new NameSet();
  const nameOf = (i: number): Buffer => Buffer.from(`user:${i % 500_000}`);
  for (let i = 0; i < 1_000_000; i++) if (names.add(i < 500_000 ? 0 : 1, nameOf(i))) expect.fail(`${i} is new`);
  for (let i = 0; i < 1_000_000; i += 997) expect(names.add(i < 500_000 ? 0 : 1, nameOf(i))).toBe(true);
  expect(names.size).toBe(1_000_000);
  expect(names.has(0, nameOf(1))).toBe(true);
  expect(names.has(2, nameOf(1))).toBe(false);
  expect(names.add(0, Buffer.alloc(0))).toBe(false);
  expect(names.add(0, Buffer.alloc(1))).toBe(false);
  expect(names.add(0, Buffer.alloc(2))).toBe(false);
  expect(names.add(0, Buffer.alloc(1))).toBe(true);
});
