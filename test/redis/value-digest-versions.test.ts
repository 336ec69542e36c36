// The digest of a value is one and the same on every version: a value that is moved from one server to another, each of
// which packs it in its own way, is told to be identical there; one that was changed on the way is told to be another.
import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { canLoadRdb, rdbOf } from '../../src/redis/server-version.ts';
import { valueBytes, valueDigest } from '../../src/redis/value-digest.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type Command, type RespClient, replyBytes, replyList } from '../support/resp-client.ts';
import { availableServers, isAtLeast, type ServerBinary, serverLabel } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const servers = availableServers();
const pairs = servers.flatMap((from) => {
  const { magic, version } = rdbOf(from);
  return servers
    .filter((to) => canLoadRdb(to, magic, version))
    .map((to) => [serverLabel(from), serverLabel(to), from, to] as const);
});

/** Values whose form has changed from release to release, small and large. */
const values: readonly Command[] = [
  ['RPUSH', 'list:small', 'a', 1, -1, 12, 13, 127, 4095, 32_767, 2 ** 23, 2 ** 31, '9223372036854775807', ''],
  ['RPUSH', 'list:plain', 'x'.repeat(9000), 'y', 'z'.repeat(70_000)],
  ['RPUSH', 'list:many', ...Array.from({ length: 2000 }, (_, i) => `element ${i}`)],
  ['SADD', 'set:ints', 1, 70_000, -5],
  ['SADD', 'set:small', 'a', 'b', 3],
  ['SADD', 'set:many', ...Array.from({ length: 700 }, (_, i) => `member ${i}`)],
  ['HSET', 'hash:small', 'a', 1, 'b', 'two', 'c', ''],
  ['HSET', 'hash:large', ...Array.from({ length: 600 }, (_, i) => [`field ${i}`, i]).flat()],
  ['ZADD', 'zset:small', 1.5, 'a', '-inf', 'b', 'inf', 'c', 3, 'd', 0.1, 'e', '1e300', 'f'],
  ['ZADD', 'zset:large', ...Array.from({ length: 600 }, (_, i) => [i / 7, `member ${i}`]).flat()],
  ['SET', 'string:number', '123456789012'],
  ['SET', 'string:binary', Buffer.from('\x00\xff\r\n', 'latin1')],
  ['SET', 'string:repeats', 'ab'.repeat(5000)],
  ['PFADD', 'hll', ...Array.from({ length: 300 }, (_, i) => i)],
  ...Array.from({ length: 150 }, (_, i): Command => ['XADD', 'stream', `${i + 1}-1`, 'a', i, 'b', 'same']),
  ['XADD', 'stream', '200-1', 'c', 1],
  ['XDEL', 'stream', '1-1', '77-1'],
  ['XGROUP', 'CREATE', 'stream', 'group', '5-1'],
  ['XREADGROUP', 'GROUP', 'group', 'alice', 'COUNT', 3, 'STREAMS', 'stream', '>'],
  ['XCLAIM', 'stream', 'group', 'bob', 0, '7-1', 'TIME', 1_700_000_000_000, 'RETRYCOUNT', 4],
];

describe('the digest of a value', () => {
  const started = new AsyncDisposableStack();
  const clients = new Map<ServerBinary, RespClient>();
  const now = Date.now();

  beforeAll(async () => {
    for (const binary of servers) {
      const server = started.use(await RedisServer.start(binary));
      clients.set(binary, started.use(await server.connect()));
    }
  });

  afterAll(() => started.disposeAsync());

  async function dumps(client: RespClient): Promise<Map<string, Buffer>> {
    const keys = replyList(await client.call('KEYS', '*')).map(replyBytes);
    const payloads = await client.callMany(keys.map((key) => ['DUMP', key]));
    const found = keys.map((key, i) => [key.toString('latin1'), payloads[i]] as const);
    return new Map(found.filter((one): one is readonly [string, Buffer] => Buffer.isBuffer(one[1])));
  }

  test('is the same wherever the same commands have made it', async () => {
    const reference = servers.at(-1)!;
    const made = async (binary: ServerBinary): Promise<Map<string, unknown>> => {
      const client = clients.get(binary)!;
      await client.callMany([['FLUSHALL'], ...values]);
      // When something was delivered is part of it.
      await client.call('XCLAIM', 'stream', 'group', 'alice', 0, '6-1', '8-1', 'TIME', 1_700_000_000_000);
      return new Map([...(await dumps(client))].map(([key, payload]) => [key, valueDigest(payload, now)]));
    };
    const wanted = await made(reference);
    expect([...wanted.values()].every((digest) => digest !== undefined)).toBe(true);
    expect(wanted.size).toBe(15);
    for (const other of servers) {
      const found = await made(other);
      // Before 7.0 a stream does not know what was deleted, nor how much was ever added.
      const counts = isAtLeast(other, { redis: 7, valkey: 7 });
      for (const [key, digest] of wanted) {
        if (counts || key !== 'stream') expect(found.get(key), `${serverLabel(other)}: ${key}`).toEqual(digest);
      }
    }
  });

  test.each(pairs)('stays what it was on its way from %s to %s', async (_from, _to, from, to) => {
    const seed = Date.now() >>> 0;
    const [client, other] = [clients.get(from)!, clients.get(to)!];
    const options = { hashFieldTtl: true, keysPerType: 15, without: ['flushall', 'swapdb', 'move'] };
    for (const one of [client, other]) await one.callMany([['SELECT', 0], ['FLUSHALL']]);
    await new Workload(seed, from, options).run(client, 400);
    await client.call('SELECT', 0);
    await client.callMany(values);
    const payloads = await dumps(client);
    if (other !== client) await other.callMany([...payloads].map(([key, payload]) => restoring(key, payload)));
    const there = await dumps(other);
    let packed = 0;
    for (const [key, payload] of payloads) {
      const again = there.get(key);
      if (again === undefined) continue;
      if (!valueBytes(again).equals(valueBytes(payload))) packed += 1;
      const digest = valueDigest(payload, now);
      expect(digest, `seed ${seed}: ${key}`).toBeDefined();
      expect(valueDigest(again, now), `seed ${seed}: ${key}`).toEqual(digest);
    }
    expect(there.size).toBeGreaterThan(0.9 * payloads.size);
    const isRepacked = !isAtLeast(from, { redis: 7, valkey: 7 }) && isAtLeast(to, { redis: 7, valkey: 7 });
    expect(packed > 5 || !isRepacked).toBe(true);
    const changes: readonly Command[] = [
      ['LSET', 'list:many', 1000, 'another'],
      ['SADD', 'set:many', 'another'],
      ['HSET', 'hash:large', 'field 300', 'another'],
      ['ZINCRBY', 'zset:large', 1, 'member 300'],
      ['XACK', 'stream', 'group', '7-1'],
      ['SETBIT', 'string:repeats', 4320, 1],
    ];
    for (const change of changes) {
      const key = String(change[1]);
      await other.call(...change);
      const changed = replyBytes(await other.call('DUMP', key));
      expect(valueDigest(changed, now)?.digest, String(change[0])).not.toBe(
        valueDigest(payloads.get(key)!, now)?.digest,
      );
    }
  });
});

function restoring(key: string, payload: Buffer): Command {
  return ['RESTORE', Buffer.from(key, 'latin1'), 0, payload, 'REPLACE'];
}
