// The journal process is killed at random moments under load (killed-rounds.ts). JOURNAL_CRASHES says how often; the seed
// of a round is printed by what fails, and JOURNAL_SEED repeats it.
import { expect, it } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { runKilledRound } from './killed-rounds.ts';

const crashes = Number(process.env.JOURNAL_CRASHES ?? 24);
const killsPerRound = 12;
const timeoutMs = 60_000 + crashes * 5_000;

describeServers('a journal that is killed at random moments under load', (binary) => {
  it('loses no byte that it had acknowledged, and needs no second full sync', { timeout: timeoutMs }, async () => {
    expect(crashes).toBeGreaterThan(0);
    const firstSeed = Number(process.env.JOURNAL_SEED ?? Date.now() % 1_000_000);
    for (let done = 0; done < crashes; done += killsPerRound) {
      const kills = Math.min(killsPerRound, crashes - done);
      await runKilledRound(binary, { seed: firstSeed + done, kills });
    }
  });
});
