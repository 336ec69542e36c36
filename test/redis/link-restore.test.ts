// Two sites, one history: what is restored, found and told of a time from the far journal is what it is from the near one, also
// across a failover of the primary.
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import { parseTarget } from '../../src/restore/locate/target.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { cli } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { quietInstant } from '../support/running-journal.ts';
import { Workload } from '../support/workload.ts';
import { primaryOffset, startReplica } from './capture-rig.ts';
import { ChainRig } from './chain-rig.ts';

interface Instant {
  readonly time: string;
  readonly held: Fingerprint;
}

async function planOf(tree: SourceTree, time: string): Promise<Plan> {
  const now = systemClock.wall();
  const target = parseTarget(time, { now, zone: undefined });
  return planRestore(localDisk, tree, { target, text: time, mode: 'at', now, relativeTtl: 'convert' });
}

/** What a server holds that was restored from there. */
async function restored(plan: Plan, chain: ChainRig): Promise<Fingerprint> {
  const to = path.join(temporaryDirectory('site'), 'restored');
  await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'test' });
  await using server = await RedisServer.startFrom(chain.near.binary, to, { replicaOfNowhere: true });
  await using client = await server.connect();
  return await fingerprint(client, chain.near.binary);
}

/** All commands on these keys, with their times, as they are printed. */
async function found(tree: SourceTree): Promise<string> {
  const where = ['--dir', path.dirname(tree.directory), '--name', path.basename(tree.directory)];
  const { stdout, stderr, exitCode } = await cli(['find', ...where, '--key', 'noted:*', '--json']);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

describeServers('two sites', (binary) => {
  test('restore, find and tell the same of any time, across a failover upstream too', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    const { near } = chain;
    // Without hash fields that expire: a directory is not restored exactly while they do, and refused.
    const workload = new Workload(seed, binary);
    // Nothing is deleted between what is noted and its instant.
    await near.client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(near.client, 200);
    await near.attach();
    await chain.attach();
    const instants: Instant[] = [];
    const note = async (client = near.client): Promise<void> => {
      await client.call('SET', `noted:${instants.length}`, instants.length);
      await eventually('both to have it', async () => {
        const { position } = await chain.status();
        return Number(position.durable) === (await primaryOffset(client));
      });
      const held = await fingerprint(client, binary);
      instants.push({ time: await quietInstant(20), held });
    };
    for (let i = 0; i < 3; i += 1) {
      await workload.run(near.client, 60);
      await note();
    }
    await using successor = await startReplica(near.primary);
    await using client = await successor.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await eventually('the successor to be level', async () => {
      return (await primaryOffset(client)) === (await primaryOffset(near.client));
    });
    await client.call('REPLICAOF', 'NO', 'ONE');
    near.capture.tap.redirect(successor);
    near.capture.tap.cut();
    await near.journal.waitFor('attached');
    await note(client);
    await client.call('DEL', 'noted:0');
    await note(client);
    // Behind the last instant, so that it is covered at both.
    await client.call('SET', 'noted:last', 'word');
    const [here, there] = [near.journal.tree, chain.far.tree];
    await eventually('both to tell the same', async () => {
      const [ours, theirs] = [await readStatus(localDisk, here, systemClock), await chain.status()];
      expect(theirs.intervals).toEqual(ours.intervals);
      expect(Number(theirs.position.durable)).toBe(await primaryOffset(client));
      return true;
    });
    // What is known of when the last word was written comes behind it.
    await eventually('both to find the same', async () => {
      expect(await found(there)).toBe(await found(here));
      return true;
    });
    for (const [i, { time, held }] of instants.entries()) {
      const label = `instant ${i} of seed ${seed}`;
      const plans = [await planOf(here, time), await planOf(there, time)] as const;
      expect(plans[1].cut, label).toEqual(plans[0].cut);
      for (const plan of plans) expect(explainDifference(held, await restored(plan, chain)), label).toEqual([]);
    }
    expect(new Set(instants.map(({ held }) => held.position)).size).toBe(instants.length);
  });
});
