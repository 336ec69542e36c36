// Which servers may be restored to, and how: every refusal with its exit code, what overrides it, and what does not.
import { describe, expect, test } from 'vitest';
import type { ReplicationInfo } from '../../../src/redis/replication-info.ts';
import { serverVersionFromInfo } from '../../../src/redis/server-version.ts';
import { decideTarget, refuseMemory } from '../../../src/restore/plan/target-rails.ts';
import type { TargetAsked, TargetFacts, TargetNeed } from '../../../src/restore/plan/target-rails.ts';

const ours = 'a'.repeat(40);
const theirs = 'b'.repeat(40);
const address = '10.0.0.5:6379';

function redis(version: string): TargetFacts['server'] {
  return serverVersionFromInfo(`redis_version:${version}`)!;
}

const primary: ReplicationInfo = {
  ...{ role: 'master', id: theirs, offset: 100, before: undefined, primary: undefined, isFailingOver: false },
};
const replica: ReplicationInfo = { ...primary, role: 'slave', primary: { host: 'h', port: 1, isUp: false } };
const empty: TargetFacts = {
  ...{ server: redis('7.0.15'), mode: 'standalone', replication: primary, replicas: 0, keys: 0, libraries: 0 },
  ...{ usedBytes: 1000, maxMemoryBytes: 0, machineBytes: 0, evictionPolicy: 'noeviction' },
  ...{ isLeftBehind: false, replicaofRefused: undefined },
};
const asked: TargetAsked = { address, replace: false, live: undefined, method: undefined };
const need: TargetNeed = { histories: new Set([ours]), bytes: 1000, rdb: { magic: 'REDIS', version: 10 } };

const live = { replication: { ...primary, id: ours } };
const wasLive = { replication: { ...primary, before: { id: ours, offset: 5 } } };

const some = { deletesAbsent: false, onlyMissing: false };

describe('a server is refused', () => {
  test.each<[string, Partial<TargetFacts>, Partial<TargetAsked>, string, number]>([
    ['in cluster mode', { mode: 'cluster' }, { replace: true, live: address }, 'target-mode', 1],
    ['that is a sentinel', { mode: 'sentinel' }, { replace: true, live: address }, 'target-mode', 1],
    [
      'that is a replica, whatever is said',
      { replication: replica },
      { replace: true, live: address },
      'target-is-replica',
      7,
    ],
    ['that is the live primary', live, { replace: true }, 'target-is-live', 7],
    ['that was promoted from it', wasLive, { replace: true }, 'target-is-live', 7],
    ['that is live by another address', live, { live: '10.0.0.5:6380' }, 'target-is-live', 7],
    ['that has replicas', { replicas: 2 }, { replace: true }, 'target-has-replicas', 7],
    ['that has replicas, by another address', { replicas: 2 }, { live: 'localhost:6379' }, 'target-has-replicas', 7],
    ['that holds keys', { keys: 1 }, {}, 'target-not-empty', 7],
    ['that is live, also for some keys', live, { part: some }, 'target-is-live', 7],
    ['that has replicas, also for some keys', { replicas: 1 }, { part: some }, 'target-has-replicas', 7],
    ['of which all may go, for some keys', { keys: 1 }, { part: some, replace: true }, 'replace-of-some', 2],
    ['for some keys by way of a replica', {}, { part: some, method: 'replicaof' }, 'method-impossible', 1],
    [
      'that was left behind, for some keys',
      { replication: replica, isLeftBehind: true },
      { part: some },
      'target-is-replica',
      7,
    ],
    ['that is older than the RDB, also for some keys', { server: redis('6.2.0') }, { part: some }, 'target-version', 1],
    ['that holds functions', { libraries: 1 }, {}, 'target-not-empty', 7],
    ['that is live and holds keys', { ...live, keys: 1 }, { live: address }, 'target-not-empty', 7],
    ['that is older than the RDB', { server: redis('6.2.0') }, {}, 'target-version', 1],
    ['with less maxmemory than it takes', { maxMemoryBytes: 999, machineBytes: 10_000 }, {}, 'target-memory', 1],
    ['on a machine with less memory', { machineBytes: 999 }, {}, 'target-memory', 1],
    ['that may take less than that', { maxMemoryBytes: 2000 }, { memoryBytes: 999 }, 'target-memory', 1],
    [
      'that cannot follow us, when told to',
      { replicaofRefused: 'no' },
      { method: 'replicaof' },
      'method-impossible',
      1,
    ],
  ])('%s', (_, facts, said, code, exitCode) => {
    const decide = (): unknown => decideTarget({ ...empty, ...facts }, { ...asked, ...said }, need);
    expect(decide).toThrow(
      expect.objectContaining({ code, exitCode, hint: expect.stringContaining('nothing was changed') }),
    );
  });
});

describe('a server is taken', () => {
  test.each<[string, Partial<TargetFacts>, Partial<TargetAsked>, object]>([
    ['when it is empty, as a replica', {}, {}, { method: 'replicaof', isLive: false }],
    [
      'key by key where it cannot follow us',
      { replicaofRefused: 'managed' },
      {},
      { method: 'restore', why: 'managed' },
    ],
    ['as it is told', {}, { method: 'restore' }, { method: 'restore' }],
    ['with the memory that it is said to have', { maxMemoryBytes: 1 }, { memoryBytes: 1000 }, { isLive: false }],
    [
      'with what it holds, for some keys, whatever the rest would take',
      { keys: 5, libraries: 1, maxMemoryBytes: 10 },
      { part: some },
      { method: 'restore', part: some },
    ],
    [
      'for some keys when it is live and meant, with its replicas',
      { ...live, keys: 5, replicas: 2 },
      { part: some, live: address },
      { method: 'restore', isLive: true },
    ],
    ['with what it holds, when that may go', { keys: 5, libraries: 1 }, { replace: true }, { keys: 5, libraries: 1 }],
    [
      'when it is live and meant, so that the journal goes on',
      live,
      { live: address },
      { method: 'restore', isLive: true },
    ],
    ['when it is live and meant, and told how', live, { live: address, method: 'replicaof' }, { method: 'replicaof' }],
    ['with replicas, when it is meant', { replicas: 1 }, { live: address }, { isLive: false }],
    ['when a restore has left it a replica', { replication: replica, isLeftBehind: true }, {}, { isLeftBehind: true }],
  ])('%s', (_, facts, said, plan) => {
    expect(decideTarget({ ...empty, ...facts }, { ...asked, ...said }, need)).toMatchObject(plan);
  });
});

test('what happens where the memory does not do is told by how the server evicts', () => {
  const refusal = (facts: Partial<TargetFacts>, said: Partial<TargetAsked> = {}): string => {
    try {
      refuseMemory({ ...empty, ...facts }, { ...asked, ...said }, 5 * 2 ** 20);
      return 'none';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  const maxMemoryBytes = 2 ** 20;
  expect(refusal({})).toBe('none');
  expect(refusal({ maxMemoryBytes })).toBe(
    `the dataset takes 5 MiB, and ${address} has a maxmemory of 1 MiB; it would refuse the rest`,
  );
  expect(refusal({ maxMemoryBytes, evictionPolicy: 'allkeys-lru' })).toMatch(
    /; it would let go of keys \(allkeys-lru\)$/,
  );
  expect(refusal({ machineBytes: 2 ** 20 })).toMatch(/10.0.0.5:6379 has 1 MiB$/);
  expect(refusal({ maxMemoryBytes }, { memoryBytes: 2 ** 21 })).toMatch(/10.0.0.5:6379 may take 2 MiB$/);
  expect(refusal({ maxMemoryBytes }, { memoryBytes: 2 ** 23 })).toBe('none');
});
