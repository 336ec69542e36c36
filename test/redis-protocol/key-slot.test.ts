// Slots of keys: vectors that a server gave (CLUSTER KEYSLOT). test/redis/restore-cluster.test.ts asks servers for many more.
import { expect, test } from 'vitest';
import { keySlot } from '../../src/redis/key-slot.ts';

test.each([
  ['123456789', 12739],
  ['foo', 12182],
  ['', 0],
  ['user1000', 3443],
  ['{user1000}.following', 3443],
  ['bar', 5061],
  ['foo{bar}{zap}', 5061],
  ['foo{}{bar}', 8363],
  ['foo{{bar}}zap', 4015],
  ['{', 4092],
  ['}{', 12793],
  ['a}b{c}', 7365],
  ['{}', 15257],
  ['x{\xff\0}', 1023],
])('%j is in the slot that a server says', (key, slot) => {
  expect(keySlot(Buffer.from(key, 'latin1'))).toBe(slot);
});
