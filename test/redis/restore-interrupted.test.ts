// Restores that do not come to their end, wherever that is: journal killed, the target killed, the disk full. What is left
// is nothing or the whole result; no process and no directory of ours outlives the next restore; and that one succeeds.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, type CliResult, jsonError } from '../cli/cli.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { leash, temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { processesIn } from '../support/processes.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { Workload } from '../support/workload.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const killsEach = 2;

type Place = 'a new directory' | 'an empty directory' | 'an RDB';

const keys = ['--keys', 'filler:*', '--keys', 'hash:*'];
const shift = ['--ttl', 'shift'];
const without = ['--without-command', 'FLUSHALL'];

describeServers('a restore that does not come to its end', (binary) => {
  const seed = Date.now() >>> 0;
  const random = new Random(seed);
  const tolerance = { expiryToleranceMs: 600_000 };
  let primary: RedisServer;
  let journal: RunningJournal;
  let position = '';

  beforeAll(async () => {
    primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await client.call('DEBUG', 'POPULATE', 5000, 'filler', 200);
    const workload = new Workload(seed, binary, { hashFieldTtl: true, largeValues: false, without: ['flushall'] });
    await workload.run(client, 200);
    journal = await RunningJournal.attach({ port: primary.port });
    await workload.run(client, 300);
    await client.callMany([['SELECT', 9], ['FLUSHALL'], ['SET', 'after', '1', 'PX', 86_400_000]]);
    await client.callMany(
      Array.from({ length: 5000 }, (_, i) => ['SET', `filler:${i}`, `${random.next()} ${'x'.repeat(200)}`]),
    );
    await journaled(client);
    const { position: at } = await fingerprint(client, binary);
    position = `${at.id}:${at.offset}`;
  });

  afterAll(async () => {
    await journal[Symbol.asyncDispose]();
    await primary[Symbol.asyncDispose]();
  });

  const asked = (words: readonly string[]): string[] => [
    ...['restore', '--at', position, '--dir', journal.root, '--server-bin', binary.path],
    ...['--relative-ttl', 'convert', ...words],
  ];

  function restore(words: readonly string[]): Promise<CliResult> {
    return cli([...asked(words), '--json'], { env: { PATH: process.env.PATH } });
  }

  /** Killed then, if it has not ended by itself. */
  async function killed(words: readonly string[], afterMs: number): Promise<void> {
    const child = spawn(process.execPath, [program, ...asked(words)], { stdio: 'ignore' });
    leash(child);
    const ended = once(child, 'exit');
    await Promise.race([ended, sleep(afterMs)]);
    child.kill('SIGKILL');
    await ended;
  }

  async function howLong(words: readonly string[]): Promise<number> {
    const start = performance.now();
    await killed(words, 60_000);
    return performance.now() - start;
  }

  async function loaded(place: Place, to: string): Promise<Fingerprint> {
    const dir = temporaryDirectory('loaded');
    if (place === 'an RDB') copyFileSync(to, path.join(dir, 'dump.rdb'));
    const server =
      place === 'an RDB'
        ? await RedisServer.start(binary, { dir, config: { replicaof: '127.0.0.1 1' } })
        : await RedisServer.startFrom(binary, to, { replicaOfNowhere: true });
    await using _ = server;
    await using client = await server.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    return { ...(await fingerprint(client, binary)), digest: '' };
  }

  describe.each([
    ['a new directory', []],
    ['a new directory', [...without, ...shift]],
    ['an empty directory', []],
    ['an empty directory', keys],
    ['an RDB', [...without, ...keys]],
    ['an RDB', shift],
  ] as const)('killed on its way into %s (%j)', (place, words) => {
    test(
      'leaves nothing or all of it, and what it was made with goes with the next',
      { timeout: 120_000 },
      async () => {
        const parent = temporaryDirectory('restored');
        const to = path.join(parent, 'out');
        const all = [...words, '--to', place === 'an RDB' ? `rdb:${to}` : to];
        const makePlace = (): void => {
          if (place === 'an empty directory') mkdirSync(to);
        };
        makePlace();
        const durationMs = await howLong(all);
        const reference = await loaded(place, to);
        expect(reference.keys.size).toBeGreaterThan(1000);
        const empty = async (): Promise<void> => {
          for (const name of [to, `${to}.restore.json`]) await rm(name, { recursive: true, force: true });
          makePlace();
        };
        await empty();
        for (let left = killsEach; left > 0; left -= 1) {
          await killed(all, random.between(150, Math.ceil(durationMs * 1.05)));
          await eventually('the scratch server to end', () => processesIn(parent).length === 0);
          if (!isThere(place, to)) continue;
          const back = await loaded(place, to);
          expect(explainDifference(reference, back, { ...tolerance, elapsedAtMs: Date.now() }), `seed ${seed}`).toEqual(
            [],
          );
          await empty();
        }
        const again = await restore(all);
        expect(again.exitCode, again.stderr).toBe(0);
        const back = await loaded(place, to);
        expect(explainDifference(reference, back, { ...tolerance, elapsedAtMs: Date.now() }), `seed ${seed}`).toEqual(
          [],
        );
        expect(leftIn(parent)).toEqual(place === 'an RDB' ? ['out', 'out.restore.json'] : ['out']);
        if (place !== 'an RDB') expect(leftIn(to).filter((name) => name.startsWith('.'))).toEqual([]);
      },
    );
  });

  describe.each([
    ['replicaof', shift],
    ['restore', [...without, ...shift]],
  ] as const)('by %s into a server (%j)', (method, words) => {
    async function expectWhole(server: RedisServer, reference: Fingerprint): Promise<void> {
      await using client = await server.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const back = await fingerprint(client, binary);
      expect(explainDifference(reference, back, { ...tolerance, elapsedAtMs: Date.now() }), `seed ${seed}`).toEqual([]);
      expect(await client.text('INFO', 'replication')).toContain('role:master');
    }

    test('when it is killed, or the server, it is done again', { timeout: 120_000 }, async () => {
      await using server = await RedisServer.start(binary, { config: { save: '""' } });
      const parent = temporaryDirectory('scratch');
      const url = `redis://127.0.0.1:${server.port}`;
      const all = [...words, '--method', method, '--scratch-dir', parent, '--replace', '--yes', '--to', url];
      const durationMs = await howLong(all);
      await using client = await server.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const reference = { ...(await fingerprint(client, binary)), digest: '' };
      expect(reference.keys.size).toBeGreaterThan(1000);
      for (let left = killsEach; left > 0; left -= 1) {
        await killed(all, random.between(Math.ceil(durationMs * 0.3), Math.ceil(durationMs)));
        await eventually('the scratch server to end', () => processesIn(parent).length === 0);
        await eventually('the target to answer, and to miss us', async () => {
          const text = await client.text('INFO', 'replication');
          return !text.includes('master_link_status:up') && !text.includes('sync_in_progress:1');
        });
        const again = await restore(all);
        expect(again.exitCode, again.stderr).toBe(0);
        await expectWhole(server, reference);
      }
      for (let left = killsEach; left > 0; left -= 1) {
        const restoring = restore(all);
        await sleep(random.between(Math.ceil(durationMs * 0.2), Math.ceil(durationMs * 0.9)));
        await server.kill9();
        const result = await restoring;
        expect([0, 11]).toContain(result.exitCode);
        await server.restart();
        const again = await restore(all);
        expect(again.exitCode, again.stderr).toBe(0);
        await expectWhole(server, reference);
      }
      expect(leftIn(parent)).toEqual([]);
    });
  });

  const refusal = SmallDisk.refusal('tmpfs');

  test.skipIf(refusal !== undefined).each([
    ['a new directory', []],
    ['a new directory', shift],
    ['an empty directory', [...without, ...keys]],
    ['an RDB', keys],
    ['an RDB', [...without, ...shift]],
  ] as const)(
    'for want of room, into %s (%j), leaves nothing, and is done when there is some',
    async (place, words) => {
      using disk = SmallDisk.mount('tmpfs', 32);
      const to = path.join(disk.path, 'out');
      if (place === 'an empty directory') mkdirSync(to);
      const rest = leftIn(disk.path);
      const all = [...words, '--to', place === 'an RDB' ? `rdb:${to}` : to];
      // Where it is short of room a server packs what it saves: no result is as small as this.
      for (const bytes of [0, 60_000, 130_000]) {
        disk.fill(bytes);
        const refused = await restore(all);
        expect(refused.exitCode, refused.stderr).toBe(9);
        expect(jsonError(refused).code, refused.stderr).toBe('no-space');
        disk.free();
        expect(leftIn(disk.path)).toEqual(rest);
        if (place === 'an empty directory') expect(readdirSync(to)).toEqual([]);
      }
      const again = await restore(all);
      expect(again.exitCode, again.stderr).toBe(0);
      expect(isThere(place, to)).toBe(true);
    },
  );

  test.skipIf(refusal !== undefined)(
    'for want of room for the scratch server leaves the target as it was',
    async () => {
      using disk = SmallDisk.mount('tmpfs', 32);
      await using server = await RedisServer.start(binary);
      await using client = await server.connect();
      await client.call('SET', 'precious', '1');
      const url = `redis://127.0.0.1:${server.port}`;
      for (const bytes of [0, 50_000]) {
        disk.fill(bytes);
        const refused = await restore([
          '--scratch-dir',
          disk.path,
          '--ttl',
          'shift',
          '--replace',
          '--yes',
          '--to',
          url,
        ]);
        expect(refused.exitCode, refused.stderr).toBe(9);
        expect(await client.call('DBSIZE')).toBe(1);
        disk.free();
        expect(leftIn(disk.path)).toEqual([]);
      }
    },
  );
});

/** What makes it one is there. */
function isThere(place: Place, to: string): boolean {
  const names = ['', 'appendonlydir', 'appendonly.aof'].map((name) => path.join(to, name));
  const [whole, ...entries] = names.map((name) => statSync(name, { throwIfNoEntry: false }) !== undefined);
  return place === 'an RDB' ? whole === true : entries.includes(true);
}

/** Names in a directory, without what was just being made by one that was killed then, which stays for a minute. */
function leftIn(directory: string): string[] {
  const isBeingMade = (name: string): boolean =>
    /^\..*-[0-9a-f]{8}$/.test(name) &&
    readdirSync(path.join(directory, name)).every((file) => /^(lock|\.tmp)/.test(file));
  return readdirSync(directory)
    .filter((name) => !isBeingMade(name))
    .toSorted();
}
