// What the journal doesn't cover is refused on the command line, with the exit code that says why, nothing written, and
// the nearest covered instants named: each of them can be typed as it stands, and is restored. The gap is a real one:
// the journal was cut off for longer than the primary keeps its backlog.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { cli, json, jsonError } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, quietInstant, RunningJournal } from '../support/running-journal.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';

const main = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

const lostBytes = 100_000;

interface Noted {
  readonly taken: Fingerprint;
  readonly time: string;
}

/** A journal of two timelines with a gap between them, stopped; and what the primary held on both sides. */
interface Interrupted {
  readonly root: string;
  /** Before there was a journal. */
  readonly early: string;
  readonly before: Noted;
  /** In the gap. */
  readonly within: string;
  readonly after: Noted;
}

async function interrupt(binary: ServerBinary): Promise<Interrupted> {
  await using primary = await RedisServer.start(binary, { config: { 'repl-backlog-size': '16kb' } });
  await using tap = await Tap.start(primary);
  await using client = await primary.connect();
  // The stream begins with the first follower, and shall not begin with ours.
  await using first = await RunningJournal.attach({ port: primary.port });
  await client.call('SET', 'history', 'begins');
  await journaled(client);
  await first.stop();
  const early = await quietInstant();
  await using journal = await RunningJournal.attach({ port: tap.port });
  await client.call('SET', 'history', 'goes on');
  const before = await note(binary, client);

  await tap.refuse();
  tap.cut();
  await client.callMany(Array.from({ length: 100 }, (_, index) => ['SET', `lost:${index}`, 'x'.repeat(lostBytes)]));
  const within = await quietInstant();
  // Nobody but the primary has seen all this, so nobody may pretend to have it.
  await client.call('FLUSHALL');
  await tap.accept();
  await journal.logged('gap', 30_000);
  await client.call('SET', 'history', 'has a hole');
  const after = await note(binary, client);
  await journal.stop();
  return { root: journal.root, early, before, within, after };
}

async function note(binary: ServerBinary, client: RespClient): Promise<Noted> {
  await client.call('INCR', 'noted');
  await journaled(client, 30_000);
  const taken = await fingerprint(client, binary);
  const time = await quietInstant();
  // Times are covered up to the last byte that was received.
  await client.call('INCR', 'noted');
  await journaled(client);
  return { taken, time };
}

describeServers('a restore', (binary) => {
  let history: Interrupted;

  beforeAll(async () => {
    history = await interrupt(binary);
  });

  const convert = ['--relative-ttl', 'convert'];

  /** OUT in a directory of its own, so that whatever is left behind is found. */
  function newOut(): string {
    return path.join(temporaryDirectory('restored'), 'out');
  }

  async function restore(argv: readonly string[], to = newOut()): Promise<{ to: string; position: string }> {
    const result = await cli(['restore', ...argv, ...convert, '--to', to, '--dir', history.root, '--json']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    return { to, position: (json(result).reached as { position: string }).position };
  }

  async function expectRefused(argv: readonly string[], exitCode: number, code: string): Promise<string> {
    const to = newOut();
    const result = await cli(['restore', ...argv, ...convert, '--to', to, '--dir', history.root, '--json']);
    expect(jsonError(result), result.stderr).toMatchObject({ code, exitCode });
    expect(result).toMatchObject({ exitCode, stdout: '' });
    expect(readdirSync(path.dirname(to))).toEqual([]);
    return jsonError(result).hint ?? '';
  }

  /** The targets that a hint names, as somebody would copy them. */
  function targetsIn(hint: string): string[] {
    return [...hint.matchAll(/--at (\S+?)(?=[;,]?(?:\s|$))/g)].map(([, target = '']) => target);
  }

  async function expectNearest(hint: string, count: number): Promise<void> {
    const targets = targetsIn(hint);
    expect(targets, hint).toHaveLength(count);
    for (const target of targets) await restore(['--at', target]);
  }

  test('on either side of the gap is what the primary held', async () => {
    for (const { taken, time } of [history.before, history.after]) {
      const { to } = await restore(['--at', time]);
      await using server = await RedisServer.startFrom(binary, to, { replicaOfNowhere: true });
      await using client = await server.connect();
      expect(explainDifference(taken, await fingerprint(client, binary))).toEqual([]);
    }
  });

  test('to before the first base was complete is refused with the first covered instant', async () => {
    await expectNearest(await expectRefused(['--at', history.early], 4, 'time-not-covered'), 1);
    const { id } = history.before.taken.position;
    await expectNearest(await expectRefused(['--at', `${id}:1`], 4, 'position-not-covered'), 1);
  });

  test('to behind the end is refused with the end', async () => {
    const soon = `@${Math.floor(Date.now() / 1000) + 60}`;
    await expectNearest(await expectRefused(['--at', soon], 4, 'time-not-covered'), 2);
    const { id, offset } = history.after.taken.position;
    await expectNearest(await expectRefused(['--at', `${id}:${offset + 1_000_000}`], 4, 'position-not-covered'), 1);
  });

  test('into the gap is refused with the nearest instants on both sides', async () => {
    const hint = await expectRefused(['--at', history.within], 4, 'time-not-covered');
    await expectNearest(hint, 2);
    await expectRefused(['--before', history.within], 4, 'time-not-covered');
    const { id, offset } = history.before.taken.position;
    const lost = `${id}:${offset + 50 * lostBytes}`;
    expect(history.after.taken.position.id).toBe(id);
    await expectNearest(await expectRefused(['--at', lost], 4, 'position-not-covered'), 2);
    await expectRefused(['--before', lost], 4, 'position-not-covered');
  });

  test('to a history that the journal does not hold is refused with those that it holds', async () => {
    const { id } = history.before.taken.position;
    const stranger = id.startsWith('ffff') ? '0000' : 'ffff';
    expect(await expectRefused(['--at', `${stranger}:1`], 4, 'position-not-covered')).toContain(id);
  });

  test('into a directory that holds something is refused, and what is there stays as it was', async () => {
    const to = newOut();
    mkdirSync(to);
    writeFileSync(path.join(to, 'dump.rdb'), 'precious');
    const argv = ['restore', '--at', 'latest', ...convert, '--to', to, '--dir', history.root, '--json'];
    const result = await cli(argv);
    expect(result).toMatchObject({ exitCode: 7, stdout: '' });
    expect(readdirSync(path.dirname(to), { recursive: true })).toEqual(['out', path.join('out', 'dump.rdb')]);
  });

  test('to a local time that no zone, or two instants, answer to is refused', async () => {
    expect(await expectRefused(['--at', '2026-10-25 02:30:00'], 2, 'zone-missing')).toContain('UTC');
    await expectRefused(['--at', '2026-10-25 02:30:00 Europe/Madrid'], 5, 'time-ambiguous');
    await expectRefused(['--at', '2026-03-29 02:30:00 Europe/Madrid'], 5, 'time-nonexistent');
  });

  test('that is refused ends the process with that exit code, and says why in words', () => {
    const to = newOut();
    const argv = ['restore', '--at', history.within, ...convert, '--to', to, '--dir', history.root];
    const env = { PATH: process.env.PATH };
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argv], { encoding: 'utf8', env });
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' });
    expect(stderr).toMatch(/^journal: .* lies in a gap from .*: the journal was away for longer .*\n {2}hint: .*\n$/);
    expect(existsSync(to)).toBe(false);
  });
});
