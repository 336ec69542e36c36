// Which server it is, and what follows from that.
import { describe, expect, test } from 'vitest';
import {
  canLoadRdb,
  formatServerVersion,
  hashFieldTtlInexactOnAofLoad,
  rdbVersionMax,
  replicatesRelativeTtl,
  serverVersionFromAux,
  serverVersionFromInfo,
  usesMultiPartAof,
} from '../../src/redis/server-version.ts';
import type { ServerVersion } from '../../src/redis/server-version.ts';

function redis(version: string): ServerVersion {
  return serverVersionFromInfo(`redis_version:${version}\r\n`)!;
}

function valkey(version: string): ServerVersion {
  return serverVersionFromInfo(`redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:${version}\r\n`)!;
}

describe('the version', () => {
  test('is read from INFO, where Valkey also claims to be a Redis', () => {
    expect(redis('7.0.15')).toEqual({ kind: 'redis', version: '7.0.15', major: 7, minor: 0 });
    expect(valkey('9.1.2')).toEqual({ kind: 'valkey', version: '9.1.2', major: 9, minor: 1 });
    expect(serverVersionFromInfo('# Server\nredis_version:6.0.16\nos:Linux')?.version).toBe('6.0.16');
  });

  test('is read from the AUX fields of an RDB', () => {
    expect(serverVersionFromAux(new Map([['redis-ver', '8.0.6']]))).toMatchObject({
      kind: 'redis',
      major: 8,
      minor: 0,
    });
    expect(serverVersionFromAux(new Map([['valkey-ver', '8.1.1']]))).toMatchObject({
      kind: 'valkey',
      major: 8,
      minor: 1,
    });
  });

  test('that is none, is unknown', () => {
    expect(serverVersionFromInfo('')).toBeUndefined();
    expect(serverVersionFromInfo('redis_version:banana\r\n')).toBeUndefined();
    expect(serverVersionFromAux(new Map())).toBeUndefined();
  });

  test('may have a suffix, and is printed as the server prints it', () => {
    expect(formatServerVersion(redis('8.0-rc1'))).toBe('Redis 8.0-rc1');
    expect(formatServerVersion(valkey('8.0.1'))).toBe('Valkey 8.0.1');
  });
});

test.each([
  ['Redis', '4.0.14', 8, true, false, false],
  ['Redis', '5.0.14', 9, true, false, false],
  ['Redis', '6.2.9', 9, true, false, false],
  ['Redis', '7.0.15', 10, false, true, false],
  ['Redis', '7.2.6', 11, false, true, false],
  ['Redis', '7.4.1', 12, false, true, true],
  ['Redis', '8.0.6', 12, false, true, true],
  ['Redis', '8.8.0', 14, false, true, true],
  ['Valkey', '7.2.7', 11, false, true, false],
  ['Valkey', '8.1.1', 11, false, true, false],
  ['Valkey', '9.1.2', 80, false, true, false],
] as const)(
  '%s %s: RDB %i, relative TTLs %s, AOF in parts %s, hash TTLs inexact %s',
  (kind, version, rdb, relative, parts, inexact) => {
    const server = kind === 'Redis' ? redis(version) : valkey(version);
    expect(rdbVersionMax(server)).toBe(rdb);
    expect(replicatesRelativeTtl(server)).toBe(relative);
    expect(usesMultiPartAof(server)).toBe(parts);
    expect(hashFieldTtlInexactOnAofLoad(server)).toBe(inexact);
  },
);

test('a server loads its own RDB versions and older ones', () => {
  expect(canLoadRdb(redis('7.2.6'), 'REDIS', 11)).toBe(true);
  expect(canLoadRdb(redis('7.2.6'), 'REDIS', 6)).toBe(true);
  expect(canLoadRdb(redis('7.2.6'), 'REDIS', 12)).toBe(false);
  expect(canLoadRdb(redis('8.8.0'), 'VALKEY', 80)).toBe(false);
  expect(canLoadRdb(valkey('8.1.1'), 'REDIS', 11)).toBe(true);
  expect(canLoadRdb(valkey('8.1.1'), 'VALKEY', 80)).toBe(false);
  expect(canLoadRdb(valkey('9.1.2'), 'VALKEY', 80)).toBe(true);
  expect(canLoadRdb(valkey('9.1.2'), 'VALKEY', 81)).toBe(false);
  expect(canLoadRdb(valkey('9.1.2'), 'REDIS', 11)).toBe(true);
  expect(canLoadRdb(valkey('9.1.2'), 'REDIS', 12)).toBe(false);
});
