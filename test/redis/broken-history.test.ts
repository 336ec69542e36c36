// History that breaks, on real servers: promotions behind us, restarts with and without data, histories renamed. Each
// ends in the right state: going on, or a gap with the right cause and a new timeline, for one full sync where one is due.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { GapRecord } from '../../journal-format/gap.ts';
import { cli, json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { journaledHistories } from '../support/journal-content.ts';
import { isAtLeast } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';
import { CaptureRig, fullSyncs, primaryOffset, startReplica } from './capture-rig.ts';

/** The gap before the newest timeline, once a write behind it is durable. */
async function gapBehind(rig: CaptureRig): Promise<GapRecord | undefined> {
  await rig.journal.waitFor('gap');
  await using client = await rig.primary.connect();
  await client.call('SET', 'after', 'the gap');
  await rig.journaled(client);
  expect(await rig.journal.stop()).toBe(0);
  const histories = await journaledHistories(rig.journal.tree);
  expect(histories).toHaveLength(2);
  expect(rig.journal.of('full-sync')).toHaveLength(2);
  return histories[1]?.gap;
}

describeServers('a replica promoted behind us', (binary) => {
  test('leaves an orphan: recorded, shown, restorable with exit code 3, and not in the way of the latest', async () => {
    await using rig = await CaptureRig.start(binary);
    await using otherTap = await Tap.start(rig.primary);
    await using replica = await startReplica(rig.primary, otherTap.port);
    await using successor = await replica.connect();
    const journal = await rig.attach();
    await rig.client.call('SET', 'common', 'history');
    expect(await rig.client.call('WAIT', 2, 20_000)).toBe(2);
    const shared = await primaryOffset(rig.client);
    await otherTap.refuse();
    otherTap.cut();
    await rig.client.call('SET', 'only', 'ours');
    await rig.journaled();
    const ahead = await primaryOffset(rig.client);
    await rig.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    rig.tap.redirect(replica);
    const told = await journal.waitFor('gap');
    await successor.call('SET', 'new', 'history');
    await rig.journaled(successor);
    expect(await fullSyncs(successor)).toBe(1);

    const [old, next] = await journaledHistories(journal.tree);
    expect(next?.gap).toMatchObject({
      cause: 'history-changed',
      from: { offset: ahead },
      orphan: { timeline: 1, id: old?.id, offset: shared },
    });
    expect(told).toMatchObject({ survivesTo: `${old?.id}:${shared}` });
    const dir = ['--dir', rig.dir, '--json'];
    const range = { timeline: 1, fromPosition: `${old?.id}:${shared + 1}`, toPosition: `${old?.id}:${ahead}` };
    expect(json(await cli(['status', ...dir])).orphans).toEqual([range]);
    const restoring = async (target: string): Promise<number> => {
      const argv = ['restore', '--at', target, '--dry-run', '--relative-ttl', 'convert', ...dir];
      return (await cli(argv)).exitCode;
    };
    expect(await restoring(`${old?.id}:${ahead}`)).toBe(3);
    expect(await restoring(`${old?.id}:${shared}`)).toBe(0);
    expect(await restoring('latest')).toBe(0);
    expect(await journal.stop()).toBe(0);
    expect((await cli(['verify', ...dir])).exitCode).toBe(3);
  });
});

describeServers('a primary that comes back', (binary) => {
  const remembers = isAtLeast(binary, { redis: 7, valkey: 7 });

  test(`from an RDB of its last moment ${remembers ? 'goes on without a full sync' : 'has another history'}`, async () => {
    await using rig = await CaptureRig.start(binary);
    const journal = await rig.attach();
    await rig.client.call('SET', 'before', 'the restart');
    await rig.journaled();
    await rig.client.call('SAVE');
    await rig.primary.restart();
    if (!remembers) {
      expect(await gapBehind(rig)).toMatchObject({ cause: 'history-changed' });
      return;
    }
    await eventually('the second attachment', () => journal.of('attached').length > 0, { timeoutMs: 20_000 });
    await using client = await rig.primary.connect();
    await client.call('SET', 'after', 'the restart');
    await rig.journaled(client);
    expect(await fullSyncs(client)).toBe(0);
    expect(await journal.stop()).toBe(0);
    const [history, ...more] = await rig.expectIdentity();
    expect(more).toEqual([]);
    expect(history?.ids).toHaveLength(2);
  });

  test('from an older RDB has lost what we hold: an orphan where it says so, and a gap always', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.attach();
    await rig.client.call('SET', 'before', 'the save');
    await rig.client.call('SAVE');
    const saved = await primaryOffset(rig.client);
    await rig.client.call('SET', 'behind', 'the save');
    await rig.journaled();
    await rig.primary.kill9();
    await rig.primary.restart();
    const gap = await gapBehind(rig);
    expect(gap).toMatchObject({ cause: 'history-changed' });
    if (remembers) expect(gap?.orphan).toEqual({ timeline: 1, id: gap?.from.id, offset: saved });
    else expect(gap?.orphan).toBeUndefined();
  });

  test('without its data has another history, of which nothing more is known', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.attach();
    await rig.client.call('SET', 'before', 'the crash');
    await rig.journaled();
    await rig.primary.kill9();
    await rig.primary.restart();
    const gap = await gapBehind(rig);
    expect(gap).toMatchObject({ cause: 'history-changed' });
    expect(gap?.orphan).toBeUndefined();
  });

  test('or goes on under another id, loses nothing until the link breaks, and then has another history', async () => {
    await using rig = await CaptureRig.start(binary);
    const journal = await rig.attach();
    await rig.client.call('DEBUG', 'CHANGE-REPL-ID');
    await rig.client.call('SET', 'before', 'the break');
    await rig.journaled();
    expect(journal.of('link-interrupted')).toEqual([]);
    rig.tap.cut();
    expect(await gapBehind(rig)).toMatchObject({ cause: 'history-changed' });
  });

  test('after its backlog has expired has another history', async () => {
    await using rig = await CaptureRig.start(binary, { config: { 'repl-backlog-ttl': '1' } });
    await rig.attach();
    await rig.client.call('SET', 'before', 'the break');
    await rig.journaled();
    const replid = async (): Promise<string> =>
      /master_replid:(\w+)/.exec(await rig.client.text('INFO', 'replication'))?.[1] ?? '';
    const before = await replid();
    await rig.tap.refuse();
    rig.tap.cut();
    await eventually('another id', async () => (await replid()) !== before, { timeoutMs: 10_000 });
    await sleep(100);
    await rig.tap.accept();
    expect(await gapBehind(rig)).toMatchObject({ cause: 'history-changed', from: { id: before } });
  });
});
