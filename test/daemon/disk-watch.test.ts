// What is told of a disk: that it is full, that it does not answer, and when it will be full.
import { describe, expect, test } from 'vitest';
import { StorageError } from '../../src/core/errors.ts';
import { DiskWatch, forecast } from '../../src/daemon/disk-watch.ts';
import type { Unanswered } from '../../src/storage/watched-disk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const second = 1_000_000;

describe('the forecast', () => {
  const samples = (...list: readonly (readonly [number, number])[]): Parameters<typeof forecast>[0] =>
    list.map(([at, freeBytes]) => ({ at: at * second, freeBytes }));

  test('divides what is free by what was taken in a second', () => {
    expect(forecast(samples([0, 10_000], [60, 4000]))).toEqual({ growthBytesPerSecond: 100, fullInSeconds: 40 });
  });

  test('is not made of less than half a minute', () => {
    const none = { growthBytesPerSecond: null, fullInSeconds: null };
    expect(forecast([])).toEqual(none);
    expect(forecast(samples([0, 10_000], [29, 4000]))).toEqual(none);
  });

  test('names no end while room is made', () => {
    expect(forecast(samples([0, 1000], [50, 2000]))).toEqual({ growthBytesPerSecond: -20, fullInSeconds: null });
    expect(forecast(samples([0, 1000], [50, 1000]))).toMatchObject({ fullInSeconds: null });
  });
});

class Rig implements Disposable {
  readonly clock = new ManualClock();
  readonly disk = new SimulatedDisk();
  readonly told: string[] = [];
  unanswered: Unanswered | undefined;
  full: { since: number; error: StorageError } | undefined;
  readonly watch: DiskWatch;

  constructor() {
    const { clock, disk, told } = this;
    const full = (): Rig['full'] => this.full;
    this.watch = new DiskWatch({
      disk,
      path: '/',
      clock,
      room: {
        get full() {
          return full();
        },
      },
      unanswered: () => this.unanswered,
      silent: ({ message }) => void told.push(message),
      answers: () => void told.push('answers'),
    });
  }

  async pass(seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= 1) {
      this.clock.advance(1000);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
  }
}

test('a disk that does not answer for 5 s is told once, and once when it answers again', async () => {
  using rig = new Rig();
  await rig.pass(3);
  rig.unanswered = { operation: 'sync', path: '/j/x.open', since: rig.clock.monotonic() };
  await rig.pass(4);
  expect(rig.told).toEqual([]);
  await rig.pass(10);
  expect(rig.told).toEqual(['the disk does not answer: sync of /j/x.open has not returned']);
  expect(rig.watch.state.trouble).toMatchObject({ code: 'disk-silent', since: '2026-11-20T14:30:03.000000Z' });
  rig.unanswered = undefined;
  await rig.pass(10);
  expect(rig.told.slice(1)).toEqual(['answers']);
  expect(rig.watch.state.trouble).toBeNull();
});

test('a full disk is told with its remedy and since when', () => {
  using rig = new Rig();
  rig.full = { since: rig.clock.wall(), error: new StorageError('no-space', 'cannot write x', { hint: 'make room' }) };
  expect(rig.watch.state.trouble).toEqual({
    code: 'disk-full',
    message: 'the disk is full: cannot write x',
    hint: 'make room',
    since: '2026-11-20T14:30:00.000000Z',
  });
});

test('the forecast follows what is free, over the last ten minutes', async () => {
  using rig = new Rig();
  rig.disk.free = 1_000_000;
  await rig.pass(5);
  expect(rig.watch.state).toMatchObject({ growthBytesPerSecond: null, fullInSeconds: null });
  for (let i = 0; i < 1200; i += 1) {
    rig.disk.free -= i < 600 ? 0 : 1000;
    await rig.pass(1);
  }
  const { growthBytesPerSecond, fullInSeconds } = rig.watch.state;
  expect(growthBytesPerSecond).toBeGreaterThan(990);
  expect(fullInSeconds).toBeGreaterThan(390);
  expect(fullInSeconds).toBeLessThan(420);
});

test('nothing runs any more once it is disposed', async () => {
  const rig = new Rig();
  rig[Symbol.dispose]();
  await rig.pass(2);
  expect(rig.clock.pending).toBe(0);
});
