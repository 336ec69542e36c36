// Which clusters a restore may go into: one primary that must not be touched, and none is.
import { describe, expect, test } from 'vitest';
import type { SlotOwner } from '../../../src/redis/cluster-map.ts';
import { serverVersionFromInfo } from '../../../src/redis/server-version.ts';
import { decideCluster, refuseAstray, requireSameCluster } from '../../../src/restore/plan/target-cluster.ts';
import type { ClusterView, PrimaryFacts } from '../../../src/restore/plan/target-cluster.ts';
import type { TargetAsked, TargetFacts, TargetNeed } from '../../../src/restore/plan/target-rails.ts';

const ours = 'a'.repeat(40);
const asked: TargetAsked = { address: '10.0.0.1:6379', replace: false, live: undefined, method: undefined };
const need: TargetNeed = { histories: new Set([ours]), bytes: 16_384, rdb: { magic: 'REDIS', version: 10 } };

const empty: TargetFacts = {
  ...{ server: serverVersionFromInfo('redis_version:7.0.15')!, mode: 'cluster', replicas: 0, keys: 0, libraries: 0 },
  ...{ usedBytes: 1000, maxMemoryBytes: 0, machineBytes: 0, evictionPolicy: 'noeviction' },
  ...{ isLeftBehind: false, replicaofRefused: 'it is in a cluster' },
  replication: {
    ...{ role: 'master', id: 'b'.repeat(40), offset: 100, before: undefined, primary: undefined, isFailingOver: false },
  },
};
const live = { replication: { ...empty.replication, id: ours } };
const replica = {
  replication: { ...empty.replication, role: 'slave', primary: { host: 'h', port: 1, isUp: true } },
} as const;

const owners: readonly SlotOwner[] = [
  { id: '1', host: '10.0.0.1', port: 6379, ranges: [[0, 4095]] },
  { id: '2', host: '10.0.0.2', port: 6379, ranges: [[4096, 16_383]] },
];

/** Two primaries, of which the second is different. */
function clusterWith(facts: Partial<TargetFacts>, view: Partial<ClusterView> = {}): PrimaryFacts[] {
  return owners.map((owner, i) => {
    const said = { owners, state: 'ok', troubles: { moving: [], failing: [] }, migrations: [] };
    const address = `${owner.host}:${owner.port}`;
    return { owner, facts: { ...empty, ...(i === 1 && facts) }, view: { address, ...said, ...(i === 1 && view) } };
  });
}

const part = { deletesAbsent: false, onlyMissing: false };
const all = { replace: true, live: '10.0.0.2:6379' };

describe('a cluster is refused, of which one primary', () => {
  test.each<[string, Partial<TargetFacts>, Partial<ClusterView>, Partial<TargetAsked>, string, number]>([
    ['holds keys', { keys: 1 }, {}, {}, 'target-not-empty', 7],
    ['holds functions', { libraries: 1 }, {}, {}, 'target-not-empty', 7],
    ['is the live one', live, {}, { replace: true }, 'target-is-live', 7],
    ['is the live one, and another address is said', live, {}, { live: asked.address }, 'target-is-live', 7],
    ['has become a replica', replica, {}, all, 'target-is-replica', 7],
    ['is older than the RDB', { server: serverVersionFromInfo('redis_version:6.2.0')! }, {}, all, 'target-version', 1],
    ['has too little room for its slots', { maxMemoryBytes: 12_287 }, {}, all, 'target-memory', 1],
    ['is to be given some keys, and is live', live, {}, { part }, 'target-is-live', 7],
    ['may be emptied, for some keys', {}, {}, { part, replace: true }, 'replace-of-some', 2],
    ['is to follow us', {}, {}, { ...all, method: 'replicaof' }, 'method-impossible', 1],
    ['has a slot on its way', {}, { troubles: { moving: ['[1->-2]'], failing: [] } }, all, 'cluster-unsettled', 11],
    ['migrates slots', {}, { migrations: ['waiting-to-pause'] }, all, 'cluster-unsettled', 11],
    ['takes another for failing', {}, { troubles: { moving: [], failing: ['1'] } }, all, 'cluster-unsettled', 11],
    ['says that the cluster is down', {}, { state: 'fail' }, all, 'cluster-unsettled', 11],
    ['knows an owner for some slots only', {}, { owners: owners.slice(1) }, all, 'cluster-incomplete', 1],
    ['says otherwise who has what', {}, { owners: swapped() }, all, 'cluster-unsettled', 11],
  ])('%s', (_, facts, view, said, code, exitCode) => {
    expect(() => decideCluster(clusterWith(facts, view), { ...asked, ...said }, need)).toThrow(
      expect.objectContaining({ code, exitCode, hint: expect.stringContaining('nothing was changed') }),
    );
  });

  test('is live, while another holds what the journal does not', () => {
    const [first, second] = clusterWith(live);
    const other = { ...first!, facts: { ...empty, keys: 3 } };
    expect(() => decideCluster([other, second!], { ...asked, ...all }, need)).toThrow(
      expect.objectContaining({ code: 'target-holds-other-shards', exitCode: 7 }),
    );
  });
});

describe('a cluster is taken', () => {
  test('key by key, with its primaries, their slots, and what they hold', () => {
    const plan = decideCluster(clusterWith({ keys: 2, libraries: 1 }), { ...asked, replace: true }, need);
    expect(plan).toMatchObject({
      ...{ method: 'restore', isLive: false, keys: 2, libraries: 1 },
      address: asked.address,
    });
    expect(plan.cluster).toMatchObject([
      { address: '10.0.0.1:6379', ranges: [[0, 4095]], keys: 0 },
      { address: '10.0.0.2:6379', ranges: [[4096, 16_383]], keys: 2, libraries: 1 },
    ]);
  });

  test('with replicas, which follow, and a replica that fails', () => {
    const troubles = { moving: [], failing: ['a replica'] };
    const plan = decideCluster(clusterWith({ replicas: 2 }, { troubles }), asked, need);
    expect(plan.cluster?.map(({ replicas }) => replicas)).toEqual([0, 2]);
  });

  test('by the room that each has for its slots', () => {
    expect(decideCluster(clusterWith({ maxMemoryBytes: 12_288 }), asked, need).cluster).toHaveLength(2);
    const small = clusterWith({ maxMemoryBytes: 12_287 });
    expect(decideCluster(small, { ...asked, memoryBytes: 12_288 }, need).cluster).toHaveLength(2);
  });

  test('with all that it holds, for some keys, also when it is live and meant', () => {
    const primaries = clusterWith({ ...live, keys: 4, maxMemoryBytes: 1 });
    const plan = decideCluster(primaries, { ...asked, part, live: '10.0.0.2:6379' }, need);
    expect(plan).toMatchObject({ isLive: true, method: 'restore', part, keys: 4 });
    expect(plan.cluster?.map(({ isLive }) => isLive)).toEqual([false, true]);
  });

  test('when a live one is meant, and no other holds anything', () => {
    expect(decideCluster(clusterWith({ ...live, keys: 4 }), { ...asked, ...all }, need)).toMatchObject({
      isLive: true,
    });
  });
});

describe('keys for a cluster', () => {
  const counts = new Uint32Array(16_384);
  counts[4095] = 2;
  counts[4096] = 1;

  test('go to every primary, unless one is live: then to that alone', () => {
    expect(() => refuseAstray(decideCluster(clusterWith({}), asked, need), counts)).not.toThrow();
    const plan = decideCluster(clusterWith(live), { ...asked, part, live: '10.0.0.2:6379' }, need);
    expect(() => refuseAstray(plan, counts)).toThrow(
      expect.objectContaining({
        ...{ code: 'keys-of-other-shards', exitCode: 7 },
        message: expect.stringMatching(/^2 of these keys have slots of 10.0.0.1:6379, /),
      }),
    );
    expect(() =>
      refuseAstray(
        plan,
        counts.map((count, slot) => (slot > 4095 ? count : 0)),
      ),
    ).not.toThrow();
  });

  test('do not go where slots have other owners than in the plan', () => {
    const plan = decideCluster(clusterWith({}), asked, need);
    expect(() => requireSameCluster(plan, plan)).not.toThrow();
    const [first, second] = plan.cluster!;
    const other = { ...plan, cluster: [{ ...first!, ranges: second!.ranges }, second!] };
    expect(() => requireSameCluster(other, plan)).toThrow(
      expect.objectContaining({ code: 'cluster-unsettled', exitCode: 11 }),
    );
  });
});

function swapped(): SlotOwner[] {
  return [
    { ...owners[1]!, ranges: [[0, 4095]] },
    { ...owners[0]!, ranges: [[4096, 16_383]] },
  ];
}
