// A delayed copy when something goes wrong around it: the primary loses its history, replicas are killed or stand still, our
// own process is killed. Nothing comes before its time, and a full sync only where the README says so.
import { expect, test } from 'vitest';
import type { DelayedStatus } from '../../src/daemon/delayed-control.ts';
import { ping } from '../../src/downstream/own-numbering.ts';
import { cli, json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Fingerprint } from '../support/fingerprint.ts';
import type { JournalProcess } from '../support/journal-process.ts';
import { FeedRig } from './feed-rig.ts';
import type { FedReplica } from './feed-rig.ts';

const patient = { timeoutMs: 60_000, everyMs: 100 };

/** `journal serve VERB` of that directory. */
async function ask(rig: FeedRig, ...words: readonly string[]): Promise<DelayedStatus> {
  const result = await cli(['serve', ...words, '--json', '--dir', rig.capture.dir, '--name', 'source']);
  expect(result.stderr).toBe('');
  return json(result) as unknown as DelayedStatus;
}

/** It has all that is served, which is at least that offset of this timeline. */
async function level(rig: FeedRig, replica: FedReplica, offset: number, timeline = 1): Promise<void> {
  await eventually(
    'the replica to have it',
    async () => {
      const status = await ask(rig, 'status');
      const isThere = status.timeline === timeline && Number(status.position?.split(':')[1] ?? 0) >= offset;
      return isThere && status.replicas[0]?.lagBytes === 0 && (await isUp(replica));
    },
    patient,
  );
}

async function isUp(replica: FedReplica): Promise<boolean> {
  return (await replica.info('replication')).get('master_link_status') === 'up';
}

async function replicated(replica: FedReplica): Promise<number> {
  return Number((await replica.info('replication')).get('slave_repl_offset'));
}

/** How often the replica has been given the dataset by this process. */
function fullSyncsOf(process: JournalProcess): number {
  return process.of('replica-full-sync').length;
}

async function expectDataset(rig: FeedRig, replica: FedReplica, expected: Fingerprint): Promise<void> {
  const late = { elapsedAtMs: Date.now() + 60_000, ...(!expected.expiriesExact && { expiryToleranceMs: 60_000 }) };
  expect(explainDifference(expected, await fingerprint(replica.client, rig.binary), late)).toEqual([]);
}

describeServers('a delayed copy', (binary) => {
  test('goes over to the new history of a primary that lost its own, by a full sync, when that is due', async () => {
    await using rig = await FeedRig.start(binary, Date.now() >>> 0);
    await rig.write(100);
    await rig.attach();
    const { process, port } = await rig.serve(['--delay', '5s']);
    await using _process = process;
    await using replica = await rig.replica(port);
    await rig.client.call('SET', 'old', 'x');
    const before = await fingerprint(rig.client, binary);
    await level(rig, replica, before.position.offset);
    await rig.client.call('FLUSHALL');
    await rig.write(50);
    await rig.client.call('DEBUG', 'CHANGE-REPL-ID');
    const lost = Date.now();
    rig.capture.tap.cut();
    await eventually('another timeline', () => rig.journal.of('full-sync').length === 2);
    await rig.client.call('SELECT', 0);
    await rig.client.call('SET', 'new', 'x');
    const after = await fingerprint(rig.client, binary);
    await eventually('it to come', async () => (await replica.client.call('EXISTS', 'new')) === 1, patient);
    expect(Date.now() - lost).toBeGreaterThanOrEqual(5000);
    await level(rig, replica, after.position.offset, 2);
    await expectDataset(rig, replica, after);
    expect(fullSyncsOf(process)).toBe(2);
    expect(process.of('delayed-timeline').map(({ timeline }) => timeline)).toEqual([1, 2]);
  }, 120_000);

  test('that is paused keeps replicas that soon give up, however long nothing comes', async () => {
    await using rig = await FeedRig.start(binary, Date.now() >>> 0);
    await rig.write(50);
    await rig.attach();
    const { process, port } = await rig.serve(['--delay', '1s']);
    await using _process = process;
    await using replica = await rig.replica(port, { 'repl-timeout': '6' });
    await rig.client.call('SET', 'key', 'x');
    await level(rig, replica, (await fingerprint(rig.client, binary)).position.offset);
    const { position } = await ask(rig, 'pause');
    await rig.client.call('SELECT', 0);
    await rig.client.call('SET', 'later', 'x');
    const before = await replicated(replica);
    const since = Date.now();
    await eventually('three PINGs', async () => (await replicated(replica)) >= before + 3 * ping.length, patient);
    await eventually('time to pass', () => Date.now() - since > 13_000, patient);
    expect(await isUp(replica)).toBe(true);
    expect(fullSyncsOf(process)).toBe(1);
    expect(process.of('replica-continues')).toEqual([]);
    expect((await ask(rig, 'status')).position).toBe(position);
    expect(await replica.client.call('EXISTS', 'later')).toBe(0);
  }, 120_000);

  test('takes back a replica that was killed, or stood still, where it was', async () => {
    await using rig = await FeedRig.start(binary, Date.now() >>> 0);
    await rig.write(100);
    await rig.attach();
    const { process, port } = await rig.serve(['--delay', '1s']);
    await using _process = process;
    await using replica = await rig.replica(port, { 'repl-timeout': '3' });
    await rig.write(50);
    await rig.client.call('SET', 'key', 'x');
    await level(rig, replica, (await fingerprint(rig.client, binary)).position.offset);
    // What it saved says where it was.
    await replica.client.call('SAVE');
    await rig.write(50);
    await replica.server.kill9();
    await rig.write(50);
    await replica.restart();
    await rig.client.call('SET', 'key', 'y');
    await level(rig, replica, (await fingerprint(rig.client, binary)).position.offset);
    expect(process.of('replica-continues')).toHaveLength(1);
    replica.server.suspend();
    const since = Date.now();
    await eventually('its time to be up', () => Date.now() - since > 5_000);
    await rig.write(50);
    replica.server.resume();
    await rig.client.call('SET', 'key', 'z');
    const last = await fingerprint(rig.client, binary);
    await level(rig, replica, last.position.offset);
    await expectDataset(rig, replica, last);
    expect(fullSyncsOf(process)).toBe(1);
  }, 120_000);

  test('whose own process is killed begins anew, with a full sync; paused, it goes on where it was', async () => {
    await using rig = await FeedRig.start(binary, Date.now() >>> 0);
    await rig.write(100);
    await rig.attach();
    const first = await rig.serve(['--delay', '1s']);
    await using _first = first.process;
    await using replica = await rig.replica(first.port);
    await rig.client.call('SET', 'key', 'x');
    await level(rig, replica, (await fingerprint(rig.client, binary)).position.offset);
    await first.process.kill9();
    await rig.write(50);
    const second = await rig.serve(['--delay', '1s']);
    await using _second = second.process;
    await rig.client.call('SET', 'key', 'y');
    const moment = await fingerprint(rig.client, binary);
    await replica.follow(second.port, true);
    await level(rig, replica, moment.position.offset);
    expect(fullSyncsOf(second.process)).toBe(1);
    await expectDataset(rig, replica, moment);
    const { position } = await ask(rig, 'pause');
    await rig.client.call('FLUSHALL');
    await rig.capture.journaled();
    await second.process.kill9();
    const third = await rig.serve(['--delay', '1s']);
    await using _third = third.process;
    await replica.follow(third.port, true);
    await eventually(
      'the replica to be back',
      async () => third.process.of('replica-continues').length > 0 && (await isUp(replica)),
      patient,
    );
    expect(await ask(rig, 'status')).toMatchObject({ state: 'paused', position });
    await expectDataset(rig, replica, moment);
    expect(fullSyncsOf(third.process)).toBe(0);
    await ask(rig, 'resume');
    await eventually('the replica to be emptied', async () => (await replica.info('keyspace')).size === 0, patient);
    expect(fullSyncsOf(third.process)).toBe(0);
  }, 120_000);
});
