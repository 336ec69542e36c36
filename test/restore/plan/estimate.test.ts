// Estimates: cautious before anything is known, and right within a factor of 2 once a restore of that kind was measured.
import { expect, test } from 'vitest';
import { estimateSeconds, learnPace, type Work } from '../../../src/restore/plan/estimate.ts';

function work(base: number, stream: number, more: Partial<Work> = {}): Work {
  return {
    ...{ form: 'multi-part-aof', transform: 'none', ttl: { mode: 'keep' }, undo: undefined },
    ...{ selection: undefined, held: undefined, scratch: undefined, destination: undefined },
    bytes: { base, stream, total: base + stream },
    ...more,
  };
}

const scratch = { scratch: {}, form: 'rdb' };

test('by cautious rates before anything was measured, in whole seconds', () => {
  expect(estimateSeconds(work(0, 0))).toBe(0);
  expect(estimateSeconds(work(1, 0))).toBe(1);
  expect(estimateSeconds(work(1e9, 1.4e9))).toBe(7);
  expect(estimateSeconds(work(1e9, 1.2e9, { transform: 'relative-ttl' }))).toBe(35);
  expect(estimateSeconds(work(1e9, 1.2e9, scratch))).toBe(65);
  expect(estimateSeconds(work(1e9, 1.2e9, { ...scratch, held: { keys: {} } }))).toBe(25);
  expect(estimateSeconds(work(1e9, 1.2e9, { selection: {}, held: { keys: {} } }))).toBe(13);
});

test.each([3, 40, 700])(
  'after one that took %d seconds, within a factor of 2 of that, for others of its kind',
  (seconds) => {
    const paces = learnPace({}, work(1e9, 1e9, scratch), seconds);
    expect(estimateSeconds(work(1e9, 1e9, scratch), paces)).toBe(seconds);
    expect(estimateSeconds(work(4e9, 6e9, scratch), paces)).toBe(seconds * 5);
  },
);

test('what was measured of one kind says nothing of another', () => {
  const paces = learnPace({}, work(1e9, 1e9, scratch), 500);
  const others = [
    work(1e9, 1e9),
    work(1e9, 1e9, { ...scratch, form: 'resp' }),
    work(1e9, 1e9, { ...scratch, ttl: { mode: 'shift' } }),
    work(1e9, 1e9, { ...scratch, undo: {} }),
    work(1e9, 1e9, { ...scratch, selection: {} }),
    work(1e9, 1e9, { ...scratch, selection: {}, held: { keys: {} } }),
    work(1e9, 1e9, { selection: {}, held: { keys: {} } }),
  ];
  for (const other of others) expect(estimateSeconds(other, paces)).toBe(estimateSeconds(other));
});

test('a machine that became slower, or faster, is believed by half at once, and soon altogether', () => {
  let paces = learnPace({}, work(1e9, 1e9), 10);
  paces = learnPace(paces, work(1e9, 1e9), 40);
  expect(estimateSeconds(work(1e9, 1e9), paces)).toBe(20);
  for (let i = 0; i < 4; i += 1) paces = learnPace(paces, work(1e9, 1e9), 40);
  expect(estimateSeconds(work(1e9, 1e9), paces)).toBeGreaterThan(36);
});

test('small restores teach nothing, and are not estimated by large ones', () => {
  const paces = learnPace({}, work(1e9, 1e9), 1000);
  expect(learnPace(paces, work(1000, 1000), 5)).toBe(paces);
  expect(learnPace(paces, work(1e9, 1e9), 0)).toBe(paces);
  expect(estimateSeconds(work(1000, 1000), paces)).toBe(1);
});

test('what is kept has a bound', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`way ${i}`, 1]));
  const paces = learnPace(many, work(1e9, 1e9), 10);
  expect(Object.keys(paces)).toHaveLength(100);
  expect(estimateSeconds(work(1e9, 1e9), paces)).toBe(10);
});
