// How long ago somebody else had what is missing here.
import { expect, test } from 'vitest';
import { LagMeter } from '../../src/daemon/lag-meter.ts';

test('it is as old as the first word of it, and nothing where nothing is missing', () => {
  const meter = new LagMeter();
  expect(meter.behind(0, 5)).toBe(0);
  meter.told(100, 1000);
  meter.told(100, 2000);
  meter.told(200, 3000);
  expect(meter.behind(50, 5000)).toBe(4000);
  expect(meter.behind(100, 5000)).toBe(2000);
  expect(meter.behind(199, 5000)).toBe(2000);
  expect(meter.behind(200, 5000)).toBe(0);
});

test('it stays bounded, however long it lasts, and never forgets the first', () => {
  const meter = new LagMeter();
  for (let i = 1; i <= 100_000; i += 1) meter.told(i, i * 1000);
  expect(meter.behind(0, 100_000_000)).toBe(100_000_000 - 1000);
});
