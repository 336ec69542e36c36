// Which server may load what: the table of versions, row by row.
import { describe, expect, test } from 'vitest';
import { chooseProgram, type DatasetOrigin, whyNotLoaded } from '../../src/scratch/can-load.ts';
import type { ServerVersion } from '../../src/redis/server-version.ts';

function version(text: string): ServerVersion {
  const [kind = '', number = ''] = text.split(' ');
  const [major = 0, minor = 0] = number.split('.').map(Number);
  return { kind: kind === 'valkey' ? 'valkey' : 'redis', version: `${number}.1`, major, minor };
}

const rdbOf: Readonly<Record<string, readonly ['REDIS' | 'VALKEY', number]>> = {
  'redis 5.0': ['REDIS', 9],
  'redis 6.0': ['REDIS', 9],
  'redis 6.2': ['REDIS', 9],
  'redis 7.0': ['REDIS', 10],
  'redis 7.2': ['REDIS', 11],
  'redis 7.4': ['REDIS', 12],
  'redis 8.0': ['REDIS', 12],
  'redis 8.4': ['REDIS', 13],
  'valkey 7.2': ['REDIS', 11],
  'valkey 8.0': ['REDIS', 11],
  'valkey 8.1': ['REDIS', 11],
  'valkey 9.1': ['VALKEY', 80],
};

function origin(text: string, hasStream = true): DatasetOrigin {
  const [magic, rdbVersion] = rdbOf[text] ?? ['REDIS', 0];
  return { magic, rdbVersion, server: version(text), hasStream };
}

const programs = Object.keys(rdbOf);

describe('base and stream of', () => {
  test.each([
    ['redis 5.0', programs],
    ['redis 6.0', programs.filter((name) => name !== 'redis 5.0')],
    ['redis 7.0', programs.filter((name) => !/redis [56]/.test(name))],
    ['redis 7.2', programs.filter((name) => !/redis ([56]|7.0)/.test(name))],
    ['redis 7.4', ['redis 7.4', 'redis 8.0', 'redis 8.4']],
    ['redis 8.0', ['redis 8.0', 'redis 8.4']],
    ['redis 8.4', ['redis 8.4']],
    ['valkey 7.2', programs.filter((name) => !/redis ([56]|7.0)/.test(name))],
    ['valkey 8.0', ['valkey 8.0', 'valkey 8.1', 'valkey 9.1']],
    ['valkey 8.1', ['valkey 8.1', 'valkey 9.1']],
    ['valkey 9.1', ['valkey 9.1']],
  ])('%s are loaded by %j', (source, expected) => {
    expect(programs.filter((program) => whyNotLoaded(origin(source), version(program)) === undefined)).toEqual(
      expected,
    );
  });
});

test('a base alone is loaded by an older release of the same RDB version, too', () => {
  expect(whyNotLoaded(origin('redis 8.0', false), version('redis 7.4'))).toBeUndefined();
  expect(whyNotLoaded(origin('redis 8.0', true), version('redis 7.4'))).toContain('older than the source');
  expect(whyNotLoaded(origin('valkey 8.1', false), version('valkey 8.0'))).toBeUndefined();
  expect(whyNotLoaded(origin('valkey 8.1', false), version('redis 7.2'))).toContain('another server');
});

test('what an unknown server wrote is loaded by whoever loads its RDB version', () => {
  const unknown = { magic: 'REDIS', rdbVersion: 11, server: undefined, hasStream: true } as const;
  expect(programs.filter((program) => whyNotLoaded(unknown, version(program)) === undefined)).toEqual(
    programs.filter((name) => !/redis ([56]|7.0)/.test(name)),
  );
});

describe('of several programs', () => {
  const installed = ['redis 6.0', 'redis 7.0', 'redis 8.0', 'valkey 9.1'].map((name) => ({
    ...version(name),
    path: `/opt/${name.replace(' ', '-')}`,
  }));

  test('the first that can load it is taken', () => {
    expect(chooseProgram(origin('redis 6.0'), installed).path).toBe('/opt/redis-6.0');
    expect(chooseProgram(origin('redis 6.2'), installed).path).toBe('/opt/redis-7.0');
    expect(chooseProgram(origin('valkey 8.1'), installed).path).toBe('/opt/valkey-9.1');
  });

  test('none is a refusal that says why of each, and what to install', () => {
    expect(() => chooseProgram(origin('redis 8.4'), installed)).toThrow(
      expect.objectContaining({
        code: 'no-fitting-server',
        exitCode: 1,
        message: expect.stringContaining('Redis 7.0.1 loads RDB versions up to 10, not 13 (/opt/redis-7.0)') as string,
        hint: 'install Redis 8.4 or later, or name its program with --server-bin',
      }),
    );
    expect(() => chooseProgram(origin('redis 8.4'), [])).toThrow(expect.objectContaining({ code: 'no-server' }));
  });
});
