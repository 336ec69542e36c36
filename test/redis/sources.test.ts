// Several addresses that one primary may have: the journal finds it, moves over when it moves, follows a replica only
// while it must, and says so. And the failover that picked the journal.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { cli, json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { RedisServer } from '../support/redis-server.ts';
import { isAtLeast } from '../support/servers.ts';
import { CaptureRig, fullSyncs, startReplica } from './capture-rig.ts';

const local = (port: number): string => `redis://127.0.0.1:${port}`;

async function status(rig: CaptureRig): Promise<Record<string, unknown>> {
  return json(await cli(['status', '--dir', rig.dir, '--json']));
}

describeServers('with several sources, the journal', (binary) => {
  test('follows the primary, and the promoted replica after a failover, without a full sync', async () => {
    await using rig = await CaptureRig.start(binary);
    await using replica = await startReplica(rig.primary);
    await using successor = await replica.connect();
    const journal = await rig.attach({ source: `${local(replica.port)},${local(rig.tap.port)}` });
    await rig.client.call('SET', 'before', 'the failover');
    expect(await rig.client.call('WAIT', 2, 20_000)).toBe(2);
    expect(await status(rig)).toMatchObject({ state: 'streaming', address: `127.0.0.1:${rig.tap.port}` });
    await rig.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    await journal.waitFor('attached');
    await successor.call('SET', 'after', 'the failover');
    await rig.journaled(successor);
    expect(await fullSyncs(successor)).toBe(0);
    await eventually('the new address', async () => (await status(rig)).address === `127.0.0.1:${replica.port}`);
    expect(await status(rig)).toMatchObject({ state: 'streaming', healthy: true, degraded: null, gaps: [] });
    // The old primary comes back as one, with other data: it is not followed, and that there are two is told.
    await rig.primary.restart();
    await journal.waitFor('two-primaries', { timeoutMs: 25_000 });
    expect(journal.of('gap')).toEqual([]);
    expect(await journal.stop()).toBe(0);
  });

  test('follows a replica while no primary answers, is degraded then, and moves over to the primary', async () => {
    await using rig = await CaptureRig.start(binary);
    await using replica = await startReplica(rig.primary);
    await rig.tap.refuse();
    const journal = await rig.attach({ source: `${local(rig.tap.port)},${local(replica.port)}` });
    await eventually('the degraded state', async () => (await status(rig)).state === 'degraded');
    expect(await status(rig)).toMatchObject({
      healthy: true,
      address: `127.0.0.1:${replica.port}`,
      degraded: { code: 'source-is-replica', isGrave: false },
    });
    await rig.client.call('SET', 'by', 'the replica');
    await rig.tap.accept();
    await journal.waitFor('moving', { from: journal.lines.findIndex(({ event }) => event === 'degraded') });
    await journal.waitFor('attached');
    await eventually('the primary', async () => (await status(rig)).state === 'streaming');
    await rig.client.call('SET', 'by', 'the primary');
    expect(await rig.client.call('WAIT', 2, 20_000)).toBe(2);
    expect(journal.of('full-sync')).toHaveLength(1);
    expect(journal.of('gap')).toEqual([]);
    expect(await journal.stop()).toBe(0);
  });

  test('waits when all it can have is a replica that has lost its primary, or nobody, and says which', async () => {
    await using rig = await CaptureRig.start(binary);
    await using replica = await startReplica(rig.primary);
    await rig.primary.kill9();
    await eventually('the loss', async () => {
      await using client = await replica.connect();
      return (await client.text('INFO', 'replication')).includes('master_link_status:down');
    });
    const journal = rig.run({ source: `${local(rig.primary.port)},${local(replica.port)}` });
    const line = await journal.waitFor('link-interrupted');
    expect(line).toMatchObject({ code: 'no-primary', error: expect.stringContaining('a replica without its primary') });
    expect(await journal.stop()).toBe(0);
  });
});

describeServers('a FAILOVER that picked the journal', (binary) => {
  test.runIf(isAtLeast(binary, { redis: 7, valkey: 7 }))(
    'is told at once, with the command that ends it, and after it the journal goes on',
    async () => {
      await using rig = await CaptureRig.start(binary);
      const journal = await rig.attach();
      await rig.client.call('SET', 'before', 'the failover');
      await rig.journaled();
      await rig.client.call('FAILOVER');
      const line = await journal.waitFor('degraded');
      expect(line).toMatchObject({ level: 'error', code: 'failover-to-journal' });
      expect(line.hint).toContain(`redis-cli -h 127.0.0.1 -p ${rig.tap.port} FAILOVER ABORT`);
      await eventually('the red status', async () => (await status(rig)).state === 'degraded');
      expect(await status(rig)).toMatchObject({ healthy: false, degraded: { isGrave: true } });
      await rig.client.call('FAILOVER', 'ABORT');
      await journal.waitFor('follows-primary');
      await eventually('a write', async () => rig.client.call('SET', 'after', 'the failover').catch(() => undefined));
      await rig.journaled();
      await eventually('the green status', async () => (await status(rig)).state === 'streaming');
      expect(await fullSyncs(rig.client)).toBe(1);
      expect(journal.of('gap')).toEqual([]);
      expect(await journal.stop()).toBe(0);
    },
  );
});

describeServers('a primary that becomes a replica', (binary) => {
  test('of a server that is not there is told, and so is that it is one again', async () => {
    await using rig = await CaptureRig.start(binary);
    await using elsewhere = await RedisServer.start(binary);
    const { port } = elsewhere;
    await elsewhere.kill9();
    const journal = await rig.attach();
    await rig.client.call('REPLICAOF', '127.0.0.1', port);
    expect(await journal.waitFor('degraded')).toMatchObject({ level: 'error', code: 'source-alone' });
    await sleep(100);
    await rig.client.call('REPLICAOF', 'NO', 'ONE');
    await journal.waitFor('follows-primary');
    await rig.client.call('SET', 'after', 'all');
    await eventually('the acknowledgement', async () => (await rig.client.call('WAIT', 1, 1000)) === 1, {
      timeoutMs: 20_000,
    });
    expect(journal.of('gap')).toEqual([]);
    expect(await journal.stop()).toBe(0);
  });
});
