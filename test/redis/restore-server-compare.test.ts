// What some keys would do to a running server: every row is what a comparison of two fingerprints says, nothing is written,
// and afterwards it is done as it was said.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { printable } from '../support/rdb-stream.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';
import { TakenJournal } from './taken-journal.ts';

interface Row {
  readonly change: string;
  readonly db: number;
  readonly key: string | { readonly base64: string };
  readonly name?: string;
  readonly differs?: readonly string[];
}

describeServers('some keys beside those of a running server', (binary) => {
  let source: TakenJournal;
  /** What a restore of everything sets. */
  let whole: Fingerprint;

  beforeAll(async () => {
    source = await TakenJournal.start(binary, {
      workload: { keysPerType: 12, without: ['flushall'] },
      commands: [
        ['SELECT', 3],
        ['SET', 'string:elapsed', 'x', 'PX', 5],
        ['SET', 'string:expires', 'x', 'PX', 3_600_000],
        ['SET', Buffer.from('string:\xff\x00', 'latin1'), 'binary'],
      ],
    });
    await using server = await RedisServer.start(binary);
    await using look = await server.connect();
    await source.done(server);
    whole = await fingerprint(look, binary);
  });

  afterAll(() => source[Symbol.asyncDispose]());

  /** With some of the keys as they were, some that have changed since, and others. */
  async function startOther(): Promise<RedisServer> {
    const server = await RedisServer.start(binary);
    await using client = await server.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'string:elapsed', 'of now'],
      ['SET', 'string:only now', 'x'],
      ['SET', 'other', 'x'],
    ]);
    await source.done(server, ['--exclude', '*:1*', '--exclude', '*elapsed']);
    // What befalls a whole db would befall the keys above, too.
    const options = { hashFieldTtl: true, keysPerType: 20, without: ['flushall', 'flushdb', 'swapdb'] };
    await new Workload(source.seed + 1, binary, options).run(client, 60);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'string:expires', 'x', 'PX', 7_200_000],
    ]);
    return server;
  }

  function expectedRows(before: Fingerprint, wants: (full: string) => boolean): Map<string, string> {
    const rows = new Map<string, string>();
    for (const [full, facts] of whole.keys) {
      if (wants(full)) rows.set(full, stateOf(full, facts, before));
    }
    for (const full of before.keys.keys()) {
      if (wants(full) && !whole.keys.has(full)) rows.set(full, source.taken.keys.has(full) ? 'elapsed' : 'absent');
    }
    return rows;
  }

  function stateOf(full: string, facts: KeyFacts, before: Fingerprint): string {
    const held = before.keys.get(full);
    if (held === undefined) return 'created';
    const [one, other] = [facts, held].map((each) => ({ ...before, digest: '', keys: new Map([[full, each]]) }));
    const differences = explainDifference(one!, other!, { expiryToleranceMs: 0 });
    return differences.length === 0 ? 'identical' : 'changed';
  }

  /** Fields and keys of a workload elapse while a test runs. */
  function staysPut(full: string, ...of: readonly Fingerprint[]): boolean {
    const soon = Date.now() + 60_000;
    return of.every(({ keys }) => {
      const { expireMs = null, fieldExpiries } = keys.get(full) ?? {};
      return [expireMs ?? soon, ...(fieldExpiries?.values() ?? [])].every(
        (at) => at >= soon || at < Date.now() - 60_000,
      );
    });
  }

  async function writes(client: RespClient): Promise<string[]> {
    const stats = await client.text('INFO', 'commandstats');
    const calls = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
    return calls.filter(([, name = '']) => !reading.test(name)).map(([, name, count]) => `${name} ${count}`);
  }

  test.each([
    ['--keys string:* --keys hash:*', /^db\d+:(string|hash):/],
    ['--keys *:1*', /^db\d+:.*:1/s],
    ['--db 3 --exclude hll:*', /^db3:(?!hll:)/],
    ['--keys * --exclude *:2', /^(?!.*:2$)/s],
  ])('%s: are told row by row, and nothing is written', async (words, pattern) => {
    await using server = await startOther();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const wrote = await writes(client);
    const result = await source.restore(server, ['--dry-run', ...words.split(' ')]);
    expect(result.exitCode, result.stderr).toBe(0);
    expect(await writes(client)).toEqual(wrote);
    const after = await fingerprint(client, binary);
    expect(explainDifference(before, after, { elapsedAtMs: Date.now() })).toEqual([]);

    const { rows, comparison } = json(result) as { rows: Row[]; comparison: Record<string, number> };
    const wants = (full: string): boolean => pattern.test(full) && staysPut(full, before, whole, source.taken);
    const found = new Map(rows.map((row) => [fullName(row), row.change]));
    const told = [...found].filter(([full]) => wants(full)).sort();
    expect(told, `seed ${source.seed}`).toEqual([...expectedRows(before, wants)].sort());
    for (const state of ['created', 'changed', 'identical', 'absent']) {
      expect(comparison[state]).toBe(rows.filter((row) => row.change === state).length);
    }
  });

  test('all kinds are there, with what differs, and it comes as it was said', async () => {
    await using server = await startOther();
    await using client = await server.connect();
    const words = ['--keys', 'string:*', '--db', '3'];
    const said = json(await source.restore(server, ['--dry-run', ...words, '--delete-absent']));
    const rows = new Map(
      (said.rows as Row[]).map((row) => [typeof row.key === 'string' ? row.key : row.key.base64, row]),
    );
    expect(rows.get('string:expires')).toMatchObject({ change: 'changed', differs: ['expiry'] });
    expect(rows.get('string:only now')).toMatchObject({ change: 'absent' });
    expect(rows.get('string:elapsed')).toMatchObject({ change: 'elapsed' });
    expect(rows.get(Buffer.from('string:\xff\x00', 'latin1').toString('base64'))).toMatchObject({
      change: 'identical',
    });
    const text = await source.restore(server, ['--dry-run', ...words, '--delete-absent'], { isText: true });
    expect(text.stdout).toMatch(/^changed {5}db 3 {2}"string:expires" {2}\(expiry\)$/m);
    expect(text.stdout).toMatch(/^absent {6}db 3 {2}"string:only now" {2}\(to be deleted\)$/m);
    expect(text.stdout).toMatch(/^identical {3}db 3 {2}"string:\\xff\\x00"$/m);
    expect(text.stdout).toContain('nothing was written');
    await source.done(server, [...words, '--delete-absent']);
    const { comparison, rows: again } = json(await source.restore(server, ['--dry-run', ...words])) as {
      comparison: Record<string, number>;
      rows: Row[];
    };
    expect(again.filter(({ change }) => change !== 'identical')).toEqual([]);
    expect(comparison).toMatchObject({ created: 0, changed: 0, absent: 0 });
    await client.call('SELECT', 3);
    expect(await client.call('EXISTS', 'string:only now', 'string:elapsed')).toBe(0);
  });

  test('under other names they are compared with those, and nobody looks for absent ones', async () => {
    await using server = await startOther();
    await using client = await server.connect();
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'old string:expires', 'another'],
    ]);
    const result = await source.restore(server, [
      '--dry-run',
      '--keys',
      'string:*',
      '--db',
      '3',
      '--rename',
      's/^/old /',
    ]);
    const { rows, comparison } = json(result) as { rows: Row[]; comparison: Record<string, number | null> };
    expect(comparison).toMatchObject({ absent: null, identical: 0, changed: 1 });
    const changed = { change: 'changed', name: 'old string:expires', key: 'string:expires' };
    expect(rows.filter(({ change }) => change === 'changed')).toMatchObject([changed]);
  });

  test('that are none are an empty list, with exit code 3', async () => {
    await using server = await startOther();
    const result = await source.restore(server, ['--dry-run', '--keys', 'no such key']);
    expect(result.exitCode).toBe(3);
    expect(json(result)).toMatchObject({ rows: [], comparison: { created: 0, changed: 0 }, keys: { taken: 0 } });
  });

  test('of a user who may not look are refused with what it takes', async () => {
    if (!isAtLeast(binary, { redis: 6, valkey: 7 })) return;
    await using server = await startOther();
    await using client = await server.connect();
    const functions = isAtLeast(binary, { redis: 7, valkey: 7 }) ? ['+function'] : [];
    await client.call(
      'ACL',
      'SETUSER',
      'default',
      'reset',
      'on',
      'nopass',
      '~*',
      '+info',
      '+select',
      '+config',
      ...functions,
    );
    const result = await source.restore(server, ['--dry-run', '--keys', 'string:*']);
    expect(result.exitCode).toBe(10);
    expect(result.stderr).toContain('+dump');
  });
});

const reading =
  /^(info|client|select|dump|pexpiretime|pttl|time|scan|type|function|config|auth|hello|debug|save|ping|replicaof|slaveof)(\||$)/;

function fullName({ db, key }: Row): string {
  const bytes = typeof key === 'string' ? Buffer.from(key) : Buffer.from(key.base64, 'base64');
  return `db${db}:${printable(bytes)}`;
}
