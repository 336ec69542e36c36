// The command line with a real primary: journal, look, mark, restore, each as its user types it.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Status } from '../../src/daemon/status.ts';
import { cli, json, jsonError } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { leash, temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';

const main = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

function urlOf({ port }: RedisServer, user = ''): string {
  return `redis://${user}127.0.0.1:${port}`;
}

function newRoot(): string {
  return path.join(temporaryDirectory('journal'), 'journal-data');
}

async function statusOf(root: string): Promise<Status> {
  return json(await cli(['status', '--dir', root, '--json'])) as unknown as Status;
}

class Process {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [main, ...argv], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    leash(this.child);
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((resolve) => void this.child.once('close', resolve));
  }
}

const where = (server: ServerBinary): boolean => isAtLeast(server, { redis: 7, valkey: 7.2 });

describeServers(
  'the command line',
  (binary) => {
    test('run --once catches up, tells where it stands, and goes on from there the next time', async () => {
      await using primary = await RedisServer.start(binary);
      const client = await primary.connect();
      await client.call('SET', 'a', '1');
      const dir = newRoot();
      const argv = ['run', '--once', '--source', urlOf(primary), '--dir', dir, '--name', 'shop', '--json'];
      const first = await cli([...argv, '--log-level', 'error']);
      expect(first.exitCode).toBe(0);
      expect(json(first)).toMatchObject({ source: 'shop', state: 'stopped', timeline: 1, gaps: [], warnings: [] });
      await client.call('SET', 'a', '2');
      const second = await cli([...argv, '--log-level', 'error']);
      expect(json(second)).toMatchObject({ timeline: 1, bases: { count: 1 } });
      const before = BigInt((json(first) as unknown as Status).position.durable ?? 0);
      expect(BigInt((json(second) as unknown as Status).position.durable ?? 0)).toBeGreaterThan(before);
      expect(String(await client.call('INFO', 'stats'))).toMatch(/^sync_full:1\r$/m);
      await client.close();
    });

    test('a running journal is protected, is marked where the primary is, and is restored to there', async () => {
      await using primary = await RedisServer.start(binary);
      await using journal = await RunningJournal.attach({ port: primary.port });
      const client = await primary.connect();
      await client.call('SET', 'cart', 'full');
      await journaled(client);
      const shown = await cli(['status', '--dir', journal.root]);
      expect(shown.stdout).toMatch(/^primary {2}PROTECTED {2}all that was received is durable\n/);
      expect(await statusOf(journal.root)).toMatchObject({ healthy: true, state: 'streaming', lag: { bytes: 0 } });

      await client.call('SET', 'cart', 'ordered');
      const marked = await cli(['mark', 'ordered', '--source', urlOf(primary), '--dir', journal.root, '--json']);
      expect(marked).toMatchObject({ exitCode: 0, stderr: '' });
      const elsewhere = `redis://localhost:${primary.port}`;
      const warned = await cli(['mark', 'again', '--source', elsewhere, '--dir', journal.root]);
      expect(warned.exitCode).toBe(0);
      expect(warned.stderr).toContain('unless they are the same primary');
      await client.call('FLUSHALL');
      await journaled(client);

      const to = path.join(temporaryDirectory('restored'), 'out');
      const restored = await cli(['restore', '--at', 'mark:ordered', '--to', to, '--dir', journal.root, '--json']);
      expect(restored).toMatchObject({ exitCode: 0, stderr: '' });
      expect(json(restored)).toMatchObject({ reached: { position: json(marked).position } });
      await using server = await RedisServer.startFrom(binary, to);
      const reader = await server.connect();
      expect(String(await reader.call('GET', 'cart'))).toBe('ordered');
      await reader.close();
      await client.close();
    });

    test('a second writer is refused with exit code 8 and the name of the first', async () => {
      await using primary = await RedisServer.start(binary);
      await using journal = await RunningJournal.attach({ port: primary.port });
      const argv = ['run', '--source', urlOf(primary), '--dir', journal.root, '--name', 'primary'];
      const second = new Process(argv);
      expect(await second.ended).toBe(8);
      expect(second.stderr).toContain(`process ${process.pid} on `);
      expect(JSON.parse(second.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
        level: 'fatal',
        event: 'failed',
        code: 'locked',
        exitCode: 8,
      });
    });

    test('a primary that is away is told by status, and waited for until SIGTERM', async () => {
      const dir = newRoot();
      const run = new Process(['run', '--source', 'redis://127.0.0.1:1', '--dir', dir, '--name', 'shop']);
      const status = await eventually('the link to be reported down', async () => {
        const found = await statusOf(dir);
        return found.state === 'disconnected' ? found : undefined;
      });
      expect(status).toMatchObject({
        healthy: false,
        timeline: null,
        error: { code: 'unreachable', message: expect.stringContaining('127.0.0.1:1') as string },
        writer: { pid: run.child.pid },
      });
      expect(Date.parse(status.nextAttemptAt ?? '')).not.toBeNaN();
      run.child.kill('SIGTERM');
      expect(await run.ended).toBe(0);
      expect((await statusOf(dir)).state).toBe('empty');
    });
  },
  { where },
);

describeServers(
  'a password',
  (binary) => {
    const secret = 'canary-secret-4711';

    function passwordFile(text: string): string {
      const file = path.join(temporaryDirectory('secret'), 'password');
      writeFileSync(file, text, { mode: 0o600 });
      return file;
    }

    describe.each<[string, () => [string[], Record<string, string>]]>([
      ['from a file', () => [['--password-file', passwordFile(`${secret}\n`)], {}]],
      ['from the environment', () => [[], { JOURNAL_PASSWORD: secret }]],
    ])('%s', (_, given) => {
      test('opens the primary, and is printed nowhere, nor kept in the journal', async () => {
        await using primary = await RedisServer.start(binary, { password: secret });
        const [options, env] = given();
        const dir = newRoot();
        const argv = ['run', '--once', '--source', urlOf(primary), '--dir', dir, '--log-level', 'debug', ...options];
        const run = new Process(argv, env);
        expect(await run.ended).toBe(0);
        const mark = new Process(['mark', 'x', '--source', urlOf(primary), '--dir', dir, ...options], env);
        expect(await mark.ended).toBe(4);
        for (const { stdout, stderr } of [run, mark]) expect(stdout + stderr).not.toContain(secret);
        const kept = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
        for (const { parentPath, name } of kept) {
          expect(readFileSync(path.join(parentPath, name)).includes(secret)).toBe(false);
        }
      });
    });

    test('that is wrong ends the first attempt with exit code 10, and is printed nowhere', async () => {
      await using primary = await RedisServer.start(binary, { password: 'another' });
      const argv = ['run', '--source', urlOf(primary), '--dir', newRoot(), '--json', '--log-level', 'debug'];
      const run = new Process([...argv, '--password-file', passwordFile(secret)], { JOURNAL_DEBUG: '1' });
      expect(await run.ended).toBe(10);
      expect(run.stderr).toContain('wrong-password');
      expect(run.stdout + run.stderr).not.toContain(secret);
    });

    test('that is missing is asked for', async () => {
      await using primary = await RedisServer.start(binary, { password: secret });
      const dir = newRoot();
      const result = await cli(['run', '--source', urlOf(primary), '--dir', dir, '--log-level', 'error'], {
        isTerminal: true,
      });
      expect(result.exitCode).toBe(10);
      expect(result.stderr).toMatch(/^journal: the server refused .*\n {2}hint: /);
      const document = await cli(['run', '--source', urlOf(primary), '--dir', dir, '--json', '--log-level', 'error'], {
        isTerminal: true,
      });
      expect(jsonError(document)).toMatchObject({ code: 'password-needed', exitCode: 10 });
    });
  },
  { where },
);
