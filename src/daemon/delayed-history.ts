/**
 * A journal as it was some time ago, and always that long ago: the live undo copy. What is served of it follows the stamps,
 * under a history of its own, in which PINGs keep replicas linked while nothing is due or it is paused.
 *
 *   journal   ──────────────────●─────────── now − delay ─────── now       ● all that was received by then
 *   served    ──────────────────┘                                            pause: it stays there, whatever happens
 *
 * Invariant: nothing is served before its time, and nothing twice. A stamp is when something was received, so what came late
 * (a full sync, an interruption) counts by the later of the times that it may be of. A boundary once served stays served; a
 * timeline is gone over to when its base is due. While it is paused nothing moves but by step(), and a restart changes
 * nothing: all that the next process needs is on disk before it is true here (pause-file.ts). While it follows, the history
 * is of this process only.
 *
 * Neighbours: kept-history.ts knows how far the journal is, delayed-control.ts is how people get at it.
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Clock, Micros } from '../core/clock.ts';
import type { CoverageError } from '../core/errors.ts';
import { delayedPingRunsMax } from '../core/limits.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import { Stamper } from '../core/stamper.ts';
import type { History, OwnTimeline, ServedTimeline, Shift, UpstreamState } from '../downstream/history.ts';
import { ownId, servedUpTo, withPingBehind } from '../downstream/own-numbering.ts';
import { Watchers } from '../downstream/watchers.ts';
import { BlockCache } from '../log/block-cache.ts';
import { idAt, loadTimeline, withCatalog } from '../log/catalog.ts';
import type { BaseEntry } from '../log/catalog.ts';
import { DueBoundary } from '../log/due-boundary.ts';
import type { StampedBoundary } from '../log/due-boundary.ts';
import { readRemoved } from '../log/removed.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { boundariesAround } from '../restore/locate/locate-boundaries.ts';
import { locate } from '../restore/locate/locate.ts';
import type { Cut } from '../restore/locate/locate.ts';
import type { Disk } from '../storage/disk.ts';
import { notDurable, nothingServed, positionRemoved, requireAhead } from './delayed-refusals.ts';
import { DueSources } from './due-sources.ts';
import type { DueSource } from './due-sources.ts';
import type { InstantRequest } from './instant-history.ts';
import { Looking, lookMs } from './looking.ts';
import type { PauseFile } from './pause-file.ts';

export interface DelayedOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  readonly delay: Micros;
  /** The journal as it is now. */
  readonly kept: Pick<History, 'now' | 'upstream'>;
  readonly pauseFile: PauseFile;
  /** Of a base that begins to be served; undefined: what expires does so when it did at the primary. */
  readonly shift?: ((base: BaseEntry) => Promise<Shift | undefined>) | undefined;
  readonly events: DelayedEvents;
}

export interface DelayedEvents {
  /** It serves another timeline, or the same under another id: replicas take a full sync. */
  begun(served: ServedTimeline, reached: StampedBoundary): void;
  /** It cannot go on just now. Told once for each run of failures; it is tried again. */
  failed(error: unknown): void;
}

/** Where it stands. */
export interface Standing {
  readonly state: 'waiting' | 'following' | 'paused';
  /** Since when it is paused. */
  readonly since: Micros | undefined;
  /** The dataset is the one of this instant, by stamps; undefined while nothing is due. */
  readonly instant: Micros | undefined;
  /** The last command that is served, in the numbers of the primary, and its stamp. */
  readonly reached: (StampedBoundary & { readonly timeline: number; readonly position: string }) | undefined;
  readonly trouble: CoverageError | undefined;
}

const durableLooks = 25;
/**
 * Between two PINGs of a primary 10 s go by: while it follows none are to be put between them, since their places are
 * counted. Paused, they are all at one place, and there is nothing else for replicas that give up after a few seconds.
 */
const pingAfter: Micros = 15_000_000;
const pingAfterPaused: Micros = 3_000_000;
/** Of the journal, what is read ahead of what is due: a block. */
const blockBytes: number = 2 * 1024 * 1024;

interface Pause {
  readonly since: Micros;
  readonly instant: Micros;
}

export class DelayedHistory implements History, AsyncDisposable {
  readonly #options: DelayedOptions;
  readonly #watchers = new Watchers();
  readonly #looking: Looking;
  readonly #stamper: Stamper;
  readonly #sources: DueSources;
  #served: OwnTimeline | undefined;
  /** In the journal's numbers: all of what is served but PINGs. */
  #reached: StampedBoundary = { offset: 0, stamp: 0 };
  #paused: Pause | undefined;
  #due: { readonly names: number; readonly boundary: DueBoundary } | undefined;
  #instant: Micros | undefined;
  #trouble: CoverageError | undefined;
  /** By the monotonic clock. */
  #lastSent: Micros = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: DelayedOptions) {
    this.#options = options;
    const { clock, events } = options;
    this.#looking = new Looking({
      ...{ clock, look: () => this.#inTurn(() => this.#look()) },
      failed: (error) => {
        events.failed(error);
      },
    });
    this.#stamper = new Stamper(clock, 0);
    this.#sources = new DueSources(options.disk, options.tree, options.kept);
  }

  /** Goes on where it was paused, if it was. IntegrityError: that cannot be told. */
  static async open(options: DelayedOptions): Promise<DelayedHistory> {
    const history = new DelayedHistory(options);
    await history.#recall();
    await history.#looking.begin();
    return history;
  }

  now(): ServedTimeline | undefined {
    return this.#served;
  }

  upstream(): UpstreamState {
    return this.#options.kept.upstream();
  }

  watch(changed: () => void): () => void {
    return this.#watchers.add(changed);
  }

  get standing(): Standing {
    const { since, instant } = this.#paused ?? { since: undefined, instant: this.#instant };
    const served = this.#served;
    const trouble = this.#trouble;
    if (this.#paused !== undefined) return { state: 'paused', since, instant, reached: this.#told(), trouble };
    if (served === undefined) return { state: 'waiting', since, instant: undefined, reached: undefined, trouble };
    return { state: 'following', since, instant, reached: this.#told(), trouble };
  }

  /** On return nothing more is served, and will not be after a restart. It may be paused already. */
  pause(): Promise<void> {
    return this.#inTurn(() => this.#pause());
  }

  /** Serves all up to exactly there, and stays paused. CoverageError when that is not ahead, or not to be had here. */
  step(request: InstantRequest): Promise<Cut> {
    return this.#inTurn(async () => {
      const { disk, tree } = this.#options;
      await this.#pause();
      const paused = this.#paused;
      const served = this.#served;
      if (paused === undefined || served === undefined) this.#refuse();
      const { target, mode, uncertainty } = request;
      const { cut, names } = await withCatalog(disk, tree, async (catalog) => {
        const found = await locate(disk, catalog, target, mode, uncertainty);
        const timeline = catalog.timelines.find(({ number }) => number === found.timeline);
        return { cut: found, names: timeline?.ids.length ?? 1 };
      });
      requireAhead(served.number, this.#reached, cut);
      await this.#untilDurable(cut);
      const reached = { offset: cut.offset, stamp: cut.reached };
      const moved = servingUpTo({ ...served, own: { ...served.own, names } }, reached.offset);
      const instant = target.kind === 'time' ? target.at : cut.reached;
      await this.#remember(moved, reached, { since: paused.since, instant });
      this.#show(moved, reached);
      return cut;
    });
  }

  /** Goes on toward what is due: all that lies between is served at once. It may be following already. */
  resume(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#paused === undefined) return;
      await this.#options.pauseFile.clear();
      this.#paused = undefined;
      await this.#forgetDue();
      // It is resumed by now. What cannot be read at this moment, as when it is just being removed, the next look comes to.
      await this.#follow(this.#stamper.now() - this.#options.delay, 'far').catch((error: unknown) => {
        this.#options.events.failed(error);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#looking[Symbol.dispose]();
    await this.#turn;
    await this.#forgetDue();
  }

  async #look(): Promise<void> {
    const horizon = this.#stamper.now() - this.#options.delay;
    if (this.#paused === undefined) await this.#follow(horizon, 'near');
    await this.#lookForTrouble();
    await this.#keepAlive();
  }

  /** One thing after the other, whoever asks. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** `far`: so much may have become due that it is not to be looked at frame by frame. */
  async #follow(horizon: Micros, distance: 'near' | 'far'): Promise<void> {
    const source = await this.#sources.at(horizon);
    if (source === undefined) return;
    const { ids, durable, directory } = source;
    if (this.#served?.number !== source.number) {
      await this.#begin(source, horizon);
      return;
    }
    if (distance === 'far') this.#release(await this.#boundaryAt(source.number, horizon), source);
    if (this.#due?.names !== ids.length) {
      await this.#forgetDue();
      const { disk } = this.#options;
      const boundary = new DueBoundary(disk, directory, this.#reached, new BlockCache(blockBytes));
      this.#due = { names: ids.length, boundary };
    }
    this.#release(await this.#due.boundary.at(horizon, durable), source);
    this.#instant = Math.max(this.#instant ?? 0, horizon);
  }

  async #begin(source: DueSource, horizon: Micros): Promise<void> {
    const reached = await this.#boundaryAt(source.number, horizon);
    if (reached === undefined || reached.offset > source.durable) return;
    await this.#forgetDue();
    const { number, directory, base } = source;
    const ids = newName(base.record.offset);
    const own = { pings: [], names: source.ids.length, shift: await this.#options.shift?.(base) };
    this.#instant = horizon;
    this.#show({ number, directory, base, ids, durable: reached.offset, own }, reached);
    this.#options.events.begun({ ...source, durable: reached.offset }, reached);
  }

  async #boundaryAt(number: number, horizon: Micros): Promise<StampedBoundary | undefined> {
    const { disk, tree } = this.#options;
    const timeline = await loadTimeline(disk, tree, number);
    return timeline && (await boundariesAround(disk, timeline, { by: 'stamp', stamp: horizon })).last;
  }

  #release(reached: StampedBoundary | undefined, { ids, durable }: DueSource): void {
    const served = this.#served;
    if (served === undefined) return;
    const own = { ...served.own, names: ids.length };
    const isMore = reached !== undefined && reached.offset > this.#reached.offset && reached.offset <= durable;
    if (isMore) this.#show(servingUpTo({ ...served, own }, reached.offset), reached);
    else if (own.names !== served.own.names) this.#show({ ...served, own }, this.#reached);
  }

  #show(served: OwnTimeline, reached: StampedBoundary): void {
    if (served.durable !== this.#served?.durable) this.#lastSent = this.#options.clock.monotonic();
    this.#served = served;
    this.#reached = reached;
    this.#watchers.tell();
  }

  async #keepAlive(): Promise<void> {
    const served = this.#served;
    const silent = this.#options.clock.monotonic() - this.#lastSent;
    const patience = this.#paused === undefined ? pingAfter : pingAfterPaused;
    if (served === undefined || silent < patience || this.#watchers.isEmpty) return;
    const next = this.#isFull(served)
      ? renamed(served, this.#reached.offset)
      : withPingBehind(served, this.#reached.offset);
    if (this.#paused !== undefined) await this.#remember(next, this.#reached, this.#paused);
    this.#show(next, this.#reached);
  }

  /** Of a history in which PINGs are at more places than is kept, another one is begun. */
  #isFull({ own: { pings } }: OwnTimeline): boolean {
    return pings.length >= delayedPingRunsMax && pings.at(-1)?.behind !== this.#reached.offset;
  }

  async #pause(): Promise<void> {
    if (this.#paused !== undefined) return;
    const { clock } = this.#options;
    if (this.#served === undefined || this.#instant === undefined) this.#refuse();
    await this.#remember(this.#served, this.#reached, { since: clock.wall(), instant: this.#instant });
  }

  /** On disk first: what was not served before a restart is not served behind it. */
  async #remember(served: OwnTimeline, reached: StampedBoundary, pause: Pause): Promise<void> {
    const { number, ids, own } = served;
    const id = ids.at(-1)?.id ?? '';
    const laterByMs = own.shift?.laterByMs ?? 0;
    await this.#options.pauseFile.write({ timeline: number, id, pings: own.pings, laterByMs, reached, ...pause });
    this.#paused = pause;
  }

  /** A writer tells each second how far it is; one that tells it no more may have lost what lies behind. */
  async #untilDurable({ timeline, offset }: Cut): Promise<void> {
    const { kept, clock } = this.#options;
    for (let look = 0; look < durableLooks; look += 1) {
      const newest = kept.now();
      if (newest?.number !== timeline || offset <= newest.durable) return;
      await clock.sleep(lookMs);
    }
    throw notDurable(offset);
  }

  async #recall(): Promise<void> {
    const { disk, tree, pauseFile } = this.#options;
    const kept = await pauseFile.read();
    if (kept === undefined) return;
    const { timeline: number, reached, since, instant } = kept;
    this.#paused = { since, instant };
    const removed = (await readRemoved(disk, tree)).some(({ timeline }) => timeline === number);
    const timeline = removed ? undefined : await loadTimeline(disk, tree, number);
    if (timeline === undefined || reached.offset > timeline.end) {
      this.#trouble = positionRemoved(number);
      return;
    }
    const { directory, base } = timeline;
    const shift = await this.#options.shift?.(base);
    // With other times the bytes would be others than those that replicas have.
    const isSame = kept.laterByMs === (shift?.laterByMs ?? 0);
    const pings = isSame ? kept.pings : [];
    const ids = newName(base.record.offset, isSame ? kept.id : ownId());
    const own = { pings, names: timeline.ids.length, shift };
    this.#show({ number, directory, base, ids, durable: servedUpTo(pings, reached.offset), own }, reached);
  }

  /** Retention leaves it what it needs (copy-note.ts), unless it does not know of it, or the disk runs full. */
  async #lookForTrouble(): Promise<void> {
    const { disk, tree, events } = this.#options;
    const number = this.#served?.number;
    if (number === undefined) {
      if (this.#paused === undefined) this.#trouble = undefined;
      return;
    }
    const isRemoved = (await readRemoved(disk, tree)).some(({ timeline }) => timeline === number);
    if (isRemoved && this.#trouble === undefined) events.failed(positionRemoved(number));
    this.#trouble = isRemoved ? positionRemoved(number) : undefined;
  }

  /** There is nothing that could be paused, or gone on with. */
  #refuse(): never {
    if (this.#trouble !== undefined) throw this.#trouble;
    throw nothingServed();
  }

  #told(): Standing['reached'] {
    const served = this.#served;
    if (served === undefined) return undefined;
    const { offset, stamp } = this.#reached;
    return {
      offset,
      stamp,
      timeline: served.number,
      position: formatPosition({ id: this.#sourceId(served, offset), offset }),
    };
  }

  #sourceId({ number, base }: ServedTimeline, offset: Offset): string {
    const source = this.#sources.known(number);
    return idAt({ ids: source?.ids ?? [{ id: base.record.id, offset: base.record.offset + 1 }] }, offset);
  }

  async #forgetDue(): Promise<void> {
    const due = this.#due;
    this.#due = undefined;
    await due?.boundary[Symbol.asyncDispose]();
  }
}

function servingUpTo(served: OwnTimeline, offset: Offset): OwnTimeline {
  return { ...served, durable: servedUpTo(served.own.pings, offset) };
}

function newName(baseOffset: Offset, id = ownId()): readonly IdEntry[] {
  return [{ id, offset: baseOffset + 1 }];
}

/** The same without the PINGs. */
function renamed(served: OwnTimeline, reached: Offset): OwnTimeline {
  const { base, own } = served;
  return { ...served, ids: newName(base.record.offset), durable: reached, own: { ...own, pings: [] } };
}
