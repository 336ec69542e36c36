// What goes into the log about time, on a clock that is moved by hand: clocks that step, machines that stand still, a
// primary that cannot be asked.
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../journal-format/samples.ts';
import { isSound, Timekeeper } from '../../src/daemon/timekeeper.ts';
import type { PrimaryTime, TimedLog } from '../../src/daemon/timekeeper.ts';
import { ManualClock } from '../support/manual-clock.ts';

const second = 1_000_000;
const hourMs = 3_600_000;

/** Notes what it is given. */
class Log implements TimedLog {
  readonly id = 'ab'.repeat(20);
  received = 1000;
  readonly attaches: number[] = [];
  readonly ticks: number[] = [];
  readonly kept: Sample[] = [];

  attach(_id: string, stamp: number): void {
    this.attaches.push(stamp);
  }

  tick(stamp: number): void {
    this.ticks.push(stamp);
  }

  samples(samples: readonly Sample[]): void {
    this.kept.push(...samples);
  }
}

class Rig implements Disposable {
  readonly clock = new ManualClock();
  readonly log = new Log();
  readonly time: Timekeeper;
  /** The primary's clock less the wall clock at the start. */
  primaryAhead = 0;
  readonly #wallAtStart: number;
  readonly stamps: number[] = [];

  constructor(floor = 0) {
    this.#wallAtStart = this.clock.wall();
    this.time = new Timekeeper(this.clock, floor);
    this.time.attached(this.log);
  }

  get primaryTime(): number {
    return this.#wallAtStart + this.clock.monotonic() + this.primaryAhead;
  }

  sample(offset: number | undefined = this.log.received): PrimaryTime {
    const receivedAt = this.clock.monotonic();
    return { sentAt: receivedAt - 40, receivedAt, time: this.primaryTime - 20, offset };
  }

  /** Ten samples and ten reads a second. */
  run(seconds: number, isSampled = true): void {
    for (let i = 0; i < seconds * 10; i += 1) {
      this.clock.advance(100);
      this.stamps.push(this.time.now());
      if (isSampled) this.time.sampled(this.sample());
    }
  }

  /** The process gets no processor, or the machine stands still: no timer runs meanwhile. */
  pause(ms: number): void {
    this.clock.skip(ms);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

function expectForward(stamps: readonly number[]): void {
  for (const [i, stamp] of stamps.entries()) if (i > 0) expect(stamp).toBeGreaterThan(stamps[i - 1]!);
}

describe('ticks', () => {
  test('come once a second while the primary has nothing that we have not, with the time when it was asked', () => {
    using rig = new Rig();
    rig.run(10);
    expect(rig.log.ticks).toHaveLength(10);
    expect(rig.log.ticks[0]).toBe(rig.stamps[0]! - 40);
  });

  test('do not come while the primary is ahead of us, nor while the link is down', () => {
    using rig = new Rig();
    for (let i = 0; i < 50; i += 1) {
      rig.clock.advance(100);
      rig.time.sampled(rig.sample(rig.log.received + 1));
    }
    rig.time.detached();
    rig.run(5);
    expect(rig.log.ticks).toEqual([]);
  });
});

describe('samples', () => {
  test('of a full sync wait for its log', () => {
    using rig = new Rig();
    const next = new Log();
    rig.time.syncing(500);
    for (let i = 0; i < 30; i += 1) {
      rig.clock.advance(100);
      rig.time.sampled(rig.sample(500 + i * 10));
    }
    next.received = 500;
    rig.time.streaming(next);
    expect(rig.log.kept).toEqual([]);
    expect(next.kept.length).toBeGreaterThanOrEqual(28);
    expect(next.kept[0]).toMatchObject({ primaryOffset: 500 });
  });

  test('of an outage go on in the log that was being written', () => {
    using rig = new Rig();
    rig.run(2);
    rig.time.detached();
    const before = rig.log.kept.length;
    for (let i = 1; i <= 30; i += 1) {
      rig.clock.advance(100);
      rig.time.sampled(rig.sample(rig.log.received + i * 10));
    }
    expect(rig.log.kept.length - before).toBeGreaterThanOrEqual(29);
  });

  test('that cannot be had cost nothing: stamps go on, and nothing is claimed', () => {
    using rig = new Rig();
    rig.run(10, false);
    expectForward(rig.stamps);
    expect([rig.log.ticks, rig.log.kept, rig.log.attaches]).toEqual([[], [], []]);
    expect(rig.time.reading).toMatchObject({ skew: null, sampledAt: null });
  });

  test('of a primary that is behind us while the link is down are none: it may have another history', () => {
    using rig = new Rig();
    rig.run(2);
    rig.time.detached();
    const { length } = rig.log.kept;
    for (let i = 0; i < 50; i += 1) {
      rig.clock.advance(100);
      rig.time.sampled(rig.sample(14));
    }
    // Nor when a new process has asked nothing before.
    rig.time.resume(rig.log);
    rig.time.syncing(rig.log.received);
    rig.time.resume(rig.log);
    for (let i = 0; i < 50; i += 1) {
      rig.clock.advance(100);
      rig.time.sampled(rig.sample(14));
    }
    expect(rig.log.kept).toHaveLength(length);
  });

  test('of a standby that has no offset are none', () => {
    using rig = new Rig();
    rig.time.sampled({ ...rig.sample(), offset: undefined });
    expect(rig.log.kept).toEqual([]);
  });
});

describe('a process or machine that stood still', () => {
  test('for more than a second is an interruption: what was written meanwhile comes all at once', () => {
    using rig = new Rig();
    rig.run(2);
    rig.pause(600_000);
    rig.run(2);
    expect(rig.log.attaches).toHaveLength(1);
    expect(rig.log.attaches[0]).toBeGreaterThan(rig.stamps[19]! + 599 * second);
    expectForward(rig.stamps);
  });

  test('for less than a second is none', () => {
    using rig = new Rig();
    rig.run(2);
    rig.pause(900);
    rig.run(2);
    expect(rig.log.attaches).toEqual([]);
  });

  test('while the link was down is part of that outage', () => {
    using rig = new Rig();
    rig.time.detached();
    rig.pause(600_000);
    rig.run(1);
    expect(rig.log.attaches).toEqual([]);
  });

  test('and whose clocks stood still with it goes on with the time of the primary', () => {
    using rig = new Rig();
    rig.run(5);
    // A virtual machine that was frozen for an hour: neither of its clocks noticed; the time service sets it right.
    rig.primaryAhead += hourMs * 1000;
    rig.run(1);
    expect(rig.time.reading.skew).toBe(-hourMs * 1000);
    rig.clock.stepWall(hourMs);
    rig.run(1);
    expect(Math.abs(rig.time.reading.skew!)).toBeLessThan(second);
    expectForward(rig.stamps);
  });
});

describe('a wall clock that is set', () => {
  test.each([2, 30, 3600, 86_400])('%d s forward is followed at once when the primary agrees', (seconds) => {
    using rig = new Rig();
    rig.run(2);
    rig.primaryAhead += seconds * second;
    rig.clock.stepWall(seconds * 1000);
    rig.run(2);
    expectForward(rig.stamps);
    expect(Math.abs(rig.time.reading.wallError)).toBeLessThan(second);
  });

  test.each([2, 30, 3600])('%d s back is run after at half speed, and never stands still', (seconds) => {
    using rig = new Rig();
    rig.run(2);
    rig.primaryAhead -= seconds * second;
    rig.clock.stepWall(-seconds * 1000);
    rig.run(Math.min(2 * seconds, 60));
    expectForward(rig.stamps);
    const left = Math.max(0, seconds - 30);
    expect(rig.time.reading.wallError / second).toBeLessThan(-left + 2);
    expect(rig.time.reading.wallError / second).toBeGreaterThan(-left - 2);
  });

  test.each([-86_400, -3600, -3, 3, 3600, 86_400])(
    'by %d s and back within a minute was a mistake, when the primary says so',
    (seconds) => {
      using rig = new Rig();
      rig.run(2);
      rig.clock.stepWall(seconds * 1000);
      rig.run(50);
      rig.clock.stepWall(-seconds * 1000);
      rig.run(2);
      expectForward(rig.stamps);
      expect(rig.stamps.at(-1)! - rig.stamps[0]!).toBe(53.9 * second);
    },
  );

  test('for good, against the primary, is believed after a minute, and told as a difference of the clocks', () => {
    using rig = new Rig();
    rig.run(2);
    rig.clock.stepWall(hourMs);
    rig.run(59);
    expect(rig.time.reading.skew).toBe(0);
    expect(rig.time.reading.wallError).toBe(hourMs * 1000);
    rig.run(3);
    expect(rig.time.reading.skew).toBe(hourMs * 1000);
    expectForward(rig.stamps);
  });

  test('is not trusted with the removal of what is old while it differs from the primary’s, or from itself', () => {
    using rig = new Rig();
    rig.run(2);
    expect(isSound(rig.time.reading)).toBe(true);
    rig.clock.stepWall(30 * 24 * hourMs);
    for (const seconds of [1, 30, 60]) {
      rig.run(seconds);
      expect(isSound(rig.time.reading)).toBe(false);
    }
    rig.clock.stepWall(-30 * 24 * hourMs);
  });

  test('back by an hour on the primary alone is told by the samples: none that goes back hides those behind it', () => {
    using rig = new Rig();
    rig.run(5);
    const before = rig.primaryTime;
    rig.primaryAhead -= hourMs * 1000;
    rig.run(30);
    expectForward(rig.stamps);
    const behind = rig.log.kept.filter(({ primaryTime }) => primaryTime < before - 3000 * second);
    expect(behind.length).toBeGreaterThan(3);
    expect(behind[0]!.stamp - rig.stamps[0]!).toBeLessThan(5.2 * second);
    expect(rig.log.kept.every(({ stamp }, i) => i === 0 || stamp > rig.log.kept[i - 1]!.stamp)).toBe(true);
    expect(rig.time.reading.skew! / second).toBeCloseTo(hourMs / 1000, 0);
    expect(rig.log.ticks.length).toBeGreaterThan(30);
  });

  test('by a leap second that is smeared over a day is followed without a step', () => {
    using rig = new Rig();
    for (let i = 0; i < 100; i += 1) {
      rig.clock.stepWall(-10);
      rig.primaryAhead -= 10_000;
      rig.run(2);
    }
    expectForward(rig.stamps);
    expect(Math.abs(rig.time.reading.wallError)).toBeLessThan(20_000);
    expect(Math.abs(rig.time.reading.skew!)).toBeLessThan(20_000);
  });
});

test('no stamp is below the last one in the journal, though the clock was set back while nobody wrote', () => {
  const floor = new ManualClock().wall() + hourMs * 1000;
  using rig = new Rig(floor);
  rig.run(5);
  expectForward([floor, ...rig.stamps]);
});
