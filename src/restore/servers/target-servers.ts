/**
 * The servers that a target is made of: one, or the primaries of a cluster, each reached, and found to be what the plan says.
 * Minutes may have passed since: what was seen then is no ground for what happens now.
 *
 * Invariant: every rail has been asked once more, of every server, before any of them can be touched.
 */
import type { Clock } from '../../core/clock.ts';
import { infoFields } from '../../redis/info.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';
import { decideCluster, requireSameCluster } from '../plan/target-cluster.ts';
import { decideTarget } from '../plan/target-rails.ts';
import type { TargetFacts, TargetPlan } from '../plan/target-rails.ts';
import { ClusterLink } from './cluster-link.ts';
import { movedFrom, TargetLink } from './target-link.ts';
import type { ServerTarget } from './target-output.ts';

export interface ReachedServer {
  readonly link: TargetLink;
  readonly facts: TargetFacts;
}

interface Parts {
  readonly plan: TargetPlan;
  readonly reached: readonly ReachedServer[];
  readonly linkOf: (key: Uint8Array) => TargetLink;
  readonly requireSettled: () => Promise<void>;
}

export class TargetServers implements Disposable {
  /** What is decided now. */
  readonly plan: TargetPlan;
  /** In a cluster in the order of their first slots, as in the plan. */
  readonly reached: readonly ReachedServer[];
  /** The one that has the key, or would have it. */
  readonly linkOf: (key: Uint8Array) => TargetLink;
  /** Rejects unless each primary of a cluster still has its slots: then all that it took is there. */
  readonly requireSettled: () => Promise<void>;
  readonly #links: DisposableStack;

  private constructor({ plan, reached, linkOf, requireSettled }: Parts, links: DisposableStack) {
    this.plan = plan;
    this.reached = reached;
    this.linkOf = linkOf;
    this.requireSettled = requireSettled;
    this.#links = links;
  }

  /** UsageError where it is refused by now; LinkError when one of them cannot be reached. */
  static async open(
    target: ServerTarget,
    dataset: ScratchDataset,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<TargetServers> {
    const { config, plan } = target;
    const asked = { ...target.asked, method: plan.method };
    const need = { ...target.need, bytes: await memoryOf(dataset) };
    using links = new DisposableStack();
    if (plan.cluster === undefined) {
      const link = links.use(await TargetLink.open(config, clock, signal));
      const facts = await link.facts();
      const reached = { reached: [{ link, facts }], linkOf: () => link, requireSettled: () => Promise.resolve() };
      return new TargetServers({ plan: decideTarget(facts, asked, need), ...reached }, links.move());
    }
    const cluster = links.use(await ClusterLink.open(config, clock, signal));
    const reached = await cluster.facts();
    const now = decideCluster(reached, asked, need);
    requireSameCluster(now, plan);
    const linkOf = (key: Uint8Array): TargetLink => cluster.linkOf(key);
    const requireSettled = (): Promise<void> => cluster.refuseMoved(reached);
    return new TargetServers({ plan: now, reached, linkOf, requireSettled }, links.move());
  }

  get links(): readonly TargetLink[] {
    return this.reached.map(({ link }) => link);
  }

  /** Sends RESTORE to the one that has the key, anything else to all. Rejects with an error reply as it is. */
  async send(words: DumpCommand): Promise<unknown> {
    const [name, key] = words;
    if (name === 'RESTORE' && Buffer.isBuffer(key)) return await pipe(this.linkOf(key), words);
    return await Promise.all(this.links.map((link) => pipe(link, words)));
  }

  [Symbol.dispose](): void {
    this.#links.dispose();
  }
}

async function pipe(link: TargetLink, words: DumpCommand): Promise<unknown> {
  try {
    return await link.pipe(words);
  } catch (error) {
    const reply = error instanceof Error ? error.message : String(error);
    throw movedFrom(link.address, reply) ?? new Error(`${reply} (${link.address})`, { cause: error });
  }
}

/** What the dataset takes in its own server. */
export async function memoryOf({ client }: ScratchDataset): Promise<number> {
  return Number(infoFields(await client.info('memory')).get('used_memory') ?? 0);
}
