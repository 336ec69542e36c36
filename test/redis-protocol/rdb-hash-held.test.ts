// A hash with expiring fields is held whole while it is given other expiries, up to a limit: beyond that it is refused.
import { expect, test, vi } from 'vitest';
import { hashHeldBytesMax } from '../../src/core/limits.ts';
import { RdbFilter } from '../../src/redis/rdb-filter.ts';
import { TtlJudge } from '../../src/redis/ttl-rule.ts';
import type { TtlRule } from '../../src/redis/ttl-rule.ts';
import { pieces } from './bytes.ts';
import { entry, length, ms, rdb, string, through } from './rdb-maker.ts';

vi.mock('../../src/core/limits.ts', async (original) => ({ ...(await original<object>()), hashHeldBytesMax: 100_000 }));

const atMs = 1_790_000_000_000;
const shift: TtlRule = { asOfMs: 0, elapsed: 'goes', others: { laterByMs: 1000 } };

/** Of one field that expires, and so many bytes of value. */
function withHash(type: 22 | 24, valueBytes: number): Buffer {
  const pair = Buffer.concat([string('field'), string('v'.repeat(valueBytes))]);
  if (type === 22) return rdb('VALKEY080', entry(22, 'hash', length(1), pair, ms(atMs)));
  return rdb('REDIS0012', entry(24, 'hash', ms(atMs), length(1), length(1), pair));
}

test.each([22, 24] as const)('a hash of type %i at the limit is held, in pieces of any size', (type) => {
  const given = withHash(type, hashHeldBytesMax - 200);
  for (const size of [given.length, 5000, 333]) {
    const judge = new TtlJudge(shift, 0);
    const out = through(new RdbFilter({ ttl: judge }), pieces(given, [size]));
    expect(out.length).toBe(given.length);
    expect(out.includes(ms(atMs + 1000))).toBe(true);
    expect(judge.count.ahead).toEqual({ keys: 0, fields: 1 });
  }
});

test.each([22, 24] as const)('a hash of type %i beyond the limit is refused, before all of it is there', (type) => {
  const begun = withHash(type, 100 * hashHeldBytesMax).subarray(0, 3 * hashHeldBytesMax);
  const filter = new RdbFilter({ ttl: new TtlJudge(shift, 0) });
  const refusal = expect.objectContaining({
    code: 'hash-too-large',
    exitCode: 1,
    hint: expect.stringContaining('keep'),
  });
  expect(() => through(filter, pieces(begun, [5000]))).toThrow(refusal);
});

test('a hash beyond the limit goes through where its expiries stay', () => {
  const given = withHash(24, 2 * hashHeldBytesMax);
  const judge = new TtlJudge({ asOfMs: 0, elapsed: 'stays', others: 'stay' }, 0);
  expect(through(new RdbFilter({ ttl: judge }), pieces(given, [5000])).length).toBe(given.length);
});
