// Thousands of random histories (SIMULATION_HISTORIES), other ones at each run: npm run test:long. What is checked in them
// is told in simulation.test.ts; what happens in them, in world.ts.
import { describe, test, vi } from 'vitest';
import { countingEnds, longEvents, runHistory, seedWanted } from './histories.ts';

vi.mock('node:crypto', async (original) => ({
  ...(await original<object>()),
  ...(await import('./seeded-crypto.ts')),
}));
vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('./small-limits.ts')),
}));

const { SIMULATION_HISTORIES: wantedHistories = '5000' } = process.env;
const count = Number(wantedHistories);
const each = 100;
const first = seedWanted() ?? Date.now() % 1_000_000_000;

describe(`in ${count} random histories from seed ${first} on`, () => {
  const counted = countingEnds();
  for (let from = first; from < first + count; from += each) {
    test(`nothing acknowledged is lost and no report lies, from ${from} on`, async () => {
      const end = Math.min(from + each, first + count);
      for (let seed = from; seed < end; seed += 1) counted(await runHistory(seed, longEvents));
    });
  }
});
