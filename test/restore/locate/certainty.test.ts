// What is known of an instant, from samples and interruptions. Our clock and the primary's are one unless a case says so.
import { describe, expect, test } from 'vitest';
import type { Interruption } from '../../../journal-format/footer.ts';
import type { Sample } from '../../../journal-format/samples.ts';
import { certaintyAt, uncertainties } from '../../../src/restore/locate/certainty.ts';
import type { Evidence } from '../../../src/restore/locate/certainty.ts';

const second = 1_000_000;
const hour = 3600 * second;
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;

/** `skew`: our clock less the primary's. */
function sample(at: number, primaryOffset: number, skew = 0): Sample {
  return { stamp: t0 + at, primaryTime: t0 + at - 100 - skew, primaryOffset, roundTripMicros: 200 };
}

function every(period: number, from: number, to: number, offsetAt: (at: number) => number): Sample[] {
  const samples: Sample[] = [];
  for (let at = from; at <= to; at += period) samples.push(sample(at, offsetAt(at)));
  return samples;
}

function outage(from: number, to: number, offset: number): Interruption {
  return { offset, lostStamp: t0 + from, stamp: t0 + to };
}

function evidence(samples: readonly Sample[], ...interruptions: Interruption[]): Evidence {
  return { samples, interruptions };
}

describe('without interruptions', () => {
  test('every instant is certain, samples or none', () => {
    expect(certaintyAt(evidence([]), t0)).toMatchObject({ skew: 0, stamp: t0, uncertain: undefined });
    const sparse = evidence([sample(0, 10), sample(hour, 5000)]);
    expect(certaintyAt(sparse, t0 + hour / 2)).toMatchObject({ uncertain: undefined });
  });
});

describe('an outage', () => {
  const lost = outage(10 * second, 40 * second, 1000);

  test('that was sampled all along is certain', () => {
    const samples = every(second / 10, 0, 60 * second, (at) => at / 1000);
    const known = evidence(samples, lost);
    for (const at of [10, 20.05, 39.99, 40.5, 59]) {
      const found = certaintyAt(known, t0 + at * second);
      expect(found.uncertain).toBeUndefined();
      expect(found.before!.primaryTime).toBeLessThanOrEqual(t0 + at * second);
      expect(found.after!.primaryTime).toBeGreaterThan(t0 + at * second);
    }
    expect(uncertainties(known)).toEqual([]);
  });

  test('that nothing sampled is uncertain from the last byte until a sample comes', () => {
    const known = evidence([sample(5 * second, 900), sample(40.2 * second, 9000)], lost);
    expect(certaintyAt(known, t0 + 9 * second).uncertain).toBeUndefined();
    for (const at of [10, 25, 40.1]) {
      expect(certaintyAt(known, t0 + at * second).uncertain).toMatchObject({ from: t0 + 10 * second });
    }
    expect(certaintyAt(known, t0 + 40.3 * second).uncertain).toBeUndefined();
    expect(uncertainties(known)).toEqual([
      { interruption: lost, from: t0 + 10 * second, to: t0 + 40.2 * second - 100 },
    ]);
  });

  test('is uncertain only between the samples that there are', () => {
    const samples = [
      ...every(second / 10, 0, 15 * second, () => 1000),
      ...every(second / 10, 30 * second, 50 * second, () => 5000),
    ];
    const known = evidence(samples, lost);
    expect(certaintyAt(known, t0 + 14 * second).uncertain).toBeUndefined();
    expect(certaintyAt(known, t0 + 20 * second).uncertain).toMatchObject({ to: t0 + 30 * second - 100 });
    expect(certaintyAt(known, t0 + 31 * second).uncertain).toBeUndefined();
    expect(uncertainties(known)).toHaveLength(1);
  });

  test('is as uncertain for those who list what is where the clocks differ by an hour', () => {
    const sampled = (skew: number): Sample[] => [
      ...[sample(5 * second, 900, skew), sample(20 * second, 2000, skew), sample(40.2 * second, 9000, skew)],
    ];
    const known = uncertainties(evidence(sampled(0), lost));
    expect(known).toHaveLength(2);
    for (const skew of [hour, -hour]) {
      const [first, last] = uncertainties(evidence(sampled(skew), lost));
      expect(first).toMatchObject({ from: t0 + 10 * second });
      expect(Math.abs((last?.to ?? 0) - (known[1]?.to ?? 0))).toBeLessThan(1000);
    }
  });

  test('in which nothing was written is certain with a sample behind it that says so', () => {
    const known = evidence([sample(5 * second, 900), sample(40.2 * second, 1000)], lost);
    expect(certaintyAt(known, t0 + 25 * second).uncertain).toBeUndefined();
  });

  test('without any samples is uncertain for as long again, at least a second and at most a minute', () => {
    for (const [length, settles] of [
      [1.5, 1.5],
      [30, 30],
      [3600, 60],
    ] as const) {
      const known = evidence([], outage(0, length * second, 1000));
      const end = t0 + (length + settles) * second;
      expect(certaintyAt(known, end - 1).uncertain).toMatchObject({ from: t0, to: end });
      expect(certaintyAt(known, end).uncertain).toBeUndefined();
    }
  });

  test('of less than a second is within what a time is good for', () => {
    expect(certaintyAt(evidence([], outage(0, second, 1000)), t0 + second / 2).uncertain).toBeUndefined();
  });

  test('of less than a second, or well sampled, leaves open what the state may lack', () => {
    expect(certaintyAt(evidence([], outage(0, 0.3 * second, 1000)), t0 + 0.2 * second).blur).toBe(0.3 * second);
    const sampled = evidence(
      every(second / 10, 0, 60 * second, (at) => at / 1000),
      outage(10 * second, 40 * second, 1000),
    );
    expect(certaintyAt(sampled, t0 + 20.05 * second).blur).toBe(second / 10);
    expect(certaintyAt(sampled, t0 + 9 * second).blur).toBe(0);
  });

  test('that has not been made up for is not hidden by a short one behind it', () => {
    const known = evidence([], outage(0, 30 * second, 1000), outage(30.2 * second, 30.5 * second, 1100));
    expect(certaintyAt(known, t0 + 30.3 * second).uncertain).toMatchObject({ interruption: { offset: 1000 } });
  });

  test('goes on in the next one when the link was lost again before anything was known', () => {
    const known = evidence([], outage(0, 10 * second, 1000), outage(12 * second, 30 * second, 1500));
    expect(certaintyAt(known, t0 + 11 * second).uncertain).toMatchObject({ interruption: { offset: 1000 } });
    expect(certaintyAt(known, t0 + 15 * second).uncertain).toMatchObject({ interruption: { offset: 1500 } });
  });
});

describe('clocks that differ', () => {
  test('by less than the sampling period are taken as one, so that printed times can be given back as targets', () => {
    expect(certaintyAt(evidence([sample(0, 10, 40_000)]), t0 + second)).toMatchObject({ skew: 0, stamp: t0 + second });
  });

  test.each([-hour, -2 * second, 2 * second, hour, 24 * hour])('by %d µs are told apart', (skew) => {
    const known = evidence([sample(0, 10, skew), sample(second, 20, skew)]);
    expect(certaintyAt(known, t0 - skew + second / 2)).toMatchObject({
      skew,
      stamp: t0 + second / 2,
      before: { primaryOffset: 10 },
      after: { primaryOffset: 20 },
    });
  });
});
