/**
 * A journal that another process writes, or nobody, as those see it that are fed from it. It is asked again and again how
 * far it is: the writer tells each second what is durable (state-file.ts), and where there is no writer all that is whole
 * counts, as it would for the next one.
 */
import type { Clock, Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { History, LinkStanding, ServedTimeline, UpstreamState } from '../downstream/history.ts';
import { Watchers } from '../downstream/watchers.ts';
import { loadTimeline } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import { readRemoved } from '../log/removed.ts';
import { timelineNumbers } from '../log/source-tree.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { namedServer } from '../redis/server-version.ts';
import type { Disk } from '../storage/disk.ts';
import { readAddress } from '../upstream/address.ts';
import { Looking } from './looking.ts';
import type { RunState } from './state-file.ts';
import { readWriter } from './status.ts';

export interface KeptHistoryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  /** It cannot be read just now. Told once for each run of failures; it is tried again. */
  readonly failed: (error: unknown) => void;
}

/** Without a writer somebody may still be copying files there. */
const lookAnewMs = 5000;

export class KeptHistory implements History, Disposable {
  readonly #options: KeptHistoryOptions;
  readonly #watchers = new Watchers();
  readonly #looking: Looking;
  #served: ServedTimeline | undefined;
  #upstream: UpstreamState = { sources: [], host: '?', port: 0, isUp: false, since: 0, server: undefined };
  /** The last words of whoever wrote last. */
  #words: RunState | undefined;
  #loadedAt = -Infinity;

  private constructor(options: KeptHistoryOptions) {
    this.#options = options;
    const { clock, failed } = options;
    this.#looking = new Looking({ clock, look: () => this.#look(), failed });
  }

  /** Looks once, and then again and again until disposal. */
  static async open(options: KeptHistoryOptions): Promise<KeptHistory> {
    const history = new KeptHistory(options);
    await history.#looking.begin();
    return history;
  }

  now(): ServedTimeline | undefined {
    return this.#served;
  }

  upstream(): UpstreamState {
    return this.#upstream;
  }

  linkStanding(): LinkStanding {
    return standingOf(this.#words, this.#upstream.isUp, this.#options.clock.wall());
  }

  watch(changed: () => void): () => void {
    return this.#watchers.add(changed);
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const { words, live } = await readWriter(this.#options.disk, this.#options.tree);
    this.#lookUpstream(words, live);
    if (this.#isOld(live)) await this.#load(live);
    else this.#serve(this.#served, durableOf(this.#served, live));
  }

  /** Whether the timeline has to be read again: it is another, or has another name, or nobody tells how far it is. */
  #isOld(live: RunState | undefined): boolean {
    if (this.#served === undefined) return true;
    const age = (this.#options.clock.monotonic() - this.#loadedAt) / 1000;
    if (live === undefined) return age >= lookAnewMs;
    const isOther = live.timeline !== this.#served.number || live.id !== this.#served.ids.at(-1)?.id;
    return isOther && live.state !== 'syncing';
  }

  async #load(live: RunState | undefined): Promise<void> {
    const newest = await newestTimeline(this.#options);
    this.#loadedAt = this.#options.clock.monotonic();
    if (newest === undefined) return;
    const { number, directory, base, ids, end } = newest;
    const served = { number, directory, base, ids, durable: end };
    this.#serve(served, durableOf(served, live) ?? end);
  }

  #serve(served: ServedTimeline | undefined, durable: Offset | undefined): void {
    if (served === undefined || durable === undefined) return;
    if (served === this.#served && durable === served.durable) return;
    this.#served = { ...served, durable };
    this.#watchers.tell();
  }

  #lookUpstream(words: RunState | undefined, live: RunState | undefined): void {
    const isUp = live?.state === 'streaming';
    const since = isUp === this.#upstream.isUp && !isUp ? this.#upstream.since : this.#options.clock.monotonic();
    const server = namedServer(words?.server);
    this.#upstream = { sources: [], ...readAddress(words?.source ?? ''), isUp, since, server };
    this.#words = words;
  }
}

/** As the writer would tell it, who has the same clock and told a moment ago what its stamps are from that. */
function standingOf(words: RunState | undefined, isUp: boolean, wall: Micros): LinkStanding {
  const { link = null, clock, head } = words ?? {};
  const ahead = link === null ? clock?.wallError : clock?.skew;
  return {
    isUp: isUp && link?.isUp !== false,
    hops: link === null ? 0 : link.hops + 1,
    stamp: wall - Math.round((ahead ?? 0) * 1_000_000),
    head: Number(head ?? 0),
  };
}

/** What the writer says of this timeline; undefined: nothing, and the files count. */
function durableOf(served: ServedTimeline | undefined, live: RunState | undefined): Offset | undefined {
  if (served === undefined || live?.timeline !== served.number || live.position === null) return undefined;
  return Number(live.position.durable);
}

/** The newest that has a base: a full sync may be under way behind it. */
async function newestTimeline({ disk, tree }: KeptHistoryOptions): Promise<Timeline | undefined> {
  const removed = await readRemoved(disk, tree);
  for (const number of (await timelineNumbers(disk, tree)).toReversed()) {
    if (removed.some(({ timeline }) => timeline === number)) continue;
    const timeline = await loadTimeline(disk, tree, number);
    if (timeline !== undefined) return timeline;
  }
  return undefined;
}
