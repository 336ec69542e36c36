// Undo against real servers: what is restored is what a replica comes to that was fed the same stream without the
// commands, over a replication link; and the accident that it is for, as it is typed.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Destination } from '../../src/restore/plan/destination.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import type { Target } from '../../src/restore/locate/target.ts';
import { parseUndo, type UndoRequest } from '../../src/restore/plan/undo.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
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

/** Up to the cut of another plan, or of all there is: keys go on expiring, so that there is more every moment. */
function planned(
  journal: RunningJournal,
  binary: ServerBinary,
  more: { readonly until?: Plan; readonly undo?: UndoRequest | undefined; readonly to?: Destination['kind'] } = {},
): Promise<Plan> {
  const { until, ...rest } = more;
  const target: Target =
    until === undefined ? { kind: 'latest' } : { kind: 'position', idPrefix: until.cut.id, offset: until.cut.offset };
  return planRestore(localDisk, journal.tree, {
    ...{ target, text: 'the end', mode: 'at', now: systemClock.wall(), relativeTtl: 'convert' },
    ...{ ...rest, servers: async () => [binary] },
  });
}

async function restoredFrom(plan: Plan, binary: ServerBinary): Promise<Fingerprint> {
  const to = path.join(temporaryDirectory('restored'), 'out');
  await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'test' });
  const dir = plan.form === 'rdb' ? temporaryDirectory('loaded') : to;
  if (plan.form === 'rdb') copyFileSync(to, path.join(dir, 'dump.rdb'));
  const config = { replicaof: '127.0.0.1 1', appendonly: plan.form === 'rdb' ? 'no' : 'yes' };
  await using server = await RedisServer.start(binary, { dir, config });
  await using client = await server.connect();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
  return await fingerprint(client, binary);
}

describeServers('what is restored without some commands', (binary) => {
  const isExact = isAtLeast(binary, { redis: 7, valkey: 7 });

  test('is what a replica comes to that never got them', { timeout: 120_000 }, async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { largeValues: false });
    await workload.run(client, 200);
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 128 * 1024 });
    await workload.run(client, 400);
    await journaled(client);
    const whole = await planned(journal, binary);
    const stream = await streamOf(whole);
    const all = commandsIn(stream);
    const ordinary = all.filter(isOrdinary);
    const chosen = new Set(Array.from({ length: 12 }, () => random.pick(ordinary)));
    const left = random.pick(ordinary).name;
    const { id, offset } = whole.base.record;
    const undo = parseUndo(
      [...chosen].map(({ from, to }) => `${id}:${offset + random.between(from + 1, to)}`),
      [left],
    );
    const kept = all.filter((one) => !chosen.has(one) && one.name !== left);
    const reduced = Buffer.concat(kept.map(({ from, to }) => stream.subarray(from, to)));
    const { physical: reference } = await fedWith(binary, whole, reduced);
    const tolerance = isExact ? {} : { expiryToleranceMs: 60_000 };
    for (const kind of ['directory', 'rdb'] as const) {
      const plan = await planned(journal, binary, { until: whole, undo, to: kind });
      expect(plan.undo?.commands).toBe(all.length - kept.length);
      const back = await restoredFrom(plan, binary);
      expect(explainDifference(reference, back, tolerance), `seed ${seed}, ${kind}, without ${left}`).toEqual([]);
    }
  });

  test('has both, what was before a FLUSHALL and what came after', { timeout: 120_000 }, async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await client.call('SET', 'in base', '1');
    await using journal = await RunningJournal.attach({ port: primary.port });
    await client.callMany([
      ['RPUSH', 'before', 'a'],
      ['SET', 'visits', 10],
      ['SELECT', 4],
      ['SET', 'other db', '1'],
      ['FLUSHALL'],
      ['SET', 'after', '1'],
      ['SELECT', 0],
      ['INCR', 'visits'],
      ['RPUSH', 'after the flush', 'b'],
      ['SET', 'before', 'a string now'],
      ['APPEND', 'before', '!'],
    ]);
    await journaled(client);
    const restore = (...words: string[]): { status: number | null; stdout: string; stderr: string } => {
      const flags = ['--dir', journal.root, '--relative-ttl', 'convert', '--server-bin', binary.path];
      return spawnSync(process.execPath, [program, 'restore', '--at', 'latest', ...flags, ...words], {
        encoding: 'utf8',
      });
    };
    const dry = restore('--without-command', 'flushall', '--dry-run', '--json');
    expect(dry.stderr).toBe('');
    expect(dry.status).toBe(0);
    const { undo } = JSON.parse(dry.stdout) as { undo: { leftOut: { first: { position?: string }[] } } };
    expect(undo).toMatchObject({
      leftOut: { commands: 1, first: [{ command: 'FLUSHALL', key: null }] },
      mayDiffer: { keys: 'any', commands: 5 },
    });
    const position = undo.leftOut.first[0]?.position ?? '';

    const parent = temporaryDirectory('restored');
    for (const [name, words] of Object.entries({
      named: ['--without-command', 'FLUSHALL'],
      placed: ['--without', position],
    })) {
      const to = path.join(parent, name);
      const made = restore(...words, '--to', to);
      expect(made.stderr).toBe('');
      expect(made.status).toBe(0);
      expect(made.stdout).toMatch(/left out +1 command, \d+ B[^]*FLUSHALL\n[^]*may differ +5 commands/);
      expect(JSON.parse(readFileSync(path.join(to, 'restore.json'), 'utf8'))).toMatchObject({
        undo: { leftOut: { commands: 1 } },
      });
      await using server = await RedisServer.startFrom(binary, to);
      await using back = await server.connect();
      expect(await back.text('GET', 'in base')).toBe('1');
      expect(await back.text('GET', 'visits')).toBe('11');
      expect(await back.text('GET', 'before')).toBe('a string now!');
      expect(await back.text('LINDEX', 'after the flush', 0)).toBe('b');
      await back.call('SELECT', 4);
      expect(await back.call('DBSIZE')).toBe(2);
    }
    const none = restore('--without-command', 'FLUSHDB', '--dry-run');
    expect([none.status, none.stderr]).toEqual([4, expect.stringContaining('there is no FLUSHDB')]);
    const fixed = restore('--without-command', 'select', '--dry-run');
    expect([fixed.status, fixed.stderr]).toEqual([2, expect.stringContaining('cannot be left out')]);
  });

  test('tells how many commands cannot be applied any more', { timeout: 60_000 }, async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using journal = await RunningJournal.attach({ port: primary.port });
    await client.callMany([
      ['SET', 'key', 'a string'],
      ['DEL', 'key'],
      ['RPUSH', 'key', 'a'],
      ['RPUSH', 'key', 'b'],
      ['SET', 'other', '1'],
    ]);
    await journaled(client);
    const plan = await planned(journal, binary, { undo: parseUndo([], ['DEL']), to: 'rdb' });
    const to = path.join(temporaryDirectory('restored'), 'dump.rdb');
    const { record } = await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'test' });
    // Redis 6.0 does not count them.
    const warning = expect.stringContaining('2 later commands could not be applied') as string;
    expect(record.warnings).toEqual(isExact ? [warning] : []);
    expect(record.undo?.mayDiffer).toMatchObject({ keys: 'same', commands: 2 });
  });
});
