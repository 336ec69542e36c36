// The live undo copy: a replica that is always some seconds behind. What destroys the dataset does not arrive before its
// time; paused, it never does; and a step to right before it, and promotion, bring back what was there.
import { expect, test } from 'vitest';
import type { DelayedStatus } from '../../src/daemon/delayed-control.ts';
import { formatPosition } from '../../src/core/position.ts';
import { cli, json, jsonError } from '../cli/cli.ts';
import type { CliResult } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Fingerprint } from '../support/fingerprint.ts';
import { fullSyncs } from './capture-rig.ts';
import { FeedRig } from './feed-rig.ts';
import type { FedReplica } from './feed-rig.ts';

const patient = { timeoutMs: 60_000 };

/** `journal serve VERB` of that directory. */
function ask(rig: FeedRig, ...words: readonly string[]): Promise<CliResult> {
  return cli(['serve', ...words, '--json', '--dir', rig.capture.dir, '--name', 'source']);
}

async function standing(rig: FeedRig, ...words: readonly string[]): Promise<DelayedStatus> {
  const result = await ask(rig, ...(words.length === 0 ? ['status'] : words));
  expect(result.stderr).toBe('');
  return json(result) as unknown as DelayedStatus;
}

/** A replica that reconnects as soon as it hears nothing for two seconds, as others do after a minute. */
function undoCopy(rig: FeedRig, port: number): Promise<FedReplica> {
  return rig.replica(port, { 'repl-timeout': '2' });
}

/** In all dbs: the workload leaves any of them selected. */
async function keys(replica: FedReplica): Promise<number> {
  const dbs = [...(await replica.info('keyspace')).values()];
  return dbs.reduce((all, words) => all + Number(/^keys=(\d+)/.exec(words)?.[1] ?? 0), 0);
}

/** It has all up to there. */
async function arrived(rig: FeedRig, replica: FedReplica, { position }: Fingerprint): Promise<void> {
  await eventually(
    'the replica to have it',
    async () => {
      const status = await standing(rig);
      const offset = Number(status.position?.split(':')[1] ?? 0);
      return offset >= position.offset && status.replicas[0]?.lagBytes === 0 && (await keys(replica)) > 0;
    },
    { ...patient, everyMs: 100 },
  );
}

describeServers('a delayed copy', (binary) => {
  test('gets what destroys the dataset when its time has come, and not before', { timeout: 120_000 }, async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.write(200);
    await rig.attach();
    const { process, port } = await rig.serve(['--delay', '3s']);
    await using _process = process;
    await using replica = await undoCopy(rig, port);
    await rig.write(100);
    await rig.client.call('SET', 'kept', 'x');
    const before = await fingerprint(rig.client, binary);
    await arrived(rig, replica, before);
    const flushed = Date.now();
    await rig.client.call('FLUSHALL');
    await rig.capture.journaled();
    // The primary is gone: what it wrote arrives all the same.
    await rig.primary.stop();
    await eventually('the replica to be empty', async () => (await keys(replica)) === 0, { ...patient, everyMs: 20 });
    expect(Date.now() - flushed).toBeGreaterThanOrEqual(3000);
    expect(await fullSyncs(replica.client)).toBe(0);
    expect(process.of('replica-full-sync')).toHaveLength(1);
    expect(await process.stop()).toBe(0);
  });

  test(
    'that is paused never gets it; a step to right before it and promotion bring back what was there',
    { timeout: 180_000 },
    async () => {
      const seed = Date.now() >>> 0;
      await using rig = await FeedRig.start(binary, seed);
      await rig.write(200);
      await rig.attach();
      const first = await rig.serve(['--delay', '8s']);
      await using _first = first.process;
      await using replica = await undoCopy(rig, first.port);
      await rig.write(100);
      await rig.client.call('SET', 'kept', 'x');
      await arrived(rig, replica, await fingerprint(rig.client, binary));
      await rig.write(50);
      const moment = await fingerprint(rig.client, binary);
      await rig.client.call('FLUSHALL');
      await rig.client.call('SET', 'later', 'x');
      const paused = await standing(rig, 'pause');
      await rig.capture.journaled();
      expect(paused.state).toBe('paused');
      expect(Number(paused.position?.split(':')[1])).toBeLessThan(moment.position.offset);
      // It times out and comes back, again and again; its server is stopped for longer than that; and so is ours.
      replica.server.suspend();
      await first.process.stop();
      const second = await rig.serve(['--delay', '1s']);
      await using _second = second.process;
      expect(second.process.of('delayed')[0]).toMatchObject({ state: 'paused', position: paused.position });
      replica.server.resume();
      await replica.follow(second.port, true);
      await eventually('the replica to be back', () => second.process.of('replica-continues').length > 0, patient);
      expect(second.process.of('replica-full-sync')).toEqual([]);
      expect(await keys(replica)).toBeGreaterThan(0);
      const stepped = await standing(rig, 'step', '--at', formatPosition(moment.position));
      expect(stepped).toMatchObject({ state: 'paused', position: formatPosition(moment.position) });
      await eventually(
        'the replica to be there',
        async () => (await standing(rig)).replicas[0]?.lagBytes === 0,
        patient,
      );
      const back = await fingerprint(replica.client, binary);
      const inexact = moment.expiriesExact ? {} : { expiryToleranceMs: 60_000, elapsedAtMs: Date.now() + 60_000 };
      expect(explainDifference(moment, back, inexact), `seed ${seed}`).toEqual([]);
      const refused = jsonError(await ask(rig, 'step', '--before', formatPosition(moment.position)));
      expect(refused).toMatchObject({ code: 'already-served', exitCode: 4 });
      expect(refused.hint).toContain('journal serve --at');
      await replica.client.call('REPLICAOF', 'NO', 'ONE');
      const promoted = await fingerprint(replica.client, binary);
      const elapsed = { ...inexact, elapsedAtMs: Date.now() + 60_000 };
      expect(explainDifference(moment, promoted, elapsed), `seed ${seed}`).toEqual([]);
      // And without a pause it goes on: another replica is emptied.
      await using other = await undoCopy(rig, second.port);
      await arrived(rig, other, moment);
      expect((await standing(rig, 'resume')).state).toBe('following');
      await eventually('the other to be emptied', async () => (await keys(other)) === 1, patient);
      expect(await second.process.stop()).toBe(0);
    },
  );
});
