// Random histories against a model: what was acknowledged is restorable at its stamp; every instant restores to the
// model's state or is refused; status, ls, verify and restore report the same gaps. See world.ts for what happens in
// them. Thousands more: simulation.long.ts.
import { describe, expect, test, vi } from 'vitest';
import { runHistory, seedWanted } from './histories.ts';

vi.mock('node:crypto', async (original) => ({
  ...(await original<object>()),
  ...(await import('./seeded-crypto.ts')),
}));
vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('./small-limits.ts')),
}));

const wanted = seedWanted();
const count = 120;
const groups = 10;

describe.skipIf(wanted !== undefined)(`in ${count} random histories`, () => {
  for (let group = 0; group < groups; group += 1) {
    test(
      `nothing acknowledged is lost and no report lies, ${group + 1} of ${groups}`,
      { timeout: 120_000 },
      async () => {
        for (let i = 0; i < count / groups; i += 1) await runHistory(group * (count / groups) + i + 1);
      },
    );
  }

  test('a seed gives the same history each time, byte for byte', { timeout: 60_000 }, async () => {
    for (const seed of [7, 8, 9]) {
      const first = await runHistory(seed);
      const again = await runHistory(seed);
      expect(again.trace).toEqual(first.trace);
      expect(again.digest).toBe(first.digest);
    }
  });
});

test.runIf(wanted !== undefined)('the history that SIMULATION_SEED names', { timeout: 600_000 }, async () => {
  const { trace } = await runHistory(wanted ?? 0);
  console.log(trace.join('\n'));
});
