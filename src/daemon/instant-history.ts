/**
 * One moment of a journal, served for itself: a replica gets exactly the dataset of a cut, under a history of its own, and
 * stays linked by PINGs. That history begins with the process: it is nobody's, so that no server can take what comes out of
 * it for more of the primary's.
 */
import type { Clock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import type { History, OwnTimeline, ServedTimeline, Shift, UpstreamState } from '../downstream/history.ts';
import { ownId, withPingBehind } from '../downstream/own-numbering.ts';
import { Watchers } from '../downstream/watchers.ts';
import { withCatalog } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { formatServerVersion, replicatesRelativeTtl } from '../redis/server-version.ts';
import { primaryTimeOf } from '../restore/locate/cut-time.ts';
import { locate } from '../restore/locate/locate.ts';
import type { Cut, CutMode, UncertaintyRule } from '../restore/locate/locate.ts';
import type { Target } from '../restore/locate/target.ts';
import { sourceServer } from '../restore/plan/plan.ts';
import type { Disk } from '../storage/disk.ts';
import { readAddress } from '../upstream/address.ts';
import { shiftBy } from './shift.ts';

export interface InstantRequest {
  readonly target: Target;
  readonly mode: CutMode;
  readonly uncertainty: UncertaintyRule;
}

/** What becomes of instants at which something expires: they stay, or are moved by as much as it is served later. */
export type ServedTtl = 'keep' | 'shift';

/** As often as a primary sends them: a replica gives up after 60 s without a byte. */
const pingEveryMs = 10_000;

export class InstantHistory implements History, Disposable {
  readonly cut: Cut;
  readonly #clock: Clock;
  readonly #upstream: UpstreamState;
  readonly #watchers = new Watchers();
  #served: OwnTimeline;
  #cancel: (() => void) | undefined;

  private constructor(timeline: Timeline, cut: Cut, clock: Clock, shift: Shift | undefined) {
    const { number, directory, base } = timeline;
    const ids = [{ id: ownId(), offset: base.record.offset + 1 }];
    this.cut = cut;
    this.#clock = clock;
    this.#served = {
      number,
      directory,
      base,
      ids,
      durable: cut.offset,
      own: { pings: [], names: timeline.ids.length, shift },
    };
    const since = clock.monotonic();
    this.#upstream = {
      sources: [],
      ...readAddress(timeline.record.address),
      isUp: true,
      since,
      server: sourceServer(timeline),
    };
    this.#schedule();
  }

  /** CoverageError when the journal does not hold the moment, or it has more than one meaning. */
  static open(
    disk: Disk,
    tree: SourceTree,
    request: InstantRequest,
    ttl: ServedTtl,
    clock: Clock,
  ): Promise<InstantHistory> {
    return withCatalog(disk, tree, async (catalog) => {
      const cut = await locate(disk, catalog, request.target, request.mode, request.uncertainty);
      const timeline = catalog.timelines.find(({ number }) => number === cut.timeline);
      if (timeline === undefined) throw new RangeError(`the cut is on timeline ${cut.timeline}, which is not there`);
      requireAbsoluteTtls(timeline, cut);
      if (ttl === 'keep') return new InstantHistory(timeline, cut, clock, undefined);
      const since = clock.wall() - (await primaryTimeOf(disk, timeline, cut));
      return new InstantHistory(timeline, cut, clock, await shiftBy(disk, timeline.base, since));
    });
  }

  now(): ServedTimeline {
    return this.#served;
  }

  upstream(): UpstreamState {
    return this.#upstream;
  }

  watch(changed: () => void): () => void {
    return this.#watchers.add(changed);
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(pingEveryMs, () => {
      this.#served = withPingBehind(this.#served, this.cut.offset);
      this.#watchers.tell();
      this.#schedule();
    });
  }
}

function requireAbsoluteTtls(timeline: Timeline, { offset }: Cut): void {
  const server = sourceServer(timeline);
  if (server === undefined || !replicatesRelativeTtl(server) || offset === timeline.base.record.offset) return;
  throw new UsageError(
    'relative-ttl',
    `${formatServerVersion(server)} replicated relative TTLs (EXPIRE key 60): on a replica they would count from now`,
    { hint: 'journal restore --relative-ttl convert makes a dataset of them' },
  );
}
