// Into a running server, as it is typed: by both methods what the primary held; refused, with the server as it was, where
// that would hurt; and cut off anywhere, it says what the server holds, and can be done again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CliOptions, type CliResult, json, jsonError } from '../cli/cli.ts';
import { builtFile } from '../support/built.ts';
import { StepProgress } from '../../src/cli/step-progress.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { leash } from '../support/leash.ts';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import { Authority, hasOpenssl, hasTls } from '../support/tls-certificates.ts';
import { expectRefused, TakenJournal } from './taken-journal.ts';

const methods = ['replicaof', 'restore'] as const;

describeServers('into a running server', (binary) => {
  const hasFunctions = isAtLeast(binary, { redis: 7, valkey: 7 });
  let source: TakenJournal;

  beforeAll(async () => {
    source = await TakenJournal.start(binary, {
      commands: [
        ['SELECT', 9],
        ['SET', 'elapsed', 'x', 'PX', 1],
        ['SET', 'stays', 'x', 'PX', 3_600_000],
        ['SET', 'large', Buffer.alloc(3_000_000, 7)],
      ],
    });
  });

  afterAll(() => source[Symbol.asyncDispose]());

  function restore(to: string, words?: readonly string[], options?: CliOptions): Promise<CliResult> {
    return source.restore(to, words, options);
  }

  /** What can be seen of it: a primary deletes what has elapsed. */
  async function expectRestored(client: RespClient): Promise<void> {
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    source.expectSame(source.taken, await fingerprint(client, binary));
  }

  async function start(options: RedisServerOptions = {}): Promise<{ server: RedisServer; url: string }> {
    const server = await RedisServer.start(binary, options);
    return { server, url: `redis://127.0.0.1:${server.port}` };
  }

  test.each(methods)('by %s it holds what the primary held, is a primary, and keeps its settings', async (method) => {
    const { server, url } = await start();
    await using _ = server;
    await using client = await server.connect();
    const planned = await restore(url, ['--method', method, '--dry-run']);
    expect(planned.stderr).toBe('');
    expect(json(planned).destination).toMatchObject({ method, replaces: { keys: 0, libraries: 0 } });
    expect(await client.call('DBSIZE')).toBe(0);
    const update = vi.spyOn(StepProgress.prototype, 'update');
    const result = await restore(url, ['--yes', '--method', method]);
    expect(result.stderr).toBe('');
    expect(result.exitCode).toBe(0);
    await expectRestored(client);
    const [done, all, step] = update.mock.calls.at(-1)!;
    expect(step).toBe(method === 'replicaof' ? 'sending' : 'writing');
    // Keys that have elapsed are left out.
    expect(done / all).toBeGreaterThan(0.5);
    update.mockRestore();
    expect(await client.text('INFO', 'replication')).toContain('role:master');
    expect(await client.call('CONFIG', 'GET', 'masterauth')).toEqual([Buffer.from('masterauth'), Buffer.from('')]);
    // No longer empty; with --replace it is done again, and nothing else is left.
    await client.callMany([['SET', 'of ours', '1']]);
    expect((await restore(url)).exitCode).toBe(7);
    expect(await client.text('GET', 'of ours')).toBe('1');
    const again = await restore(url, ['--yes', '--replace', '--method', method]);
    expect(again.exitCode, again.stderr).toBe(0);
    await expectRestored(client);
  });

  test('without --method it is loaded as a replica, with the password that it has for a primary', async () => {
    const { server, url } = await start({ password: 'geheim 1' });
    await using _ = server;
    const env = { JOURNAL_TARGET_PASSWORD: 'geheim 1' };
    const result = await restore(url, ['--yes'], { env });
    expect(result.exitCode, result.stderr).toBe(0);
    expect(json(result).destination).toMatchObject({ method: 'replicaof' });
    expect(result.stdout + result.stderr).not.toContain('geheim');
    await using client = await server.connect();
    await expectRestored(client);
    const password = await client.call('CONFIG', 'GET', 'masterauth');
    expect(password).toEqual([Buffer.from('masterauth'), Buffer.from('geheim 1')]);
    // The wrong one, and none.
    for (const wrong of ['falsch', '']) {
      const refused = await restore(url, ['--yes', '--replace'], { env: { JOURNAL_TARGET_PASSWORD: wrong } });
      expect(refused.exitCode).toBe(10);
      expect(refused.stderr).not.toContain('falsch');
    }
    await expectRestored(client);
  });

  test.each(methods)('by %s, with --ttl persist, nothing expires there', async (method) => {
    const { server, url } = await start();
    await using _ = server;
    const result = await restore(url, ['--yes', '--ttl', 'persist', '--method', method]);
    expect(result.exitCode, result.stderr).toBe(0);
    await using client = await server.connect();
    await client.call('SELECT', 9);
    expect(await client.call('TTL', 'stays')).toBe(-1);
    expect(await client.call('EXISTS', 'elapsed')).toBe(0);
    expect(await client.text('INFO', 'keyspace')).not.toMatch(/expires=[1-9]/);
  });

  describe('is refused, and the server as it was:', () => {
    test('the live primary, unless its address is repeated and --replace is said', async () => {
      const { primary } = source;
      await using client = await primary.connect();
      const url = `redis://127.0.0.1:${primary.port}`;
      const before = await fingerprint(client, binary);
      await expectRefused(restore(url, ['--yes', '--replace']), 'target-is-live', 7);
      const other = `localhost:${primary.port}`;
      await expectRefused(restore(url, ['--yes', '--replace', '--i-know-this-is-live', other]), 'target-is-live', 7);
      const same = `127.0.0.1:${primary.port}`;
      await expectRefused(restore(url, ['--yes', '--i-know-this-is-live', same]), 'target-not-empty', 7);
      await expectRefused(restore(url, ['--replace', '--i-know-this-is-live', same]), 'not-confirmed', 2);
      expect(explainDifference(before, await fingerprint(client, binary))).toEqual([]);
      const planned = await restore(url, ['--replace', '--i-know-this-is-live', same, '--dry-run']);
      expect(json(planned).destination).toMatchObject({ isLive: true, method: 'restore' });
    });

    test('one that holds a key in any db, or a function', async () => {
      const { server, url } = await start();
      await using _ = server;
      await using client = await server.connect();
      await client.callMany([
        ['SELECT', 15],
        ['SET', 'key', '1'],
      ]);
      await expectRefused(restore(url), 'target-not-empty', 7);
      expect(await client.text('GET', 'key')).toBe('1');
      await client.call('FLUSHALL');
      if (!hasFunctions) return;
      const library = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)";
      await client.call('FUNCTION', 'LOAD', library);
      await expectRefused(restore(url), 'target-not-empty', 7);
      expect(await client.call('FUNCTION', 'LIST')).toHaveLength(1);
    });

    test('one with a replica, and the replica', async () => {
      const { server, url } = await start();
      await using _ = server;
      await using replica = await RedisServer.start(binary, { config: { replicaof: `127.0.0.1 ${server.port}` } });
      await using client = await server.connect();
      await eventually('the replica', async () => (await client.text('INFO', 'replication')).includes('state=online'));
      await expectRefused(restore(url, ['--yes', '--replace']), 'target-has-replicas', 7);
      const itsUrl = `redis://127.0.0.1:${replica.port}`;
      await expectRefused(restore(itsUrl, ['--yes', '--replace']), 'target-is-replica', 7);
      expect(await client.call('DBSIZE')).toBe(0);
      expect(await client.text('INFO', 'replication')).toContain('connected_slaves:1');
    });

    test('one of a cluster without slots, and one with too little memory', async () => {
      const cluster = await start({ config: { 'cluster-enabled': 'yes' } });
      await using _ = cluster.server;
      await expectRefused(restore(cluster.url), 'cluster-incomplete', 1);
      const small = await start({ config: { maxmemory: '3mb' } });
      await using __ = small.server;
      await expectRefused(restore(small.url), 'target-memory', 1);
      await using client = await small.server.connect();
      expect(await client.call('DBSIZE')).toBe(0);
    });

    test('without a terminal or --yes, with another answer than yes, with a password in the URL', async () => {
      const { server, url } = await start();
      await using _ = server;
      await using client = await server.connect();
      await expectRefused(restore(url, []), 'not-confirmed', 2);
      await expectRefused(restore(url, [], { ask: () => Promise.resolve('y') }), 'not-confirmed', 2);
      const inUrl = restore(`redis://user:geheim@127.0.0.1:${server.port}`);
      await expectRefused(inUrl, 'password-in-url', 2);
      expect((await inUrl).stderr).not.toContain('geheim');
      await expectRefused(restore(`${url}/3`), 'bad-target', 2);
      expect(await client.call('DBSIZE')).toBe(0);
      let asked = '';
      const ask = (question: string): Promise<string> => {
        asked = question;
        return Promise.resolve('yes\n');
      };
      expect((await restore(url, [], { ask })).exitCode).toBe(0);
      expect(asked).toContain(`127.0.0.1:${server.port}`);
    });

    test('one that cannot be reached, is loading, or does not permit it', async () => {
      await expectRefused(restore('redis://127.0.0.1:1'), 'target-unreachable', 11);
      const { server, url } = await start();
      await using _ = server;
      await using client = await server.connect();
      await client.callMany([
        ['ACL', 'SETUSER', 'some', 'on', '>pw', '~*', '+info', '+select', ...(hasFunctions ? ['+function'] : [])],
        ['ACL', 'SETUSER', 'none', 'on', '>pw', '~*', '+ping'],
      ]);
      const env = { JOURNAL_TARGET_PASSWORD: 'pw' };
      await expectRefused(restore(url, ['--yes', '--target-user', 'none'], { env }), 'target-permission', 10);
      const some = restore(url, ['--yes', '--target-user', 'some'], { env });
      await expectRefused(some, 'target-permission', 10);
      expect(await client.call('DBSIZE')).toBe(0);
      // What it takes, key by key.
      await client.call('ACL', 'SETUSER', 'some', '+restore', '+flushall');
      const result = await restore(url, ['--yes', '--replace', '--target-user', 'some'], { env });
      expect(result.exitCode, result.stderr).toBe(0);
      expect(json(result).destination).toMatchObject({ method: 'restore' });
      await expectRestored(client);
      await client.callMany([
        ['FLUSHALL'],
        ['CONFIG', 'SET', 'rdbcompression', 'no'],
        ['DEBUG', 'POPULATE', 20_000, 'key', 1000],
        ['CONFIG', 'SET', 'key-load-delay', 500],
      ]);
      // It looks at its clients every 2 MB.
      const reloading = client.call('DEBUG', 'RELOAD').catch(() => undefined);
      await eventually('it to load', async () => server.logs().includes('Loading RDB'));
      await expectRefused(restore(url, ['--yes', '--replace']), 'loading', 11);
      await server.kill9();
      await reloading;
    });
  });

  test.each(methods)('by %s, a server that dies on the way is told of, and taken when it is back', async (method) => {
    const { server, url } = await start({ config: { save: '""' } });
    await using _ = server;
    await using client = await server.connect();
    await client.call('SET', 'old', '1');
    const killed = (async () => {
      await eventually('the first touch', () => isTouched(client, method), { everyMs: 1 }).catch(() => undefined);
      await server.kill9();
    })();
    const result = await restore(url, ['--yes', '--replace', '--method', method]);
    await killed;
    if (result.exitCode !== 0) {
      expect(result.exitCode).toBe(11);
      expect(jsonError(result).message).toMatch(
        /holds a part of it|could not be asked|(may be|is) empty now|cannot be reached/,
      );
    }
    await server.restart();
    const again = await restore(url, ['--yes', '--replace', '--method', method]);
    expect(again.exitCode, again.stderr).toBe(0);
    await using fresh = await server.connect();
    await expectRestored(fresh);
  });

  /** One that takes seconds to load, so that one can be there in time. */
  async function startSlow(): Promise<{ server: RedisServer; url: string }> {
    return await start({ config: { 'key-load-delay': '5000' } });
  }

  test('interrupted, it lets the server go, and says what it holds', async () => {
    const { server, url } = await startSlow();
    await using _ = server;
    await using client = await server.connect();
    await client.call('SET', 'old', '1');
    const stop = new AbortController();
    const restoring = restore(url, ['--yes', '--replace', '--method', 'replicaof'], { signal: stop.signal });
    await eventually('the first touch', () => isTouched(client, 'replicaof'), { everyMs: 1 });
    stop.abort(new InterruptedError());
    const result = await restoring;
    expect(result.exitCode).toBe(130);
    expect(jsonError(result).message).toMatch(/is a primary again and holds \d+ keys \(1 before\)/);
    expect(await client.text('INFO', 'replication')).toContain('role:master');
    expect(await client.call('CONFIG', 'GET', 'masterauth')).toEqual([Buffer.from('masterauth'), Buffer.from('')]);
    await client.call('CONFIG', 'SET', 'key-load-delay', 0);
    const again = await restore(url, ['--yes', '--replace']);
    expect(again.exitCode, again.stderr).toBe(0);
    await expectRestored(client);
  });

  test('killed, it leaves a replica of nobody, which the next restore knows and takes', async () => {
    const { server, url } = await startSlow();
    await using _ = server;
    await using client = await server.connect();
    const { id, offset } = source.taken.position;
    const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');
    const argv = ['restore', '--at', `${id}:${offset}`, '--dir', source.journal.root, '--server-bin', binary.path];
    const all = [program, ...argv, '--relative-ttl', 'convert', '--yes', '--method', 'replicaof', '--to', url];
    const child = spawn(process.execPath, all, { stdio: 'ignore' });
    leash(child);
    const ended = once(child, 'exit');
    await eventually('the first touch', () => isTouched(client, 'replicaof'), { everyMs: 1, timeoutMs: 30_000 });
    child.kill('SIGKILL');
    await ended;
    await client.call('CONFIG', 'SET', 'key-load-delay', 0).catch(() => undefined);
    await eventually('it to give up', async () => {
      const text = await client.text('INFO', 'replication');
      return text.includes('role:slave') && text.includes('master_link_status:down') && !text.includes('in_progress:1');
    });
    await eventually('it to answer', async () => (await client.call('DBSIZE').catch(() => -1)) !== -1);
    const planned = await restore(url, ['--dry-run', '--replace']);
    expect(planned.exitCode, planned.stderr).toBe(0);
    const again = await restore(url, ['--yes', '--replace']);
    expect(again.exitCode, again.stderr).toBe(0);
    await expectRestored(client);
    expect(await client.call('CONFIG', 'GET', 'masterauth')).toEqual([Buffer.from('masterauth'), Buffer.from('')]);
  });

  test('over TLS its certificate is verified, and nothing is sent before', async ({ skip }) => {
    if (!hasOpenssl() || !hasTls(binary)) return void skip('no TLS here');
    const authority = new Authority('of the target');
    const pair = authority.issue('DNS:localhost', 'IP:127.0.0.1');
    const tls = { ...pair, caFile: authority.caFile };
    await using server = await RedisServer.start(binary, { tls, password: 'geheim' });
    const url = `rediss://127.0.0.1:${server.port}`;
    const env = { JOURNAL_TARGET_PASSWORD: 'geheim' };
    const unknown = await restore(url, ['--yes'], { env });
    expect(jsonError(unknown)).toMatchObject({ code: 'certificate', exitCode: 10 });
    expect(jsonError(unknown).hint).toContain('--target-tls-ca');
    const result = await restore(url, ['--yes', '--target-tls-ca', authority.caFile], { env });
    expect(result.exitCode, result.stderr).toBe(0);
    // Its links are encrypted, too, which our feed is not.
    expect(json(result).destination).toMatchObject({ method: 'restore' });
    await using client = await server.connect();
    await expectRestored(client);
  });

  test('key by key, what the server refuses is told with its key, and what it holds', async () => {
    const { server, url } = await start();
    await using _ = server;
    await using client = await server.connect();
    const functions = hasFunctions ? ['+function'] : [];
    await client.call('ACL', 'SETUSER', 'narrow', 'on', '>pw', '~key:1*', '+info', '+select', '+restore', ...functions);
    const env = { JOURNAL_TARGET_PASSWORD: 'pw' };
    const result = await restore(url, ['--yes', '--target-user', 'narrow'], { env });
    expect(result.exitCode).toBe(10);
    expect(jsonError(result).message).toMatch(/RESTORE of the key '.*' of db \d+ failed: NOPERM.*holds a part of it/);
    const again = await restore(url, ['--yes', '--replace']);
    expect(again.exitCode, again.stderr).toBe(0);
    await expectRestored(client);
  });
});

async function isTouched(client: RespClient, method: (typeof methods)[number]): Promise<boolean> {
  if (method === 'replicaof') return (await client.text('INFO', 'replication')).includes('role:slave');
  return (await client.call('EXISTS', 'old')) === 0;
}
