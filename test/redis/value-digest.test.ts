// Values are the same, or not, as servers see it: packed in another way, in another order, and on another version they have
// one digest; two values have one digest only where DEBUG DIGEST-VALUE says so, too.
import { expect, test } from 'vitest';
import { valueBytes, valueDigest } from '../../src/redis/value-digest.ts';
import { describeServers } from '../support/describe-servers.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type RespClient, replyBytes, replyList, replyText } from '../support/resp-client.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

interface Value {
  readonly key: Buffer;
  readonly payload: Buffer;
  readonly server: string;
}

async function values(client: RespClient): Promise<Value[]> {
  const keys = replyList(await client.call('KEYS', '*')).map(replyBytes);
  const found: Value[] = [];
  for (const key of keys) {
    const payload = await client.call('DUMP', key);
    if (!Buffer.isBuffer(payload)) continue;
    await client.call('PERSIST', key);
    found.push({ key, payload, server: replyText(replyList(await client.call('DEBUG', 'DIGEST-VALUE', key))[0]) });
  }
  return found;
}

/** Everything is packed as loosely as it can be. */
function loose(binary: ServerBinary): Record<string, string> {
  const word = isAtLeast(binary, { redis: 7, valkey: 7 }) ? 'listpack' : 'ziplist';
  return {
    ...{ [`list-max-${word}-size`]: '1', 'list-compress-depth': '1', 'set-max-intset-entries': '0' },
    ...{ [`hash-max-${word}-entries`]: '0', [`zset-max-${word}-entries`]: '0', rdbcompression: 'no' },
    ...(isAtLeast(binary, { redis: 7.2, valkey: 7.2 }) && { 'set-max-listpack-entries': '0' }),
  };
}

describeServers('the digest of a value', (binary) => {
  const seed = Date.now() >>> 0;

  test('is that of the same value packed in another way, and of no other', async () => {
    await using server = await RedisServer.start(binary);
    await using other = await RedisServer.start(binary, { config: loose(binary) });
    await using client = await server.connect();
    await using copy = await other.connect();
    const without = ['flushall', 'swapdb', 'move'];
    await new Workload(seed, binary, { hashFieldTtl: true, keysPerType: 40, without }).run(client, 900);
    await client.callMany([
      ['SELECT', 0],
      [
        'RPUSH',
        'numbers',
        ...[0, 12, 13, -1, 127, -128, 4095, -4096, 32767, 2 ** 23 - 1, -(2 ** 31), '9223372036854775807'],
      ],
      ['ZADD', 'scores', '1.5', 'a', '-inf', 'b', 'inf', 'c', '3', 'd', '0.1', 'e', '1e300', 'f', '-0.0', 'g'],
      ['SADD', 'ints', 1, 70_000, '9223372036854775807', -5],
      ['SADD', 'mixed', 1, 'a', 'b'],
      ['HSET', 'pairs', 'a', 1, 'b', 'x'.repeat(300)],
      ['XADD', 'events', '1-1', 'a', 1, 'b', 2],
      ['XADD', 'events', '1-2', 'a', 3, 'b', 4],
      ['XADD', 'events', '2-0', 'c', 5],
      ['XDEL', 'events', '1-1'],
    ]);
    const now = Date.now();
    const ours = await values(client);
    let packed = 0;
    for (const { key, payload } of ours) {
      await copy.call('RESTORE', key, 0, payload);
      const again = replyBytes(await copy.call('DUMP', key));
      if (!valueBytes(again).equals(valueBytes(payload))) packed += 1;
      const digest = valueDigest(payload, now);
      expect(digest, `seed ${seed}: ${key.toString('latin1')}`).toBeDefined();
      expect(valueDigest(again, now), `seed ${seed}: ${key.toString('latin1')}`).toEqual(digest);
    }
    expect(packed).toBeGreaterThanOrEqual(4);
    const byDigest = Map.groupBy(ours, ({ payload }) => JSON.stringify(valueDigest(payload, now)));
    for (const [digest, same] of byDigest) {
      expect(new Set(same.map(({ server: its }) => its)).size, `seed ${seed}: ${digest}`).toBe(1);
    }
    // Of streams, and of fields that expire, ours tells more.
    const isPlain = ({ key }: Value): boolean => !/^(stream|live|hash)/.test(key.toString('latin1'));
    for (const [, same] of Map.groupBy(ours.filter(isPlain), ({ server: its }) => its)) {
      expect(new Set(same.map(({ payload }) => valueDigest(payload, now)!.digest)).size, `seed ${seed}`).toBe(1);
    }
  });

  test('changes with every part of a stream or hash that matters, and not with what does not', async () => {
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    const digest = async (key: string): Promise<string> =>
      valueDigest(replyBytes(await client.call('DUMP', key)), Date.now())!.digest;
    await client.callMany([
      ['XADD', 's', '1-0', 'f', 'v'],
      ['XADD', 's', '2-0', 'f', 'v'],
      ['XGROUP', 'CREATE', 's', 'g', '0'],
    ]);
    const seen = [await digest('s')];
    const steps = [
      ['XREADGROUP', 'GROUP', 'g', 'alice', 'COUNT', 1, 'STREAMS', 's', '>'],
      ['XCLAIM', 's', 'g', 'bob', 0, '1-0', 'RETRYCOUNT', 1],
      ['XCLAIM', 's', 'g', 'bob', 0, '1-0', 'RETRYCOUNT', 7],
      ['XACK', 's', 'g', '1-0'],
      ['XADD', 's', '3-0', 'f', 'v'],
      ['XDEL', 's', '3-0'],
      ['XGROUP', 'CREATE', 's', 'h', '$'],
    ] as const;
    for (const step of steps) {
      await client.call(...step);
      seen.push(await digest('s'));
    }
    expect(new Set(seen).size).toBe(seen.length);
    await client.call('XREADGROUP', 'GROUP', 'g', 'carol', 'COUNT', 1, 'STREAMS', 's', '0');
    expect(await digest('s')).toBe(seen.at(-1));
    if (!isAtLeast(binary, { redis: 8, valkey: 9 })) return;
    await client.call('HSET', 'h', 'a', 1, 'b', 2);
    const plain = await digest('h');
    await client.call('HPEXPIRE', 'h', 100_000, 'FIELDS', 1, 'a');
    expect(await digest('h')).not.toBe(plain);
    await client.call('HPERSIST', 'h', 'FIELDS', 1, 'a');
    expect(await digest('h')).toBe(plain);
  });
});
