// The small tools everything stands on: delays between attempts, receive buffers, the system's clock.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { retryDelayMs } from '../../src/core/retry.ts';
import { Slab, SlabPool } from '../../src/core/slabs.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('the delay before another attempt', () => {
  test('doubles from attempt to attempt, up to a bound', () => {
    const longest = (retry: 'soon' | 'later'): number[] => [1, 2, 3, 10, 1000].map((n) => retryDelayMs(retry, n, 1));
    expect(longest('soon')).toEqual([200, 400, 800, 5000, 5000]);
    expect(longest('later')).toEqual([2000, 4000, 8000, 60_000, 60_000]);
  });

  test('is spread over the upper half of its step', () => {
    expect([0, 0.5, 1].map((random) => retryDelayMs('later', 1, random))).toEqual([1000, 1500, 2000]);
  });
});

describe('slabs', () => {
  test('a slab is used again once its last holder let go', () => {
    const pool = new SlabPool(16, 2);
    const slab = pool.take().retain();
    slab.release();
    expect(pool.take().bytes).not.toBe(slab.bytes);
    slab.release();
    expect(pool.take().bytes).toBe(slab.bytes);
  });

  test('no more are kept than asked for', () => {
    const pool = new SlabPool(16, 1);
    const [a, b] = [pool.take(), pool.take()];
    a.release();
    b.release();
    const again = [pool.take().bytes, pool.take().bytes];
    expect(again).toContain(a.bytes);
    expect(again).not.toContain(b.bytes);
  });

  test('a slab that nobody holds can be neither released nor retained', () => {
    const slab = new SlabPool(16, 1).take();
    slab.release();
    expect(() => slab.retain()).toThrow(RangeError);
    expect(() => {
      slab.release();
    }).toThrow(RangeError);
  });

  test('one of its own memory gives it back when its last holder lets go, and not before', () => {
    const slab = Slab.ofOwn(Buffer.alloc(100_000)).retain();
    slab.release();
    expect(slab.bytes).toHaveLength(100_000);
    slab.release();
    expect(slab.bytes).toHaveLength(0);
  });

  test('slabs are as large as the pool says', () => {
    expect(new SlabPool(4096, 1).take().bytes).toHaveLength(4096);
  });
});

describe("the system's clock", () => {
  test('agrees with the machine to a few milliseconds', () => {
    expect(Math.abs(systemClock.wall() - Date.now() * 1000)).toBeLessThan(5000);
    expect(Number.isSafeInteger(systemClock.wall())).toBe(true);
  });

  test('never goes back as a monotonic clock', () => {
    let last = systemClock.monotonic();
    for (let i = 0; i < 10_000; i += 1) {
      const now = systemClock.monotonic();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  test('sleeps at least as long as asked, and wakes when aborted', async () => {
    const from = systemClock.monotonic();
    await systemClock.sleep(20);
    expect(systemClock.monotonic() - from).toBeGreaterThan(18_000);
    const stop = new AbortController();
    const sleeping = systemClock.sleep(60_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect(systemClock.sleep(60_000, stop.signal)).rejects.toThrow('enough');
  });

  test('calls nobody who cancelled', async () => {
    let calls = 0;
    const cancel = systemClock.after(5, () => (calls += 1));
    systemClock.after(5, () => (calls += 10));
    cancel();
    await systemClock.sleep(30);
    expect(calls).toBe(10);
  });
});

describe('a clock that stands still', () => {
  test('fires timers in order, each at its own time', () => {
    const clock = new ManualClock();
    const start = clock.monotonic();
    const fired: [string, number][] = [];
    const fire = (name: string) => () => {
      fired.push([name, (clock.monotonic() - start) / 1000]);
      if (name === 'b') clock.after(1, fire('d'));
    };
    clock.after(5, fire('c'));
    clock.after(2, fire('a'));
    clock.after(2, fire('b'));
    clock.after(9, fire('never'))();
    clock.advance(10);
    expect(fired).toEqual([
      ['a', 2],
      ['b', 2],
      ['d', 3],
      ['c', 5],
    ]);
    expect(clock.pending).toBe(0);
  });

  test('steps its wall clock alone', () => {
    const clock = new ManualClock();
    const [wall, monotonic] = [clock.wall(), clock.monotonic()];
    clock.stepWall(-5000);
    clock.advance(1000);
    expect([clock.wall() - wall, clock.monotonic() - monotonic]).toEqual([-4_000_000, 1_000_000]);
  });
});
