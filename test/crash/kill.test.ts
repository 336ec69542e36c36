// kill -9 under load, some dozens of times: what was acknowledged is there each time, and in the end every byte is.
// kill.long.ts does it for as long as it is told to.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { CaptureRig, primaryOffset } from '../redis/capture-rig.ts';
import { Random } from '../support/random.ts';
import { pickServer, serverLabel } from '../support/servers.ts';
import { crashCount, Killing, newSeed } from './killing.ts';

const binary = pickServer();
const crashes = crashCount(25);
const minute = 60_000;

test(
  `${crashes} kills under load lose nothing that was acknowledged, and cost no second full sync [${serverLabel(binary)}]`,
  { timeout: crashes * 10_000 + minute },
  async () => {
    const seed = newSeed();
    console.log(`seed ${seed}`);
    await using killing = await Killing.start(binary, seed);
    await killing.run(crashes);
  },
);

test('kills during the full sync leave nothing that stands in the way of the next one', async () => {
  const seed = newSeed();
  const random = new Random(seed);
  await using rig = await CaptureRig.start(binary, { config: { 'repl-diskless-sync': random.pick(['yes', 'no']) } });
  const value = random.bytes(100_000);
  for (let key = 0; key < 100; key++) await rig.client.call('SET', `key:${key}`, value);
  rig.tap.disturb({ bytesPerSecond: 20_000_000 });
  for (let crash = 0; crash < 5; crash++) {
    const journal = rig.run();
    await Promise.race([journal.waitFor('full-sync'), sleep(1000)]);
    await sleep(random.below(600));
    await journal.kill9();
  }
  rig.tap.disturb({});
  const journal = await rig.attach();
  await rig.client.call('SET', 'after', 'all');
  await rig.journaled();
  const offset = await primaryOffset(rig.client);
  expect(await journal.stop(), `seed ${seed}`).toBe(0);
  const { timelines, unfinished } = await loadCatalog(localDisk, journal.tree);
  expect([timelines.length, unfinished], `seed ${seed}`).toEqual([1, []]);
  expect(timelines[0]?.end, `seed ${seed}`).toBe(offset);
});
