// Some keys of a moment, written into a server that goes on: they are there what they were, in every TTL mode, under their
// names or others, and every other key is byte for byte as it was. A live primary is given a mark first, and is brought back
// by it. What would hurt is refused, with the server as it was.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CliOptions, type CliResult, cli, json, jsonError } from '../cli/cli.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { glob } from '../../src/redis/glob.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

interface Changes {
  readonly written: number;
  readonly deleted: number;
  readonly elapsed: number;
  readonly mark: string | null;
}

describeServers('some keys into a running server', (binary) => {
  const seed = Date.now() >>> 0;
  const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };
  let primary: RedisServer;
  let journal: RunningJournal;
  /** At T. */
  let taken: Fingerprint;

  beforeAll(async () => {
    primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true, keysPerType: 12, without: ['flushall'] });
    await workload.run(client, 300);
    journal = await RunningJournal.attach({ port: primary.port });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(client, 500);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'string:elapsed', 'x', 'PX', 5],
      ['SET', 'string:stays', 'x', 'PX', 3_600_000],
      ['SET', 'string:only then', 'x'],
      ['SET', Buffer.from('string:\xff\x00', 'latin1'), 'binary'],
      ['SET', 'string:large', Buffer.alloc(3_000_000, 7)],
    ]);
    await sleep(20);
    taken = await fingerprint(client, binary);
    await journaled(client);
  });

  afterAll(async () => {
    await journal[Symbol.asyncDispose]();
    await primary[Symbol.asyncDispose]();
  });

  function restore(
    to: { readonly port: number },
    words: readonly string[],
    options: CliOptions & { readonly from?: { readonly root: string; readonly at: string } } = {},
  ): Promise<CliResult> {
    const { id, offset } = taken.position;
    const { root, at } = options.from ?? { root: journal.root, at: `${id}:${offset}` };
    const argv = ['restore', '--at', at, '--dir', root, '--server-bin', binary.path, '--relative-ttl', 'convert'];
    const all = [...argv, '--json', '--to', `redis://127.0.0.1:${to.port}`, ...words];
    return cli(all, { ...options, env: { PATH: process.env.PATH, ...options.env } });
  }

  async function done(to: { readonly port: number }, words: readonly string[]): Promise<Changes> {
    const result = await restore(to, ['--yes', ...words]);
    expect(result.exitCode, result.stderr).toBe(0);
    return json(result).changes as Changes;
  }

  /** A server that has keys of these names, and others. */
  async function startBusy(): Promise<RedisServer> {
    const server = await RedisServer.start(binary);
    await using client = await server.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await new Workload(seed + 1, binary, { hashFieldTtl: true, keysPerType: 16, without: ['flushall'] }).run(
      client,
      400,
    );
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

  /** What is there afterwards, but for what elapses meanwhile. */
  async function expectKeys(client: RespClient, wanted: ReadonlyMap<string, KeyFacts>, of: Fingerprint): Promise<void> {
    const found = await fingerprint(client, binary);
    const expected = { ...of, digest: '', keys: wanted };
    const differences = explainDifference(
      expected,
      { ...found, digest: '' },
      { ...tolerance, elapsedAtMs: Date.now() },
    );
    expect(differences, `seed ${seed}`).toEqual([]);
  }

  /** Those of `before`, and of T the ones that are wanted and have not elapsed. */
  function merged(
    before: Fingerprint,
    wants: (key: Named) => boolean,
    rename = (full: string): string => full,
  ): Map<string, KeyFacts> {
    const keys = new Map(before.keys);
    for (const [full, facts] of taken.keys) {
      if (!wants(named(full)) || (facts.expireMs !== null && facts.expireMs <= Date.now())) continue;
      keys.set(rename(full), facts);
    }
    return keys;
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
      await expectKeys(client, merged(before, wants), before);
      expect(changes).toMatchObject({ deleted: 0, mark: null });
      const selected = [...taken.keys.keys()].filter((full) => wants(named(full))).length;
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
    await expectKeys(
      client,
      merged(before, wants, (full) => full.replace(/^db3:/, 'db3:old ')),
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
    await expectKeys(client, merged({ ...before, keys: kept }, wants), before);
    expect(deleted).toBeGreaterThanOrEqual(3);
    await client.call('SELECT', 3);
    expect(await client.call('EXISTS', 'string:elapsed', 'string:only now')).toBe(0);
    expect(await client.call('EXISTS', 'string:only then')).toBe(1);
    await client.call('SELECT', 5);
    expect(await client.call('EXISTS', 'other')).toBe(1);
  });

  test.each(['as-of', 'shift', 'persist'])('with --ttl %s are those of the whole restore with that', async (ttl) => {
    const shiftOf = (result: CliResult): number => {
      expect(result.exitCode, result.stderr).toBe(0);
      return Math.round((json(result).ttlOutcome as { readonly shiftedBy: number }).shiftedBy * 1000);
    };
    await using whole = await RedisServer.start(binary);
    const shifted = shiftOf(await restore(whole, ['--yes', '--ttl', ttl]));
    await using look = await whole.connect();
    const reference = await fingerprint(look, binary);
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const later = shiftOf(await restore(server, ['--yes', '--keys', 's*', '--keys', 'h*', '--ttl', ttl])) - shifted;
    expect(later > 0).toBe(ttl === 'shift');
    const wanted = new Map(before.keys);
    for (const [full, { expireMs, fieldExpiries, ...facts }] of reference.keys) {
      if (!/^[sh]/.test(named(full).name.toString('latin1'))) continue;
      const fields = fieldExpiries && new Map([...fieldExpiries].map(([name, at]) => [name, at + later]));
      const moved = { expireMs: expireMs && expireMs + later, ...(fields !== undefined && { fieldExpiries: fields }) };
      wanted.set(full, { ...facts, ...moved });
    }
    await expectKeys(client, wanted, before);
  });

  test('of which there are none leave the server as it was, with exit code 3', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const result = await restore(server, ['--yes', '--keys', 'no such key']);
    expect(result.exitCode).toBe(3);
    expect(json(result).warnings).toContain('no key is what was asked for: nothing is written');
    await expectKeys(client, before.keys, before);
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
      const refused = await restore(server, ['--keys', 'string:*', ...words]);
      expect(refused.stderr).toContain(code);
      expect(jsonError(refused)).toMatchObject({ code, exitCode });
      await expectKeys(client, before.keys, before);
    });

    test('where there is no such db, or a replica that nobody spoke of', async () => {
      await using server = await RedisServer.start(binary, { config: { databases: '2' } });
      await using client = await server.connect();
      const refused = await restore(server, ['--yes', '--keys', 'string:*']);
      expect(jsonError(refused)).toMatchObject({ code: 'target-db', exitCode: 1 });
      expect(await client.call('DBSIZE')).toBe(0);
      await using replica = await RedisServer.start(binary, { config: { replicaof: `127.0.0.1 ${server.port}` } });
      await eventually('the replica', async () => (await client.text('INFO', 'replication')).includes('state=online'));
      const has = await restore(server, ['--yes', '--keys', 'string:*', '--db', '0']);
      expect(jsonError(has)).toMatchObject({ code: 'target-has-replicas', exitCode: 7 });
      expect(jsonError(has).message).toContain('which would be given the same keys');
      const into = await restore(replica, ['--yes', '--keys', 'string:*', '--db', '0']);
      expect(jsonError(into)).toMatchObject({ code: 'target-is-replica', exitCode: 7 });
      expect(await client.call('DBSIZE')).toBe(0);
    });

    test('--delete-absent of everything, or of no server', async () => {
      await using server = await startBusy();
      const refused = await restore(server, ['--yes', '--delete-absent']);
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
    const result = await restore(server, ['--yes', '--keys', 'string:*', '--target-user', 'narrow'], { env });
    expect(result.exitCode).toBe(10);
    expect(jsonError(result).message).toMatch(
      /RESTORE of the key 'string:.*' of db \d+ failed: NOPERM.*has taken at least \d+ of \d+ keys; all that are not/,
    );
    await done(server, ['--keys', 'string:*']);
    const wants = ({ name }: Named): boolean => name.toString('latin1').startsWith('string:');
    await expectKeys(client, merged(before, wants), before);
  });

  test('go into the live primary with a mark before them, and to its replica; the mark is the way back', async () => {
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
    const refused = await restore(primary, words);
    expect(jsonError(refused)).toMatchObject({ code: 'target-is-live', exitCode: 7 });
    await expectKeys(client, before.keys, before);
    const live = ['--i-know-this-is-live', `127.0.0.1:${primary.port}`];
    const { mark } = await done(primary, [...words.slice(1), ...live]);
    expect(mark).toMatch(/^before-restore-/);
    const wants = ({ name }: Named): boolean => name.toString('latin1').startsWith('string:');
    await expectKeys(client, merged(before, wants), before);
    await journaled(client);
    const [its, ours] = await Promise.all([replica.connect(), primary.connect()]);
    await using _its = its;
    await using _ours = ours;
    await eventually('the replica to follow', async () => {
      return (await its.text('INFO', 'replication')).includes(`slave_repl_offset:${(await offsetOf(ours)) ?? ''}`);
    });
    const [one, other] = [await fingerprint(ours, binary), await fingerprint(its, binary)];
    expect(explainDifference(one, other, { ...tolerance, elapsedAtMs: Date.now() })).toEqual([]);
    // Back again.
    await using restored = await RedisServer.start(binary);
    await using look = await restored.connect();
    const from = { root: journal.root, at: `mark:${mark}` };
    const back = await restore(restored, ['--yes'], { from });
    expect(back.exitCode, back.stderr).toBe(0);
    await expectKeys(look, before.keys, before);
  });

  test('do not go into a live primary whose journal cannot be given a mark', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const own = await RunningJournal.attach({ port: server.port });
    await own.stop();
    const before = await fingerprint(client, binary);
    const from = { root: own.root, at: 'latest' };
    const live = ['--i-know-this-is-live', `127.0.0.1:${server.port}`];
    const refused = await restore(server, ['--yes', '--keys', 'string:*', ...live], { from });
    expect(jsonError(refused)).toMatchObject({ code: 'no-mark', exitCode: 4 });
    expect(jsonError(refused).hint).toContain('nothing was changed');
    await expectKeys(client, before.keys, before);
  });

  test.runIf(isAtLeast(binary, { redis: 6.2, valkey: 7 }))('interrupted, it is said what was written', async () => {
    await using server = await startBusy();
    await using client = await server.connect();
    const stop = new AbortController();
    await client.call('CLIENT', 'PAUSE', 60_000, 'WRITE');
    const restoring = restore(server, ['--yes', '--keys', 'string:*'], { signal: stop.signal });
    await eventually('the first key', async () => (await client.text('CLIENT', 'LIST')).includes('cmd=restore'));
    stop.abort(new InterruptedError());
    const result = await restoring;
    expect(result.exitCode).toBe(130);
    expect(jsonError(result).message).toMatch(/has taken at least \d+ of \d+ keys; all that are not selected/);
    await client.call('CLIENT', 'UNPAUSE');
    await done(server, ['--keys', 'string:*']);
  });
});

interface Named {
  readonly db: number;
  readonly name: Buffer;
}

function named(full: string): Named {
  const [, db = '', shown = ''] = /^db(\d+):(.*)$/s.exec(full) ?? [];
  const bytes = shown.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { db: Number(db), name: Buffer.from(bytes, 'latin1') };
}

async function offsetOf(client: RespClient): Promise<string | undefined> {
  return /master_repl_offset:(\d+)/.exec(await client.text('INFO', 'replication'))?.[1];
}
