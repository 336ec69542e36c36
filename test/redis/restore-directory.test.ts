// Restored directories, started by stock servers: the keys are there, each in its db, with the times at which they end.
// The base is what the very server saved; the stream is written by hand, so that it holds what is awkward.
import { cp, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { command } from '../redis-protocol/bytes.ts';
import { describeServers } from '../support/describe-servers.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber, type RespClient } from '../support/resp-client.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';

const id = 'a'.repeat(40);
const isMultiPart = (binary: ServerBinary): boolean => isAtLeast(binary, { redis: 7, valkey: 7 });

/** What a server of this kind saves after some writes in two dbs. */
async function savedBase(binary: ServerBinary): Promise<Buffer> {
  await using server = await RedisServer.start(binary);
  await using client = await server.connect();
  await client.callMany([
    ['SET', 'from-base', 'base'],
    ['SET', 'counter', '10'],
    ['SELECT', '11'],
    ['RPUSH', 'list', 'a', 'b'],
    ['SELECT', '0'],
    ['SAVE'],
  ]);
  return await readFile(path.join(server.dir, 'dump.rdb'));
}

/** A journal whose stream begins in db 11, and the restored directory of all of it. */
async function restored(
  binary: ServerBinary,
  journal: JournalBuilder,
  groups: readonly Buffer[][],
  stamp: number,
): Promise<string> {
  const { kind, version } = binary;
  const contents = { keys: 3, expires: 0, hashFieldExpires: 0, minHashFieldExpireMs: 0 };
  const timeline = await journal.timeline({
    ...{ id, offset: 700, db: 11, completed: stamp - 1_000_000, rdb: await savedBase(binary) },
    ...{ server: { kind, version }, rdbVersion: isMultiPart(binary) ? 10 : 9, contents, segmentBytes: 200 },
  });
  for (const group of groups) {
    const bytes = Buffer.concat(group);
    // Reads end anywhere.
    timeline.read(bytes.subarray(0, 7), stamp);
    timeline.read(bytes.subarray(7), stamp);
    await timeline.commit();
  }
  await timeline.seal(1);
  const now = systemClock.wall();
  const request = { target: { kind: 'latest' }, text: 'latest', mode: 'at', now, relativeTtl: 'convert' } as const;
  const plan = await planRestore(localDisk, journal.tree, request);
  const to = path.join(journal.root, 'restored');
  await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'journal/test' });
  return to;
}

async function inDb<T>(client: RespClient, db: number, take: () => Promise<T>): Promise<T> {
  await client.call('SELECT', db);
  return await take();
}

describeServers('a restored directory', (binary) => {
  test('is loaded, base and stream, each command in its db', async () => {
    await using journal = await JournalBuilder.create();
    const awkward = Buffer.from('\0\r\n*3\r\n#TS:1\r\n$');
    const to = await restored(
      binary,
      journal,
      [
        [command('RPUSH', 'list', 'c')],
        [command('ping'), command('REPLCONF', 'GETACK', '*'), command('PUBLISH', 'channel', 'message')],
        [command('SELECT', '0'), command('MULTI'), command('INCRBY', 'counter', '5')],
        [command('SET', 'binary', awkward), command('EXEC')],
        [command('DEL', 'from-base'), command('SELECT', '3'), command('SET', 'third', '3')],
      ],
      systemClock.wall(),
    );
    await using server = await RedisServer.startFrom(binary, to);
    await using client = await server.connect();
    expect(await inDb(client, 11, () => client.call('LRANGE', 'list', 0, -1))).toEqual(
      ['a', 'b', 'c'].map((one) => Buffer.from(one)),
    );
    expect(await inDb(client, 3, () => client.text('GET', 'third'))).toBe('3');
    await client.call('SELECT', 0);
    expect(await client.text('GET', 'counter')).toBe('15');
    expect(await client.call('GET', 'binary')).toEqual(awkward);
    expect(await client.call('EXISTS', 'from-base')).toBe(0);
    expect(server.logs()).not.toMatch(/truncat|Bad file format|Fatal/i);
  });
});

describeServers(
  'a restored directory of a source that replicates relative TTLs',
  (binary) => {
    test('has them end when they did, counted from when they were received', async () => {
      await using journal = await JournalBuilder.create();
      const minuteAgo = systemClock.wall() - 60_000_000;
      const to = await restored(
        binary,
        journal,
        [
          [command('SETEX', 'setex', '100', 'v'), command('SET', 'set', 'v', 'PX', '200000')],
          [
            command('MULTI'),
            command('SET', 'in-multi', 'v', 'EX', '300'),
            command('EXPIRE', 'list', '400'),
            command('EXEC'),
          ],
          [command('SET', 'elapsed', '5', 'EX', '30'), command('INCR', 'elapsed')],
        ],
        minuteAgo,
      );
      await using server = await RedisServer.startFrom(binary, to, { replicaOfNowhere: true });
      await using client = await server.connect();
      await client.call('SELECT', 11);
      const endsAt = async (key: string): Promise<number> => {
        const [now, left] = [systemClock.wall() / 1000, replyNumber(await client.call('PTTL', key))];
        return left + now - minuteAgo / 1000;
      };
      const expected = { setex: 100_000, set: 200_000, 'in-multi': 300_000, list: 400_000 };
      for (const [key, milliseconds] of Object.entries(expected)) {
        expect(Math.abs((await endsAt(key)) - milliseconds), key).toBeLessThan(500);
      }
      // A replica keeps what has elapsed, a primary deletes it.
      expect(await client.call('DBSIZE')).toBe(5);
      const copy = path.join(journal.root, 'copy');
      await cp(to, copy, { recursive: true });
      await using primary = await RedisServer.startFrom(binary, copy);
      await using other = await primary.connect();
      await other.call('SELECT', 11);
      expect(await other.call('GET', 'elapsed')).toBeNull();
    });
  },
  { where: (binary) => !isMultiPart(binary) },
);
