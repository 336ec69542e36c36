// The same as kill.test.ts, as often as JOURNAL_CRASHES says, by default 2000 times; for `npm run test:long`.
import { it } from 'vitest';
import { pickServer } from '../support/servers.ts';
import { runKilledRound } from './killed-rounds.ts';

const crashes = Number(process.env.JOURNAL_CRASHES ?? 2000);
const killsPerRound = 20;

it('a journal that is killed thousands of times loses no byte that it had acknowledged', async () => {
  const firstSeed = Number(process.env.JOURNAL_SEED ?? Date.now() % 1_000_000);
  for (let done = 0; done < crashes; done += killsPerRound) {
    console.log(`${done} of ${crashes} kills survived; next seed ${firstSeed + done}`);
    await runKilledRound(pickServer(), { seed: firstSeed + done, kills: killsPerRound });
  }
});
