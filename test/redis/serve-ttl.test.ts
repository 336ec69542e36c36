// What promotion leaves of keys that expire: with the times of the primary, what would have expired there; with times that
// are moved, all that there was, with as much left as there was.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { cli } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Fingerprint } from '../support/fingerprint.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { FeedRig } from './feed-rig.ts';
import type { FedReplica } from './feed-rig.ts';

const patient = { timeoutMs: 60_000 };
const lifeMs = 10_000;

function hasFieldTtl(binary: ServerBinary): boolean {
  return isAtLeast(binary, { redis: 7.4, valkey: 9 });
}

/** In base or stream, some keys and fields that live for a few seconds. */
async function writeShortLived(client: RespClient, binary: ServerBinary, prefix: string): Promise<void> {
  await client.call('SET', `${prefix}:set`, 'x', 'PX', lifeMs);
  await client.call('RPUSH', `${prefix}:list`, 'a', 'b');
  await client.call('PEXPIRE', `${prefix}:list`, lifeMs);
  await client.call('SET', `${prefix}:lasting`, 'x');
  if (!hasFieldTtl(binary)) return;
  await client.call('HSET', `${prefix}:hash`, 'short', 'x', 'lasting', 'y');
  await client.call('HPEXPIRE', `${prefix}:hash`, lifeMs, 'FIELDS', 1, 'short');
}

async function shortLived(client: RespClient, binary: ServerBinary): Promise<number> {
  const names = ['base:set', 'base:list', 'stream:set', 'stream:list'];
  const keys = Number(await client.call('EXISTS', ...names));
  if (!hasFieldTtl(binary)) return keys;
  const fields = await Promise.all(['base:hash', 'stream:hash'].map((key) => client.call('HEXISTS', key, 'short')));
  return keys + fields.filter((one) => Number(one) === 1).length;
}

/** Of each key, when it and fields of it end, so much later. */
function expiries({ keys }: Fingerprint, laterByMs = 0): Map<string, unknown> {
  const later = (atMs: number | null): number | null => (atMs === null ? null : atMs + laterByMs);
  return new Map(
    [...keys].map(([name, { expireMs, fieldExpiries = new Map<string, number>() }]) => [
      name,
      [later(expireMs), [...fieldExpiries].map(([field, atMs]) => [field, later(atMs)])],
    ]),
  );
}

/** `journal serve VERB`: what it exits with. */
async function ask(rig: FeedRig, ...words: readonly string[]): Promise<number> {
  return (await cli(['serve', ...words, '--dir', rig.capture.dir, '--name', 'source'])).exitCode;
}

async function caughtUp(replica: FedReplica, offset: number): Promise<void> {
  await eventually(
    'the replica to be there',
    async () => Number((await replica.info('replication')).get('slave_repl_offset')) >= offset,
    patient,
  );
}

describeServers(
  'promoted',
  (binary) => {
    const all = hasFieldTtl(binary) ? 6 : 4;

    test(
      'a moment drops what has expired since; shifted, it has all with as long to live',
      { timeout: 120_000 },
      async () => {
        await using rig = await FeedRig.start(binary, Date.now() >>> 0);
        await writeShortLived(rig.client, binary, 'base');
        await rig.attach();
        await writeShortLived(rig.client, binary, 'stream');
        const { position } = await fingerprint(rig.client, binary);
        await rig.capture.journaled();
        await sleep(lifeMs + 500);
        const target = ['--at', formatPosition(position)];
        const kept = await rig.serve(target);
        await using _kept = kept.process;
        await using drops = await rig.replica(kept.port);
        await caughtUp(drops, position.offset);
        expect(Number(await drops.client.call('DBSIZE'))).toBe(hasFieldTtl(binary) ? 8 : 6);
        await drops.client.call('REPLICAOF', 'NO', 'ONE');
        expect(await shortLived(drops.client, binary)).toBe(0);
        expect(await drops.client.call('EXISTS', 'base:lasting', 'stream:lasting')).toBe(2);
        const shifted = await rig.serve([...target, '--ttl', 'shift']);
        await using _shifted = shifted.process;
        await using keeps = await rig.replica(shifted.port);
        await caughtUp(keeps, position.offset);
        await keeps.client.call('REPLICAOF', 'NO', 'ONE');
        expect(await shortLived(keeps.client, binary)).toBe(all);
        const left = Number(await keeps.client.call('PTTL', 'stream:set'));
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThanOrEqual(lifeMs + 1000);
      },
    );

    test(
      'a delayed copy that shifts has what the primary had then, with as long to live',
      { timeout: 120_000 },
      async () => {
        await using rig = await FeedRig.start(binary, Date.now() >>> 0);
        await rig.write(200);
        await rig.attach();
        const delayed = await rig.serve(['--delay', '4s', '--ttl', 'shift']);
        await using _process = delayed.process;
        await using replica = await rig.replica(delayed.port);
        await rig.write(200);
        await rig.client.call('SELECT', 0);
        await rig.client.call('SET', 'short', 'x', 'PX', 3_600_000);
        const moment = await fingerprint(rig.client, binary);
        await rig.client.call('FLUSHALL');
        await rig.capture.journaled();
        const target = ['--at', formatPosition(moment.position)];
        await eventually('its base to be due', async () => (await ask(rig, 'pause')) === 0, patient);
        expect(await ask(rig, 'step', ...target)).toBe(0);
        await caughtUp(replica, moment.position.offset);
        const found = await fingerprint(replica.client, binary);
        expect(expiries(found)).toEqual(expiries(moment, 4000));
        await replica.client.call('REPLICAOF', 'NO', 'ONE');
        expect(await replica.client.call('EXISTS', 'short')).toBe(1);
        expect(await delayed.process.stop()).toBe(0);
      },
    );
  },
  // Before 7.0 TTLs come relative: they count from when they come, whatever is said here.
  { where: (server) => isAtLeast(server, { redis: 7, valkey: 7 }) },
);
