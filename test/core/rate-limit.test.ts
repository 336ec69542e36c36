import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateLimit } from '../../src/core/rate-limit.ts';

test('whatever is sent, and whoever sends it, no more than the rate goes out behind the first piece', () => {
  const pieces = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 1e6 }), idle: fc.nat(3_000_000) }));
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 1e9 }), pieces, (rate, sent) => {
      let now = 5_000_000;
      const limit = new RateLimit(rate, { monotonic: () => now });
      const begun = now;
      let before = 0;
      for (const { bytes, idle } of sent) {
        expect(before).toBeLessThanOrEqual(((now - begun) / 1e6) * rate + 1);
        before += bytes;
        now = limit.sent(bytes) + idle;
      }
    }),
  );
});

test('a pause is not made up for', () => {
  let now = 0;
  const limit = new RateLimit(1000, { monotonic: () => now });
  expect(limit.sent(500)).toBe(500_000);
  now = 60_000_000;
  expect(limit.sent(500)).toBe(60_500_000);
  expect(limit.sent(1000)).toBe(61_500_000);
});
