// Some keys of a moment, written into a server that goes on: they are there what they were, in every TTL mode, under their
// names or others, and every other key is byte for byte as it was. A live primary is given a mark first, and is brought back
// by it. What would hurt is refused, with the server as it was.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CliResult, json, jsonError } from '../cli/cli.ts';
import { StepProgress } from '../../src/cli/step-progress.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { glob } from '../../src/redis/glob.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast } from '../support/servers.ts';
import { expectRefused, keysOfThen, type Named, named, TakenJournal } from './taken-journal.ts';

interface Changes {
  readonly written: number;
  readonly deleted: number;
  readonly elapsed: number;
  readonly mark: string | null;
}

describeServers('some keys into a running server', (binary) => {
  let source: TakenJournal;

  beforeAll(async () => {
    source = await TakenJournal.start(binary, keysOfThen);
  });

  afterAll(() => source[Symbol.asyncDispose]());

  async function done(to: { readonly port: number }, words: readonly string[]): Promise<Changes> {
    return (await source.done(to, words)).changes as Changes;
  }

  async function startBusy(): Promise<RedisServer> {
    const server = await source.startBusy();
    await using client = await server.connect();
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'string:elapsed', 'of now'],
      ['SET', 'string:only now', 'x'],
      ['SELECT', 5],
      ['SET', 'string:in a db that was empty', 'x'],
      ['SET', 'other', 'x'],
    ]);
    return server;
  }

  test('are what they were, and all others, and the functions, byte for byte as they were', async () => {
    for (const globs of [['string:*'], ['h*', '[lz]*:*1*'], ['*:[0-7]']]) {
      await using server = await startBusy();
      await using client = await server.connect();
      const before = await fingerprint(client, binary);
      const changes = await done(
        server,
        globs.flatMap((text) => ['--keys', text]),
      );
      const matchers = globs.map(glob);
      const wants = ({ name }: Named): boolean => matchers.some(({ matches }) => matches(name));
      await source.expectKeys(client, source.merged(before.keys, wants), before);
      expect(changes).toMatchObject({ deleted: 0, mark: null });
      const selected = [...source.taken.keys.keys()].filter((full) => wants(named(full))).length;
      expect(changes.written + changes.elapsed).toBe(selected);
      // Of what has elapsed nothing was written: the server's own stays.
      await client.call('SELECT', 3);
      expect(await client.text('GET', 'string:elapsed')).toBe('of now');
    }
  });

  test('of some dbs and types, without some, and under other names', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    await done(server, ['--db', '3', '--type', 'string', '--exclude', '*:large', '--rename', 's/^/old /']);
    const isString = ({ name }: Named): boolean => /^(string|number|float|bits|hll):/.test(name.toString('latin1'));
    const wants = (key: Named): boolean =>
      key.db === 3 && isString(key) && !key.name.toString('latin1').endsWith(':large');
    await source.expectKeys(
      client,
      source.merged(before.keys, wants, (full) => full.replace(/^db3:/, 'db3:old ')),
      before,
    );
  });

  test('are deleted where they were absent, with --delete-absent, and only then', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const { deleted } = await done(server, ['--keys', 'string:*', '--keys', 'list:*', '--delete-absent']);
    const wants = ({ name }: Named): boolean => /^(string|list):/.test(name.toString('latin1'));
    const kept = new Map([...before.keys].filter(([full]) => !wants(named(full))));
    await source.expectKeys(client, source.merged(kept, wants), before);
    expect(deleted).toBeGreaterThanOrEqual(3);
    await client.call('SELECT', 3);
    expect(await client.call('EXISTS', 'string:elapsed', 'string:only now')).toBe(0);
    expect(await client.call('EXISTS', 'string:only then')).toBe(1);
    await client.call('SELECT', 5);
    expect(await client.call('EXISTS', 'other')).toBe(1);
  });

  test.each(['as-of', 'shift', 'persist'])('with --ttl %s are those of the whole restore with that', async (ttl) => {
    const soon = Date.now() + 60_000;
    const short = [...source.taken.keys].filter(([, { expireMs, fieldExpiries }]) =>
      [expireMs ?? 0, ...(fieldExpiries?.values() ?? [])].some((at) => at > 0 && at < soon),
    );
    const shiftOf = (result: CliResult): number => {
      expect(result.exitCode, result.stderr).toBe(0);
      return Math.round((json(result).ttlOutcome as { readonly shiftedBy: number }).shiftedBy * 1000);
    };
    await using whole = await RedisServer.start(binary);
    const shifted = shiftOf(await source.restore(whole, ['--yes', '--ttl', ttl]));
    await using look = await whole.connect();
    const reference = await fingerprint(look, binary);
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const later =
      shiftOf(await source.restore(server, ['--yes', '--keys', 's*', '--keys', 'h*', '--ttl', ttl])) - shifted;
    expect(later > 0).toBe(ttl === 'shift');
    const wanted = new Map(before.keys);
    const found = await fingerprint(client, binary);
    for (const [full, { expireMs, fieldExpiries, ...facts }] of reference.keys) {
      if (!/^[sh]/.test(named(full).name.toString('latin1'))) continue;
      const fields = fieldExpiries && new Map([...fieldExpiries].map(([name, at]) => [name, at + later]));
      const moved = { expireMs: expireMs && expireMs + later, ...(fields !== undefined && { fieldExpiries: fields }) };
      wanted.set(full, { ...facts, ...moved });
    }
    // One that was almost over is there in one of the two, and has gone from the other.
    const there = new Map(found.keys);
    for (const keys of [wanted, there]) for (const [full] of short) keys.delete(full);
    source.expectSame({ ...before, digest: '', keys: wanted }, { ...found, digest: '', keys: there });
  });

  describe('that may not have the room', () => {
    /** A server with a maxmemory of so many MiB beyond what it uses, and 4 MB of a selected key. */
    async function startSmall(mebibytes: number, policy: string): Promise<RedisServer> {
      const server = await RedisServer.start(binary, { config: { 'maxmemory-policy': policy } });
      await using client = await server.connect();
      await client.callMany([
        ['SELECT', 3],
        ['SET', 'string:large', Buffer.alloc(4_000_000, 1)],
        ['SET', 'string:other', Buffer.alloc(100_000, 1)],
      ]);
      const used = Number(/used_memory:(\d+)/.exec(await client.text('INFO', 'memory'))?.[1]);
      await client.call('CONFIG', 'SET', 'maxmemory', used + mebibytes * 2 ** 20);
      return server;
    }

    test.each([
      ['noeviction', 'it would refuse the rest'],
      ['allkeys-lru', 'it would let go of keys (allkeys-lru)'],
    ])('are refused where they have not, with %s', async (policy, what) => {
      await using server = await startSmall(1, policy);
      await using client = await server.connect();
      const before = await fingerprint(client, binary);
      const words = ['--keys', 'string:large', '--db', '3', '--rename', 's/^/old /'];
      for (const how of ['--yes', '--dry-run']) {
        const result = await expectRefused(source.restore(server, [how, ...words]), 'target-memory', 1);
        expect(jsonError(result).message).toContain(what);
        expect(jsonError(result).hint).toContain('--target-memory');
      }
      await source.expectKeys(client, before.keys, before);
      await client.call('CONFIG', 'SET', 'maxmemory', '1gb');
      await expectRefused(source.restore(server, ['--yes', '--target-memory', '2MB', ...words]), 'target-memory', 1);
      await expectRefused(source.restore(server, ['--yes', '--target-memory', 'lots', ...words]), 'bad-setting', 2);
    });

    test('are written where they replace as much, or where it is said what the server may take', async () => {
      await using server = await startSmall(7, 'noeviction');
      await using client = await server.connect();
      const large = ['--keys', 'string:large', '--db', '3'];
      expect(await done(server, large)).toMatchObject({ written: 1 });
      await client.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      const again = ['--target-memory', '1GB', ...large, '--rename', 's/^/old /'];
      expect(await done(server, again)).toMatchObject({ written: 1 });
    });
  });

  test('are counted while they are compared, and while they are written', async () => {
    await using server = await RedisServer.start(binary);
    const update = vi.spyOn(StepProgress.prototype, 'update');
    for (const [how, step] of [
      ['--dry-run', 'comparing'],
      ['--yes', 'writing'],
    ] as const) {
      const words = [how, '--keys', 'string:only then', '--keys', 'string:stays'];
      const result = await source.restore(server, words);
      expect(result.exitCode, result.stderr).toBe(0);
      expect(update.mock.calls.findLast(([, , told]) => told === step)).toEqual([2, 2, step]);
    }
    update.mockRestore();
  });

  test('of which there are none leave the server as it was, with exit code 3', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const result = await source.restore(server, ['--yes', '--keys', 'no such key']);
    expect(result.exitCode).toBe(3);
    expect(json(result).warnings).toContain('no key is what was asked for: nothing is written');
    // Said first, and nowhere that anything was restored.
    const text = await source.restore(server, ['--yes', '--keys', 'no such key'], { isText: true });
    expect(text.stdout).toMatch(/\n\nnothing matched: 0 keys are what was asked for/);
    expect(text.stdout).not.toMatch(/^restored/m);
    await source.expectKeys(client, before.keys, before);
  });

  describe('are refused, and the server is as it was:', () => {
    test.each<[string, readonly string[], string, number]>([
      ['without --yes', [], 'not-confirmed', 2],
      ['with --replace', ['--yes', '--replace'], 'replace-of-some', 2],
      ['as a replica of ours', ['--yes', '--method', 'replicaof'], 'method-impossible', 1],
      ['renamed and mirrored', ['--yes', '--rename', 's/a/b/', '--delete-absent'], 'delete-absent-renamed', 2],
      ['where two would get one name', ['--yes', '--rename', 's/:[^]*//'], 'rename-collision', 2],
    ])('%s', async (_, words, code, exitCode) => {
      await using server = await startBusy();
      await using client = await server.connect();
      const before = await fingerprint(client, binary);
      const refused = await source.restore(server, ['--keys', 'string:*', ...words]);
      expect(refused.stderr).toContain(code);
      expect(jsonError(refused)).toMatchObject({ code, exitCode });
      await source.expectKeys(client, before.keys, before);
    });

    test('where there is no such db, or a replica that nobody spoke of', async () => {
      await using server = await RedisServer.start(binary, { config: { databases: '2' } });
      await using client = await server.connect();
      const refused = await source.restore(server, ['--yes', '--keys', 'string:*']);
      expect(jsonError(refused)).toMatchObject({ code: 'target-db', exitCode: 1 });
      expect(await client.call('DBSIZE')).toBe(0);
      await using replica = await RedisServer.start(binary, { config: { replicaof: `127.0.0.1 ${server.port}` } });
      await eventually('the replica', async () => (await client.text('INFO', 'replication')).includes('state=online'));
      const has = await source.restore(server, ['--yes', '--keys', 'string:*', '--db', '0']);
      expect(jsonError(has)).toMatchObject({ code: 'target-has-replicas', exitCode: 7 });
      expect(jsonError(has).message).toContain('which would be given the same keys');
      const into = await source.restore(replica, ['--yes', '--keys', 'string:*', '--db', '0']);
      expect(jsonError(into)).toMatchObject({ code: 'target-is-replica', exitCode: 7 });
      expect(await client.call('DBSIZE')).toBe(0);
    });

    test('--delete-absent of everything, or of no server', async () => {
      await using server = await startBusy();
      const refused = await source.restore(server, ['--yes', '--delete-absent']);
      expect(jsonError(refused)).toMatchObject({ code: 'delete-absent-of-what', exitCode: 2 });
    });
  });

  test('that the server does not take are told with what it holds, and it can be done again', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const functions = isAtLeast(binary, { redis: 7, valkey: 7 }) ? ['+function'] : [];
    await client.call(
      'ACL',
      'SETUSER',
      'narrow',
      'on',
      '>pw',
      '~string:1*',
      '+info',
      '+select',
      '+restore',
      ...functions,
    );
    const env = { JOURNAL_TARGET_PASSWORD: 'pw' };
    const result = await source.restore(server, ['--yes', '--keys', 'string:*', '--target-user', 'narrow'], { env });
    expect(result.exitCode).toBe(10);
    expect(jsonError(result).message).toMatch(
      /RESTORE of the key 'string:.*' of db \d+ failed: NOPERM.*has taken at least \d+ of \d+ keys; all that are not/,
    );
    await done(server, ['--keys', 'string:*']);
    const wants = ({ name }: Named): boolean => name.toString('latin1').startsWith('string:');
    await source.expectKeys(client, source.merged(before.keys, wants), before);
  });

  test('go into the live primary with a mark before them, and to its replica; the mark is the way back', async () => {
    const { primary, journal } = source;
    await using client = await primary.connect();
    await using replica = await RedisServer.start(binary, { config: { replicaof: `127.0.0.1 ${primary.port}` } });
    await eventually('the replica', async () =>
      (await client.text('INFO', 'replication')).includes('connected_slaves:2'),
    );
    await client.callMany([
      ['SELECT', 3],
      ['DEL', 'string:only then'],
      ['SET', 'string:large', 'small now'],
      ['SET', 'of today', '1'],
    ]);
    const before = await fingerprint(client, binary);
    const words = ['--yes', '--keys', 'string:*'];
    const refused = await source.restore(primary, words);
    expect(jsonError(refused)).toMatchObject({ code: 'target-is-live', exitCode: 7 });
    // To look at what would be done takes no more than asking.
    const looked = await source.restore(primary, ['--dry-run', ...words.slice(1)]);
    expect(looked.exitCode, looked.stderr).toBe(0);
    await source.expectKeys(client, before.keys, before);
    const live = ['--i-know-this-is-live', `127.0.0.1:${primary.port}`];
    const { mark } = await done(primary, [...words.slice(1), ...live]);
    expect(mark).toMatch(/^before-restore-/);
    const wants = ({ name }: Named): boolean => name.toString('latin1').startsWith('string:');
    await source.expectKeys(client, source.merged(before.keys, wants), before);
    await journaled(client);
    const [its, ours] = await Promise.all([replica.connect(), primary.connect()]);
    await using _its = its;
    await using _ours = ours;
    await eventually('the replica to follow', async () => {
      return (await its.text('INFO', 'replication')).includes(`slave_repl_offset:${(await offsetOf(ours)) ?? ''}`);
    });
    const [one, other] = [await fingerprint(ours, binary), await fingerprint(its, binary)];
    source.expectSame(one, other);
    // Back again.
    await using restored = await RedisServer.start(binary);
    await using look = await restored.connect();
    const from = { root: journal.root, at: `mark:${mark}` };
    const back = await source.restore(restored, ['--yes'], { from });
    expect(back.exitCode, back.stderr).toBe(0);
    await source.expectKeys(look, before.keys, before);
  });

  test('come back to what they were by the line that is printed, run as it is', async () => {
    const { primary, journal } = source;
    await using client = await primary.connect();
    await client.callMany([
      ['SELECT', 3],
      ['DEL', 'string:only then'],
      ['SET', 'string:large', 'of today'],
      ['SET', 'other', '1'],
    ]);
    const before = await fingerprint(client, binary);
    const live = ['--i-know-this-is-live', `127.0.0.1:${primary.port}`];
    for (const [words, count] of [
      [['--keys', 'string:*', '--exclude', '*:1*', '--db', '3', '--ttl', 'shift'], 2],
      [['--only-missing', '--type', 'string'], 1],
    ] as const) {
      const result = await source.done(primary, [...words, ...live]);
      expect((result.changes as Changes).written).toBeGreaterThanOrEqual(count);
      await client.call('SELECT', 3);
      expect(await client.call('EXISTS', 'string:only then')).toBe(1);
      const line = String(result.wayBack);
      await journaled(client);
      const pasted = await promisify(execFile)('sh', ['-c', `${line} --yes --json`], {
        env: { ...process.env, PATH: `${await binWithJournal()}:${process.env.PATH ?? ''}` },
      });
      expect(JSON.parse(pasted.stdout)).toMatchObject({ destination: { deletesAbsent: true } });
      await source.expectKeys(client, before.keys, before);
    }
    const text = await source.restore(primary, ['--yes', '--keys', 'string:only*', ...live], { isText: true });
    const shown = /^as it was before: (journal restore --dir .* --keys 'string:only\*' --to .* --delete-absent .*)$/m;
    expect(text.stdout).toMatch(shown);
    expect(text.stdout).toContain(journal.root);
  });

  test('do not go into a live primary whose journal cannot be given a mark', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const own = await RunningJournal.attach({ port: server.port });
    await own.stop();
    const before = await fingerprint(client, binary);
    const from = { root: own.root, at: 'latest' };
    const live = ['--i-know-this-is-live', `127.0.0.1:${server.port}`];
    const refused = await source.restore(server, ['--yes', '--keys', 'string:*', ...live], { from });
    expect(jsonError(refused)).toMatchObject({ code: 'no-mark', exitCode: 4 });
    expect(jsonError(refused).hint).toContain('nothing was changed');
    await source.expectKeys(client, before.keys, before);
  });

  test.runIf(isAtLeast(binary, { redis: 6.2, valkey: 7 }))('interrupted, it is said what was written', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const stop = new AbortController();
    await client.call('CLIENT', 'PAUSE', 60_000, 'WRITE');
    const restoring = source.restore(server, ['--yes', '--keys', 'string:*'], { signal: stop.signal });
    await eventually('the first key', async () => (await client.text('CLIENT', 'LIST')).includes('cmd=restore'));
    stop.abort(new InterruptedError());
    const result = await restoring;
    expect(result.exitCode).toBe(130);
    expect(jsonError(result).message).toMatch(/has taken at least \d+ of \d+ keys; all that are not selected/);
    await client.call('CLIENT', 'UNPAUSE');
    await done(server, ['--keys', 'string:*']);
  });
});

/** A directory that has journal as it was built. */
async function binWithJournal(): Promise<string> {
  const directory = temporaryDirectory('bin');
  const main = path.resolve('dist/src/cli/main.js');
  await writeFile(path.join(directory, 'journal'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, {
    mode: 0o700,
  });
  return directory;
}

async function offsetOf(client: RespClient): Promise<string | undefined> {
  return /master_repl_offset:(\d+)/.exec(await client.text('INFO', 'replication'))?.[1];
}
