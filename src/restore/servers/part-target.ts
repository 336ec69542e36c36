/**
 * A running server, or a cluster, right before some keys are written into it, or compared with it: counted, reached, and all
 * asked that only the dataset can answer: whether it has their dbs, has the room, and in a live cluster, whose they are now.
 *
 * Invariant: nothing has been changed there.
 */
import type { Clock } from '../../core/clock.ts';
import { keySlot, slotCount } from '../../redis/key-slot.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { countSaved } from '../outputs/filter-saved.ts';
import type { Picked } from '../outputs/filter-saved.ts';
import type { RestoreSource } from '../outputs/output.ts';
import { refuseAstray } from '../plan/target-cluster.ts';
import { absentKeys } from './absent-keys.ts';
import type { AbsentKeys } from './absent-keys.ts';
import { requireDbs } from './require-dbs.ts';
import { requireRoom } from './require-room.ts';
import type { TargetLink } from './target-link.ts';
import type { ServerTarget } from './target-output.ts';
import { TargetServers } from './target-servers.ts';
import type { ReachedServer } from './target-servers.ts';

export class PartTarget implements Disposable {
  readonly servers: TargetServers;
  readonly dataset: ScratchDataset;
  readonly selection: KeySelection;
  readonly picked: Picked;

  private constructor(servers: TargetServers, dataset: ScratchDataset, selection: KeySelection, picked: Picked) {
    this.servers = servers;
    this.dataset = dataset;
    this.selection = selection;
    this.picked = picked;
  }

  /** UsageError or LinkError where these keys cannot go there. */
  static async open(
    target: ServerTarget,
    { disk, plan, dataset }: RestoreSource,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<PartTarget> {
    const { selection } = plan;
    if (dataset === undefined || selection === undefined) throw new RangeError('the plan selects no keys');
    const dbs = new Set<number>();
    const slots = new Uint32Array(slotCount);
    const isCluster = target.plan.cluster !== undefined;
    const picked = await countSaved(disk, await dataset.save(), selection, (db, _key, name) => {
      dbs.add(db);
      const slot = isCluster ? keySlot(name) : 0;
      slots[slot] = (slots[slot] ?? 0) + 1;
    });
    using opening = new DisposableStack();
    const servers = opening.use(await TargetServers.open(target, dataset, clock, signal));
    refuseAstray(servers.plan, slots);
    await requireDbs(servers.links, dataset, dbs);
    await requireRoom(servers, target.asked, dataset, selection, signal);
    throwIfInterrupted(signal);
    opening.move();
    return new PartTarget(servers, dataset, selection, picked);
  }

  /** The primary whose journal this is, if it is one of them. */
  get live(): ReachedServer | undefined {
    const { plan, reached } = this.servers;
    if (plan.cluster === undefined) return plan.isLive ? reached[0] : undefined;
    return reached[plan.cluster.findIndex(({ isLive }) => isLive)];
  }

  /** Those of which the journal knows what was there: of a live cluster the live primary alone. */
  get mirrored(): readonly TargetLink[] {
    return this.live === undefined ? this.servers.links : [this.live.link];
  }

  absent(signal: AbortSignal): AsyncGenerator<AbsentKeys, void, undefined> {
    return absentKeys(this.mirrored, this.dataset, this.selection, signal);
  }

  [Symbol.dispose](): void {
    this.servers[Symbol.dispose]();
  }
}
