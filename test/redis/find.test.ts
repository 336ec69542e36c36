// Finding commands of real servers: all that they replicated, where it is; what a restore before one of them lacks; and the
// accident that it is for, as it is typed.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { formatPosition } from '../../src/core/position.ts';
import { CommandFilter } from '../../src/inspect/command-filter.ts';
import { find } from '../../src/inspect/find.ts';
import type { FoundCommand } from '../../src/inspect/find.ts';
import { reachOf } from '../../src/inspect/reach.ts';
import { nameOf } from '../../src/redis/command-reader.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fedWith } from '../support/fed-replica.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { commandsIn, isOrdinary, streamOf } from '../support/stream-commands.ts';
import { Workload } from '../support/workload.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');

async function allUpTo(journal: RunningJournal, { cut }: Plan): Promise<FoundCommand[]> {
  const to = { kind: 'position', idPrefix: cut.id, offset: cut.offset } as const;
  const reach = await reachOf(localDisk, await journal.catalog(), { from: undefined, to });
  const found: FoundCommand[] = [];
  const filter = new CommandFilter({ keys: [], commands: ['*'], dbs: [] });
  for await (const events of find(localDisk, reach, filter, {})) {
    for (const event of events) {
      if (event.kind !== 'command') continue;
      // Of use only until the next ones are asked for.
      const args = event.command.args.map((arg) => Buffer.from(arg));
      found.push({ ...event, command: { ...event.command, args } });
    }
  }
  return found;
}

async function restoredBefore(
  journal: RunningJournal,
  { position }: FoundCommand,
  binary: ServerBinary,
): Promise<Fingerprint> {
  const target = { kind: 'position', idPrefix: position.id, offset: position.offset } as const;
  const plan = await planRestore(localDisk, journal.tree, {
    ...{ target, text: formatPosition(position), mode: 'before', now: systemClock.wall(), relativeTtl: 'convert' },
  });
  const to = path.join(temporaryDirectory('restored'), 'out');
  await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'test' });
  await using server = await RedisServer.start(binary, {
    dir: to,
    config: { replicaof: '127.0.0.1 1', appendonly: 'yes' },
  });
  await using client = await server.connect();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
  return await fingerprint(client, binary);
}

function run(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, ...words], { encoding: 'utf8' });
}

describeServers('the commands of a primary', (binary) => {
  test('are found once, each where it ends, and a restore before one lacks it', { timeout: 120_000 }, async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { largeValues: false });
    await workload.run(client, 100);
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 64 * 1024 });
    await client.callMany([
      ['SELECT', 11],
      ['SET', Buffer.from([0xff, 0]), '1'],
      ['SELECT', 0],
    ]);
    await workload.run(client, 300);
    await journaled(client);
    const whole = await journal.plan('latest');
    const stream = await streamOf(whole);
    const seen = commandsIn(stream);
    const base = whole.base.record.offset;
    const found = await allUpTo(journal, whole);
    expect(found.map(({ position, command }) => [position.offset, nameOf(command)])).toEqual(
      seen.map(({ to, name }) => [base + to, name]),
    );
    // Nobody wrote later than it was received, and the sampler tells that it was not much earlier.
    for (const { stamp, written } of found.slice(Math.ceil(found.length / 2))) {
      expect(written.to).toBeLessThanOrEqual(stamp);
      expect(stamp - (written.from ?? 0), `seed ${seed}`).toBeLessThan(5_000_000);
    }

    const ordinary = found.flatMap((one, i) => (isOrdinary(seen[i]!) ? [i] : []));
    const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 60_000 };
    for (let round = 0; round < 3; round += 1) {
      const index = random.pick(ordinary);
      let first = index;
      while (found[index]!.command.inMulti && seen[first]!.name !== 'MULTI') first -= 1;
      const { physical } = await fedWith(binary, whole, stream.subarray(0, seen[first]!.from));
      const back = await restoredBefore(journal, found[index]!, binary);
      const what = `seed ${seed}, before ${formatPosition(found[index]!.position)}`;
      expect(explainDifference(physical, back, tolerance), what).toEqual([]);
    }
  });

  test('that destroyed something are found, with the line that brings it back', { timeout: 60_000 }, async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const keys = Array.from({ length: 200 }, (_, i) => `cart:${i}`);
    await using journal = await RunningJournal.attach({ port: primary.port });
    await client.callMany(keys.map((key) => ['SET', key, key]));
    await client.call('SET', 'user:1', '1');
    const script = "for _, key in ipairs(redis.call('keys', ARGV[1])) do redis.call('del', key) end";
    await client.call('EVAL', script, 0, 'cart:*');
    await client.call('SET', 'later', '1');
    await client.call('FLUSHALL');
    await client.call('SET', 'later', '2');
    await journaled(client);

    const told = run('find', '--dir', journal.root, '--destructive', '--json');
    expect(told.stderr).toBe('');
    expect(told.status).toBe(0);
    const rows = told.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.map(({ kind }) => kind)).toEqual(['removal', 'flush']);
    expect(rows[0]).toMatchObject({ keyCount: 200, prefix: 'cart:', atOnce: true, commands: ['DEL'] });
    const [row] = rows;
    const [, ...words] = String(row?.restore).split(' ');
    const to = path.join(temporaryDirectory('restored'), 'out');
    const restored = run(...words.slice(0, -1), to, '--relative-ttl', 'convert');
    expect([restored.status, restored.stderr]).toEqual([0, '']);
    await using server = await RedisServer.startFrom(binary, to);
    await using back = await server.connect();
    expect(await back.call('DBSIZE')).toBe(201);

    const text = run('find', '--dir', journal.root, '--key', 'cart:7', '--from', '-1h', '--timezone', 'UTC');
    expect(text.stdout).toMatch(/SET cart:7 cart:7\n/);
    expect(text.stdout).toMatch(/MULTI {2}DEL cart:7\n/);
    expect(text.stdout).toMatch(/FLUSHALL {2}\(may touch any key\)\n/);
  });

  test(
    'that gave many keys a second to live are one row, however long the server takes to remove them',
    { timeout: 60_000 },
    async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await using journal = await RunningJournal.attach({ port: primary.port });
      const cart = (i: number): string => `cart:${i}`;
      await client.callMany(Array.from({ length: 2000 }, (_, i) => ['SET', `user:${i}`, '1']));
      await client.callMany(Array.from({ length: 300 }, (_, i) => ['SET', cart(i), '1']));
      await setTimeout(2500);
      for (let i = 0; i < 300; i += 1) {
        await client.callMany([
          ['EXPIRE', cart(i), '1'],
          ...[
            ['INCR', `rate:${i}`],
            ['EXPIRE', `rate:${i}`, '50'],
          ],
          ['SET', `session:${i}`, '1', 'EX', '50'],
        ]);
      }
      const carts = Array.from({ length: 300 }, (_, i) => cart(i));
      await eventually('the carts to be gone', async () => (await client.call('EXISTS', ...carts)) === 0);
      await journaled(client);

      const told = run('find', '--dir', journal.root, '--destructive', '--json');
      const rows = told.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(rows, told.stdout).toMatchObject([{ kind: 'expiry', keyCount: 300, prefix: 'cart:', commandCount: 300 }]);
      const to = path.join(temporaryDirectory('restored'), 'out');
      const words = String(rows[0]?.restore).split(' ').slice(1, -1);
      expect(run(...words, to, '--relative-ttl', 'convert')).toMatchObject({ status: 0, stderr: '' });
      await using server = await RedisServer.startFrom(binary, to);
      await using back = await server.connect();
      expect(await back.call('EXISTS', ...carts)).toBe(300);
    },
  );
});
