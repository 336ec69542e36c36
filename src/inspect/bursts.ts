/**
 * What is a burst, of things that are done to keys (pure): those of one command or one MULTI that are many by themselves, and
 * those of a second of which somebody says so who knows what is usual. What follows within a pause belongs to it.
 */
import type { Micros } from '../core/clock.ts';
import { burstKeysLeast } from '../core/limits.ts';
import type { Extent } from './extent.ts';

/** What one or several commands did. */
export interface Part<P> {
  readonly extent: Extent;
  /** May take what it needs out of either. */
  merge(other: P): P;
}

export interface Burst<P> {
  readonly part: P;
  /** All of it in one MULTI, or by one command. */
  readonly isOne: boolean;
}

/** Of a second. */
export interface WindowFacts {
  readonly keys: number;
  /** Other writes among them. */
  readonly writes: number;
  /** Keys a second; undefined while nothing is known. */
  readonly usual: number | undefined;
}

const second: Micros = 1_000_000;
/** Between two parts of one burst. */
export const pauseMicros: Micros = 2 * second;
/** The usual is what was so over about this long. */
const usualMicros: Micros = 60 * second;

export class Bursts<P extends Part<P>> {
  readonly #isBurst: (window: WindowFacts) => boolean;
  /** Of small parts: those of a second, and the writes among them. */
  #window: P | undefined;
  #windowWrites = 0;
  /** Writes since the last part. */
  #writes = 0;
  #usual: number | undefined;
  #burst: Burst<P> | undefined;
  #ended: Burst<P>[] = [];

  /** Asked of each second that has as many keys as a burst has at least. */
  constructor(isBurst: (window: WindowFacts) => boolean) {
    this.#isBurst = isBurst;
  }

  get current(): Burst<P> | undefined {
    return this.#burst;
  }

  /** Those that are over, each told once. */
  ended(): readonly Burst<P>[] {
    const ended = this.#ended;
    if (ended.length > 0) this.#ended = [];
    return ended;
  }

  /** `stamp`: now; `pending`: when something began that is not decided yet, and may belong to the burst. */
  pass(stamp: Micros, writes: number, pending: Micros = Infinity): void {
    this.#writes += writes;
    const window = this.#window?.extent;
    if (window !== undefined && stamp - window.first.stamp >= second) this.#closeWindow(stamp);
    const next = Math.min(stamp, pending, this.#window?.extent.first.stamp ?? Infinity);
    if (this.#burst !== undefined && next - this.#burst.part.extent.last.stamp > pauseMicros) this.#endBurst();
  }

  /** What one command, or one MULTI, did. */
  add(part: P): void {
    if (part.extent.keys >= burstKeysLeast) {
      this.#extend(part, true);
      return;
    }
    if (this.#window !== undefined) this.#windowWrites += this.#writes;
    this.#writes = 0;
    this.#window = this.#window?.merge(part) ?? part;
  }

  /** Nothing more belongs to it. */
  finish(): void {
    this.#closeWindow(undefined);
    this.#endBurst();
  }

  /** What goes on is no burst, but usual. */
  takeAsUsual(): void {
    const extent = this.#burst?.part.extent;
    this.#burst = undefined;
    if (extent !== undefined)
      this.#usual = extent.keys / Math.max(1, (extent.last.stamp - extent.first.stamp) / second);
  }

  #closeWindow(nextStamp: Micros | undefined): void {
    const window = this.#window;
    if (window === undefined) return;
    const { keys, first } = window.extent;
    if (keys >= burstKeysLeast && this.#isBurst({ keys, writes: this.#windowWrites, usual: this.#usual }))
      this.#extend(window, false);
    else if (nextStamp !== undefined) this.#learn(keys, nextStamp - first.stamp);
    this.#window = undefined;
    this.#windowWrites = 0;
  }

  #learn(keys: number, micros: Micros): void {
    const rate = keys / (micros / second);
    const weight = 1 - Math.exp(-micros / usualMicros);
    this.#usual = this.#usual === undefined ? rate : this.#usual + (rate - this.#usual) * weight;
  }

  #extend(part: P, isOne: boolean): void {
    const last = this.#burst?.part.extent.last.stamp;
    if (last !== undefined && part.extent.first.stamp - last > pauseMicros) this.#endBurst();
    this.#burst = this.#burst === undefined ? { part, isOne } : { part: this.#burst.part.merge(part), isOne: false };
  }

  #endBurst(): void {
    if (this.#burst !== undefined) this.#ended.push(this.#burst);
    this.#burst = undefined;
  }
}
