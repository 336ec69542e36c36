// What --to may say.
import { expect, test } from 'vitest';
import { parseDestination } from '../../../src/restore/plan/destination.ts';

test.each([
  ['out', { kind: 'directory', path: 'out' }],
  ['/var/lib/redis/', { kind: 'directory', path: '/var/lib/redis/' }],
  ['./rdb:out', { kind: 'directory', path: './rdb:out' }],
  ['C:out', { kind: 'directory', path: 'C:out' }],
  ['rdb:dump.rdb', { kind: 'rdb', path: 'dump.rdb' }],
  ['rdb:/a b/rdb:c', { kind: 'rdb', path: '/a b/rdb:c' }],
  ['resp:-', { kind: 'resp' }],
  ['redis://h:1', { kind: 'server', url: 'redis://h:1' }],
  ['rediss://me@[::1]', { kind: 'server', url: 'rediss://me@[::1]' }],
])('%s is %j', (text, destination) => {
  expect(parseDestination(text)).toEqual(destination);
});

test.each(['rdb:', 'rdb:dir/', 'resp:', 'resp:file', 's3:bucket', 'valkey://h:1'])('%s is refused', (text) => {
  expect(() => parseDestination(text)).toThrow(expect.objectContaining({ code: 'bad-destination', exitCode: 2 }));
});
