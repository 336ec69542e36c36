// What a key was after each step: what clients of the primary saw there, of every type, in several dbs, elapsed or not.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { cli } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type Command, ReplyError, type RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { absent, seenBy, told, type Seen, type ValueRow } from '../support/seen-values.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';

const binaryKey = Buffer.from([0xff, 0x2a, 0x00]);
const keys: readonly (string | Buffer)[] = ['a', 'b', 'two words', binaryKey];
const dbs = [0, 3];
function shown(key: string | Buffer): string {
  return typeof key === 'string' ? key : Array.from(key, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

async function offsetOf(client: RespClient): Promise<number> {
  return Number(/^master_repl_offset:(\d+)/m.exec(await client.text('INFO', 'replication'))?.[1]);
}

function maker(random: Random, binary: ServerBinary): () => Command[] {
  const key = (): string | Buffer => random.pick(keys);
  const word = (): string | Buffer =>
    random.pick(['x', 'two words', '12', 'é', '', Buffer.from([0xfe, 0x0a]), 'y'.repeat(90)]);
  const number = (): number => random.between(-3, 70_000);
  const has = (redis: number, valkey: number): boolean => isAtLeast(binary, { redis, valkey });
  let id = 0;
  const kinds: (() => Command)[] = [
    () => ['SET', key(), word()],
    () => ['APPEND', key(), word()],
    () => ['RPUSH', key(), word(), number()],
    () => ['LPOP', key()],
    () => ['SADD', key(), number(), word()],
    () => ['SADD', key(), number()],
    () => ['ZADD', key(), random.pick(['1.5', '-inf', '3', '0.1']), word(), 'inf', number()],
    () => ['HSET', key(), word(), word(), 'field', number()],
    () => ['HDEL', key(), word()],
    () => ['XADD', key(), `${(id += 1)}-1`, 'f', word(), word(), number()],
    () => ['XADD', key(), `${(id += 1)}-18446744073709551615`, 'f', word()],
    () => ['XTRIM', key(), 'MAXLEN', 2],
    () => ['XGROUP', 'CREATE', key(), 'group', '$'],
    () => ['DEL', key()],
    () => ['RENAME', key(), key()],
    () => ['MOVE', key(), 3],
    () => ['SUNIONSTORE', key(), key(), key()],
    () => ['PEXPIRE', key(), random.pick([40, 100_000])],
    () => ['PERSIST', key()],
    () => ['SWAPDB', 0, 3],
    () => ['EVAL', "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1])", 2, key(), key(), word()],
    ...(has(6.2, 7) ? [(): Command => ['COPY', key(), key(), 'DB', random.pick(dbs)]] : []),
    ...(has(7.4, 9) ? [(): Command => ['HPEXPIRE', key(), 100_000, 'FIELDS', 1, 'field']] : []),
  ];
  return () => {
    const select: Command[] = random.chance(0.1) ? [['SELECT', random.pick(dbs)]] : [];
    if (random.chance(0.02)) return [...select, ['FLUSHDB']];
    if (!random.chance(0.15)) return [...select, random.pick(kinds)()];
    return [...select, ['MULTI'], random.pick(kinds)(), random.pick(kinds)(), ['EXEC']];
  };
}

async function rowsOf(
  binary: ServerBinary,
  root: string,
  key: string | Buffer,
  ...words: string[]
): Promise<ValueRow[]> {
  const more = ['--json', '--relative-ttl', 'convert', '--server-bin', binary.path, ...words];
  const { exitCode, stdout, stderr } = await cli(['history', shown(key), '--dir', root, ...more]);
  expect([stderr, [0, 1].includes(exitCode)]).toEqual(['', true]);
  const lines = Buffer.from(stdout, 'latin1').toString().split('\n');
  return lines
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as ValueRow]))
    .filter(({ type }) => type === 'value');
}

describeServers('the history of a key', (binary) => {
  const isExact = isAtLeast(binary, { redis: 7, valkey: 7 });

  test('has at each step the value that clients saw', { timeout: 180_000 }, async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using other = await primary.connect();
    const next = maker(random, binary);
    const step = async (): Promise<void> => {
      for (const reply of await client.callMany(next())) {
        if (
          reply instanceof ReplyError &&
          !/WRONGTYPE|no such key|are the same|not exist|to exist|equal or smaller|BUSYGROUP/.test(reply.message)
        )
          throw new Error(`seed ${seed}: ${reply.message}`);
      }
    };
    for (let i = 0; i < 20; i += 1) await step();
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 16 * 1024 });
    const seen: { offset: number; states: Map<string, Seen> }[] = [];
    for (let i = 0; i < 120; i += 1) {
      await step();
      if (random.chance(0.05)) await sleep(50);
      const states = new Map<string, Seen>();
      for (const db of dbs) {
        await other.call('SELECT', db);
        for (const key of keys) states.set(`${db} ${shown(key)}`, await seenBy(other, key));
      }
      seen.push({ offset: await offsetOf(other), states });
    }
    await journaled(client);

    for (const key of keys) {
      const rows = await rowsOf(binary, journal.root, key, '--values');
      for (const { offset, states } of seen) {
        for (const db of dbs) {
          const row = rows.findLast((one) => one.db === db && Number(one.position.slice(41)) <= offset);
          const expected = states.get(`${db} ${shown(key)}`)!;
          const found = row === undefined ? absent : told(row);
          const what = `seed ${seed}, ${shown(key)} in db ${db} at ${offset}`;
          if (expected.type === 'none' && row?.state === 'elapsed') continue;
          expect([found.type, found.value], what).toEqual([expected.type, expected.value]);
          if (isExact) expect(Math.abs(found.endsMs - expected.endsMs), what).toBeLessThan(1500);
        }
      }
      const some = seen[seen.length >>> 1]!;
      const id = rows[0]?.position.slice(0, 40) ?? 'latest';
      for (const row of await rowsOf(
        binary,
        journal.root,
        key,
        '--at',
        id === 'latest' ? id : `${id}:${some.offset}`,
      )) {
        const expected = id === 'latest' ? absent : some.states.get(`${row.db} ${shown(key)}`)!;
        if (row.state !== 'elapsed') expect(told(row).value, `seed ${seed}, ${shown(key)}`).toEqual(expected.value);
      }
    }
  });

  test('tells what had elapsed, what is absent, and fields of a hash that end', { timeout: 60_000 }, async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await client.call('SET', 'before', 'it');
    await using journal = await RunningJournal.attach({ port: primary.port });
    const hasFieldTtl = isAtLeast(binary, { redis: 7.4, valkey: 9 });
    await client.call('SET', 'gone', 'soon', 'PX', 60);
    await client.call('HSET', 'pairs', 'goes', '1', 'ends', '2', 'stays', '3');
    if (hasFieldTtl) {
      await client.call('HPEXPIRE', 'pairs', 60, 'FIELDS', 1, 'goes');
      await client.call('HPEXPIRE', 'pairs', 600_000, 'FIELDS', 1, 'ends');
    }
    await sleep(200);
    await client.call('SET', 'before', 'other');
    await journaled(client);
    const at = (key: string): Promise<ValueRow[]> => rowsOf(binary, journal.root, key, '--at', 'latest');
    expect(await at('gone')).toMatchObject([{ state: 'elapsed', value: 'soon', db: 0 }]);
    if (hasFieldTtl) {
      const [pairs] = (await at('pairs')) as (ValueRow & { fieldExpires: unknown; elapsedFields?: number })[];
      expect(pairs).toMatchObject({ value: { ends: '2', stays: '3' } });
      expect(Object.keys(pairs!.fieldExpires as object)).toEqual(['ends']);
    }
    expect(await at('nobody')).toMatchObject([{ state: 'absent', value: null, valueType: null }]);
    expect(await rowsOf(binary, journal.root, 'gone', '--values')).toMatchObject([{ state: 'present', value: 'soon' }]);
    expect((await rowsOf(binary, journal.root, 'before', '--values')).map(({ when, value }) => [when, value])).toEqual([
      ['before', 'it'],
      ['after', 'other'],
    ]);
    const { position } = (await rowsOf(binary, journal.root, 'before', '--values')).at(-1)!;
    expect(await rowsOf(binary, journal.root, 'before', '--before', position)).toMatchObject([{ value: 'it' }]);
    expect(await rowsOf(binary, journal.root, 'before', '--at', position)).toMatchObject([{ value: 'other' }]);
    const many = await cli(['history', 'bef*', '--dir', journal.root]);
    expect(many).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("journal find --key 'bef*'") as string });
    const text = await cli([
      'history',
      'before',
      '--dir',
      journal.root,
      '--values',
      '--relative-ttl',
      'convert',
      '--server-bin',
      binary.path,
    ]);
    expect(text.stdout.split('\n')).toMatchObject([
      '    before: db 0  string  it',
      expect.stringMatching(/^received/) as string,
      expect.stringMatching(/SET before other$/) as string,
      '    = db 0  string  other',
      '',
    ]);
  });

  test('goes on behind a gap with what the key was there', { timeout: 60_000 }, async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using journal = await RunningJournal.attach({ port: primary.port });
    await client.callMany([
      ['RPUSH', 'list', 'a'],
      ['MULTI'],
      ['RPUSH', 'list', 'b'],
      ['RPUSH', 'list', 'c'],
      ['EXEC'],
    ]);
    await journaled(client);
    await journal.stop();
    await client.callMany([
      ['RPUSH', 'list', 'unseen'],
      ['DEBUG', 'CHANGE-REPL-ID'],
    ]);
    await using again = await RunningJournal.attach({ port: primary.port, root: journal.root });
    await client.callMany([
      ['LPOP', 'list'],
      ['DEL', 'list'],
    ]);
    await journaled(client);
    const words = ['--json', '--values', '--relative-ttl', 'convert', '--server-bin', binary.path];
    const { stdout } = await cli(['history', 'list', '--dir', again.root, ...words]);
    const rows = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as ValueRow]));
    expect(rows.map(({ type, when, state, value }) => (type === 'value' ? [when, state, value] : type))).toEqual([
      ...['command', ['after', 'present', ['a']]],
      ...['command', 'command', ['after', 'present', ['a', 'b', 'c']]],
      ...['gap', ['before', 'present', ['a', 'b', 'c', 'unseen']]],
      ...['command', ['after', 'present', ['b', 'c', 'unseen']]],
      ...['command', ['after', 'absent', null]],
    ]);
    const limited = await cli(['history', 'list', '--dir', again.root, '--limit', '2', ...words]);
    expect(
      limited.stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as ValueRow).type),
    ).toEqual([...['command', 'value', 'command', 'value']]);
  });

  test.each([
    [['--at', 'latest', '--from', '-1h'], 'ask for one moment'],
    [['--at', 'latest', '--at', '-1h'], '--at is given more than once'],
    [['--at', 'latest', '--server-bin', '/nowhere'], 'is no redis-server'],
  ])('%j is refused', async (words, message) => {
    await using primary = await RedisServer.start(binary);
    await using journal = await RunningJournal.attach({ port: primary.port });
    const refused = await cli(['history', 'key', '--dir', journal.root, ...words]);
    expect([refused.exitCode, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain(message);
  });
});
