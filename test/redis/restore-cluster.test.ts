// Into a cluster, as it is typed: the union of its primaries is what the source held, each key where the servers say that
// its slot is; refused, with every primary as it was, where that would hurt; and where slots move or a primary dies on the
// way, it says so, and can be done again.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CliOptions, type CliResult, json, jsonError } from '../cli/cli.ts';
import { keySlot } from '../../src/redis/key-slot.ts';
import { describeServers } from '../support/describe-servers.ts';
import { Door } from '../support/door.ts';
import { eventually } from '../support/eventually.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { Random } from '../support/random.ts';
import { RedisCluster, urlOf } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyList } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast } from '../support/servers.ts';
import { Authority, hasOpenssl, hasTls } from '../support/tls-certificates.ts';
import { expectRefused as expectRefusal, TakenJournal } from './taken-journal.ts';

const otherDbs = ['select', 'move', 'copy to db', 'swapdb', 'script in another db'];
const allGone = ['flushdb', 'flushall', 'function flush'];

describeServers(
  'into a cluster',
  (binary) => {
    const hasFunctions = isAtLeast(binary, { redis: 7, valkey: 7 });
    let source: TakenJournal;
    let cluster: RedisCluster;

    beforeAll(async () => {
      const starting = RedisCluster.start(binary);
      const pairs = [
        '{tag}:1',
        'a',
        '{tag}:2',
        'b',
        '{}tag',
        'c',
        'x{tag}y{z}',
        'd',
        '{tag',
        'e',
        '',
        'f',
        '\xff{\0}\xfe',
        'g',
      ];
      source = await TakenJournal.start(binary, {
        workload: { without: [...otherDbs, ...allGone], largeValues: false },
        commands: [
          ...(hasFunctions ? [['FUNCTION', 'LOAD', 'REPLACE', library]] : []),
          ['MSET', ...pairs],
          ['SET', 'elapsed', 'x', 'PX', 1],
          ['SET', 'stays', 'x', 'PX', 3_600_000],
          ['SET', 'large', Buffer.alloc(3_000_000, 7)],
        ],
      });
      cluster = await starting;
    });

    afterAll(async () => {
      await source[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    });

    beforeEach(async () => {
      for (const client of cluster.clients) {
        await client.call('FLUSHALL');
        if (hasFunctions) await client.call('FUNCTION', 'FLUSH');
      }
    });

    function restore(to: string, words?: readonly string[], options?: CliOptions): Promise<CliResult> {
      return source.restore(to, words, options);
    }

    function restoreOf({ root }: RunningJournal, to: string, words: readonly string[]): Promise<CliResult> {
      return source.restore(to, words, { from: { root, at: 'latest' } });
    }

    /** All of it together is what was taken, and every function everywhere. */
    async function expectRestored(of: RedisCluster): Promise<void> {
      const keys = await of.keys();
      source.expectSame({ ...source.taken, digest: '' }, { ...source.taken, digest: '', keys });
      expect(keys.size).toBeGreaterThan(50);
      for (const client of of.clients) {
        const held = await fingerprint(client, binary);
        expect(held.functions).toEqual(source.taken.functions);
      }
    }

    async function expectRefused(restoring: Promise<CliResult>, code: string, exitCode: number): Promise<void> {
      const result = await expectRefusal(restoring, code, exitCode);
      expect(jsonError(result).hint).toContain('nothing was changed');
    }

    test('each key is with the primary of its slot, and functions are with all of them', async () => {
      const planned = await restore(cluster.url, ['--dry-run']);
      expect(planned.stderr).toBe('');
      const ports = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`);
      expect(json(planned).destination).toMatchObject({
        ...{ address: ports[0], method: 'restore', replaces: { keys: 0, libraries: 0 } },
        cluster: { slots: 16_384, primaries: ports.map((address) => ({ address, replicas: 0 })) },
      });
      expect(await cluster.sizes()).toEqual([0, 0, 0]);
      const result = await restore(cluster.url);
      expect(result.stderr).toBe('');
      expect(result.exitCode).toBe(0);
      await expectRestored(cluster);
      // No longer empty; with --replace it is done again, by way of another node, and nothing else is left.
      await cluster.clients[1]!.call('SET', await cluster.keyOf(1), 'of theirs');
      await expectRefused(restore(cluster.url), 'target-not-empty', 7);
      const again = await restore(urlOf(cluster.nodes[2]!), ['--yes', '--replace']);
      expect(again.exitCode, again.stderr).toBe(0);
      await expectRestored(cluster);
    });

    test('the slot of a key is what the servers compute', async () => {
      const random = new Random(Date.now() >>> 0);
      const tagged = Array.from({ length: 300 }, () =>
        Array.from({ length: random.below(9) }, () => random.pick(['{', '}', 'a', '\0', '\xff', 'b{'])).join(''),
      );
      const keys = [
        ...tagged.map((text) => Buffer.from(text, 'latin1')),
        ...Array.from({ length: 200 }, () => random.bytes(random.below(40))),
      ];
      const slots = await cluster.clients[0]!.callMany(keys.map((key) => ['CLUSTER', 'KEYSLOT', key]));
      expect(keys.map(keySlot)).toEqual(slots);
    });

    describe('is refused, and every primary as it was:', () => {
      const mine = ['--yes', '--replace'];

      beforeEach(async () => {
        for (const i of [0, 1, 2]) await cluster.clients[i]!.call('SET', await cluster.keyOf(i), 'theirs');
      });

      async function expectUntouched(): Promise<void> {
        expect(await cluster.sizes()).toEqual([1, 1, 1]);
      }

      test('when one of them holds a key, or has too little memory, or is to follow us', async () => {
        for (const client of cluster.clients.slice(0, 2)) await client.call('FLUSHALL');
        await expectRefused(restore(cluster.url), 'target-not-empty', 7);
        expect(await cluster.sizes()).toEqual([0, 0, 1]);
        await expectRefused(restore(cluster.url, [...mine, '--method', 'replicaof']), 'method-impossible', 1);
        await cluster.clients[1]!.call('CONFIG', 'SET', 'maxmemory', '1mb');
        await expectRefused(restore(cluster.url, mine), 'target-memory', 1);
        await cluster.clients[1]!.call('CONFIG', 'SET', 'maxmemory', '0');
        await expectRefused(restore(cluster.url, ['--replace']), 'not-confirmed', 2);
        expect(await cluster.sizes()).toEqual([0, 0, 1]);
      });

      test('while a slot is on its way', async () => {
        const id = await cluster.clients[0]!.text('CLUSTER', 'MYID');
        await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', 16_000, 'MIGRATING', id);
        await expectRefused(restore(cluster.url, mine), 'cluster-unsettled', 11);
        await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', 16_000, 'STABLE');
        await expectUntouched();
      });

      test.skipIf(!isAtLeast(binary, { valkey: 9 }))('while slots migrate as a whole', async () => {
        const [source] = cluster.clients;
        const target = await cluster.clients[1]!.text('CLUSTER', 'MYID');
        await source!.call('DEBUG', 'SLOTMIGRATION', 'PREVENT-PAUSE', 1);
        await source!.call('CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', 0, 9, 'NODE', target);
        await expectRefused(restore(cluster.url, mine), 'cluster-unsettled', 11);
        await source!.call('CLUSTER', 'CANCELSLOTMIGRATIONS');
        await source!.call('DEBUG', 'SLOTMIGRATION', 'PREVENT-PAUSE', 0);
        await expectUntouched();
        expect((await restore(cluster.url, ['--replace', '--dry-run'])).exitCode).toBe(0);
      });

      test('while slots are without an owner, and one says so', async () => {
        await cluster.clients[1]!.call('CLUSTER', 'DELSLOTS', 6000);
        await expectRefused(restore(urlOf(cluster.nodes[1]!), mine), 'cluster-incomplete', 1);
        await expectRefused(restore(cluster.url, mine), 'cluster-incomplete', 1);
        await cluster.clients[1]!.call('CLUSTER', 'ADDSLOTS', 6000);
        await cluster.settled();
        await expectUntouched();
      });

      test('when a primary cannot be reached', async () => {
        const [, , third] = cluster.nodes;
        await third!.kill9();
        const result = restore(cluster.url, mine);
        await expectRefused(result, 'target-unreachable', 11);
        expect(jsonError(await result).message).toMatch(new RegExp(`:${third!.port} cannot be reached`));
        expect((await cluster.sizes().catch(() => [])).length).toBe(0);
        for (const client of cluster.clients.slice(0, 2)) expect(await client.call('DBSIZE')).toBe(1);
        await cluster.rejoin(2);
      });

      test('when what is restored has keys that are not in db 0', async () => {
        await using other = await RedisServer.start(binary);
        await using client = await other.connect();
        await using another = await RunningJournal.attach({ port: other.port });
        await client.callMany([
          ['SELECT', 3],
          ['SET', 'of db 3', '1'],
          ['SELECT', 0],
          ['SET', 'of db 0', '1'],
        ]);
        await journaled(client);
        const result = restoreOf(another, cluster.url, mine);
        await expectRefused(result, 'target-db', 1);
        expect(jsonError(await result).message).toMatch(/has no db 3$/);
        await expectUntouched();
      });

      test('when the journal is of one of them, and the others hold what it does not', async () => {
        const [, second] = cluster.nodes;
        await using another = await RunningJournal.attach({ port: second!.port });
        await cluster.clients[1]!.call('SET', await cluster.keyOf(1), 'journaled');
        await journaled(cluster.clients[1]!);
        const live = ['--i-know-this-is-live', `127.0.0.1:${second!.port}`];
        await expectRefused(restoreOf(another, cluster.url, mine), 'target-is-live', 7);
        await expectRefused(restoreOf(another, cluster.url, [...mine, ...live]), 'target-holds-other-shards', 7);
        await expectUntouched();
        for (const i of [0, 2]) await cluster.clients[i]!.call('FLUSHALL');
        const result = await restoreOf(another, cluster.url, [...mine, ...live]);
        expect(result.exitCode, result.stderr).toBe(0);
        expect(await cluster.sizes()).toEqual([0, 1, 0]);
      });

      test('without the permission for CLUSTER', async () => {
        const may = ['+info', '+select', '+restore', '+flushall', ...(hasFunctions ? ['+function'] : [])];
        for (const client of cluster.clients) await client.call('ACL', 'SETUSER', 'some', 'on', '>pw', '~*', ...may);
        const env = { JOURNAL_TARGET_PASSWORD: 'pw' };
        const refused = await restore(cluster.url, [...mine, '--target-user', 'some'], { env });
        expect(jsonError(refused)).toMatchObject({ code: 'target-permission', exitCode: 10 });
        await expectUntouched();
        for (const client of cluster.clients) await client.call('ACL', 'SETUSER', 'some', '+cluster');
        const result = await restore(cluster.url, [...mine, '--target-user', 'some'], { env });
        expect(result.exitCode, result.stderr).toBe(0);
        await expectRestored(cluster);
      });
    });

    describe('on the way', () => {
      let door: Door;

      beforeAll(async () => {
        const [asked, , third] = cluster.clients;
        door = await Door.open(cluster.nodes[2]!.port, 'RESTORE');
        await third!.call('CONFIG', 'SET', 'cluster-announce-port', door.port);
        await eventually('its address to be known', async () =>
          (await asked!.text('CLUSTER', 'NODES')).includes(`:${door.port}@`),
        );
      });

      afterAll(() => door[Symbol.asyncDispose]());

      /** Restores, and before the third primary gets its first key, `happen`s. */
      function interfered(happen: () => Promise<void>): Promise<CliResult> {
        door.arm(happen);
        return restore(cluster.url);
      }

      async function moveSlot(slot: number, to: number): Promise<void> {
        const id = await cluster.clients[to]!.text('CLUSTER', 'MYID');
        for (const client of cluster.clients) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', id);
      }

      async function expectAgain(): Promise<void> {
        const again = await restore(cluster.url, ['--yes', '--replace']);
        expect(again.exitCode, again.stderr).toBe(0);
        await expectRestored(cluster);
      }

      test.each(['MOVED', 'ASK'])('a slot that is elsewhere (%s) ends it, and it can be done again', async (answer) => {
        const slot = slotsTaken(source.taken).find((one) => one > 11_000)!;
        const id = await cluster.clients[0]!.text('CLUSTER', 'MYID');
        const result = await interfered(async () => {
          if (answer === 'MOVED') await moveSlot(slot, 0);
          else await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', id);
        });
        expect(result.exitCode).toBe(11);
        expect(jsonError(result)).toMatchObject({ code: 'slots-moved' });
        expect(jsonError(result).message).toMatch(new RegExp(`answered ${answer} ${slot} .*holds a part of it`));
        for (const client of cluster.clients) await client.call('FLUSHALL');
        if (answer === 'MOVED') await moveSlot(slot, 2);
        else await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', slot, 'STABLE');
        await cluster.settled();
        await expectAgain();
      });

      test('slots that moved unnoticed by any key are noticed at the end', async () => {
        const held = new Set(slotsTaken(source.taken));
        const slot = Array.from({ length: 5000 }, (_, i) => 11_000 + i).find((one) => !held.has(one))!;
        const result = await interfered(() => moveSlot(slot, 0));
        expect(jsonError(result)).toMatchObject({ code: 'slots-moved', exitCode: 11 });
        await moveSlot(slot, 2);
        await cluster.settled();
        await expectAgain();
      });

      test('a primary that dies is told of, with what the cluster holds', async () => {
        const result = await interfered(() => cluster.nodes[2]!.kill9());
        expect(result.exitCode).toBe(11);
        expect(jsonError(result).message).toMatch(/holds a part of it, about \d+ commands of which were taken/);
        await cluster.rejoin(2);
        await expectAgain();
      });
    });

    test('it may be asked for at a replica, and replicas follow', async () => {
      await using replica = await cluster.addReplica(0);
      const planned = await restore(urlOf(replica), ['--dry-run']);
      expect(planned.stderr).toBe('');
      expect(json(planned).destination).toMatchObject({
        cluster: { primaries: [{ replicas: 1 }, { replicas: 0 }, { replicas: 0 }] },
      });
      const result = await restore(urlOf(replica));
      expect(result.exitCode, result.stderr).toBe(0);
      await expectRestored(cluster);
      await journaled(cluster.clients[0]!);
      await using client = await replica.connect();
      expect(await client.call('DBSIZE')).toBe((await cluster.sizes())[0]);
    });

    test('with a password, over TLS, every primary is verified', async ({ skip }) => {
      if (!hasOpenssl() || !hasTls(binary)) return void skip('no TLS here');
      const authority = new Authority('of the cluster');
      const tls = { ...authority.issue('DNS:localhost', 'IP:127.0.0.1'), caFile: authority.caFile };
      await using secret = await RedisCluster.start(binary, { tls, password: 'geheim' });
      const env = { JOURNAL_TARGET_PASSWORD: 'geheim' };
      const result = await restore(secret.url, ['--yes', '--target-tls-ca', authority.caFile], { env });
      expect(result.exitCode, result.stderr).toBe(0);
      await expectRestored(secret);
    });

    if (isAtLeast(binary, { valkey: 9 })) {
      test('with dbs of its own takes keys of all of them', async () => {
        await using several = await RedisCluster.start(binary, { config: { 'cluster-databases': '4' } });
        await using other = await RedisServer.start(binary);
        await using client = await other.connect();
        await using another = await RunningJournal.attach({ port: other.port });
        const names = Array.from({ length: 50 }, (_, i) => `key:${i}`);
        await client.callMany([['SELECT', 3], ...names.map((name) => ['SET', name, '3'])]);
        await client.callMany([['SELECT', 0], ...names.map((name) => ['SET', name, '0'])]);
        await journaled(client);
        const result = await restoreOf(another, several.url, ['--yes']);
        expect(result.exitCode, result.stderr).toBe(0);
        for (const db of [0, 3]) {
          for (const one of several.clients) await one.call('SELECT', db);
          const held = await Promise.all(several.clients.map((one) => one.call('KEYS', '*')));
          expect(held.flatMap(replyList)).toHaveLength(50);
          for (const name of names) {
            const owner = several.nodes.indexOf(await several.ownerOf(keySlot(Buffer.from(name))));
            expect(await several.clients[owner]!.text('GET', name)).toBe(String(db));
          }
        }
      });
    }
  },
  { where: (server) => isAtLeast(server, { redis: 6, valkey: 7 }) },
);

const library = "#!lua name=ofcluster\nredis.register_function('f', function() return 1 end)";

function slotsTaken({ keys }: Fingerprint): number[] {
  const plain = [...keys].filter(([name, { expireMs }]) => expireMs === null && /^db0:[\w:]+$/.test(name));
  return plain.map(([name]) => keySlot(Buffer.from(name.slice('db0:'.length))));
}
