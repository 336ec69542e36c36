/**
 * Connections to all primaries of a cluster that have slots, found by asking one of its nodes.
 *
 * Invariant: there is one to each of them, or none at all.
 */
import type { Clock } from '../../core/clock.ts';
import { LinkError, UsageError } from '../../core/errors.ts';
import { countSlots } from '../../redis/cluster-map.ts';
import type { SlotOwner } from '../../redis/cluster-map.ts';
import { keySlot, slotCount } from '../../redis/key-slot.ts';
import { refuseUncovered, refuseUnsettled } from '../plan/target-cluster.ts';
import type { ClusterView, PrimaryFacts } from '../plan/target-cluster.ts';
import { slotsMoved, TargetLink } from './target-link.ts';
import type { TargetConfig } from './target-link.ts';

interface Member {
  readonly owner: SlotOwner;
  readonly link: TargetLink;
}

/** What a primary said, and the connection to it. */
export interface ReachedPrimary extends PrimaryFacts {
  readonly link: TargetLink;
}

export class ClusterLink implements Disposable {
  /** Of the node that was asked. */
  readonly address: string;
  readonly #members: readonly Member[];
  readonly #bySlot: readonly TargetLink[];
  readonly #links: DisposableStack;

  private constructor(address: string, members: readonly Member[], links: DisposableStack) {
    this.address = address;
    this.#members = members;
    this.#links = links;
    const bySlot = new Array<TargetLink>(slotCount);
    for (const { owner, link } of members) {
      for (const [from, to] of owner.ranges) bySlot.fill(link, from, to + 1);
    }
    this.#bySlot = bySlot;
  }

  /** UsageError where a slot has no owner; LinkError when one of the primaries cannot be reached. */
  static async open(config: TargetConfig, clock: Clock, signal: AbortSignal): Promise<ClusterLink> {
    const owners = await ownersBy(config, clock, signal);
    using links = new DisposableStack();
    const members: Member[] = [];
    for (const owner of owners) {
      const at = config.at(owner.host, owner.port);
      members.push({ owner, link: links.use(await openMember(at, config.address, owner, clock, signal)) });
    }
    return new ClusterLink(config.address, members, links.move());
  }

  linkOf(key: Uint8Array): TargetLink {
    const link = this.#bySlot[keySlot(key)];
    if (link === undefined) throw new RangeError('a slot has no owner');
    return link;
  }

  /** In the order of their first slots. */
  facts(): Promise<ReachedPrimary[]> {
    return Promise.all(
      this.#members.map(async ({ owner, link }) => {
        const facts = await link.facts();
        return { owner, link, facts, view: await link.cluster(facts.server) };
      }),
    );
  }

  /** Rejects unless each of them, over the same connection as ever, still has what it had: then all that it took is there. */
  async refuseMoved(before: readonly ReachedPrimary[]): Promise<void> {
    const views = await Promise.all(before.map(({ link, facts }) => link.cluster(facts.server)));
    const owners = before.map(({ owner }) => owner);
    try {
      refuseUnsettled(this.address, owners, views);
    } catch (error) {
      throw error instanceof UsageError ? slotsMoved(error.message) : error;
    }
  }

  [Symbol.dispose](): void {
    this.#links.dispose();
  }
}

async function ownersBy(config: TargetConfig, clock: Clock, signal: AbortSignal): Promise<readonly SlotOwner[]> {
  using link = await TargetLink.open(config, clock, signal);
  const view: ClusterView = await link.cluster((await link.facts()).server);
  refuseUncovered(view);
  return view.owners;
}

async function openMember(
  at: TargetConfig,
  asked: string,
  { ranges }: SlotOwner,
  clock: Clock,
  signal: AbortSignal,
): Promise<TargetLink> {
  try {
    return await TargetLink.open(at, clock, signal);
  } catch (error) {
    if (!(error instanceof LinkError) || error.code !== 'target-unreachable') throw error;
    throw new LinkError(error.code, `${error.message}; by ${asked} it has ${countSlots(ranges)} slots`, 'never', {
      hint: 'nothing was changed; every primary of a cluster must be reached, at the address that the cluster gives',
      cause: error,
    });
  }
}
