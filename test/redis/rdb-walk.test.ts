// The walk, the head and the checksum on RDBs that real servers wrote, with everything that each of them can hold.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Crc64 } from '../../src/redis/crc64.ts';
import { RdbHeadReader } from '../../src/redis/rdb-head.ts';
import { RdbWalk } from '../../src/redis/rdb-walk.ts';
import type { RdbContents } from '../../src/redis/rdb-walk.ts';
import { rdbVersionMax, serverVersionFromAux } from '../../src/redis/server-version.ts';
import { describeServers } from '../support/describe-servers.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber } from '../support/resp-client.ts';
import type { Command, RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';

const farFuture = 4_000_000_000_000;

/** Types in both their small and their large forms; returns how many keys, expiring keys and expiring fields there are. */
async function fill(
  client: RespClient,
  server: ServerBinary,
): Promise<{ keys: number; expires: number; fields: number }> {
  const many = Array.from({ length: 1000 }, (_, i) => i);
  const names = many.map((i) => `member:${i}:${'x'.repeat(i % 90)}`);
  const commands: Command[] = [
    ['SET', 'string', 'value'],
    ['SET', 'number', '12345'],
    ['SET', 'negative', '-2147483648'],
    ['SET', 'packed', 'a'.repeat(5000)],
    ['SET', Buffer.from([0, 255, 13, 10]), Buffer.alloc(100_000, 255)],
    ['SET', '', ''],
    ['RPUSH', 'list', 'a', '1', 'b'],
    ['RPUSH', 'long list', ...names],
    ['RPUSH', 'heavy list', 'x'.repeat(20_000), 'y'],
    ['SADD', 'numbers', ...many],
    ['SADD', 'set', 'a', 'b'],
    ['SADD', 'large set', ...names],
    ['ZADD', 'zset', '1.5', 'a', '-inf', 'b', '+inf', 'c'],
    ['ZADD', 'large zset', ...names.flatMap((name, i) => [String(i / 3), name])],
    ['HSET', 'hash', 'a', '1', 'b', 'two'],
    ['HSET', 'large hash', ...names.flatMap((name) => [name, 'x'.repeat(70)])],
    ['PFADD', 'hll', ...names],
    ...names.map((name, i): Command => ['XADD', 'stream', `${1_700_000_000_000 + i}-${i}`, 'field', name]),
    ['XGROUP', 'CREATE', 'stream', 'group', '0'],
    ['XGROUP', 'CREATE', 'stream', 'idle group', '$'],
    ['XREADGROUP', 'GROUP', 'group', 'consumer', 'COUNT', '300', 'STREAMS', 'stream', '>'],
    ['XREADGROUP', 'GROUP', 'group', 'another', 'COUNT', '3', 'STREAMS', 'stream', '>'],
    ['SELECT', '9'],
    ['SET', 'expires', '1'],
    ['PEXPIREAT', 'expires', farFuture],
    ['SET', 'stays', '1'],
  ];
  let fields = 0;
  if (isAtLeast(server, { redis: 7.4, valkey: 9 })) {
    commands.push(
      ['HSET', 'fields', 'a', '1', 'b', '2', 'c', '3'],
      ['HPEXPIREAT', 'fields', farFuture, 'FIELDS', '2', 'a', 'c'],
      ['HSET', 'many fields', ...names.flatMap((name) => [name, '1'])],
      ['HPEXPIREAT', 'many fields', farFuture - 1000, 'FIELDS', '2', names[0]!, names[1]!],
      ['HPEXPIREAT', 'many fields', farFuture + 1000, 'FIELDS', '1', names[2]!],
    );
    // A small hash of Redis is one packed value, and counts as one.
    fields = server.kind === 'redis' ? 4 : 5;
  }
  if (isAtLeast(server, { redis: 7, valkey: 7 })) {
    commands.push(['FUNCTION', 'LOAD', "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
  }
  for (const reply of await client.callMany(commands)) if (reply instanceof Error) throw reply;
  const [, first, , second] = await client.callMany([['SELECT', '0'], ['DBSIZE'], ['SELECT', '9'], ['DBSIZE']]);
  return { keys: replyNumber(first) + replyNumber(second), expires: 1, fields };
}

function walk(rdb: Buffer, size: number): RdbContents {
  const walker = new RdbWalk();
  for (let at = 0; at < rdb.length; at += size) walker.push(rdb.subarray(at, at + size));
  return walker.finish();
}

describeServers('an RDB', (server) => {
  describe.each([
    ['compressed', 'yes'],
    ['plain', 'no'],
  ])('%s', (_name, rdbcompression) => {
    test('is walked to its end, counted, and matches its checksum', async () => {
      await using started = await RedisServer.start(server, { config: { rdbcompression } });
      await using client = await started.connect();
      const held = await fill(client, server);
      await client.call('SAVE');
      const rdb = readFileSync(path.join(started.dir, 'dump.rdb'));

      const contents = walk(rdb, rdb.length);
      const crc = new Crc64();
      crc.update(rdb.subarray(0, -8));
      expect(contents).toMatchObject({
        kind: 'walked',
        keys: held.keys,
        expires: held.expires,
        hashFieldExpires: held.fields,
        minHashFieldExpireMs: held.fields > 0 ? farFuture - 1000 : 0,
        storedCrc64: crc.hex(),
      });
      for (const size of [1, 7, 31, 32, 33, 64, 1000, 65_536]) expect(walk(rdb, size)).toEqual(contents);
    });
  });

  test('has a head that names the server and its version', async () => {
    await using started = await RedisServer.start(server);
    await using client = await started.connect();
    await client.call('SAVE');
    const head = new RdbHeadReader().push(readFileSync(path.join(started.dir, 'dump.rdb')));
    const written = head && serverVersionFromAux(head.aux);
    expect(written).toMatchObject({ kind: server.kind, major: server.major, minor: server.minor });
    expect(head?.version).toBe(written && rdbVersionMax(written));
    expect(head?.magic).toBe(head?.version === 80 ? 'VALKEY' : 'REDIS');
  });
});
