/**
 * All that capture knows of time: stamps for what is received, and the evidence beside them that goes into the log
 * (samples, ticks, interruptions; SPEC.md 12, "Time"). Neighbours: core/stamper.ts makes the stamps, log/sample-keeper.ts
 * chooses the samples; capture.ts tells which log is being written.
 *
 * Invariant: evidence never claims more than was asked and answered: a tick has the time at which the primary was asked.
 */
import type { Sample } from '../../journal-format/samples.ts';
import type { Clock, Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import { Stamper } from '../core/stamper.ts';
import { SampleKeeper } from '../log/sample-keeper.ts';

/** Of an answer of the primary: see upstream/source-sample.ts. */
export interface PrimaryTime {
  /** On Clock.monotonic(). */
  readonly sentAt: Micros;
  readonly receivedAt: Micros;
  /** The primary's clock. */
  readonly time: Micros;
  readonly offset: Offset | undefined;
}

/** The part of a stream writer that matters here. */
export interface TimedLog {
  readonly id: ReplicationId;
  readonly received: Offset;
  attach(id: ReplicationId, stamp: Micros): void;
  tick(stamp: Micros): void;
  samples(samples: readonly Sample[]): void;
}

export interface ClockReading {
  /** Our clock less the primary's, half the round trip allowed for, or less that of a journal that is followed; null before the first word of it. */
  readonly skew: Micros | null;
  /** Stamp of the last sample. */
  readonly sampledAt: Micros | null;
  /** The wall clock less the stamps. */
  readonly wallError: Micros;
}

/** More than this between our clock and the primary's: one of them is wrong. */
const soundSkew: Micros = 60_000_000;
const soundWallError: Micros = 1_000_000;

/** Whether our clock can be trusted with what cannot be undone, such as removing what is old. */
export function isSound({ skew, wallError }: ClockReading): boolean {
  return Math.abs(skew ?? 0) <= soundSkew && Math.abs(wallError) <= soundWallError;
}

/** As the state file and status have it. */
export interface ClockSeconds {
  readonly skew: number | null;
  readonly sampledAt: string | null;
  readonly wallError: number;
}

export function clockInSeconds({ skew, sampledAt, wallError }: ClockReading): ClockSeconds {
  return {
    skew: skew === null ? null : skew / 1_000_000,
    sampledAt: sampledAt === null ? null : formatInstant(sampledAt),
    wallError: wallError / 1_000_000,
  };
}

const beatMs = 250;
/** Nothing was read for as long as that, and not because nothing came: the process, or the machine, stood still. */
const pausedAfter: Micros = 1_000_000;
const tickEvery: Micros = 1_000_000;
/** Samples of a full sync wait in memory for the first segment, thinner and thinner; a day of them is less than this. */
const heldMost = 30_000;

export class Timekeeper implements Disposable {
  readonly #clock: Clock;
  readonly #stamper: Stamper;
  readonly #keeper = new SampleKeeper();
  #log: TimedLog | undefined;
  /** While a full sync has no log yet: where it begins. */
  #syncOffset: Offset | undefined;
  #held: Sample[] = [];
  #isLinked = false;
  #tickedAt: Micros = 0;
  #sample: Sample | undefined;
  /** Of a journal that is followed: its stamps, and when they were told. */
  #source: { readonly stamp: Micros; readonly at: Micros } | undefined;
  #beatAt: Micros;
  #cancelBeat: () => void;

  /** `floor`: the last stamp in the journal; no stamp is below it. */
  constructor(clock: Clock, floor: Micros) {
    this.#clock = clock;
    this.#stamper = new Stamper(clock, floor);
    this.#beatAt = clock.monotonic();
    this.#cancelBeat = this.#beatLater();
  }

  /** The stamp for a read that happens now. */
  now(): Micros {
    this.#notice();
    return this.#stamper.now();
  }

  /** What is served now would be stamped with this. */
  get served(): Micros {
    if (this.#source === undefined) return this.now();
    return this.#source.stamp + this.#clock.monotonic() - this.#source.at;
  }

  get reading(): ClockReading {
    const sample = this.#sample;
    if (this.#source !== undefined) {
      const skew = this.#clock.wall() - this.served;
      return { skew, sampledAt: this.#source.stamp, wallError: this.#stamper.error };
    }
    return {
      skew: sample === undefined ? null : sample.stamp - Math.round(sample.roundTripMicros / 2) - sample.primaryTime,
      sampledAt: sample?.stamp ?? null,
      wallError: this.#stamper.error,
    };
  }

  /** The stream goes on, or begins, in `log`. */
  attached(log: TimedLog): void {
    this.#keeper.reset();
    this.#writeTo(log);
  }

  /** Bytes come with stamps of another journal, of which the last one is `stamp`: ours will not be below it. */
  followed(stamp: Micros): void {
    this.#stamper.notBelow(stamp);
  }

  /** A journal that is followed stamps what it gets now with `stamp`. */
  heard(stamp: Micros): void {
    this.#source = { stamp, at: this.#clock.monotonic() };
  }

  /** A full sync begins: until its log does, samples wait. */
  syncing(offset: Offset): void {
    this.#keeper.reset();
    this.#log = undefined;
    this.#isLinked = false;
    this.#syncOffset = offset;
  }

  /** The log of the full sync that is under way begins. */
  streaming(log: TimedLog): void {
    log.samples(this.#held.splice(0));
    this.#writeTo(log);
  }

  /** How far the primary was when it was asked last. */
  get head(): Offset {
    return this.#sample?.primaryOffset ?? 0;
  }

  /** The link is gone. Samples go on: they bound what is written meanwhile. */
  detached(): void {
    this.#isLinked = false;
    this.#log?.samples(this.#keeper.flush());
  }

  /** No link yet, or none any more: what comes will be written to `log`, if there is one. */
  resume(log: TimedLog | undefined): void {
    this.#log = log;
    this.#held = [];
    this.#syncOffset = undefined;
    this.#isLinked = false;
  }

  sampled({ sentAt, receivedAt, time, offset }: PrimaryTime): void {
    this.#stamper.heard(time);
    const received = this.#log?.received ?? this.#syncOffset;
    if (offset === undefined || received === undefined) return;
    const stamp = this.now();
    const roundTripMicros = receivedAt - sentAt;
    this.#sample = { stamp, primaryTime: time, primaryOffset: offset, roundTripMicros };
    // Before it goes on with what we hold, it may be a primary with another history.
    if (!this.#isLinked && offset < received) return;
    const kept = this.#keeper.next(this.#sample, received);
    if (this.#log !== undefined) this.#log.samples(kept);
    else if (this.#held.length < heldMost) this.#held.push(...kept);
    if (this.#isLinked && offset === received) this.#tick(stamp - roundTripMicros);
  }

  [Symbol.dispose](): void {
    this.#cancelBeat();
  }

  #writeTo(log: TimedLog): void {
    this.#source = undefined;
    this.#log = log;
    this.#held = [];
    this.#syncOffset = undefined;
    this.#isLinked = true;
  }

  #tick(stamp: Micros): void {
    if (stamp - this.#tickedAt < tickEvery) return;
    this.#tickedAt = stamp;
    this.#log?.tick(stamp);
  }

  #beatLater(): () => void {
    return this.#clock.after(beatMs, () => {
      this.#notice();
      this.#cancelBeat = this.#beatLater();
    });
  }

  /** After a pause, what was written during it has come all at once: that is an interruption, although the link stayed. */
  #notice(): void {
    const now = this.#clock.monotonic();
    const pause = now - this.#beatAt;
    this.#beatAt = now;
    if (pause <= pausedAfter || !this.#isLinked || this.#log === undefined) return;
    this.#log.attach(this.#log.id, this.#stamper.now());
  }
}
