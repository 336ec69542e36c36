// Ten million keys, and a value of 100 MB among the commands behind them: restored exactly, all of them or some, in no more
// memory of our own than with few.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber, type RespClient } from '../support/resp-client.ts';
import { restoreProcess } from '../support/restore-process.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';

const keyCount = 10_000_000;
const patienceMs = 900_000;
/** Of our own process; the kernel counts pages that the collector has let go of, and takes back later. */
const budgetMb = 200;
const marginMb = 30;

/** All but what begins with `key:1`, a million and a hundred thousand of the keys. */
const removeOthers = `local at = '0'
  repeat
    local found = redis.call('SCAN', at, 'COUNT', 10000)
    at = found[1]
    for _, key in ipairs(found[2]) do if string.sub(key, 1, 5) ~= 'key:1' then redis.call('UNLINK', key) end end
  until at == '0'`;

async function digestOf(client: RespClient): Promise<string> {
  return `${replyNumber(await client.call('DBSIZE'))} keys, ${await client.text('DEBUG', 'DIGEST')}`;
}

describeServers(
  'ten million keys',
  (binary) => {
    let root = '';
    const digests = { all: '', some: '' };

    beforeAll(async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await client.call('DEBUG', 'POPULATE', keyCount, 'key', 20);
      {
        await using journal = await RunningJournal.attach({ port: primary.port, readyTimeoutMs: patienceMs });
        root = journal.root;
        for (let at = 0; at < 300_000; at += 1000) {
          const numbers = Array.from({ length: 1000 }, (_, i) => at + i);
          await client.callMany(
            numbers.map((i) => (i % 3 === 0 ? ['RENAME', `key:${i}`, `key:1${i}:was`] : ['APPEND', `key:${i}`, i])),
          );
        }
        await client.call('SET', 'key:1:large', randomBytes(100_000_000));
        await client.call('RENAME', 'key:1:large', 'key:1:larger');
        await journaled(client, patienceMs);
      }
      digests.all = await digestOf(client);
      await client.call('EVAL', removeOthers, 0);
      digests.some = await digestOf(client);
      expect(digests.some).toMatch(/^117\d{4} keys/);
    }, patienceMs);

    test.each<['directory' | 'rdb', readonly string[], keyof typeof digests]>([
      ['directory', [], 'all'],
      ['directory', ['--keys', 'key:1*'], 'some'],
      ['rdb', [], 'all'],
      ['rdb', ['--keys', 'key:1*'], 'some'],
    ])('come back exactly, in as little memory as few: %s %j', async (to, words, what) => {
      const dir = temporaryDirectory('restored');
      const out = to === 'rdb' ? `rdb:${path.join(dir, 'dump.rdb')}` : path.join(dir, 'out');
      const argv = ['--dir', root, '--server-bin', binary.path, '--at', 'latest', '--to', out, ...words];
      const { exitCode, stderr, peakMb } = await restoreProcess(argv, path.join(dir, 'stdout'));
      expect(exitCode, stderr).toBe(0);
      const options = { readyTimeoutMs: patienceMs };
      await using server = await (to === 'rdb'
        ? RedisServer.start(binary, { dir, ...options })
        : RedisServer.startFrom(binary, out, options));
      await using client = await server.connect();
      expect(await digestOf(client)).toBe(digests[what]);
      expect(peakMb).toBeLessThan(budgetMb + marginMb);
    });
  },
  { where: ({ kind, major }) => kind === 'redis' && major === 7 },
);
