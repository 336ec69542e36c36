// Stamps, on a clock that is moved by hand: never back, never frozen, and back at the wall clock in the end.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Stamper } from '../../src/core/stamper.ts';
import { ManualClock } from '../support/manual-clock.ts';

const second = 1_000_000;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Stamps, one each `everyMs` for `forMs`; each must be above the one before. */
function run(clock: ManualClock, stamper: Stamper, forMs: number, everyMs: number): number[] {
  const stamps = [stamper.now()];
  for (let passed = 0; passed < forMs; passed += everyMs) {
    clock.advance(everyMs);
    stamps.push(stamper.now());
  }
  expect(stamps.find((stamp, i) => !Number.isSafeInteger(stamp) || stamp <= (stamps[i - 1] ?? 0))).toBeUndefined();
  return stamps;
}

function error(clock: ManualClock, stamper: Stamper): number {
  return stamper.now() - clock.wall();
}

describe('on a clock that runs evenly', () => {
  test('stamps are the wall clock', () => {
    const clock = new ManualClock();
    const stamper = new Stamper(clock, 0);
    expect(stamper.now()).toBe(clock.wall());
    run(clock, stamper, minuteMs, 7);
    expect(error(clock, stamper)).toBe(0);
  });

  test('two reads of one instant share a stamp', () => {
    const stamper = new Stamper(new ManualClock(), 0);
    expect(stamper.now()).toBe(stamper.now());
  });

  test('no stamp is below the last one in the journal', () => {
    const clock = new ManualClock();
    const floor = clock.wall() + 3 * 3600 * second;
    const stamper = new Stamper(clock, floor);
    const stamps = run(clock, stamper, 10 * minuteMs, 100);
    expect(stamps[0]).toBe(floor);
    // Above the wall clock by hours: at half speed it falls back, and never stands still.
    expect((stamps.at(-1) ?? 0) - floor).toBeGreaterThan(4 * 60 * second);
    expect((stamps.at(-1) ?? 0) - floor).toBeLessThan(6 * 60 * second);
    run(clock, stamper, 7 * hourMs, 1000);
    expect(error(clock, stamper)).toBe(0);
  });
});

describe('a step of at most a second', () => {
  test.each([1000, -1000, 300, -300])('of %d ms is made up for by running 1 %% faster or slower', (stepMs) => {
    const clock = new ManualClock();
    const stamper = new Stamper(clock, 0);
    clock.stepWall(stepMs);
    const before = stamper.now();
    clock.advance(1000);
    const gained = stamper.now() - before - second;
    expect(gained).toBe(Math.sign(stepMs) * 10_000);
    run(clock, stamper, Math.abs(stepMs) * 101, 50);
    expect(error(clock, stamper)).toBe(0);
  });

  test('is made up for at a hundred thousand reads a second, too', () => {
    const clock = new ManualClock();
    const stamper = new Stamper(clock, 0);
    clock.stepWall(100);
    for (let i = 0; i < 100_000; i += 1) {
      clock.advance(0.01);
      stamper.now();
    }
    expect(error(clock, stamper)).toBeGreaterThan(-91_000);
    expect(error(clock, stamper)).toBeLessThan(-89_000);
  });
});

describe('a larger step', () => {
  test.each([2, 3600, 24 * 3600])('forward by %d s is ignored for a minute, then believed at once', (stepSeconds) => {
    const clock = new ManualClock();
    const stamper = new Stamper(clock, 0);
    clock.stepWall(stepSeconds * 1000);
    run(clock, stamper, minuteMs - 1000, 100);
    expect(error(clock, stamper)).toBe(-stepSeconds * second);
    run(clock, stamper, 2000, 100);
    expect(error(clock, stamper)).toBe(0);
  });

  test.each([2, 3600, 24 * 3600])(
    'back by %d s is ignored for a minute, then made up for at half speed',
    (stepSeconds) => {
      const clock = new ManualClock();
      const stamper = new Stamper(clock, 0);
      clock.stepWall(-stepSeconds * 1000);
      const early = run(clock, stamper, minuteMs - 1000, 100);
      expect((early.at(-1) ?? 0) - (early[0] ?? 0)).toBe(59 * second);
      run(clock, stamper, stepSeconds * 2000 + 3 * minuteMs, stepSeconds);
      expect(error(clock, stamper)).toBe(0);
    },
  );

  test('that is taken back within a minute leaves no trace', () => {
    const clock = new ManualClock();
    const stamper = new Stamper(clock, 0);
    clock.stepWall(hourMs);
    run(clock, stamper, 50_000, 100);
    clock.stepWall(-hourMs);
    run(clock, stamper, 5000, 100);
    clock.stepWall(hourMs);
    run(clock, stamper, 50_000, 100);
    clock.stepWall(-hourMs);
    expect(error(clock, stamper)).toBe(0);
  });
});

test('whatever the wall clock does, stamps never go back and never stand still', () => {
  const move = fc.record({
    stepMs: fc.integer({ min: -2 * hourMs, max: 2 * hourMs }),
    waitMs: fc.integer({ min: 1, max: 90_000 }),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const clock = new ManualClock();
      const stamper = new Stamper(clock, 0);
      let last = stamper.now();
      for (const { stepMs, waitMs } of moves) {
        if (stepMs % 3 === 0) clock.stepWall(stepMs);
        clock.advance(waitMs);
        const stamp = stamper.now();
        // Half speed is the slowest there is.
        expect(stamp - last).toBeGreaterThanOrEqual(Math.floor(waitMs * 500));
        last = stamp;
      }
    }),
    { numRuns: 300 },
  );
});
