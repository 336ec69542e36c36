// A journal of a journal, in the protocol of stock servers: the same bytes at the same positions, through crashes of either
// and a failover upstream, and replicas of the far one are at the end what the primary is.
import { expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { isAtLeast } from '../support/servers.ts';
import { fullSyncs, primaryOffset, startReplica } from './capture-rig.ts';
import { ChainRig } from './chain-rig.ts';

describeServers('a journal of a journal', (binary) => {
  test('holds the same bytes at the same positions, and feeds replicas that are what the primary is', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.write(300);
    await chain.near.attach();
    await chain.near.write(300);
    await chain.attach();
    await chain.near.write(300);
    await using replica = await chain.replica();
    await chain.near.expectSame(replica, `seed ${seed}`);
    await chain.expectSame(`seed ${seed}`);
    expect(await fullSyncs(chain.near.client)).toBe(1);
    expect(await chain.status()).toMatchObject({ state: 'streaming', degraded: null, healthy: true });
    expect(chain.far.of('no-samples')).toEqual([]);
  });

  test('goes on where it was after either was killed, by partial resyncs alone', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.attach();
    await chain.attach();
    await using replica = await chain.replica();
    for (let round = 0; round < 4; round += 1) {
      await chain.near.write(200);
      if (round % 2 === 0) {
        await chain.near.journal.kill9();
        await chain.near.write(100);
        await chain.near.attach();
      } else {
        await chain.far.kill9();
        await chain.near.write(100);
        await chain.attach();
      }
      await chain.level();
      await chain.near.expectSame(replica, `seed ${seed}, round ${round}`);
      await chain.expectSame(`seed ${seed}, round ${round}`);
    }
    expect(await fullSyncs(chain.near.client)).toBe(1);
  });

  test('takes over the name that the history gets by a failover upstream', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.attach();
    await chain.attach();
    await using replica = await chain.replica();
    // Nothing that expires: the primary would tell the journal of it, and not the successor any more.
    for (let i = 0; i < 100; i += 1) await chain.near.client.call('SET', `before:${i}`, i);
    await using successor = await startReplica(chain.near.primary);
    await using client = await successor.connect();
    await eventually('the successor to be level', async () => {
      return (await primaryOffset(client)) === (await primaryOffset(chain.near.client));
    });
    await chain.near.expectSame(replica, `seed ${seed}`);
    await client.call('REPLICAOF', 'NO', 'ONE');
    chain.near.capture.tap.redirect(successor);
    chain.near.capture.tap.cut();
    await chain.near.journal.waitFor('attached');
    await client.call('SET', 'after', 'the failover');
    await eventually('the replica to have it', async () => (await replica.client.text('GET', 'after')) !== '');
    await chain.near.client.call('REPLICAOF', '127.0.0.1', successor.port);
    await chain.expectSame(`seed ${seed}`);
    for (const journal of [chain.near.journal, chain.far]) expect(journal.of('full-sync')).toHaveLength(1);
    expect(replica.server.logs().match(/Full resync/g)).toHaveLength(1);
  });

  // Of one moment there is no link, and Redis before 7.0 has none to serve.
  test.runIf(isAtLeast(binary, { redis: 7, valkey: 7 }))(
    'of one moment, by the plain protocol, holds the dataset of that moment, and feeds it',
    async () => {
      const seed = Date.now() >>> 0;
      await using chain = await ChainRig.start(binary, seed);
      await chain.near.write(300);
      await chain.near.attach();
      await chain.near.capture.journaled();
      const { process, port } = await chain.near.serve(['--at', 'latest']);
      await using _process = process;
      const far = await chain.attach({ source: `redis://127.0.0.1:${port}` });
      expect(far.of('connected')).toEqual([expect.not.objectContaining({ link: 1 })]);
      expect(far.of('connected')[0]?.server).toBe((await chain.near.capture.journal.waitFor('connected')).server);
      await using replica = await chain.replica();
      await eventually('the replica to have it', async () => (await replica.client.call('DBSIZE')) !== 0);
      const [one, other] = [await fingerprint(chain.near.client, binary), await fingerprint(replica.client, binary)];
      expect(explainDifference(one, other), `seed ${seed}`).toEqual([]);
    },
  );

  test('says so when the journal before it has lost its primary', async () => {
    await using chain = await ChainRig.start(binary, 1);
    await chain.near.attach();
    await chain.attach();
    await chain.near.capture.tap.refuse();
    chain.near.capture.tap.cut();
    await eventually('its status to tell', async () => (await chain.status()).degraded?.code === 'source-alone');
    expect((await chain.status()).healthy).toBe(false);
    // Started anew it has not met its primary, and is followed all the same.
    await chain.near.journal.kill9();
    await chain.near.listen();
    await eventually('the far one to be back', () => chain.near.journal.of('replica-continues').length === 1);
    expect((await chain.status()).degraded?.code).toBe('source-alone');
    await chain.near.capture.tap.accept();
    await eventually('it to be well again', async () => (await chain.status()).healthy);
  });
});
