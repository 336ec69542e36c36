// journal restore with a scratch server, as it is typed: an RDB, commands on standard output, the program that is named.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { pickServer } from '../support/servers.ts';

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
  expect(taken.stdout.toString()).toContain('errors: 0, replies: 4');
  await using client = await server.connect();
  expect(await client.text('GET', 'before')).toBe('1');
  await client.call('SELECT', 3);
  expect(await client.call('LRANGE', 'list\r\n', 1, 1)).toEqual([Buffer.from([0, 255, 13, 10])]);
  expect(restore('--to', 'resp:-', '--json').status).toBe(2);
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
