// The test support itself, against real servers: an oracle that is wrong would be worse than none. Taps and the
// starting of servers are in tap.test.ts and redis-server.test.ts beside this file.
import { cp } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type Command, ReplyError, type RespClient } from '../support/resp-client.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { readTotals, runTransfers } from '../support/transfers.ts';
import { Workload } from '../support/workload.ts';

const hasFunctions = (binary: ServerBinary): boolean => isAtLeast(binary, { redis: 7, valkey: 7 });
const hasFieldTimes = (binary: ServerBinary): boolean => isAtLeast(binary, { redis: 7.4, valkey: 9 });

async function offsetOf(client: RespClient): Promise<number> {
  return Number(/master_repl_offset:(\d+)/.exec(await client.text('INFO', 'replication'))?.[1]);
}

async function caughtUp(primary: RespClient, replica: RespClient): Promise<void> {
  await eventually('the replica to have everything', async () => {
    const info = await replica.text('INFO', 'replication');
    return info.includes('master_link_status:up') && (await offsetOf(primary)) === (await offsetOf(replica));
  });
}

/** Fingerprints of the two at the same dataset: an expiry between one and the other makes it try again. */
async function differenceAtRest(binary: ServerBinary, primary: RespClient, replica: RespClient): Promise<string[]> {
  let lines: string[] = [];
  for (let attempt = 0; attempt < 20; attempt++) {
    await caughtUp(primary, replica);
    const [a, b] = [await fingerprint(primary, binary), await fingerprint(replica, binary)];
    lines = explainDifference(a, b);
    if (lines.length === 0) break;
    await sleep(50);
  }
  return lines;
}

describeServers('the fingerprint', (binary) => {
  test('of a server and of its replica is the same, whatever was written, and by either route', async () => {
    const seed = Date.now() >>> 0;
    await using primary = await RedisServer.start(binary);
    await using replica = await RedisServer.start(binary, { config: { replicaof: `127.0.0.1 ${primary.port}` } });
    await using writer = await primary.connect();
    await using reader = await replica.connect();
    await new Workload(seed, binary, { hashFieldTtl: true }).run(writer, 1000);
    expect(await differenceAtRest(binary, writer, reader), `seed ${seed}`).toEqual([]);

    // The commands route doesn't see what has elapsed, so let that be deleted first.
    const byRdb = await eventually('all that is short-lived to have gone', async () => {
      const taken = await fingerprint(writer, binary);
      return shortestExpiry(taken) > Date.now() + 60_000 && taken;
    });
    const byCommands = await fingerprint(writer, binary, { route: 'commands' });
    expect(explainDifference(byRdb, byCommands), `seed ${seed}`).toEqual([]);
    if (byRdb.expiriesExact) expect(byRdb.sha256).toBe(byCommands.sha256);
  });

  test('of a server and of what its append-only files bring back is the same, elapsed keys included', async () => {
    const seed = Date.now() >>> 0;
    await using server = await RedisServer.start(binary, { config: { appendonly: 'yes', appendfsync: 'always' } });
    await using client = await server.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await new Workload(seed, binary, { without: ['flushall', 'flushdb'] }).run(client, 600);
    await client.callMany([
      ['SELECT', 12],
      ['SET', 'elapsed', 'value', 'PX', 1],
      ['SELECT', 0],
    ]);
    const original = await fingerprint(client, binary);
    await server.kill9();

    const dir = temporaryDirectory('restored');
    await cp(server.dir, dir, { recursive: true });
    await using restored = await RedisServer.startFrom(binary, dir, { replicaOfNowhere: true });
    await using reader = await restored.connect();
    const back = await fingerprint(reader, binary);
    expect(back.keys.get('db12:elapsed')?.expireMs).toBe(original.keys.get('db12:elapsed')?.expireMs);
    expect(explainDifference(original, back), `seed ${seed}`).toEqual([]);

    // A primary would delete it at once; then only what was alive can be compared.
    await using plain = await RedisServer.startFrom(binary, dir);
    await using plainReader = await plain.connect();
    await eventually('the elapsed key to be deleted', async () => {
      const taken = await fingerprint(plainReader, binary);
      return !taken.keys.has('db12:elapsed');
    });
    const later = await fingerprint(plainReader, binary);
    expect(explainDifference(original, later).length).toBeGreaterThan(0);
    expect(explainDifference(original, later, { elapsedAtMs: Date.now() }), `seed ${seed}`).toEqual([]);
  });

  test('sees each small change, and the explanation names the key', async () => {
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    const inAnHour = Date.now() + 3_600_000;
    await client.callMany([
      ['SET', 'volatile', 'x', 'PX', 7_200_000],
      ['HSET', 'hash', 'f', '1', 'g', '2'],
      ['XADD', 'stream', '1-1', 'f', 'v'],
      ['XGROUP', 'CREATE', 'stream', 'group', '0'],
      ['SELECT', 11],
      ['SET', 'other', 'x'],
      ['SELECT', 0],
    ]);
    const changes: readonly [named: string, command: Command, isKnown?: boolean][] = [
      ['db0:volatile: expires', ['PEXPIREAT', 'volatile', inAnHour]],
      ['db0:volatile: expires', ['PEXPIREAT', 'volatile', inAnHour + 1], hasFunctions(binary)],
      ['db0:volatile: expires', ['PERSIST', 'volatile']],
      ['db0:volatile: value', ['APPEND', 'volatile', '\0']],
      ['db0:hash: value', ['HSET', 'hash', 'f', '2']],
      ['db0:hash: field f expires', ['HPEXPIREAT', 'hash', inAnHour, 'FIELDS', 1, 'f'], hasFieldTimes(binary)],
      ['db0:hash: field f expires', ['HPEXPIREAT', 'hash', inAnHour + 1, 'FIELDS', 1, 'f'], hasFieldTimes(binary)],
      ['db0:hash: value', ['HSET', 'hash', 'g', '3']],
      ['db0:stream: stream', ['XREADGROUP', 'GROUP', 'group', 'c', 'STREAMS', 'stream', '>']],
      ['db0:stream: stream', ['XCLAIM', 'stream', 'group', 'other', 0, '1-1', 'RETRYCOUNT', 9]],
      ['db0:stream: stream', ['XACK', 'stream', 'group', '1-1']],
      ['db0:stream: stream', ['XGROUP', 'CREATE', 'stream', 'another', '$']],
      ['db0:stream: stream', ['XSETID', 'stream', '5-0']],
      ['db11:other: only in the first', ['MOVE', 'other', 0]],
      ['function library', ['FUNCTION', 'LOAD', library(1)], hasFunctions(binary)],
      ['function library', ['FUNCTION', 'LOAD', 'REPLACE', library(2)], hasFunctions(binary)],
    ];
    let before = await fingerprint(client, binary);
    for (const [named, command, isKnown = true] of changes) {
      if (!isKnown) continue;
      if (command[0] === 'MOVE') await client.call('SELECT', 11);
      const reply = await client.call(...command);
      expect(reply).not.toBeInstanceOf(ReplyError);
      const after = await fingerprint(client, binary);
      // Where expiries are inexact the hash says only whether there is one.
      const isHashed = after.expiriesExact || command[0] !== 'PEXPIREAT';
      if (isHashed) expect(after.sha256, String(command)).not.toBe(before.sha256);
      const lines = explainDifference(before, after, { expiryToleranceMs: 0 });
      expect(lines.join('\n'), String(command)).toContain(named);
      before = after;
    }
  });

  test('stays the same when nothing but reads, idle consumers and time have come', async () => {
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    await client.callMany([
      ['DEBUG', 'SET-ACTIVE-EXPIRE', 0],
      ['SET', 'short', 'x', 'PX', 150],
      ['HSET', 'hash', 'f', '1', 'g', '2'],
      ['XADD', 'stream', '1-1', 'f', 'v'],
      ['XGROUP', 'CREATE', 'stream', 'group', '$'],
    ]);
    if (hasFieldTimes(binary)) await client.call('HPEXPIRE', 'hash', 150, 'FIELDS', 1, 'f');
    const before = await fingerprint(client, binary);
    await client.call('XREADGROUP', 'GROUP', 'group', 'idle', 'STREAMS', 'stream', '>');
    await sleep(200);
    const after = await fingerprint(client, binary);
    expect(explainDifference(before, after)).toEqual([]);
    expect(after.sha256).toBe(before.sha256);
  });
});

describeServers('the random workload', (binary) => {
  test('gets no error reply that it does not expect', async () => {
    const seed = Date.now() >>> 0;
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    await new Workload(seed, binary, { hashFieldTtl: true }).run(client, 500);
  });

  test('sends the same commands again for the same seed', () => {
    const [first, second] = [1, 2].map(() => new Workload(42, binary, { without: ['pexpireat', 'expireat'] }));
    for (let step = 0; step < 200; step++) {
      const isTimed = (command: Command): boolean => command.some((arg) => String(arg) === 'PXAT');
      const [a, b] = [first?.next(), second?.next()];
      if (a?.some(isTimed) !== true) expect(a).toEqual(b);
    }
  });
});

describeServers('transfers', (binary) => {
  test('keep the sum at every instant', async () => {
    await using server = await RedisServer.start(binary);
    await using writer = await server.connect();
    await using reader = await server.connect();
    const ending = new AbortController();
    const running = runTransfers(writer, { seed: 7, signal: ending.signal });
    for (let look = 0; look < 50; look++) {
      const totals = await readTotals(reader, 11);
      if (totals !== undefined) expect(totals.sum).toBe(50_000);
      await sleep(2);
    }
    ending.abort();
    const counts = await running;
    for (const db of [0, 11]) expect((await readTotals(reader, db))?.transfers).toBe(counts.get(db));
  });
});

function shortestExpiry(taken: Fingerprint): number {
  const times = [...taken.keys.values()].flatMap((facts) => [
    facts.expireMs ?? Infinity,
    ...(facts.fieldExpiries?.values() ?? []),
  ]);
  return Math.min(...times);
}

function library(version: number): string {
  return `#!lua name=library\nredis.register_function('f', function() return ${version} end)`;
}
