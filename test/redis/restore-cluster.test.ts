// Into a cluster, as it is typed: the union of its primaries is what the source held, each key where the servers say that
// its slot is; refused, with every primary as it was, where that would hurt; and where slots move or a primary dies on the
// way, it says so, and can be done again.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CliOptions, type CliResult, cli, json, jsonError } from '../cli/cli.ts';
import { keySlot } from '../../src/redis/key-slot.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { Random } from '../support/random.ts';
import { RedisCluster, urlOf } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyBytes, replyList, replyNumber, replyText, type RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast } from '../support/servers.ts';
import { Authority, hasOpenssl, hasTls } from '../support/tls-certificates.ts';
import { Workload } from '../support/workload.ts';

const otherDbs = ['select', 'move', 'copy to db', 'swapdb', 'script in another db'];
const allGone = ['flushdb', 'flushall', 'function flush'];

describeServers(
  'into a cluster',
  (binary) => {
    let primary: RedisServer;
    let journal: RunningJournal;
    let taken: Fingerprint;
    let cluster: RedisCluster;

    beforeAll(async () => {
      const starting = RedisCluster.start(binary);
      primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      const without = [...otherDbs, ...allGone];
      const workload = new Workload(Date.now() >>> 0, binary, { hashFieldTtl: true, without, largeValues: false });
      await workload.run(client, 200);
      journal = await RunningJournal.attach({ port: primary.port });
      await workload.run(client, 200);
      await client.callMany([
        ['FUNCTION', 'LOAD', 'REPLACE', library],
        [
          'MSET',
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
        ],
        ['SET', 'elapsed', 'x', 'PX', 1],
        ['SET', 'stays', 'x', 'PX', 3_600_000],
        ['SET', 'large', Buffer.alloc(3_000_000, 7)],
      ]);
      await sleep(50);
      taken = await fingerprint(client, binary);
      await journaled(client);
      cluster = await starting;
    });

    afterAll(async () => {
      await journal[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    });

    beforeEach(async () => {
      for (const client of cluster.clients) {
        await client.call('FLUSHALL');
        await client.call('FUNCTION', 'FLUSH');
      }
    });

    function restore(to: string, words: readonly string[] = ['--yes'], options: CliOptions = {}): Promise<CliResult> {
      const { id, offset } = taken.position;
      return restoreOf(journal, `${id}:${offset}`, to, words, options);
    }

    function restoreOf(
      { root }: RunningJournal,
      at: string,
      to: string,
      words: readonly string[],
      options: CliOptions = {},
    ): Promise<CliResult> {
      const argv = ['restore', '--at', at, '--dir', root, '--server-bin', binary.path, '--json', '--to', to, ...words];
      return cli(argv, { ...options, env: { PATH: process.env.PATH, ...options.env } });
    }

    /** All of it together is what was taken, every key in a slot that its node has, and every function everywhere. */
    async function expectRestored({ clients }: RedisCluster): Promise<void> {
      const keys = new Map<string, KeyFacts>();
      for (const client of clients) {
        const held = await fingerprint(client, binary);
        expect(held.functions).toEqual(taken.functions);
        for (const [name, facts] of held.keys) {
          expect(keys.has(name), `${name} twice`).toBe(false);
          keys.set(name, facts);
        }
        const own = await slotsOf(client);
        const names = replyList(await client.call('KEYS', '*')).map(replyBytes);
        const slots = await client.callMany(names.map((name) => ['CLUSTER', 'KEYSLOT', name]));
        expect(slots.map(replyNumber).filter((slot) => !isIn(own, slot))).toEqual([]);
      }
      // They have deleted what has elapsed since, fields too.
      const elapsedAtMs = Date.now();
      const [whole, back] = [taken.keys, keys].map((of) => ({ ...taken, digest: '', keys: of }));
      expect(explainDifference(whole!, back!, { elapsedAtMs })).toEqual([]);
      expect(keys.size).toBeGreaterThan(50);
    }

    async function expectRefused(result: Promise<CliResult>, code: string, exitCode: number): Promise<void> {
      const refused = await result;
      expect(jsonError(refused), refused.stderr).toMatchObject({ code, exitCode });
      expect(refused.exitCode).toBe(exitCode);
      expect(jsonError(refused).hint).toContain('nothing was changed');
    }

    /** How many keys each holds. */
    async function sizes(): Promise<number[]> {
      return Promise.all(cluster.clients.map(async (client) => replyNumber(await client.call('DBSIZE'))));
    }

    test('some keys do not go into a cluster', async () => {
      const refused = await restore(cluster.url, ['--yes', '--keys', '*']);
      expect(jsonError(refused)).toMatchObject({ code: 'selection-into-cluster', exitCode: 2 });
      expect(await sizes()).toEqual([0, 0, 0]);
    });

    test('each key is with the primary of its slot, and functions are with all of them', async () => {
      const planned = await restore(cluster.url, ['--dry-run']);
      expect(planned.stderr).toBe('');
      const ports = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`);
      expect(json(planned).destination).toMatchObject({
        ...{ address: ports[0], method: 'restore', replaces: { keys: 0, libraries: 0 } },
        cluster: { slots: 16_384, primaries: ports.map((address) => ({ address, replicas: 0 })) },
      });
      expect(await sizes()).toEqual([0, 0, 0]);
      const result = await restore(cluster.url);
      expect(result.stderr).toBe('');
      expect(result.exitCode).toBe(0);
      await expectRestored(cluster);
      // No longer empty; with --replace it is done again, by way of another node, and nothing else is left.
      await cluster.clients[1]!.call('SET', await keyOf(cluster, 1), 'of theirs');
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
        for (const i of [0, 1, 2]) await cluster.clients[i]!.call('SET', await keyOf(cluster, i), 'theirs');
      });

      async function expectUntouched(): Promise<void> {
        expect(await sizes()).toEqual([1, 1, 1]);
      }

      test('when one of them holds a key, or has too little memory, or is to follow us', async () => {
        for (const client of cluster.clients.slice(0, 2)) await client.call('FLUSHALL');
        await expectRefused(restore(cluster.url), 'target-not-empty', 7);
        expect(await sizes()).toEqual([0, 0, 1]);
        await expectRefused(restore(cluster.url, [...mine, '--method', 'replicaof']), 'method-impossible', 1);
        await cluster.clients[1]!.call('CONFIG', 'SET', 'maxmemory', '1mb');
        await expectRefused(restore(cluster.url, mine), 'target-memory', 1);
        await cluster.clients[1]!.call('CONFIG', 'SET', 'maxmemory', '0');
        await expectRefused(restore(cluster.url, ['--replace']), 'not-confirmed', 2);
        expect(await sizes()).toEqual([0, 0, 1]);
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
        expect((await sizes().catch(() => [])).length).toBe(0);
        for (const client of cluster.clients.slice(0, 2)) expect(await client.call('DBSIZE')).toBe(1);
        await rejoin(cluster, 2);
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
        const result = restoreOf(another, 'latest', cluster.url, mine);
        await expectRefused(result, 'cluster-dbs', 1);
        expect(jsonError(await result).message).toContain('1 keys are in db 3');
        await expectUntouched();
      });

      test('when the journal is of one of them, and the others hold what it does not', async () => {
        const [, second] = cluster.nodes;
        await using another = await RunningJournal.attach({ port: second!.port });
        await cluster.clients[1]!.call('SET', await keyOf(cluster, 1), 'journaled');
        await journaled(cluster.clients[1]!);
        const live = ['--i-know-this-is-live', `127.0.0.1:${second!.port}`];
        await expectRefused(restoreOf(another, 'latest', cluster.url, mine), 'target-is-live', 7);
        await expectRefused(
          restoreOf(another, 'latest', cluster.url, [...mine, ...live]),
          'target-holds-other-shards',
          7,
        );
        await expectUntouched();
        for (const i of [0, 2]) await cluster.clients[i]!.call('FLUSHALL');
        const result = await restoreOf(another, 'latest', cluster.url, [...mine, ...live]);
        expect(result.exitCode, result.stderr).toBe(0);
        expect(await sizes()).toEqual([0, 1, 0]);
      });

      test('without the permission for CLUSTER', async () => {
        const user = [
          'ACL',
          'SETUSER',
          'some',
          'on',
          '>pw',
          '~*',
          '+info',
          '+select',
          '+restore',
          '+function',
          '+flushall',
        ];
        for (const client of cluster.clients) await client.call(...user);
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
        const slot = slotsTaken(taken).find((one) => one > 11_000)!;
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
        const held = new Set(slotsTaken(taken));
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
        await rejoin(cluster, 2);
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
      expect(await client.call('DBSIZE')).toBe((await sizes())[0]);
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
        const result = await restoreOf(another, 'latest', several.url, ['--yes']);
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
  { where: (server) => isAtLeast(server, { redis: 7, valkey: 7 }) },
);

const library = "#!lua name=ofcluster\nredis.register_function('f', function() return 1 end)";

/** Of the node itself, by what it says. */
async function slotsOf(client: RespClient): Promise<(readonly [number, number])[]> {
  const id = await client.text('CLUSTER', 'MYID');
  const rows = replyList(await client.call('CLUSTER', 'SLOTS')).map(replyList);
  const own = rows.filter(([, , owner]) => replyText(replyList(owner)[2]) === id);
  return own.map(([from, to]) => [Number(from), Number(to)]);
}

function isIn(ranges: readonly (readonly [number, number])[], slot: number): boolean {
  return ranges.some(([from, to]) => from <= slot && slot <= to);
}

/** A key of a slot of that node. */
async function keyOf({ clients }: RedisCluster, index: number): Promise<string> {
  const own = await slotsOf(clients[index]!);
  for (let i = 0; ; i += 1) {
    if (isIn(own, keySlot(Buffer.from(`theirs:${i}`)))) return `theirs:${i}`;
  }
}

function slotsTaken({ keys }: Fingerprint): number[] {
  const plain = [...keys].filter(([name, { expireMs }]) => expireMs === null && /^db0:[\w:]+$/.test(name));
  return plain.map(([name]) => keySlot(Buffer.from(name.slice('db0:'.length))));
}

/** After it was killed. */
async function rejoin(cluster: RedisCluster, index: number): Promise<void> {
  await cluster.nodes[index]!.restart();
  await cluster.reconnect(index);
  await cluster.settled();
}

interface Armed {
  happen?: (() => Promise<void>) | undefined;
}

/** A way to a server on which something happens, once it was armed, before the next bytes with `word` go through. */
class Door implements AsyncDisposable {
  readonly port: number;
  readonly #close: () => Promise<void>;
  readonly #armed: Armed;

  private constructor(port: number, armed: Armed, close: () => Promise<void>) {
    this.port = port;
    this.#armed = armed;
    this.#close = close;
  }

  static async open(to: number, word: string): Promise<Door> {
    const sockets = new Set<Socket>();
    const armed: Armed = {};
    const server = createServer((inner) => {
      const outer = connect(to, '127.0.0.1');
      for (const [from, into] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        sockets.add(from);
        from.on('error', () => into.destroy());
        from.on('close', () => into.destroy());
      }
      outer.pipe(inner);
      let before = Promise.resolve();
      inner.on('data', (bytes: Buffer) => {
        before = before.then(async () => {
          const happen = bytes.includes(word) ? armed.happen : undefined;
          if (happen !== undefined) armed.happen = undefined;
          await happen?.();
          outer.write(bytes);
        });
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Door((server.address() as AddressInfo).port, armed, async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
  }

  arm(happen: () => Promise<void>): void {
    this.#armed.happen = happen;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
