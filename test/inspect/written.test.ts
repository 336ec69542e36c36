// When a command was written: what samples say of it.
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../journal-format/samples.ts';
import { writtenBetween } from '../../src/inspect/written.ts';

const s = 1_000_000;

/** Our clock less the primary's is `skew`. */
function sample(primaryTime: number, primaryOffset: number, skew = 0): Sample {
  return { stamp: primaryTime + skew, primaryTime, primaryOffset, roundTripMicros: 0 };
}

describe('a command was written', () => {
  const samples = [sample(10 * s, 100), sample(11 * s, 100), sample(12 * s, 200), sample(13 * s, 300)];

  test('behind the last sample that had not got so far, and no later than it was received', () => {
    expect(writtenBetween(samples, 150, 11.4 * s)).toEqual({ from: 11 * s, to: 11.4 * s });
    expect(writtenBetween(samples, 200, 11.4 * s)).toEqual({ from: 11 * s, to: 11.4 * s });
    expect(writtenBetween(samples, 201, 12.5 * s)).toEqual({ from: 12 * s, to: 12.5 * s });
  });

  test('no later than a sample that had got so far, however late it was received', () => {
    expect(writtenBetween(samples, 150, 60 * s)).toEqual({ from: 11 * s, to: 12 * s });
  });

  test('nobody knows how long before, where no sample says that it was not there', () => {
    expect(writtenBetween(samples, 90, 20 * s)).toEqual({ from: undefined, to: 10 * s });
    expect(writtenBetween([], 90, 20 * s)).toEqual({ from: undefined, to: 20 * s });
  });

  test('by the clock of the primary, where ours goes otherwise', () => {
    const ahead = samples.map(({ primaryTime, primaryOffset }) => sample(primaryTime, primaryOffset, 5 * s));
    expect(writtenBetween(ahead, 150, 16.5 * s)).toEqual({ from: 11 * s, to: 11.5 * s });
    expect(writtenBetween(ahead, 350, 18.5 * s)).toEqual({ from: 13 * s, to: 13.5 * s });
  });

  test('at one moment, where the clocks contradict each other by less than they are taken for different', () => {
    expect(writtenBetween(samples, 150, 10.98 * s)).toEqual({ from: 10.98 * s, to: 10.98 * s });
  });
});
