// The commands route of fingerprint.ts: what can be learnt of a dataset over a connection alone.
// Keys and fields that have elapsed are hidden from it, and on a primary the look-ups delete them.
// Invariant: where nothing has elapsed it finds just what the RDB route finds; a test holds the two together.
import type { HashField, KeyEntry } from './rdb-reader.ts';
import { type GroupFacts, printable, sortedByName, type StreamFacts } from './rdb-stream.ts';
import { type Reply, replyBytes, replyList, replyMap, replyNumber, replyText, type RespClient } from './resp-client.ts';
import { isAtLeast, type ServerVersion } from './servers.ts';

export async function readKeysWithCommands(client: RespClient, server: ServerVersion): Promise<KeyEntry[]> {
  const entries: KeyEntry[] = [];
  for (const db of await populatedDbs(client)) {
    await client.call('SELECT', db);
    const keys = replyList(await client.call('KEYS', '*')).map(replyBytes);
    const types = await client.callMany(keys.map((key) => ['TYPE', key]));
    const expiries = await readExpiries(client, server, keys);
    for (const [index, key] of keys.entries()) {
      const type = replyText(types[index]);
      const stream = type === 'stream' ? await readStream(client, key) : undefined;
      const fields = type === 'hash' && hasFieldTimes(server) ? await readFields(client, key) : undefined;
      const expireMs = expiries[index];
      entries.push({
        db,
        key,
        ...(expireMs !== undefined && { expireMs }),
        ...(stream !== undefined && { stream }),
        ...(fields !== undefined && { fields }),
      });
    }
  }
  await client.call('SELECT', 0);
  return entries;
}

function hasFieldTimes(server: ServerVersion): boolean {
  return isAtLeast(server, { redis: 7.4, valkey: 9 });
}

async function populatedDbs(client: RespClient): Promise<number[]> {
  const info = await client.text('INFO', 'keyspace');
  return [...info.matchAll(/^db(\d+):/gm)].map((match) => Number(match[1]));
}

/** Redis before 7.0 tells the time left only, so its answers are as exact as the round trip is short. */
async function readExpiries(
  client: RespClient,
  server: ServerVersion,
  keys: readonly Buffer[],
): Promise<(number | undefined)[]> {
  const absolute = isAtLeast(server, { redis: 7, valkey: 7 });
  const [seconds, micros] = replyList(await client.call('TIME')).map((part) => Number(replyText(part)));
  const nowMs = Math.floor((seconds ?? 0) * 1000 + (micros ?? 0) / 1000);
  const replies = await client.callMany(keys.map((key) => [absolute ? 'PEXPIRETIME' : 'PTTL', key]));
  return replies.map(replyNumber).map((value) => (value < 0 ? undefined : absolute ? value : nowMs + value));
}

async function readFields(client: RespClient, key: Buffer): Promise<HashField[] | undefined> {
  const flat = replyList(await client.call('HGETALL', key)).map(replyBytes);
  const names = flat.filter((_, index) => index % 2 === 0);
  if (names.length === 0) return undefined;
  const times = replyList(await client.call('HPEXPIRETIME', key, 'FIELDS', names.length, ...names)).map(replyNumber);
  if (times.every((time) => time < 0)) return undefined;
  return names.map((field, index) => {
    const [value, time] = [flat[2 * index + 1] ?? Buffer.alloc(0), times[index] ?? -1];
    return { field, value, ...(time >= 0 && { expireMs: time }) };
  });
}

async function readStream(client: RespClient, key: Buffer): Promise<StreamFacts> {
  const info = replyMap(await client.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0));
  const [maxDeletedId, entriesAdded] = [info.get('max-deleted-entry-id'), info.get('entries-added')];
  return {
    length: replyNumber(info.get('length')),
    lastId: replyText(info.get('last-generated-id')),
    ...(maxDeletedId !== undefined && { maxDeletedId: replyText(maxDeletedId) }),
    ...(entriesAdded !== undefined && { entriesAdded: replyNumber(entriesAdded) }),
    groups: sortedByName(replyList(info.get('groups')).map(readGroup)),
  };
}

function readGroup(reply: Reply): GroupFacts {
  const group = replyMap(reply);
  const entriesRead = group.get('entries-read');
  // Redis 6.0 calls it pending, later versions pel.
  const pending = replyList(group.get('pel') ?? group.get('pending')).map((entry) => {
    const [id, consumer, deliveredMs, deliveries] = replyList(entry);
    return {
      id: replyText(id),
      deliveredMs: replyNumber(deliveredMs),
      deliveries: replyNumber(deliveries),
      consumer: printable(replyBytes(consumer)),
    };
  });
  return {
    name: printable(replyBytes(group.get('name'))),
    lastId: replyText(group.get('last-delivered-id')),
    ...(entriesRead !== undefined && { entriesRead: entriesRead === null ? null : replyNumber(entriesRead) }),
    pending,
  };
}
