// INFO replication, as real servers write it: which histories the server has had, and what it is now.
import { expect, test } from 'vitest';
import { parseReplicationInfo } from '../../src/redis/replication-info.ts';

const id = 'a'.repeat(40);
const older = 'b'.repeat(40);

function text(fields: Readonly<Record<string, string>>): string {
  return `# Replication\r\n${Object.entries(fields)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('')}`;
}

const primary = {
  role: 'master',
  connected_slaves: '0',
  master_failover_state: 'no-failover',
  master_replid: id,
  master_replid2: '0'.repeat(40),
  master_repl_offset: '700',
  second_repl_offset: '-1',
};

test('a primary that has always been one has no history before', () => {
  expect(parseReplicationInfo(text(primary))).toEqual({
    role: 'master',
    id,
    offset: 700,
    before: undefined,
    primary: undefined,
    isFailingOver: false,
  });
});

test('a promoted replica has the bytes up to the one before second_repl_offset', () => {
  const info = parseReplicationInfo(text({ ...primary, master_replid2: older, second_repl_offset: '501' }));
  expect(info?.before).toEqual({ id: older, offset: 500 });
});

test('a replica tells whose it is, and a server whether it fails over', () => {
  const fields = {
    ...primary,
    role: 'slave',
    master_host: '10.0.0.7',
    master_port: '6380',
    master_link_status: 'down',
  };
  expect(parseReplicationInfo(text({ ...fields, master_failover_state: 'failover-in-progress' }))).toMatchObject({
    role: 'slave',
    primary: { host: '10.0.0.7', port: 6380, isUp: false },
    isFailingOver: true,
  });
});

test.each([
  ['nothing', ''],
  ['a sentinel', text({ role: 'sentinel' })],
  ['an id that is none', text({ ...primary, master_replid: 'x' })],
  ['an offset that is none', text({ ...primary, master_repl_offset: '1e9' })],
])('%s is not understood', (_title, info) => {
  expect(parseReplicationInfo(info)).toBeUndefined();
});
