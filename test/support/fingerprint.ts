// Fingerprint: everything a restore must bring back, as one hash, with the parts kept so that a mismatch is explained.
//
// It is made of: DEBUG DIGEST and DEBUG DIGEST-VALUE of every key in every db · the exact expiry of every key · the
// exact expiry of every hash field · of streams the last id, counters, groups and pending entries, without idle
// consumers, seen times and (Redis 7.0, which doesn't replicate it) entries-read · the source of every function library.
//
// Two routes read the times and streams. `rdb` (the default) has the server SAVE and reads the file: it sees keys and
// fields that have elapsed but not yet been deleted, which every command hides, and it touches no key, so that nothing
// is expired by being looked at. `commands` asks PEXPIRETIME, HPEXPIRETIME and XINFO STREAM FULL: for servers whose
// directory is out of reach; on a primary those look-ups delete what has elapsed.
//
// Found on Redis 6.0, 7.0, 8.0 and Valkey 8.0, 8.1, 9.1: both digests count elapsed keys on all of them, on a primary
// as on a replica. Of elapsed hash fields Redis 8.0 counts them too, but Valkey 9.1 leaves them out, so that its digest
// of such a hash changes by itself: hashes with field times are therefore digested here, from the RDB, and the whole
// DEBUG DIGEST is left out while there are any on Valkey.
// Across releases, the same data has the same hash from 7.2 on. Before that the digests write the scores of sorted
// sets in another way, and streams have fewer counters (which explainDifference overlooks, sha256 does not).
//
// Neighbours: rdb-reader.ts, fingerprint-commands.ts, fingerprint-difference.ts.
// Invariant: the dataset did not change while it was read (else it is read again), so `position` belongs to it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readKeysWithCommands } from './fingerprint-commands.ts';
import { type KeyEntry, readRdb } from './rdb-reader.ts';
import { printable, type StreamFacts } from './rdb-stream.ts';
import { type Command, replyList, replyMap, replyText, type RespClient } from './resp-client.ts';
import { isAtLeast, type ServerVersion } from './servers.ts';

export interface KeyFacts {
  readonly valueDigest: string;
  readonly expireMs: number | null;
  /** Expiries of hash fields by printable name, for hashes that have any. */
  readonly fieldExpiries?: ReadonlyMap<string, number>;
  readonly stream?: StreamFacts;
}

export interface Fingerprint {
  /** Equal for equal datasets; where `expiriesExact` is false it says of a key only whether it expires. */
  readonly sha256: string;
  /** DEBUG DIGEST, or empty where that depends on the clock. */
  readonly digest: string;
  /** By `db<n>:<printable name>`. */
  readonly keys: ReadonlyMap<string, KeyFacts>;
  /** Engine and source by library name. */
  readonly functions: ReadonlyMap<string, string>;
  /** False before 7.0, where replicas are told relative times and compute their own: compare with a tolerance. */
  readonly expiriesExact: boolean;
  /** Where in the replication stream the server stood. */
  readonly position: { readonly id: string; readonly offset: number };
}

export interface FingerprintOptions {
  readonly route?: 'rdb' | 'commands';
}

const attemptsMax = 50;
const keysPerDigestCommand = 200;

/** The connection has db 0 selected afterwards. */
export async function fingerprint(
  client: RespClient,
  server: ServerVersion,
  options: FingerprintOptions = {},
): Promise<Fingerprint> {
  const { route = 'rdb' } = options;
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const before = await readCounters(client);
    const entries = route === 'rdb' ? await saveAndRead(client) : await readKeysWithCommands(client, server);
    const changesAtStart = route === 'rdb' ? '0' : before.changes;
    const parts = await readParts(client, server, entries);
    const after = await readCounters(client);
    if (after.changes === changesAtStart && after.expired === before.expired) {
      return { ...parts, sha256: hashParts(parts), position: after.position };
    }
    await sleep(20);
  }
  throw new Error(`the dataset kept changing: no fingerprint in ${attemptsMax} attempts`);
}

/** The hash again, for parts that were changed, for example by leaving keys out. */
export function hashParts(parts: Omit<Fingerprint, 'sha256' | 'position'>): string {
  const lines = [`digest ${parts.digest}`];
  for (const [name, facts] of parts.keys) lines.push(`key ${name} ${describeFacts(facts, parts.expiriesExact)}`);
  for (const [name, source] of parts.functions) lines.push(`function ${name} ${JSON.stringify(source)}`);
  return sha256(lines.sort().join('\n'));
}

function describeFacts(facts: KeyFacts, expiriesExact: boolean): string {
  const expiry = facts.expireMs === null ? 'stays' : expiriesExact ? String(facts.expireMs) : 'expires';
  const fields = [...(facts.fieldExpiries ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  return `${facts.valueDigest} ${expiry} ${JSON.stringify(fields)} ${JSON.stringify(facts.stream ?? null)}`;
}

async function readParts(
  client: RespClient,
  server: ServerVersion,
  entries: readonly KeyEntry[],
): Promise<Omit<Fingerprint, 'sha256' | 'position'>> {
  const keys = await digestKeys(
    client,
    entries.map((entry) => withoutInexact(entry, server)),
  );
  const clockDependent = server.kind === 'valkey' && entries.some((entry) => entry.fields !== undefined);
  const digest = clockDependent ? '' : await client.text('DEBUG', 'DIGEST');
  const functions = isAtLeast(server, { redis: 7, valkey: 7 })
    ? await readFunctions(client)
    : new Map<string, string>();
  return { digest, keys, functions, expiriesExact: isAtLeast(server, { redis: 7, valkey: 7 }) };
}

/**
 * Redis 7.0 replicates XREADGROUP as XCLAIM with LASTID, which moves a group's last id but not its entries-read: its
 * own replicas have another number there, or none. 7.2 sends XGROUP SETID as well.
 */
function withoutInexact(entry: KeyEntry, server: ServerVersion): KeyEntry {
  const { stream } = entry;
  if (stream === undefined || isAtLeast(server, { redis: 7.2, valkey: 7.2 })) return entry;
  const groups = stream.groups.map(({ entriesRead: _inexact, ...group }) => group);
  return { ...entry, stream: { ...stream, groups } };
}

/** DIGEST-VALUE finds elapsed keys as well, on every version. */
async function digestKeys(client: RespClient, entries: readonly KeyEntry[]): Promise<Map<string, KeyFacts>> {
  const keys = new Map<string, KeyFacts>();
  for (const [db, ofDb] of Map.groupBy(entries, (entry) => entry.db)) {
    await client.call('SELECT', db);
    for (let start = 0; start < ofDb.length; start += keysPerDigestCommand) {
      const batch = ofDb.slice(start, start + keysPerDigestCommand);
      const digests = replyList(await client.call('DEBUG', 'DIGEST-VALUE', ...batch.map((entry) => entry.key)));
      batch.forEach((entry, index) => {
        keys.set(`db${db}:${printable(entry.key)}`, keyFacts(entry, replyText(digests[index])));
      });
    }
  }
  await client.call('SELECT', 0);
  return keys;
}

function keyFacts(entry: KeyEntry, valueDigest: string): KeyFacts {
  const { fields, stream } = entry;
  const common = { expireMs: entry.expireMs ?? null, ...(stream !== undefined && { stream }) };
  if (fields === undefined || fields.every((field) => field.expireMs === undefined)) return { ...common, valueDigest };
  const fieldExpiries = new Map<string, number>();
  for (const { field, expireMs } of fields) if (expireMs !== undefined) fieldExpiries.set(printable(field), expireMs);
  const pairs = fields.map(({ field, value }) => `${printable(field)} ${sha256(value)}`);
  return { ...common, valueDigest: `fields:${sha256(pairs.sort().join('\n'))}`, fieldExpiries };
}

async function readFunctions(client: RespClient): Promise<Map<string, string>> {
  const libraries = replyList(await client.call('FUNCTION', 'LIST', 'WITHCODE')).map(replyMap);
  const functions = new Map<string, string>();
  for (const library of libraries) {
    const [name, engine, code] = ['library_name', 'engine', 'library_code'].map((field) => library.get(field));
    functions.set(replyText(name), `${replyText(engine)} ${replyText(code)}`);
  }
  return functions;
}

/** Its file lands where the server's own would; a save that is under way has to end first. */
async function saveAndRead(client: RespClient): Promise<readonly KeyEntry[]> {
  for (let attempt = 1; ; attempt++) {
    const [reply] = await client.callMany([['SAVE']]);
    if (!(reply instanceof Error)) break;
    if (attempt === attemptsMax || !reply.message.includes('in progress')) throw reply;
    await sleep(50);
  }
  const [dir, name] = await Promise.all([readConfig(client, 'dir'), readConfig(client, 'dbfilename')]);
  return readRdb(await readFile(path.join(dir, name))).keys;
}

async function readConfig(client: RespClient, name: string): Promise<string> {
  return replyText(replyMap(await client.call('CONFIG', 'GET', name)).get(name));
}

export interface Counters {
  /** Writes since the last SAVE, a replica's included. */
  readonly changes: string;
  /** Expiries, which are not always counted as writes. */
  readonly expired: string;
  readonly position: { readonly id: string; readonly offset: number };
}

/** Equal before and after something: it wrote nothing, and nothing expired meanwhile. */
export async function readCounters(client: RespClient): Promise<Counters> {
  const commands: Command[] = [
    ['INFO', 'persistence'],
    ['INFO', 'stats'],
    ['INFO', 'replication'],
  ];
  const replies = await client.callMany(commands);
  const fields = new Map<string, string>();
  for (const line of replies.map(replyText).join('\r\n').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const expiredFields = ['expired_keys', 'expired_subkeys', 'expired_fields', 'expired_hash_fields'];
  return {
    changes: fields.get('rdb_changes_since_last_save') ?? '',
    expired: expiredFields.map((name) => fields.get(name) ?? '').join(' '),
    position: { id: fields.get('master_replid') ?? '', offset: Number(fields.get('master_repl_offset')) },
  };
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
