// The soak's judgement on memory and descriptors: it must see what grows, and not what a process does when it is new.
import { expect, test } from 'vitest';
import { type GaugeSample, judge } from './gauge.ts';

function life(pid: number, seconds: number, at: (second: number) => Partial<GaugeSample>): GaugeSample[] {
  return Array.from({ length: seconds }, (_, second) => ({
    pid,
    seconds: second,
    rssMb: 100,
    descriptors: 27,
    ...at(second),
  }));
}

test('what rises and falls is flat, and so is what only grows while it is new', () => {
  const samples = life(1, 1800, (second) => ({
    rssMb: Math.min(second, 120) + (second % 60),
    descriptors: 27 + (second % 3),
  }));
  expect(judge(samples)).toMatchObject({ isFlat: true, seconds: 1799, rssMbMax: 179, descriptorsMax: 29 });
});

test('memory that grows is not', () => {
  const verdict = judge(life(1, 1800, (second) => ({ rssMb: 100 + second / 36 + (second % 60) })));
  expect(verdict.isFlat).toBe(false);
  expect(verdict.rssMbPerHour).toBeGreaterThan(90);
  expect(verdict.rssMbPerHour).toBeLessThan(110);
});

test('descriptors that grow are not', () => {
  expect(judge(life(1, 1800, (second) => ({ descriptors: 27 + Math.floor(second / 300) }))).isFlat).toBe(false);
});

test('the longest life is judged, and none that was short', () => {
  const growing = (second: number): Partial<GaugeSample> => ({ rssMb: 100 + second });
  expect(judge([...life(1, 700, () => ({})), ...life(2, 500, growing)]).isFlat).toBe(true);
  expect(judge(life(2, 500, growing)).isFlat).toBeUndefined();
  expect(judge([])).toMatchObject({ samples: 0, isFlat: undefined });
});
