// What nodes say of their cluster, as servers of several releases have said it, and what is not what a server says.
import { describe, expect, test } from 'vitest';
import {
  countSlots,
  formatSlots,
  isSameMap,
  migrationsCommand,
  migrationsUnderWay,
  parseClusterNodes,
  parseClusterSlots,
  uncoveredSlots,
} from '../../src/redis/cluster-map.ts';
import { serverVersionFromInfo } from '../../src/redis/server-version.ts';

const [a, b] = ['a'.repeat(40), 'b'.repeat(40)];

describe('the slots of a cluster', () => {
  test('are read with their owners in order, ranges that touch as one, replicas left out', () => {
    const reply = [
      [8192, 16383, ['10.0.0.2', 6379, b, []]],
      [100, 8191, ['10.0.0.1', 6379, a, []], ['10.0.0.3', 6379, 'c'.repeat(40), []]],
      [0, 99, ['10.0.0.1', 6379, a, []]],
    ];
    const owners = parseClusterSlots(reply);
    expect(owners).toEqual([
      { id: a, host: '10.0.0.1', port: 6379, ranges: [[0, 8191]] },
      { id: b, host: '10.0.0.2', port: 6379, ranges: [[8192, 16383]] },
    ]);
    expect(uncoveredSlots(owners!)).toEqual([]);
  });

  test.each<[string, unknown[], string | undefined]>([
    ['an address', ['10.0.0.1', 6379, a, []], '10.0.0.1'],
    ['an address, of Redis 6', ['10.0.0.1', 6379, a], '10.0.0.1'],
    ['a name', ['node.example', 6379, a, ['ip', '10.0.0.1']], 'node.example'],
    ['nothing, for where it was asked', [null, 6379, a, ['ip', '10.0.0.1']], undefined],
    ['an empty text, before it knows its address', ['', 6379, a, []], undefined],
    ['a name that it does not have', ['?', 6379, a, ['ip', '10.0.0.1']], '10.0.0.1'],
    ['a name that it does not have, and no address', ['?', 6379, a, []], undefined],
  ])('a node gives %s', (_, owner, host) => {
    expect(parseClusterSlots([[0, 16383, owner]])?.[0]?.host).toBe(host);
  });

  test('of which nobody has some are found and counted', () => {
    expect(uncoveredSlots([])).toEqual([[0, 16383]]);
    const owners = parseClusterSlots([
      [1, 3, ['h', 1, a]],
      [5, 16382, ['h', 2, b]],
    ]);
    const free = uncoveredSlots(owners!);
    expect(formatSlots(free)).toBe('0 4 16383');
    expect(countSlots(free)).toBe(3);
  });

  test('are the same for two nodes whatever the order and whatever they call each other', () => {
    const one = parseClusterSlots([
      [0, 9, ['h', 1, a]],
      [10, 16383, ['h', 2, b]],
    ]);
    const other = parseClusterSlots([
      [10, 16383, ['other', 2, b]],
      [5, 9, ['h', 1, a]],
      [0, 4, ['h', 1, a]],
    ]);
    expect(isSameMap(one!, other!)).toBe(true);
    const swapped = parseClusterSlots([
      [0, 9, ['h', 2, b]],
      [10, 16383, ['h', 1, a]],
    ]);
    expect(isSameMap(one!, swapped!)).toBe(false);
  });

  test.each<[string, unknown]>([
    ['an error text', 'ERR'],
    ['no owner', [[0, 1]]],
    ['an owner without id', [[0, 1, ['h', 1]]]],
    ['a slot that does not exist', [[0, 16384, ['h', 1, a]]]],
    ['a range backwards', [[9, 8, ['h', 1, a]]]],
    ['a slot that is a text', [['0', 1, ['h', 1, a]]]],
  ])('are not made out of %s', (_, reply) => {
    expect(parseClusterSlots(reply)).toBeUndefined();
  });
});

test('a node tells of its own slots that are on their way, and of nodes that fail', () => {
  const text = [
    `${a} 127.0.0.1:7000@17000,name,shard-id=x myself,master - 0 0 1 connected 0-9 11 [93->-${b}] [77-<-${b}]`,
    `${b} 127.0.0.1:7001@17001 master,fail? - 1 2 2 connected 12-16383`,
    `${'c'.repeat(40)} 127.0.0.1:7002@17002 slave,fail ${b} 1 2 2 disconnected`,
    '',
  ].join('\n');
  expect(parseClusterNodes(text)).toEqual({
    moving: [`[93->-${b}]`, `[77-<-${b}]`],
    failing: [b, 'c'.repeat(40)],
  });
});

test('migrations of whole slots are asked for where there are any, and those that are over do not count', () => {
  const words = (info: string): readonly string[] | undefined => migrationsCommand(serverVersionFromInfo(info)!);
  expect(words('redis_version:8.0.2')).toBeUndefined();
  expect(words('redis_version:7.2.4\r\nvalkey_version:8.1.1')).toBeUndefined();
  expect(words('redis_version:7.2.4\r\nvalkey_version:9.1.2')).toEqual(['CLUSTER', 'GETSLOTMIGRATIONS']);
  expect(words('redis_version:8.4.0')).toEqual(['CLUSTER', 'MIGRATION', 'STATUS', 'ALL']);
  const tasks = ['success', 'failed', 'cancelled', 'canceled', 'completed', 'waiting-to-pause', 'in_progress'];
  const reply = tasks.map((state) => ['name', 'x', 'slot_ranges', '1-2', 'state', state]);
  expect(migrationsUnderWay(reply)).toEqual(['waiting-to-pause', 'in_progress']);
  expect(migrationsUnderWay([])).toEqual([]);
});
