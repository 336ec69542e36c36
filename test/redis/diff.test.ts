// What became of keys between two moments: every row is what a comparison of the primary's own fingerprints says.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CliResult, cli } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { printable } from '../support/rdb-stream.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { Workload } from '../support/workload.ts';

interface Moment {
  readonly print: Fingerprint;
  readonly position: string;
  readonly at: number;
}

interface Row {
  readonly type: string;
  readonly change: string;
  readonly db: number;
  readonly key: string | { readonly base64: string };
  readonly differs?: readonly string[];
}

/** What ends about when a fingerprint was taken may be told either way. */
const unclearMs = 5_000;

describeServers('what became of keys', (binary) => {
  const seed = Date.now() >>> 0;
  let primary: RedisServer;
  let journal: RunningJournal;
  const moments: Moment[] = [];

  beforeAll(async () => {
    primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, {
      hashFieldTtl: true,
      keysPerType: 12,
      without: ['flushall', 'swapdb'],
    });
    await workload.run(client, 300);
    journal = await RunningJournal.attach({ port: primary.port });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    const take = async (): Promise<void> => {
      const print = await fingerprint(client, binary);
      moments.push({ print, position: `${print.position.id}:${print.position.offset}`, at: Date.now() });
    };
    await workload.run(client, 200);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'staged:ends', 'x', 'PX', 2 * unclearMs],
      ['SET', 'staged:stays', 'x'],
      ['SET', 'staged:goes', 'x'],
      ['SADD', 'staged:set', ...Array.from({ length: 2000 }, (_, i) => `member ${i}`)],
      ['RPUSH', 'staged:list', 'a', 'b'],
    ]);
    await take();
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'staged:stays', 'y'],
      ['SET', 'staged:stays', 'x'],
      ['DEL', 'staged:goes'],
      ['SET', Buffer.from('staged:\xff', 'latin1'), 'new'],
      ['SADD', 'staged:set', 'another'],
      ['SREM', 'staged:set', 'another'],
      ['DEL', 'staged:list'],
      ['SET', 'staged:list', 'a'],
    ]);
    await workload.run(client, 20);
    await take();
    await sleep(4 * unclearMs);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'staged:later', 'x'],
      ['EXPIRE', 'staged:stays', 10_000],
    ]);
    await take();
    await client.call('FLUSHDB');
    await workload.run(client, 50);
    await take();
    await journaled(client);
    // What follows is on another timeline.
    await client.call('DEBUG', 'CHANGE-REPL-ID');
    await client.call('CLIENT', 'KILL', 'TYPE', 'replica');
    await workload.run(client, 50);
    await journaled(client);
    await take();
    await journaled(client);
  }, 120_000);

  afterAll(async () => {
    await journal[Symbol.asyncDispose]();
    await primary[Symbol.asyncDispose]();
  });

  function diff(from: number, to: number, ...words: readonly string[]): Promise<CliResult> {
    const at = [from, to].flatMap((i) => ['--at', moments[i]!.position]);
    const where = ['--dir', journal.root, '--server-bin', binary.path, '--relative-ttl', 'convert'];
    return cli(['diff', ...at, ...where, ...words], { env: { PATH: process.env.PATH } });
  }

  async function rowsOf(result: CliResult): Promise<Row[]> {
    expect(result.exitCode, result.stderr).toBe(0);
    const rows = result.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
    const { type, ...counts } = rows.pop() as unknown as Record<string, unknown>;
    expect(type).toBe('summary');
    for (const change of ['added', 'removed', 'changed']) {
      expect(counts[change]).toBe(rows.filter((row) => row.change === change).length);
    }
    return rows;
  }

  function expected(before: Moment, after: Moment, wants: (full: string) => boolean): [string, string][] {
    const names = new Set([...before.print.keys.keys(), ...after.print.keys.keys()].filter(wants));
    return [...names].flatMap((full): [string, string][] => {
      const [was, is] = [before, after].map((moment) => presentAt(full, moment));
      if (was === undefined && is === undefined) return [];
      if (was === undefined) return [[full, 'added']];
      if (is === undefined) return [[full, 'removed']];
      const [one, other] = [was, is].map((facts) => ({
        ...before.print,
        digest: '',
        functions: new Map(),
        keys: new Map([[full, facts]]),
      }));
      return explainDifference(one!, other!, { expiryToleranceMs: 0 }).length === 0 ? [] : [[full, 'changed']];
    });
  }

  function presentAt(full: string, { print, at }: Moment): KeyFacts | undefined {
    const facts = print.keys.get(full);
    const { expireMs = null } = facts ?? {};
    return expireMs !== null && expireMs < at ? undefined : facts;
  }

  /** Whether it is clear what of it is there at each moment; what ends in a field is for other tests. */
  function isClear(full: string, ...of: readonly Moment[]): boolean {
    return of.every(({ print }) => {
      const { expireMs = null, fieldExpiries } = print.keys.get(full) ?? {};
      const isNear = (end: number): boolean => of.some(({ at }) => Math.abs(end - at) < unclearMs);
      const [first, last] = [Math.min(...of.map(({ at }) => at)), Math.max(...of.map(({ at }) => at))];
      const isAmid = (end: number): boolean => end > first - unclearMs && end < last + unclearMs;
      return (expireMs === null || !isNear(expireMs)) && ![...(fieldExpiries?.values() ?? [])].some(isAmid);
    });
  }

  function expires(full: string, ...of: readonly Moment[]): boolean {
    return of.some(({ print }) => (print.keys.get(full)?.expireMs ?? null) !== null);
  }

  test.each([
    [0, 1, ''],
    [1, 0, ''],
    [0, 2, ''],
    [1, 2, ''],
    [1, 3, ''],
    [3, 1, ''],
    [0, 2, '--keys staged:*'],
    [0, 2, '--keys *:1* --db 3'],
    [0, 3, '--exclude hash:*'],
    [2, 4, ''],
    [4, 3, ''],
  ])('from moment %d to %d %s: added, removed and changed as the fingerprints say', async (from, to, words) => {
    const rows = await rowsOf(await diff(from, to, '--json', ...words.split(' ').filter(Boolean)));
    const [before, after] = [moments[from]!, moments[to]!];
    const wants = (full: string): boolean => {
      if (!isClear(full, before, after)) return false;
      // Before 7.0 a stream tells relative times, and a base exact ones.
      if ([from, to].includes(4) && !before.print.expiriesExact && expires(full, before, after)) return false;
      if (words === '--keys staged:*') return /^db\d+:staged:/.test(full);
      if (words === '--keys *:1* --db 3') return /^db3:.*:1/s.test(full);
      return words === '' || !/^db\d+:hash:/.test(full);
    };
    const found = rows.map((row): [string, string] => [fullName(row), row.change]).filter(([full]) => wants(full));
    expect(found.sort(), `seed ${seed}`).toEqual(expected(before, after, wants).sort());
    if (words === '') expect(found.length).toBeGreaterThan(0);
  });

  test('rows say what differs, in print too', async () => {
    const rows = new Map(
      (await rowsOf(await diff(0, 1, '--json', '--keys', 'staged:*'))).map((row) => [fullName(row), row]),
    );
    expect(rows.get('db3:staged:list')).toMatchObject({ change: 'changed', differs: ['type'] });
    expect(rows.get('db3:staged:goes')).toMatchObject({ change: 'removed' });
    for (const name of ['stays', 'set', 'ends']) expect(rows.has(`db3:staged:${name}`)).toBe(false);
    const { stdout } = await diff(0, 2, '--keys', 'staged:*');
    expect(stdout).toMatch(/^removed {2}db 3 {2}"staged:ends"$/m);
    expect(stdout).toMatch(/^added {4}db 3 {2}"staged:\\xff"$/m);
    expect(stdout).toMatch(/^changed {2}db 3 {2}"staged:stays" {2}\(expiry: never → \d{4}-.*Z\)$/m);
    expect(stdout).toMatch(/^\d+ added, \d+ removed, \d+ changed\n$/m);
  });

  test('with --before is from the earlier moment on, and of one command what that did', async () => {
    const found = await cli(['find', '--dir', journal.root, '--key', 'staged:later', '--command', 'SET', '--json']);
    const { position } = JSON.parse(found.stdout.split('\n')[0]!) as { position: string };
    const where = ['--dir', journal.root, '--server-bin', binary.path, '--relative-ttl', 'convert', '--json'];
    for (const order of [
      ['--before', position, '--at', position],
      ['--at', position, '--before', position],
    ]) {
      const rows = await rowsOf(await cli(['diff', ...order, ...where], { env: { PATH: process.env.PATH } }));
      expect(rows.map(({ change, db, key }) => [change, db, key])).toEqual([['added', 3, 'staged:later']]);
    }
    const one = await cli(['diff', '--before', position, '--dir', journal.root]);
    expect(one).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('two moments are compared') as string });
  });

  test('of a moment and itself nothing is told but that', async () => {
    expect((await diff(2, 2)).stdout).toBe('0 added, 0 removed, 0 changed\n');
  });
});

function fullName({ db, key }: Row): string {
  return `db${db}:${printable(typeof key === 'string' ? Buffer.from(key) : Buffer.from(key.base64, 'base64'))}`;
}
