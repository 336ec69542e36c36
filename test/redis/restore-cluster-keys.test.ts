// Some keys of a moment, written into a cluster that goes on: each with the primary of its slot, every other key as it was.
// Where one of the primaries is that of the journal, that one alone is written to, behind a mark, and so one shard is put
// back in its place; what would hurt the others is refused.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CliResult, json, jsonError } from '../cli/cli.ts';
import { readMarks } from '../../src/log/timeline-store.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { Door } from '../support/door.ts';
import { eventually } from '../support/eventually.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { RedisCluster, urlOf } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { expectRefused, named, startsWith, TakenJournal } from './taken-journal.ts';

type Keys = ReadonlyMap<string, KeyFacts>;

interface Counts {
  readonly created: number;
  readonly changed: number;
  readonly identical: number;
  readonly absent: number | null;
}

interface Compared {
  readonly comparison: Counts & { readonly elapsed: number; readonly primaries: (Counts & { address: string })[] };
  readonly rows: readonly { readonly change: string; readonly primary: string; readonly key: string }[];
}

const without = ['select', 'move', 'copy to db', 'swapdb', 'script in another db', 'flushdb', 'flushall'];
const selected = ['--keys', 'string:*', '--keys', 'hash:*'];
const isSelected = (key: ReturnType<typeof named>): boolean => startsWith('string:')(key) || startsWith('hash:')(key);

describeServers('some keys into a cluster', (binary) => {
  let source: TakenJournal;
  let cluster: RedisCluster;

  beforeAll(async () => {
    const starting = RedisCluster.start(binary);
    source = await TakenJournal.start(binary, {
      workload: { keysPerType: 12, without },
      commands: [
        ['SET', 'string:elapsed', 'x', 'PX', 1],
        ['SET', 'string:stays', 'x', 'PX', 3_600_000],
        ['SET', 'string:then', 'x'],
        ['SET', 'string:{tag}', Buffer.alloc(1_000_000, 7)],
      ],
    });
    cluster = await starting;
  });

  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  function addressOf(index: number): string {
    return `127.0.0.1:${cluster.nodes[index]!.port}`;
  }

  /** Keys that a node has, as its own. */
  async function set(index: number, name: string, value: string): Promise<string> {
    const key = await cluster.keyOf(index, name);
    await cluster.clients[index]!.call('SET', key, value);
    return key;
  }

  function expectSame(wanted: Keys, found: Keys): void {
    const of = (keys: Keys): Fingerprint => ({ ...source.taken, digest: '', keys });
    source.expectSame(of(wanted), of(found));
  }

  describe('that has nothing to do with the journal', () => {
    let before: Keys;

    /** It has what was taken, but for some keys that are others, are missing, or were not there then. */
    beforeEach(async () => {
      for (const client of cluster.clients) await client.call('FLUSHALL');
      await source.done(cluster.url, ['--exclude', 'string:then', '--exclude', '*:1*']);
      for (const index of [0, 1, 2]) {
        await set(index, 'string:now', 'x');
        await set(index, 'other', 'x');
        await cluster.clients[index]!.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      }
      before = await cluster.keys();
    });

    test('are what they were, and all others as they were', async () => {
      const { changes, to } = await source.done(cluster.url, selected);
      expectSame(source.merged(before, isSelected), await cluster.keys());
      expect(to).toBe(`the cluster of ${addressOf(0)}`);
      const count = [...source.taken.keys.keys()].filter((full) => isSelected(named(full))).length;
      const { written, elapsed } = changes as { written: number; elapsed: number };
      expect(changes).toMatchObject({ deleted: 0, mark: null });
      expect(written + elapsed).toBe(count);
    });

    test('and under other names, of other slots', async () => {
      await source.done(urlOf(cluster.nodes[1]!), ['--keys', 'string:*', '--rename', 's/^/old /']);
      const rename = (full: string): string => full.replace(/^db0:/, 'db0:old ');
      expectSame(source.merged(before, startsWith('string:'), rename), await cluster.keys());
    });

    test('are deleted at each where they were absent, with --delete-absent', async () => {
      const { changes } = await source.done(cluster.url, [...selected, '--delete-absent']);
      const kept = new Map([...before].filter(([full]) => !isSelected(named(full))));
      expectSame(source.merged(kept, isSelected), await cluster.keys());
      expect(changes).toMatchObject({ deleted: 3 });
      for (const index of [0, 1, 2]) {
        expect(await cluster.clients[index]!.call('EXISTS', await cluster.keyOf(index, 'string:now'))).toBe(0);
        expect(await cluster.clients[index]!.call('EXISTS', await cluster.keyOf(index, 'other'))).toBe(1);
      }
    });

    test('are left alone where they are there, with --only-missing, and written where they are not', async () => {
      const words = [...selected, '--only-missing'];
      const looked = json(await source.restore(cluster.url, ['--dry-run', ...words])) as unknown as Compared;
      expectSame(before, await cluster.keys());
      const { changes } = await source.done(cluster.url, words);
      expectSame(new Map([...source.merged(new Map(), isSelected), ...before]), await cluster.keys());
      const { written, leftAlone } = changes as { written: number; leftAlone: number };
      expect(written).toBeGreaterThan(0);
      expect(leftAlone).toBeGreaterThan(0);
      expect(looked.comparison).toMatchObject({ created: written, leftAlone, changed: 0, absent: null });
      const created = looked.comparison.primaries.map((primary) => primary.created);
      expect(created.reduce((sum, count) => sum + count, 0)).toBe(written);
    });

    test('are told key by key and primary by primary, and nothing is written', async () => {
      const words = ['--dry-run', ...selected];
      const result = await source.restore(cluster.url, words);
      expect(result.exitCode, result.stderr).toBe(0);
      expectSame(before, await cluster.keys());
      const { comparison, rows } = json(result) as unknown as Compared;
      const addresses = [0, 1, 2].map(addressOf);
      expect(comparison.primaries.map(({ address }) => address)).toEqual(addresses);
      for (const state of ['created', 'changed', 'identical', 'absent'] as const) {
        for (const [index, primary] of addresses.entries()) {
          const count = rows.filter((row) => row.change === state && row.primary === primary).length;
          expect(comparison.primaries[index]![state]).toBe(count);
        }
        expect(comparison[state]).toBe(rows.filter((row) => row.change === state).length);
      }
      expect(rows.find(({ key }) => key === 'string:then')).toMatchObject({ change: 'created' });
      expect(comparison.primaries.map(({ absent }) => absent)).toEqual([1, 1, 1]);
      const text = await source.restore(cluster.url, words, { isText: true });
      expect(text.stdout).toMatch(
        new RegExp(`^${addresses[2]}: \\d+ created, 0 changed, \\d+ identical, 1 absent$`, 'm'),
      );
      const mirror = await source.restore(cluster.url, [...words, '--delete-absent'], { isText: true });
      expect(mirror.stdout).toContain('those of every primary, for the journal is taken for one of all shards,');
      await source.done(cluster.url, [...selected, '--delete-absent']);
      const { comparison: after } = json(await source.restore(cluster.url, words)) as unknown as Compared;
      expect(after).toMatchObject({ created: 0, changed: 0, absent: 0 });
    });

    describe('are refused, and every primary is as it was:', () => {
      async function expectUntouched(restoring: Promise<CliResult>, code: string, exitCode: number): Promise<void> {
        const refused = await expectRefused(restoring, code, exitCode);
        expect(jsonError(refused).hint).toContain('nothing was changed');
        expectSame(before, await cluster.keys());
      }

      test('without --yes, with --replace, as replicas of ours, while a slot is on its way', async () => {
        await expectUntouched(source.restore(cluster.url, selected), 'not-confirmed', 2);
        const yes = ['--yes', ...selected];
        await expectUntouched(source.restore(cluster.url, [...yes, '--replace']), 'replace-of-some', 2);
        const replicaof = source.restore(cluster.url, [...yes, '--method', 'replicaof']);
        await expectUntouched(replicaof, 'method-impossible', 1);
        const id = await cluster.clients[0]!.text('CLUSTER', 'MYID');
        await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', 16_000, 'MIGRATING', id);
        await expectUntouched(source.restore(cluster.url, yes), 'cluster-unsettled', 11);
        await cluster.clients[2]!.call('CLUSTER', 'SETSLOT', 16_000, 'STABLE');
      });

      test('where the third has no room for its own', async () => {
        const owner = await cluster.ownerOf(8338);
        const index = cluster.nodes.indexOf(owner);
        const used = /used_memory:(\d+)/.exec(await cluster.clients[index]!.text('INFO', 'memory'))?.[1];
        await cluster.clients[index]!.call('CONFIG', 'SET', 'maxmemory', Number(used) + 300_000);
        // The tag keeps it where it is.
        const words = ['--yes', '--keys', 'string:{tag}', '--rename', 's/^/old /'];
        await expectUntouched(source.restore(cluster.url, words), 'target-memory', 1);
        await cluster.clients[index]!.call('CONFIG', 'SET', 'maxmemory', '0');
      });

      test('of a db that it does not have, but not those of others', async () => {
        await using other = await RedisServer.start(binary);
        await using client = await other.connect();
        await using another = await RunningJournal.attach({ port: other.port });
        await client.callMany([
          ['SET', 'string:a', '1'],
          ['SELECT', 3],
          ['SET', 'hash:b', '1'],
        ]);
        await journaled(client);
        const from = { root: another.root, at: 'latest' };
        await expectUntouched(source.restore(cluster.url, ['--yes', ...selected], { from }), 'target-db', 1);
        expect((await source.done(cluster.url, ['--keys', 'string:*'], { from })).changes).toMatchObject({
          written: 1,
        });
      });
    });

    test('of slots that move on the way end it, with what was taken; and it can be done again', async () => {
      const [asked, , third] = cluster.clients;
      await using door = await Door.open(cluster.nodes[2]!.port, 'RESTORE');
      const port = cluster.nodes[2]!.port;
      const announce = async (announced: number, known: number): Promise<void> => {
        await third!.call('CONFIG', 'SET', 'cluster-announce-port', announced);
        await eventually('its address to be known', async () =>
          (await asked!.text('CLUSTER', 'NODES')).includes(`:${known}@`),
        );
      };
      await announce(door.port, door.port);
      const id = await asked!.text('CLUSTER', 'MYID');
      const slots = Array.from({ length: 16_384 - 10_923 }, (_, i) => 10_923 + i);
      door.arm(async () => {
        await third!.callMany(slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', id]));
      });
      const result = await source.restore(cluster.url, ['--yes', ...selected]);
      expect(jsonError(result)).toMatchObject({ code: 'slots-moved', exitCode: 11 });
      expect(jsonError(result).message).toMatch(/has taken at least \d+ of \d+ keys; all that are not selected are as/);
      await third!.callMany(slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'STABLE']));
      await announce(0, port);
      await cluster.settled();
      await source.done(cluster.url, selected);
      expectSame(source.merged(before, isSelected), await cluster.keys());
    });
  });

  describe('of which one primary is that of the journal', () => {
    let journal: RunningJournal;
    let at: string;
    /** Of the second primary, when it was taken. */
    let then: Fingerprint;
    let before: Keys;
    /** Of that, what the second primary has. */
    let own: Keys;

    beforeEach(async () => {
      for (const client of cluster.clients) await client.call('FLUSHALL');
      journal = await RunningJournal.attach({ port: cluster.nodes[1]!.port });
      for (const index of [0, 1, 2]) {
        await set(index, 'key', 'then');
        await set(index, 'gone', 'then');
      }
      const client = cluster.clients[1]!;
      then = await fingerprint(client, binary);
      at = `${then.position.id}:${then.position.offset}`;
      for (const index of [0, 1, 2]) {
        await set(index, 'key', 'now');
        await set(index, 'new', 'now');
        await cluster.clients[index]!.call('DEL', await cluster.keyOf(index, 'gone'));
      }
      await journaled(client);
      before = await cluster.keys();
      own = (await fingerprint(client, binary)).keys;
    });

    afterEach(() => journal[Symbol.asyncDispose]());

    function restore(words: readonly string[], isText = false): Promise<CliResult> {
      return source.restore(cluster.url, words, { from: { root: journal.root, at }, isText });
    }

    function live(): string[] {
      return ['--yes', '--i-know-this-is-live', addressOf(1)];
    }

    test('that shard is put back in its place, behind a mark, and nothing else', async () => {
      const words = ['--keys', '*', '--delete-absent'];
      const refused = await expectRefused(restore(['--yes', ...words]), 'target-is-live', 7);
      expect(jsonError(refused).message).toContain(addressOf(1));
      const other = ['--yes', '--i-know-this-is-live', addressOf(0)];
      await expectRefused(restore([...other, ...words]), 'target-is-live', 7);
      expectSame(before, await cluster.keys());
      const { comparison } = json(await restore(['--dry-run', ...live(), ...words])) as unknown as Compared;
      expect(comparison.primaries.map(({ absent }) => absent)).toEqual([null, 1, null]);
      expect(comparison).toMatchObject({ created: 1, changed: 1, identical: 0, absent: 1 });
      const result = await restore([...live(), ...words]);
      expect(result.exitCode, result.stderr).toBe(0);
      const { changes } = json(result) as { changes: { mark: string } };
      expect(changes).toMatchObject({ written: 2, deleted: 1 });
      const others = new Map([...before].filter(([full]) => !own.has(full)));
      expectSame(new Map([...others, ...then.keys]), await cluster.keys());
      // The mark is the way back.
      await using server = await RedisServer.start(binary);
      await using look = await server.connect();
      await source.done(server, [], { from: { root: journal.root, at: `mark:${changes.mark}` } });
      expectSame(own, (await fingerprint(look, binary)).keys);
    });

    test('are refused where they would go to another, and all are as they were', async () => {
      const key = await cluster.keyOf(1, 'key');
      const foreign = await cluster.keyOf(2, 'key');
      const words = ['--keys', key, '--rename', `s/^.*$/${foreign}/`];
      const refused = await expectRefused(restore([...live(), ...words]), 'keys-of-other-shards', 7);
      expect(jsonError(refused).message).toContain(`1 of these keys have slots of ${addressOf(2)}`);
      expectSame(before, await cluster.keys());
      expect(await readMarks(localDisk, journal.tree)).toEqual([]);
      const kept = await restore([...live(), '--keys', key, '--rename', 's/^.*$/{&}:old/']);
      expect(kept.exitCode, kept.stderr).toBe(0);
      expect(await cluster.clients[1]!.text('GET', `{${key}}:old`)).toBe('then');
    });

    test('without a journal that follows it nothing is written, and it is told who is live', async () => {
      const text = await restore(['--dry-run', '--i-know-this-is-live', addressOf(1), '--keys', '*'], true);
      expect(text.stdout).toMatch(new RegExp(`^primary +${addressOf(1)}, .*, live, `, 'm'));
      expect(text.stdout).toContain('no key is deleted');
      expect(text.stdout).toMatch(/^before +the live primary is given a mark/m);
      await journal.stop();
      const refused = await expectRefused(restore([...live(), '--keys', '*']), 'no-mark', 4);
      expect(jsonError(refused).message).toContain(addressOf(1));
      expectSame(before, await cluster.keys());
    });

    test('the whole dataset of one is refused while others hold keys', async () => {
      await expectRefused(restore([...live(), '--replace']), 'target-holds-other-shards', 7);
      expectSame(before, await cluster.keys());
    });
  });
});
