/**
 * Which server it is, learnt from INFO or from the AUX fields of an RDB, and what follows from that. Every fact names
 * the versions it was checked on in the source or live; of versions newer than those, the nearest checked one is assumed
 * where that is the cautious answer.
 */
import { infoFields } from './info.ts';

export interface ServerVersion {
  readonly kind: 'redis' | 'valkey';
  /** As printed by the server, such as "8.0.1". */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
}

export type RdbMagic = 'REDIS' | 'VALKEY';

/** From the text of INFO or INFO server. Valkey also reports the Redis version it is compatible with. */
export function serverVersionFromInfo(info: string): ServerVersion | undefined {
  const fields = infoFields(info);
  return pick(fields.get('valkey_version'), fields.get('redis_version'));
}

/** As a file of ours names it; it may not have been known. */
export function namedServer(
  named: { readonly kind: string; readonly version: string } | null | undefined,
): ServerVersion | undefined {
  const kind = named?.kind;
  return kind === 'redis' || kind === 'valkey' ? parseVersion(kind, named?.version ?? '') : undefined;
}

/** From the AUX fields at the head of an RDB: `valkey-ver` (Valkey 8.0 and later), `redis-ver`. */
export function serverVersionFromAux(aux: ReadonlyMap<string, string>): ServerVersion | undefined {
  return pick(aux.get('valkey-ver'), aux.get('redis-ver'));
}

export function formatServerVersion(server: ServerVersion): string {
  return `${server.kind === 'valkey' ? 'Valkey' : 'Redis'} ${server.version}`;
}

/** Whether the stream carries TTLs relative to the moment of execution: absolute ones came with Redis 7.0. */
export function replicatesRelativeTtl(server: ServerVersion): boolean {
  return !isSince7(server);
}

/**
 * Whether commands on hash fields whose TTL has elapsed give another result when loaded from an AOF than on the primary.
 * Measured on Redis 7.4; the same code in 8.0. Valkey 9 replicates results there, and is exact.
 */
export function hashFieldTtlInexactOnAofLoad(server: ServerVersion): boolean {
  return server.kind === 'redis' && isAtLeast(server, 7, 4);
}

/** Whether an append-only file is a directory with a manifest: Redis 7.0 and later, Valkey always. */
export function usesMultiPartAof(server: ServerVersion): boolean {
  return isSince7(server);
}

/** Whether it has FUNCTION: Redis 7.0 and later, Valkey always. */
export function hasFunctions(server: ServerVersion): boolean {
  return isSince7(server);
}

/** Whether it tells the instants at which keys end (PEXPIRETIME): Redis 7.0 and later, Valkey always. */
export function tellsExpiryTimes(server: ServerVersion): boolean {
  return isSince7(server);
}

/** Whether DEBUG is closed unless enable-debug-command says otherwise: Redis 7.0 and later, Valkey always. */
export function closesDebug(server: ServerVersion): boolean {
  return isSince7(server);
}

/**
 * The latest instant that a hash field may end at, in ms since the epoch: Redis 7.4 and later take no later one, and Valkey
 * 9.1 takes this one, too.
 */
export const hashFieldExpiryMsMax: number = 2 ** 46 - 1;

/** The highest RDB version that the server writes and loads under its own magic. */
export function rdbVersionMax(server: ServerVersion): number {
  const steps = server.kind === 'valkey' ? valkeyRdbVersions : redisRdbVersions;
  const step = steps.find(([major, minor]) => isAtLeast(server, major, minor));
  return step?.[2] ?? 6;
}

export interface RdbFormat {
  readonly magic: RdbMagic;
  readonly version: number;
}

/** What the server writes. */
export function rdbOf(server: ServerVersion): RdbFormat {
  const version = rdbVersionMax(server);
  return { magic: version >= 80 ? 'VALKEY' : 'REDIS', version };
}

/** `12`, or `VALKEY 80`. */
export function formatRdb({ magic, version }: RdbFormat): string {
  return magic === 'REDIS' ? String(version) : `${magic} ${version}`;
}

/** Whether the server loads an RDB with this magic and version. */
export function canLoadRdb(server: ServerVersion, magic: RdbMagic, version: number): boolean {
  if (magic === 'VALKEY') return server.kind === 'valkey' && version >= 80 && version <= rdbVersionMax(server);
  // Valkey 9 still takes what Redis 7.2 wrote, but never what came after the two parted (12 to 79).
  const max = server.kind === 'valkey' ? Math.min(11, rdbVersionMax(server)) : rdbVersionMax(server);
  return version >= 1 && version <= max;
}

/**
 * Newest first: major, minor, RDB version. Redis 8.8 is the newest whose source was read; 13 (8.4, 8.6) is known from
 * release notes only, and no more than 12 is assumed for what was not seen.
 */
const redisRdbVersions: readonly (readonly [number, number, number])[] = [
  [8, 8, 14],
  [8, 6, 13],
  [7, 4, 12],
  [7, 2, 11],
  [7, 0, 10],
  [5, 0, 9],
  [4, 0, 8],
  [3, 2, 7],
];

const valkeyRdbVersions: readonly (readonly [number, number, number])[] = [
  [9, 0, 80],
  [7, 2, 11],
];

/** Valkey parted from Redis after 7.2. */
function isSince7(server: ServerVersion): boolean {
  return server.kind === 'valkey' || server.major >= 7;
}

export function isAtLeast(server: ServerVersion, major: number, minor: number): boolean {
  return server.major > major || (server.major === major && server.minor >= minor);
}

function pick(valkey: string | undefined, redis: string | undefined): ServerVersion | undefined {
  if (valkey !== undefined) return parseVersion('valkey', valkey);
  return redis === undefined ? undefined : parseVersion('redis', redis);
}

function parseVersion(kind: 'redis' | 'valkey', text: string): ServerVersion | undefined {
  const found = /^(\d{1,5})\.(\d{1,5})[\w.+-]{0,40}$/.exec(text.trim());
  if (found === null) return undefined;
  return { kind, version: found[0], major: Number(found[1]), minor: Number(found[2]) };
}
