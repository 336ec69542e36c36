// Primaries up to Redis 6.2 replicate times to live as they were given, counted from execution. Such a primary is
// followed only when that is agreed to; a restore then brings back the instants at which its keys end, late by the
// transit at most, however long after it is loaded. Later primaries replicate the instants themselves: nothing is asked,
// and nothing is changed.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type Command, ReplyError, replyBytes, type RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';

const replicatesInstants = (binary: ServerBinary): boolean => isAtLeast(binary, { redis: 7, valkey: 7 });
const replicatesDistances = (binary: ServerBinary): boolean => !replicatesInstants(binary);

/** On one machine: how long a busy process may take to read what has arrived. */
const transitMs = 1000;

/** How far the clocks of two processes on one machine are apart at most, with what each rounds away. */
const clocksApartMs = 3;

/** Longer than a transit, so that a time counted from the restore would be told from one counted from the write. */
const untilRestoredMs = 2500;

async function callAll(client: RespClient, commands: readonly Command[]): Promise<void> {
  const replies = await client.callMany(commands);
  expect(replies.filter((reply) => reply instanceof ReplyError)).toEqual([]);
}

/** Each form in which a time to live can be given, to keys that are named after it. */
async function writeExpiring(client: RespClient, binary: ServerBinary): Promise<void> {
  await callAll(client, [
    ...['expire', 'pexpire', 'expire in a script', 'persisted', 'renamed'].map((key) => ['SET', key, 'x']),
    ['EXPIRE', 'expire', 100],
    ['PEXPIRE', 'pexpire', 100_001],
    ['EXPIRE', 'persisted', 100],
    ['PERSIST', 'persisted'],
    ['EXPIRE', 'renamed', 100],
    ['RENAME', 'renamed', 'new name'],
    ['SETEX', 'setex', 100, 'value\r\n'],
    ['PSETEX', 'psetex', 100_002, '*3\r\n'],
    ['SET', 'set ex', '', 'EX', 100],
    ['set', 'set px', 'EX', 'px', 100_003, 'nx'],
    ['SET', 'set keepttl', '1', 'EX', 100],
    ['SET', 'set keepttl', '2', 'KEEPTTL'],
    ['SET', 'overwritten', '1', 'EX', 100],
    ['SET', 'overwritten', '2'],
    ['PEXPIREAT', 'pexpire', Date.now() + 200_000],
    ['EVAL', `redis.call('EXPIRE', KEYS[1], 100) return redis.call('SETEX', KEYS[2], 50, 'x')`, 2].concat([
      'expire in a script',
      'setex in a script',
    ]),
    ['SELECT', 11],
    ['MULTI'],
    ['SETEX', 'setex in multi', 100, 'x'],
    ['SET', 'counter', 1],
    ['EXPIRE', 'counter', 77],
    ['INCR', 'counter'],
    ['EXEC'],
  ]);
  const payload = replyBytes(await client.call('DUMP', 'counter'));
  await callAll(client, [
    ['RESTORE', 'restored', 100_004, payload],
    ['RESTORE', 'restored to an instant', Date.now() + 100_005, payload, 'ABSTTL'],
    ['RESTORE', 'restored for ever', 0, payload, 'REPLACE'],
    ...(isAtLeast(binary, { redis: 6.2 }) ? [['GETEX', 'counter', 'EX', 55]] : []),
  ]);
}

/** Short times, that have ended by the restore: as elapsed keys they are still part of what was. */
async function writeElapsing(client: RespClient): Promise<void> {
  await callAll(client, [
    ['DEBUG', 'SET-ACTIVE-EXPIRE', 0],
    ['SET', 'short', '1', 'PX', 300],
    ['INCR', 'short'],
    ['SETEX', 'a second', 1, 'x'],
    ['APPEND', 'a second', 'y'],
  ]);
}

describeServers(
  'a primary that replicates relative times to live',
  (binary) => {
    test('is refused unless they may be converted', async () => {
      await using primary = await RedisServer.start(binary);
      const refused = RunningJournal.attach({ port: primary.port, relativeTtl: 'refuse' });
      await expect(refused).rejects.toMatchObject({ code: 'relative-ttl', exitCode: 2 });
    });

    test('is restored with the instants at which its keys end, by any command that sets them', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await callAll(client, [['SET', 'in the base', 'x', 'EX', 100]]);
      await using journal = await RunningJournal.attach({ port: primary.port });
      await writeExpiring(client, binary);
      await writeElapsing(client);
      const taken = await fingerprint(client, binary);
      await journaled(client);
      await sleep(untilRestoredMs);
      const restored = await journal.restore(formatPosition(taken.position));
      expect(restored.plan.transform).toBe('relative-ttl');
      await using server = await RedisServer.startFrom(binary, restored.dir, { replicaOfNowhere: true });
      await using reader = await server.connect();
      const back = await fingerprint(reader, binary);
      expect(explainDifference(taken, back, { expiryToleranceMs: transitMs })).toEqual([]);
      expect(back.keys.get('db0:in the base')).toEqual(taken.keys.get('db0:in the base'));
      // Never early: a key that the primary would still have shown must not have gone.
      for (const [name, { expireMs }] of taken.keys) {
        if (expireMs !== null)
          expect(back.keys.get(name)?.expireMs, name).toBeGreaterThanOrEqual(expireMs - clocksApartMs);
      }
    });
  },
  { where: replicatesDistances },
);

describeServers(
  'a primary that replicates instants',
  (binary) => {
    test('is followed without being asked, and its stream is restored byte for byte', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await using journal = await RunningJournal.attach({ port: primary.port, relativeTtl: 'refuse' });
      await writeExpiring(client, binary);
      await writeElapsing(client);
      const taken = await fingerprint(client, binary);
      await journaled(client);
      const restored = await journal.restore(formatPosition(taken.position));
      expect(restored.plan.transform).toBe('none');
      await using server = await RedisServer.startFrom(binary, restored.dir, { replicaOfNowhere: true });
      await using reader = await server.connect();
      expect(explainDifference(taken, await fingerprint(reader, binary))).toEqual([]);
    });
  },
  { where: replicatesInstants },
);
