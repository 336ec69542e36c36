/**
 * Whether a cluster may be given another dataset (pure): every rail of a single server, of every primary that has slots, and
 * those of a cluster: each slot has one owner, all say the same of it, and none is on its way. Replicas are no obstacle: as
 * members they follow whatever their primary does.
 *
 * Invariant: one primary that must not be touched, and none is.
 */
import { countSlots, formatSlots, isSameMap, uncoveredSlots } from '../../redis/cluster-map.ts';
import type { NodeTroubles, SlotOwner } from '../../redis/cluster-map.ts';
import { slotCount } from '../../redis/key-slot.ts';
import { contentsOf, refused, refuseMemory, refuseUnsafe } from './target-rails.ts';
import type { PlannedPrimary, TargetAsked, TargetFacts, TargetNeed, TargetPlan } from './target-rails.ts';

/** What a node says of the cluster. */
export interface ClusterView {
  readonly address: string;
  readonly owners: readonly SlotOwner[];
  /** `ok`, or it takes no commands. */
  readonly state: string;
  readonly troubles: NodeTroubles;
  /** States of migrations that are not over, where it lists them. */
  readonly migrations: readonly string[];
}

export interface PrimaryFacts {
  readonly owner: SlotOwner;
  readonly view: ClusterView;
  readonly facts: TargetFacts;
}

/** UsageError when it is refused; nothing has been touched. */
export function decideCluster(primaries: readonly PrimaryFacts[], asked: TargetAsked, need: TargetNeed): TargetPlan {
  const { address, method, part } = asked;
  if (method === 'replicaof') {
    throw refused(
      'method-impossible',
      1,
      '--method replicaof is not possible: the members of a cluster take no other primary',
      {
        hint: 'leave --method out: key by key it is possible',
      },
    );
  }
  refuseUnsettled(
    address,
    primaries.map(({ owner }) => owner),
    primaries.map(({ view }) => view),
  );
  const live = primaries.filter(({ view, facts }) =>
    refuseUnsafe(factsOfMember(facts), { ...asked, address: view.address }, need),
  );
  if (part === undefined) {
    refuseOtherShards(primaries, live);
    refuseShares(primaries, asked, need.bytes);
  }
  const [first] = primaries;
  if (first === undefined) throw new RangeError(`the cluster of ${address} has no primaries`);
  const cluster = primaries.map((primary) => planned(primary, live.includes(primary)));
  const which = part === undefined ? 'each key' : 'only these keys are written, each';
  return {
    ...{ address, server: first.facts.server, method: 'restore', why: `${which} to the primary of its slot` },
    ...{ isLive: live.length > 0, isLeftBehind: false },
    keys: sum(cluster.map(({ keys }) => keys)),
    libraries: Math.max(...cluster.map(({ libraries }) => libraries)),
    part,
    cluster,
  };
}

/** UsageError unless each slot still has the owner that it has in the plan. */
export function requireSameCluster({ address, cluster: now }: TargetPlan, { cluster: before }: TargetPlan): void {
  const text = (primaries: TargetPlan['cluster']): string =>
    (primaries ?? []).map(({ id, address: at, ranges }) => `${id} ${at} ${formatSlots(ranges)}`).join('\n');
  if (text(now) === text(before)) return;
  throw refused('cluster-unsettled', 11, `the slots of the cluster of ${address} have other owners than in the plan`, {
    hint: 'look at a new plan first',
  });
}

/**
 * UsageError when keys would go to a primary beside the live one, which is the only one that this journal has: nobody could
 * bring back what they replace. `counts` has the number of keys of each slot.
 */
export function refuseAstray({ cluster = [] }: TargetPlan, counts: Uint32Array): void {
  const live = cluster.find(({ isLive }) => isLive);
  if (live === undefined) return;
  for (const { address, ranges, isLive } of cluster) {
    const keys = ranges.map(([from, to]) => sum([...counts.subarray(from, to + 1)]));
    if (isLive || sum(keys) === 0) continue;
    const what = `${sum(keys)} of these keys have slots of ${address}, and the journal is of ${live.address} alone: there would be no way back`;
    throw refused('keys-of-other-shards', 7, what, {
      hint: 'leave them out (--exclude, or a --rename that keeps their {tag}), or restore them to rdb:FILE or another server',
    });
  }
}

/** UsageError unless each slot has an owner. */
export function refuseUncovered({ address, owners }: Pick<ClusterView, 'address' | 'owners'>): void {
  const free = uncoveredSlots(owners);
  if (free.length === 0) return;
  const which = free.length > shownRanges ? '' : ` (${formatSlots(free)})`;
  throw refused(
    'cluster-incomplete',
    1,
    `of the cluster of ${address}, ${countSlots(free)} of ${slotCount} slots${which} have no owner`,
    {
      hint: 'a key in them would have no place: give each slot an owner first (CLUSTER ADDSLOTSRANGE, redis-cli --cluster fix)',
    },
  );
}

/** UsageError unless all see the same cluster, with these `owners` as `address` told them, at rest. */
export function refuseUnsettled(address: string, owners: readonly SlotOwner[], views: readonly ClusterView[]): void {
  for (const view of views) {
    refuseUncovered(view);
    refuseMoving(view);
    refuseFailing(view, owners);
    if (isSameMap(view.owners, owners)) continue;
    throw unsettled(`${address} and ${view.address} do not say the same of who has which slots`);
  }
}

const shownRanges = 5;

function refuseMoving({ address, troubles, migrations }: ClusterView): void {
  if (troubles.moving.length === 0 && migrations.length === 0) return;
  const what =
    troubles.moving.length > 0 ? `: ${troubles.moving.slice(0, shownRanges).join(' ')}` : ` (${migrations[0]})`;
  throw unsettled(`slots are on their way from or to ${address}${what}`);
}

function refuseFailing({ address, state, troubles }: ClusterView, owners: readonly SlotOwner[]): void {
  const owner = owners.find(({ id }) => troubles.failing.includes(id));
  if (owner !== undefined) throw unsettled(`${address} takes another primary of the cluster for failing (${owner.id})`);
  if (state !== 'ok') throw unsettled(`the state of the cluster is ${state} by what ${address} says`);
}

/** UsageError when a part that goes by the number of slots does not fit into its server. */
function refuseShares(primaries: readonly PrimaryFacts[], { memoryBytes }: TargetAsked, bytes: number): void {
  for (const { owner, view, facts } of primaries) {
    const share = Math.floor((bytes * countSlots(owner.ranges)) / slotCount);
    const what = 'its part of the dataset, by the number of its slots, takes';
    refuseMemory(facts, { address: view.address, memoryBytes }, share, what);
  }
}

/** What is live is one part of a whole: the rest of the cluster is not in this journal, and would be gone. */
function refuseOtherShards(primaries: readonly PrimaryFacts[], live: readonly PrimaryFacts[]): void {
  const other = primaries.find((primary) => !live.includes(primary) && primary.facts.keys > 0);
  if (live[0] === undefined || other === undefined) return;
  const what = `the journal is of ${live[0].view.address} alone, and ${other.view.address}, of the same cluster, holds ${contentsOf(other.facts)}`;
  throw refused('target-holds-other-shards', 7, what, {
    hint: 'restore to another cluster, or to rdb:FILE, and look first',
  });
}

/** Its replicas are members, too, and its method is settled. */
function factsOfMember(facts: TargetFacts): TargetFacts {
  return { ...facts, replicas: 0 };
}

function planned({ owner, view, facts }: PrimaryFacts, isLive: boolean): PlannedPrimary {
  const { server, replicas, keys, libraries } = facts;
  return { address: view.address, id: owner.id, ranges: owner.ranges, server, replicas, keys, libraries, isLive };
}

function unsettled(what: string): ReturnType<typeof refused> {
  return refused('cluster-unsettled', 11, what, { hint: 'wait until the cluster is at rest, and do it again' });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
