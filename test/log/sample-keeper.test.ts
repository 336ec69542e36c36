// Which samples are kept. Each case is a run of the sampler: every 100 ms the primary's offset, and how far we were then.
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../journal-format/samples.ts';
import { SampleKeeper } from '../../src/log/sample-keeper.ts';

const period = 100_000;
const hour = 3_600_000_000;

interface Moment {
  readonly primary: number;
  readonly received: number;
}

function sampleAt(i: number, primaryOffset: number): Sample {
  return { stamp: i * period, primaryTime: 7_000_000_000 + i * period, primaryOffset, roundTripMicros: 50 };
}

/** Numbers of the samples that are kept. */
function kept(moments: readonly Moment[], keeper = new SampleKeeper(), from = 0): number[] {
  return moments
    .flatMap(({ primary, received }, i) => keeper.next(sampleAt(from + i, primary), received))
    .map(({ stamp }) => stamp / period);
}

function run(count: number, at: (i: number) => Moment): Moment[] {
  return Array.from({ length: count }, (_, i) => at(i));
}

describe('while all is received at once', () => {
  test('one sample a second is kept', () => {
    expect(kept(run(32, (i) => ({ primary: 1000 * i, received: 1000 * i })))).toEqual([0, 1, 9, 17, 25]);
  });

  test('one in ten seconds where nothing is written', () => {
    expect(kept(run(320, () => ({ primary: 5, received: 5 })))).toEqual([0, 1, 101, 201, 301]);
  });

  test('what is written after a while is known to a tenth of a second: the last sample before it is kept as well', () => {
    const moments = run(120, (i) => ({ primary: i < 50 ? 5 : 1000, received: i < 50 ? 5 : 1000 }));
    expect(kept(moments)).toEqual([0, 1, 49, 50]);
  });

  test('a sample that was ahead of us for less than its period is not behind', () => {
    // Of each sample the bytes are here when the next one is taken.
    expect(kept(run(32, (i) => ({ primary: 1000 * i + 900, received: 1000 * i })))).toEqual([0, 1, 9, 17, 25]);
  });
});

describe('while the primary is ahead of us', () => {
  test('every sample is kept, with one before and two behind', () => {
    const lag = run(25, (i) => ({ primary: 1000 * i, received: i < 13 ? Math.min(1000 * i, 3500) : 1000 * i }));
    // 3 is on time and the last before; 4 to 11 are behind; 12 and 13 are the first that are on time again.
    expect(kept(lag)).toEqual([0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 21]);
  });

  test('ten minutes of it are kept whole, a day of it to a 6000th of its age', () => {
    const keeper = new SampleKeeper();
    const numbers = kept(
      run(24 * 36_000, (i) => ({ primary: 10 * i, received: 0 })),
      keeper,
    );
    expect(numbers.filter((i) => i * period < hour / 6).length).toBeGreaterThan(5990);
    expect(numbers.length).toBeLessThan(40_000);
    for (const [i, number] of numbers.entries()) {
      const before = numbers[i - 1] ?? 0;
      expect((number - before) * period).toBeLessThanOrEqual(period + Math.max(period, (number * period) / 6000));
    }
  });
});

test('the last sample is kept when no other will come soon', () => {
  const keeper = new SampleKeeper();
  kept(
    run(4, (i) => ({ primary: i, received: i })),
    keeper,
  );
  expect(keeper.flush()).toEqual([sampleAt(3, 3)]);
  expect(keeper.flush()).toEqual([]);
});

test('an offset that goes back is that of another history, and kept by none', () => {
  const keeper = new SampleKeeper();
  kept(
    run(11, () => ({ primary: 5000, received: 5000 })),
    keeper,
  );
  expect(
    kept(
      run(200, () => ({ primary: 14, received: 5000 })),
      keeper,
      11,
    ),
  ).toEqual([]);
});

test('a primary’s clock that is set back is followed: its last sample before that is kept, and its first behind', () => {
  const keeper = new SampleKeeper();
  const before = run(15, (i) => ({ primary: 1000 * i, received: 1000 * i }));
  expect(kept(before, keeper)).toEqual([0, 1, 9]);
  const setBack = (i: number): Sample => {
    const sample = sampleAt(15 + i, 15_000 + 1000 * i);
    return { ...sample, primaryTime: sample.primaryTime - hour };
  };
  const times = [0, 1, 2, 3].flatMap((i) => keeper.next(setBack(i), 15_000 + 1000 * i));
  expect(times).toEqual([sampleAt(14, 14_000), setBack(0), setBack(1)]);
});

test('after a reset nothing is held against an earlier clock or offset', () => {
  const keeper = new SampleKeeper();
  kept(
    run(11, () => ({ primary: 5000, received: 5000 })),
    keeper,
    hour,
  );
  keeper.reset();
  expect(
    kept(
      run(3, () => ({ primary: 14, received: 14 })),
      keeper,
    ),
  ).toEqual([0, 1]);
});
