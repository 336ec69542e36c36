// Replicas of a directory: fed by a process that writes none of it, beside the one that does or after all others are gone;
// and replicas of one moment, which are what the primary was then, and stay so.
import { expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Fingerprint } from '../support/fingerprint.ts';
import { isAtLeast } from '../support/servers.ts';
import { FedReplica, FeedRig } from './feed-rig.ts';

describeServers('a directory that another process writes', (binary) => {
  test('feeds replicas while it is written, and when writer and primary are gone', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.write(300);
    await rig.attach();
    const { process, port } = await rig.serve();
    await using _process = process;
    await using replica = await rig.replica(port);
    await rig.write(300);
    await rig.expectSame(replica, `seed ${seed}`);
    // From the one to the other, and back, without a full sync.
    await replica.follow(rig.port, true);
    await rig.write(100);
    await rig.expectSame(replica, `seed ${seed}`);
    await replica.follow(port, true);
    await eventually('it is back', () => process.of('replica-continues').length === 1);
    expect(rig.journal.of('replica-full-sync')).toEqual([]);
    const last = await fingerprint(rig.client, binary);
    await eventually('all of it is journaled', async () => {
      return Number((await replica.info('replication')).get('slave_repl_offset')) >= last.position.offset;
    });
    await rig.journal.stop();
    await rig.primary.stop();
    await using fresh = await rig.replica(port);
    await eventually('the fresh one to be level', async () => {
      const [theirs, ours] = await Promise.all([replica.info('replication'), fresh.info('replication')]);
      return (
        ours.get('master_link_status') === 'up' && theirs.get('slave_repl_offset') === ours.get('slave_repl_offset')
      );
    });
    const [one, other] = [await fingerprint(replica.client, binary), await fingerprint(fresh.client, binary)];
    const late = one.expiriesExact ? {} : { expiryToleranceMs: 60_000, elapsedAtMs: Date.now() + 60_000 };
    expect(explainDifference(one, other, late), `seed ${seed}`).toEqual([]);
    expect(await process.stop()).toBe(0);
  });
});

describeServers(
  'one moment',
  (binary) => {
    test('is on a replica what it was on the primary, and stays', { timeout: 120_000 }, async () => {
      const seed = Date.now() >>> 0;
      await using rig = await FeedRig.start(binary, seed);
      await rig.write(200);
      await rig.attach();
      const moments: Fingerprint[] = [];
      for (let i = 0; i < 20; i += 1) {
        await rig.write(60);
        moments.push(await fingerprint(rig.client, binary));
      }
      await rig.write(60);
      await rig.capture.journaled();
      await using replica = await FedReplica.start(binary, 1);
      for (const [i, moment] of moments.entries()) {
        const { process, port } = await rig.serve(['--at', formatPosition(moment.position)]);
        await using _process = process;
        await replica.follow(port, true);
        await eventually('the replica to be there', async () => {
          const info = await replica.info('replication');
          const offset = Number(info.get('slave_repl_offset'));
          return info.get('master_link_status') === 'up' && offset === moment.position.offset;
        });
        const found = await fingerprint(replica.client, binary);
        expect(explainDifference(moment, found), `seed ${seed}, moment ${i}`).toEqual([]);
        // Nobody shall take it for the primary's history.
        expect(found.position.id).not.toBe(moment.position.id);
      }
    });
  },
  { where: (server) => isAtLeast(server, { redis: 7, valkey: 7 }) },
);
