// What is exported, taken by real servers: replayed as commands, and loaded as an append-only file, it comes to what the
// primary had.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { fedWith } from '../support/fed-replica.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { streamOf } from '../support/stream-commands.ts';
import { Workload } from '../support/workload.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');

function exported(root: string, ...words: string[]): Buffer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'export', '--dir', root, ...words], {
    maxBuffer: 2 ** 30,
  });
  expect([status, String(stderr)]).toEqual([0, '']);
  return stdout;
}

function tool(binary: ServerBinary, name: 'cli' | 'check-aof'): string {
  return path.join(path.dirname(binary.path), `${binary.kind}-${name}`);
}

/** Whose keys end while they are replayed: what comes of them then is another matter. */
const ending = [
  'set short',
  'psetex',
  'getex',
  'float ttl',
  'pexpire',
  'pexpireat',
  'expire the past',
  'script of several writes',
];

describeServers('an export', (binary) => {
  const isExact = isAtLeast(binary, { redis: 7, valkey: 7 });
  const tolerance = isExact ? {} : { expiryToleranceMs: 60_000 };

  test('of everything, piped to another server, makes it what the primary is', { timeout: 60_000 }, async () => {
    const seed = Date.now() >>> 0;
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 256 * 1024 });
    await new Workload(seed, binary, { without: ending }).run(client, 400);
    await client.callMany([
      ['SELECT', 11],
      ['SET', Buffer.from([0xff, 0, 13, 10]), Buffer.alloc(3_000_000, '\0')],
      ['SADD', 'many', ...Array.from({ length: 50_000 }, (_, i) => `member:${i}`)],
    ]);
    await journaled(client);
    const commands = exported(journal.root, '--format', 'resp');
    await using other = await RedisServer.start(binary);
    const piped = spawnSync(tool(binary, 'cli'), ['-p', String(other.port), '--pipe'], { input: commands });
    expect(String(piped.stdout), String(piped.stderr)).toContain('errors: 0');
    await using back = await other.connect();
    const difference = explainDifference(await fingerprint(client, binary), await fingerprint(back, binary), tolerance);
    expect(difference, `seed ${seed}`).toEqual([]);
  });

  test('as an append-only file is accepted, loaded, and what the stream comes to', { timeout: 60_000 }, async () => {
    const seed = Date.now() >>> 0;
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 64 * 1024 });
    const workload = new Workload(seed, binary);
    await workload.run(client, 150);
    await sleep(1100);
    await workload.run(client, 150);
    await journaled(client);
    const whole = await journal.plan('latest');
    const { physical } = await fedWith(binary, whole, await streamOf(whole));
    const to = `${whole.cut.id}:${whole.cut.offset}`;
    const dir = temporaryDirectory('aof');
    const file = path.join(dir, 'appendonly.aof');
    const bytes = exported(journal.root, '--format', 'aof', '--to', to);
    writeFileSync(file, bytes);
    const checked = spawnSync(tool(binary, 'check-aof'), [file], { encoding: 'utf8' });
    expect([checked.status, checked.stdout]).toEqual([0, expect.stringContaining('is valid') as string]);
    const data = path.join(dir, 'data');
    mkdirSync(data);
    writeFileSync(path.join(data, 'appendonly.aof'), bytes);
    await using server = await RedisServer.startFrom(binary, data, { replicaOfNowhere: true });
    await using back = await server.connect();
    expect(explainDifference(physical, await fingerprint(back, binary), tolerance), `seed ${seed}`).toEqual([]);

    const text = bytes.toString('latin1');
    const all = Array.from(text.matchAll(/#TS:(\d+)\r\n/g), (found) => ({ at: found.index, second: found[1]! }));
    // Some values of the workload look like one.
    const stamps = all.filter(({ second }) => Math.abs(Number(second) * 1000 - Date.now()) < 60_000);
    if (!isExact) {
      expect(stamps).toEqual([]);
      return;
    }
    const last = stamps.at(-1)!;
    const second = String(Number(last.second) - 1);
    const cut = spawnSync(tool(binary, 'check-aof'), ['--truncate-to-timestamp', second, file], { encoding: 'utf8' });
    expect(cut.status, cut.stdout + cut.stderr).toBe(0);
    expect(readFileSync(file).equals(bytes.subarray(0, last.at))).toBe(true);
  });
});
