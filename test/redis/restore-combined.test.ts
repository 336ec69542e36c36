// What a restore is asked for in one breath: commands left out, TTLs given, some keys only, into files, commands or a
// running server. The reference is a replica that was fed the same stream without these commands; what --ttl makes of its
// keys is computed by the rule of each mode, and then the keys are chosen.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, json } from '../cli/cli.ts';
import { systemClock } from '../../src/core/clock.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { TtlMode, TtlOutcome } from '../../src/restore/plan/ttl-mode.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { fedWith, type Physical } from '../support/fed-replica.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast } from '../support/servers.ts';
import { commandsIn, isOrdinary, streamOf } from '../support/stream-commands.ts';
import { expectedTtl } from '../support/ttl-expectation.ts';
import { Workload } from '../support/workload.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');

type Output = 'directory' | 'rdb' | 'resp' | 'replicaof' | 'restore';

interface Combination {
  readonly to: Output;
  readonly without?: boolean;
  readonly ttl?: TtlMode;
  /** With other names, or under their own: then a directory takes no server. */
  readonly keys?: 'renamed' | 'as they were';
}

const outputs: readonly Output[] = ['directory', 'rdb', 'resp', 'replicaof', 'restore'];
const modes: readonly TtlMode[] = ['as-of', 'shift', 'persist'];

const combinations: readonly Combination[] = [
  ...outputs.map((to) => ({ to, without: true })),
  ...outputs.flatMap((to) => modes.map((ttl) => ({ to, without: true, ttl }))),
  ...(['replicaof', 'restore'] as const).flatMap((to) => modes.map((ttl) => ({ to, ttl }))),
  ...(['directory', 'rdb', 'resp'] as const).map((to) => ({ to, without: true, keys: 'renamed' as const })),
  { to: 'directory', without: true, keys: 'as they were' },
  { to: 'directory', keys: 'as they were' },
  ...(['directory', 'rdb', 'resp'] as const).map((to, i) => ({
    to,
    without: true,
    keys: 'renamed' as const,
    ttl: modes[i],
  })),
  { to: 'resp', keys: 'renamed', ttl: 'shift' },
  // Some keys go into a server by commands alone.
  ...([undefined, ...modes] as const).map((ttl) => ({
    to: 'restore' as const,
    without: true,
    keys: 'renamed' as const,
    ...(ttl && { ttl }),
  })),
  { to: 'restore', keys: 'renamed', ttl: 'shift' },
];

/** Relative TTLs, which a reference that is fed the stream takes from now on, are another matter: relative-ttl.test.ts. */
const where = (server: Parameters<typeof isAtLeast>[0]): boolean => isAtLeast(server, { redis: 7, valkey: 7 });

describeServers(
  'restored with several of --without, --ttl and --keys',
  (binary) => {
    const seed = Date.now() >>> 0;
    let primary: RedisServer;
    let plain: RedisServer;
    let journal: RunningJournal;
    let position = '';
    let without: string[] = [];
    let whole: Physical;
    let reduced: Physical;

    beforeAll(async () => {
      const random = new Random(seed);
      primary = await RedisServer.start(binary);
      plain = await RedisServer.start(binary);
      await using client = await primary.connect();
      const workload = new Workload(seed, binary, { hashFieldTtl: true, largeValues: false });
      await workload.run(client, 200);
      journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 128 * 1024 });
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      await workload.run(client, 400);
      await writeElapsing(client, isAtLeast(binary, { redis: 7.4, valkey: 9 }));
      await journaled(client);
      const plan = await planRestore(localDisk, journal.tree, {
        ...{ target: { kind: 'latest' }, text: 'latest', mode: 'at', now: systemClock.wall(), relativeTtl: 'refuse' },
        ...{ to: 'rdb', servers: async () => [binary] },
      });
      const { id, offset } = plan.cut;
      position = `${id}:${offset}`;
      const stream = await streamOf(plan);
      const all = commandsIn(stream);
      const chosen = new Set(Array.from({ length: 12 }, () => random.pick(all.filter(isOrdinary))));
      const places = [...chosen].map(({ to }) => `${id}:${plan.base.record.offset + to}`);
      without = ['FLUSHALL', 'FLUSHDB'].filter((name) => all.some((one) => one.name === name));
      without = [
        ...without.flatMap((name) => ['--without-command', name]),
        ...places.flatMap((at) => ['--without', at]),
      ];
      const kept = all.filter((one) => !chosen.has(one) && !without.includes(one.name));
      whole = await fedWith(binary, plan, stream);
      reduced = await fedWith(binary, plan, Buffer.concat(kept.map(({ from, to }) => stream.subarray(from, to))));
      expect(explainDifference(whole.physical, reduced.physical).length, `seed ${seed}`).toBeGreaterThan(0);
      // Some of what had not elapsed by then has now.
      await sleep(1000);
    });

    afterAll(async () => {
      await journal[Symbol.asyncDispose]();
      await plain[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
    });

    test.each(combinations.map((one) => [describeCombination(one), one] as const))('%s', async (_, one) => {
      const { to, ttl = 'keep', without: leavesOut = false, keys } = one;
      const words = [
        ...['--at', position, '--dir', journal.root, '--server-bin', binary.path],
        ...(leavesOut ? without : []),
        ...(keys === undefined ? [] : ['--keys', '*:*[02468]', '--exclude', 'set:*']),
        ...(keys === 'renamed' ? ['--rename', 's/^/was /'] : []),
        ...(ttl === 'keep' ? [] : ['--ttl', ttl]),
      ];
      const { server, told } = await restored(to, words);
      await using _server = server;
      await using client = await server.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const back = { ...(await fingerprint(client, binary)), digest: '' };

      await using asked = await plain.connect();
      const asOfMs = Date.parse(told.ttlAsOf);
      const laterByMs = Math.round((told.ttlOutcome?.shiftedBy ?? 0) * 1000);
      if (ttl === 'shift') expect(Math.abs(asOfMs + laterByMs - Date.now())).toBeLessThan(20_000);
      const all = await expectedTtl(leavesOut ? reduced : whole, ttl, asOfMs, laterByMs, asked);
      const wanted = keys === undefined ? all : picked(all, keys === 'renamed' ? 'was ' : '');
      expect(wanted.keys.size).toBeGreaterThan(10);
      // A primary deletes what elapses, and commands bring nothing of it.
      const shown = to === 'directory' || to === 'rdb' ? {} : { elapsedAtMs: Date.now() };
      expect(explainDifference(wanted, back, { ...shown, expiryToleranceMs: 0 }), `seed ${seed}`).toEqual([]);
    });

    async function restored(to: Output, words: readonly string[]): Promise<{ server: RedisServer; told: Told }> {
      const out = path.join(temporaryDirectory('restored'), 'out');
      if (to === 'replicaof' || to === 'restore') {
        const server = await RedisServer.start(binary);
        const url = `redis://127.0.0.1:${server.port}`;
        return { server, told: await run([...words, '--to', url, '--method', to, '--yes']) };
      }
      if (to === 'directory') {
        const told = await run([...words, '--to', out]);
        return { told, server: await RedisServer.startFrom(binary, out, { replicaOfNowhere: true }) };
      }
      if (to === 'rdb') {
        const told = await run([...words, '--to', `rdb:${out}`]);
        const dir = temporaryDirectory('loaded');
        copyFileSync(out, path.join(dir, 'dump.rdb'));
        return { told, server: await RedisServer.start(binary, { dir, config: { replicaof: '127.0.0.1 1' } }) };
      }
      return await piped(words);
    }

    async function run(words: readonly string[]): Promise<Told> {
      const result = await cli(['restore', ...words, '--json'], { env: { PATH: process.env.PATH } });
      expect(result.stderr).toBe('');
      expect(result.exitCode).toBe(0);
      return json(result) as unknown as Told;
    }

    /** What it tells of itself goes to people alone; by how much it shifts is then seen in the first key that stays. */
    async function piped(words: readonly string[]): Promise<{ server: RedisServer; told: Told }> {
      const { ttlAsOf } = await run([...words, '--to', 'resp:-', '--dry-run']);
      const sent = spawnSync(process.execPath, [program, 'restore', ...words, '--to', 'resp:-'], {
        maxBuffer: 2 ** 28,
      });
      expect(sent.status, sent.stderr.toString()).toBe(0);
      const server = await RedisServer.start(binary);
      await using client = await server.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const answer = execFileSync(binary.cliPath, ['-p', String(server.port), '--pipe'], { input: sent.stdout });
      expect(answer.toString()).toContain('errors: 0');
      if (!words.includes('shift')) return { server, told: { ttlAsOf, ttlOutcome: null } };
      await client.call('SELECT', 12);
      const marker = words.includes('--keys') ? 'was marker:0' : 'marker:0';
      const was = whole.physical.keys.get('db12:marker:0')?.expireMs ?? 0;
      const expireMs = Number(await client.call('PEXPIRETIME', marker));
      return { server, told: { ttlAsOf, ttlOutcome: { shiftedBy: (expireMs - was) / 1000 } } };
    }
  },
  { where },
);

interface Told {
  readonly ttlAsOf: string;
  readonly ttlOutcome: Pick<TtlOutcome, 'shiftedBy'> | null;
}

function describeCombination({ to, without, ttl, keys }: Combination): string {
  const names = keys === undefined ? [] : [keys === 'renamed' ? '--keys, --rename' : '--keys'];
  const words = [...(without ? ['--without'] : []), ...(ttl ? [`--ttl ${ttl}`] : []), ...names];
  return `${words.join(', ')}: ${to === 'replicaof' || to === 'restore' ? `into a server, by ${to}` : `as ${to}`}`;
}

/** Keys and fields that elapse before the end, and after it but before they are looked at. */
async function writeElapsing(client: RespClient, hasFieldTtl: boolean): Promise<void> {
  await client.callMany([
    ['SELECT', 12],
    ...Array.from({ length: 20 }, (_, i) => ['SET', `gone:${i}`, i, 'PX', 5]),
    ...Array.from({ length: 20 }, (_, i) => ['SET', `soon:${i}`, i, 'PX', 900]),
    ...Array.from({ length: 20 }, (_, i) => ['SET', `stays:${i}`, i, 'PX', 3_600_000 + i]),
    ['SET', 'marker:0', 'x', 'PX', 3_600_000],
    ['HSET', 'fields:0', 'gone', 1, 'soon', 2, 'stays', 3, 'plain', 4],
  ]);
  if (hasFieldTtl) {
    await client.callMany([
      ['HPEXPIRE', 'fields:0', 5, 'FIELDS', 1, 'gone'],
      ['HPEXPIRE', 'fields:0', 900, 'FIELDS', 1, 'soon'],
      ['HPEXPIRE', 'fields:0', 3_600_000, 'FIELDS', 1, 'stays'],
    ]);
  }
  await sleep(10);
  await client.call('SET', 'here', '1');
}

/** What --keys and --exclude of these tests leave, with what --rename puts before the names. */
function picked(of: Fingerprint, before: string): Fingerprint {
  const keys = new Map(
    [...of.keys].flatMap(([full, facts]) => {
      const [, db = '', name = ''] = /^(db\d+):(.*)$/s.exec(full) ?? [];
      if (!/^.*:.*[02468]$/s.test(name) || name.startsWith('set:')) return [];
      return [[`${db}:${before}${name}`, facts] as const];
    }),
  );
  return { ...of, keys, functions: new Map() };
}
