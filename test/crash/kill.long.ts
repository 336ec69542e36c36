// kill -9 under load, thousands of times (JOURNAL_CRASHES), on every server of the machine: npm run test:long.
// A tap keeps all that it has seen, so every fifty crashes begin with a new primary and a new journal.
import { test } from 'vitest';
import { availableServers } from '../support/servers.ts';
import { describeServers } from '../support/describe-servers.ts';
import { crashCount, Killing, newSeed } from './killing.ts';

const crashesEach = 50;
const each = Math.ceil(crashCount(2000) / Math.max(1, availableServers().length) / crashesEach);

describeServers('kills under load lose nothing that was acknowledged, and cost no second full sync', (binary) => {
  for (let run = 1; run <= each; run++) {
    test(`${crashesEach} of them, ${run} of ${each}`, async () => {
      const seed = newSeed() + run;
      console.log(`seed ${seed}`);
      await using killing = await Killing.start(binary, seed);
      await killing.run(crashesEach);
    });
  }
});
