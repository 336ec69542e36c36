// journal restore with a scratch server, as it is typed: an RDB, commands on standard output, the program that is named.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { leash, temporaryDirectory } from '../support/leash.ts';
import { processesIn } from '../support/processes.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { pickServer } from '../support/servers.ts';
import { SmallDisk } from '../support/small-disk.ts';

const binary = pickServer();
const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');
let primary: RedisServer;
let journal: RunningJournal;

beforeAll(async () => {
  primary = await RedisServer.start(binary);
  await using client = await primary.connect();
  await client.callMany([
    ['SET', 'before', '1'],
    ['SELECT', 3],
  ]);
  journal = await RunningJournal.attach({ port: primary.port });
  for (let i = 0; i < 100; i += 1) await client.call('SET', `large:${i}`, randomBytes(100_000));
  await client.callMany([['RPUSH', 'list\r\n', 'a', Buffer.from([0, 255, 13, 10])]]);
  await journaled(client);
});

afterAll(async () => {
  await journal[Symbol.asyncDispose]();
  await primary[Symbol.asyncDispose]();
});

function restore(...words: string[]): { status: number | null; stdout: Buffer; stderr: string } {
  const argv = [program, 'restore', '--at', 'latest', '--dir', journal.root, '--server-bin', binary.path, ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { maxBuffer: 2 ** 24 });
  return { status, stdout, stderr: stderr.toString() };
}

test('rdb:FILE says which server makes it and how to load it, and makes it', () => {
  const to = path.join(temporaryDirectory('restored'), 'dump.rdb');
  const planned = restore('--to', `rdb:${to}`, '--dry-run');
  expect(planned.stderr).toBe('');
  expect(planned.stdout.toString()).toContain(`scratch server, Redis ${binary.version} (${binary.path})`);
  expect(existsSync(to)).toBe(false);
  const made = restore('--to', `rdb:${to}`);
  expect(made.status).toBe(0);
  expect(made.stdout.toString()).toContain(`redis-server --dir ${path.dirname(to)} --dbfilename dump.rdb`);
  expect(readFileSync(to).toString('latin1', 0, 5)).toBe('REDIS');
  const again = restore('--to', `rdb:${to}`, '--json');
  expect(again.status).toBe(7);
});

test('resp:- writes nothing but commands, which a server takes', async () => {
  const { status, stdout, stderr } = restore('--to', 'resp:-');
  expect(status).toBe(0);
  expect(stderr).toMatch(/^target [^]*restored resp:-/);
  expect(stdout.toString('latin1', 0, 4)).toBe('*2\r\n');
  await using server = await RedisServer.start(binary);
  const taken = spawnSync(binary.cliPath, ['-p', String(server.port), '--pipe'], { input: stdout });
  expect(taken.stdout.toString()).toContain('errors: 0, replies: 104');
  await using client = await server.connect();
  expect(await client.text('GET', 'before')).toBe('1');
  await client.call('SELECT', 3);
  expect(await client.call('LRANGE', 'list\r\n', 1, 1)).toEqual([Buffer.from([0, 255, 13, 10])]);
  expect(restore('--to', 'resp:-', '--json').status).toBe(2);
});

test('killed at any moment, it leaves the whole file or none, no server, and can be done again', async () => {
  const parent = temporaryDirectory('restored');
  const to = path.join(parent, 'dump.rdb');
  const argv = ['restore', '--at', 'latest', '--dir', journal.root, '--server-bin', binary.path, '--to', `rdb:${to}`];
  const started = performance.now();
  expect(spawnSync(process.execPath, [program, ...argv]).status).toBe(0);
  const wholeMs = performance.now() - started;
  const whole = statSync(to).size;
  for (let round = 0; round < 6; round += 1) {
    rmSync(to, { force: true });
    const child = spawn(process.execPath, [program, ...argv], { stdio: 'ignore' });
    leash(child);
    const ended = once(child, 'exit');
    await sleep(Math.random() * wholeMs);
    child.kill('SIGKILL');
    await ended;
    await eventually('the scratch server to go', () => processesIn(parent).length === 0);
    if (existsSync(to)) expect(Math.abs(statSync(to).size - whole)).toBeLessThan(100);
  }
  rmSync(to, { force: true });
  expect(spawnSync(process.execPath, [program, ...argv]).status).toBe(0);
  // Killed before its server began or after it ended, it leaves a directory, which the next removes. One that died at
  // birth has no file yet that says whose it was.
  const isHeld = (name: string): boolean => existsSync(path.join(parent, name, 'holder.json'));
  expect(readdirSync(parent).filter(isHeld)).toEqual([]);
});

test('interrupted, it ends with the server and everything of it', async () => {
  const parent = temporaryDirectory('restored');
  const argv = ['restore', '--at', 'latest', '--dir', journal.root, '--server-bin', binary.path];
  const child = spawn(process.execPath, [program, ...argv, '--to', `rdb:${path.join(parent, 'dump.rdb')}`]);
  leash(child);
  await eventually('the scratch server', () => readdirSync(parent).length > 0);
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([130, null]);
  expect(readdirSync(parent)).toEqual([]);
});

test('on a disk without room it says so, and leaves nothing', ({ skip }) => {
  const refusal = SmallDisk.refusal('tmpfs');
  if (refusal !== undefined) return void skip(refusal);
  using disk = SmallDisk.mount('tmpfs', 4);
  const { status, stderr } = restore('--to', `rdb:${disk.path}/dump.rdb`, '--json');
  expect(stderr).toContain('no-space');
  expect(status).toBe(9);
  expect(readdirSync(disk.path)).toEqual([]);
  // With the server at work on another disk the file is copied, as far as it goes.
  const elsewhere = temporaryDirectory('elsewhere');
  const copied = restore('--to', `rdb:${disk.path}/dump.rdb`, '--scratch-dir', elsewhere, '--json');
  expect(copied.stderr).toContain('no-space');
  expect([readdirSync(disk.path), readdirSync(elsewhere)]).toEqual([[], []]);
});

test('with its server on another file system, the file is copied', ({ skip }) => {
  const refusal = SmallDisk.refusal('tmpfs');
  if (refusal !== undefined) return void skip(refusal);
  using disk = SmallDisk.mount('tmpfs', 64);
  const { status } = restore('--to', `rdb:${disk.path}/dump.rdb`, '--scratch-dir', temporaryDirectory('elsewhere'));
  expect(status).toBe(0);
  expect(readdirSync(disk.path).sort()).toEqual(['dump.rdb', 'dump.rdb.restore.json']);
  expect(statSync(path.join(disk.path, 'dump.rdb')).mode & 0o777).toBe(0o600);
});

test('a program that is no server is refused, and a size that is none', () => {
  const to = path.join(temporaryDirectory('restored'), 'dump.rdb');
  const noServer = restore('--to', `rdb:${to}`, '--scratch-memory', 'much');
  expect(noServer).toMatchObject({ status: 2 });
  const argv = ['--at', 'latest', '--dir', journal.root, '--to', `rdb:${to}`, '--server-bin', '/bin/true', '--json'];
  const { status, stderr } = spawnSync(process.execPath, [program, 'restore', ...argv], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('bad-server-bin');
  const small = restore('--to', `rdb:${to}`, '--scratch-memory', '0.1MB', '--json');
  expect(small.status).toBe(1);
  expect(small.stderr).toContain('not-enough-memory');
});
