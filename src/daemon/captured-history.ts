/**
 * What this process captures, as those that it feeds see it. The base is read once for each timeline; all else is told by
 * the capture as it moves.
 */
import type { Clock, Micros } from '../core/clock.ts';
import type { History, LinkStanding, ServedTimeline, UpstreamState } from '../downstream/history.ts';
import { Watchers } from '../downstream/watchers.ts';
import type { BaseEntry } from '../log/catalog.ts';
import { loadBase } from '../log/catalog.ts';
import type { Disk } from '../storage/disk.ts';
import type { Capture } from './capture.ts';

export interface CapturedHistoryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly capture: Pick<Capture, 'served'>;
  /** For a journal that follows us. */
  readonly standing: (upstream: UpstreamState) => LinkStanding;
  /** The base of a timeline cannot be read: nobody is fed. */
  readonly failed: (error: unknown) => void;
}

export type UpstreamChange = Partial<Omit<UpstreamState, 'since'>>;

/** With each commit there is a reason to look again; a base that cannot be read is told of less often. */
const retryAfter: Micros = 10_000_000;

export class CapturedHistory implements History {
  readonly #options: CapturedHistoryOptions;
  readonly #watchers = new Watchers();
  #base: { readonly timeline: number; readonly entry: BaseEntry } | undefined;
  #loading: number | undefined;
  #failed: { readonly timeline: number; readonly at: Micros } | undefined;
  #upstream: UpstreamState;

  constructor(options: CapturedHistoryOptions, upstream: Pick<UpstreamState, 'host' | 'port' | 'sources'>) {
    this.#options = options;
    this.#upstream = { ...upstream, isUp: false, since: options.clock.monotonic(), server: undefined };
    this.moved();
  }

  now(): ServedTimeline | undefined {
    const { served } = this.#options.capture;
    if (served === undefined || this.#base?.timeline !== served.number) return undefined;
    return { ...served, base: this.#base.entry };
  }

  upstream(): UpstreamState {
    return this.#upstream;
  }

  linkStanding(): LinkStanding {
    return this.#options.standing(this.#upstream);
  }

  watch(changed: () => void): () => void {
    return this.#watchers.add(changed);
  }

  /** More is durable, or it goes on under another name, or in another timeline. */
  moved(): void {
    const { served } = this.#options.capture;
    if (served !== undefined && this.#base?.timeline !== served.number)
      void this.#load(served.number, served.directory);
    if (this.#upstream.isUp) this.#upstream = { ...this.#upstream, since: this.#options.clock.monotonic() };
    this.#watchers.tell();
  }

  /** Of the server that is followed. */
  upstreamIs(change: UpstreamChange): void {
    const since: Micros = this.#options.clock.monotonic();
    this.#upstream = { ...this.#upstream, ...change, since };
    this.moved();
  }

  async #load(timeline: number, directory: string): Promise<void> {
    const { disk, clock, failed } = this.#options;
    const hasJustFailed = this.#failed?.timeline === timeline && clock.monotonic() - this.#failed.at < retryAfter;
    if (this.#loading === timeline || hasJustFailed) return;
    this.#loading = timeline;
    try {
      const entry = await loadBase(disk, directory, timeline, await disk.list(directory));
      if (entry !== undefined) this.#base = { timeline, entry };
      this.#watchers.tell();
    } catch (error) {
      this.#failed = { timeline, at: clock.monotonic() };
      failed(error);
    }
    this.#loading = undefined;
  }
}
