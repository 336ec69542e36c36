// What was promised: for every timeline that the journal ever began, which history it follows, when each read came, and
// what was acknowledged. It stands between link and log (as a Sink around the real one), so nothing passes it unseen.
// Neighbours: history.ts knows what is true; audit.ts compares a disk with both.
// Invariant: an epoch is found again on disk by the id, offset and stamp of its full sync, whatever was lost in between.
import type { Clock, Micros } from '../../src/core/clock.ts';
import type { Offset, Position, ReplicationId } from '../../src/core/position.ts';
import type { Capture } from '../../src/daemon/capture.ts';
import type { FullSyncSink, ResumePoint, Sink, StreamSink } from '../../src/upstream/sink.ts';
import type { Dataset } from './dataset.ts';
import type { History } from './history.ts';
import { monotonicOrigin } from './time.ts';

export interface Read {
  /** Last byte of it. */
  readonly end: Offset;
  readonly stamp: Micros;
  /** In the world's time. */
  readonly at: Micros;
}

/** A timeline, from the full sync that it begins with. */
export interface Epoch {
  readonly id: ReplicationId;
  readonly offset: Offset;
  readonly stamp: Micros;
  readonly base: Dataset;
  /** What its bytes are part of; after a promotion, the new primary's. */
  history: History;
  reads: Read[];
  /** Reads that were given up when the stream was asked for again: some may still be on the disk. */
  readonly givenUp: Read[][];
  acknowledged: Offset;
  /** From when on it is covered; undefined until its base is published. */
  coveredFrom: Micros | undefined;
  /** In the world's time, when its full sync was under way; set when that has ended. */
  synced: { readonly lost: Micros; readonly back: Micros } | undefined;
  /** When the stream was away: behind `offset` nothing came from the one stamp to the other. */
  readonly outages: {
    readonly offset: Offset;
    readonly from: Micros;
    readonly to: Micros;
    /** In the world's time. */
    readonly lost: Micros;
    readonly back: Micros;
  }[];
}

export class Witness {
  readonly epochs: Epoch[] = [];
  readonly histories = new Map<ReplicationId, History>();
  readonly #violate: (what: string) => void;

  constructor(violate: (what: string) => void) {
    this.#violate = violate;
  }

  expect(isRight: boolean, what: () => string): void {
    if (!isRight) this.#violate(what());
  }

  historyOf(id: ReplicationId): History {
    const history = this.histories.get(id);
    if (history === undefined) throw new Error(`no history has the id ${id}`);
    return history;
  }

  begin({ id, offset }: Position, stamp: Micros): Epoch {
    const history = this.historyOf(id);
    const base = history.stateAt(offset);
    const empty = { reads: [], givenUp: [], acknowledged: 0, outages: [] };
    const epoch = { id, offset, stamp, base, history, coveredFrom: undefined, synced: undefined, ...empty };
    this.epochs.push(epoch);
    return epoch;
  }

  /** What is promised by now. */
  promises(): ReadonlyMap<Epoch, Offset> {
    return new Map(this.epochs.map((epoch) => [epoch, promiseOf(epoch)]));
  }

  find(id: ReplicationId, offset: Offset, stamp: Micros): Epoch | undefined {
    return this.epochs.find((epoch) => epoch.id === id && epoch.offset === offset && epoch.stamp === stamp);
  }
}

/**
 * Whole commands: nobody is told that the beginning of one is safe. Behind a write that failed, it is fetched again
 * (SPEC.md 10, step 7).
 */
function promiseOf({ history, acknowledged }: Epoch): Offset {
  return Math.min(acknowledged, history.boundary(acknowledged));
}

/** The last byte that came in. */
export function receivedOf({ reads, offset }: Epoch): Offset {
  return reads.at(-1)?.end ?? offset;
}

/** The Sink of one process: passes everything on to its capture, and takes it down. */
export class WitnessedSink implements Sink {
  readonly #witness: Witness;
  readonly #capture: Capture;
  readonly #clock: Clock;
  /** The timeline that a restart would go on with. */
  #established: Epoch | undefined;
  #streaming: Epoch | undefined;
  #last: { readonly stamp: Micros; readonly monotonic: Micros } | undefined;

  constructor(witness: Witness, capture: Capture, clock: Clock, established: Epoch | undefined) {
    this.#witness = witness;
    this.#capture = capture;
    this.#clock = clock;
    this.#established = established;
  }

  /** The epoch whose stream comes in. */
  get streaming(): Epoch | undefined {
    return this.#streaming;
  }

  /** An acknowledgement leaves. */
  acknowledged(offset: Offset): void {
    const epoch = this.#streaming;
    if (offset === 0) return;
    this.#witness.expect(epoch?.coveredFrom !== undefined, () => `${offset} was acknowledged before a base was there`);
    if (epoch === undefined) return;
    const received = receivedOf(epoch);
    this.#witness.expect(offset <= received, () => `${offset} was acknowledged, and only ${received} had come`);
    epoch.acknowledged = Math.max(epoch.acknowledged, offset);
  }

  async resumePoint(): Promise<ResumePoint | undefined> {
    this.#streaming = undefined;
    const point = await this.#capture.resumePoint();
    const epoch = this.#established;
    this.#witness.expect((point === undefined) === (epoch === undefined), () => 'it forgot where to go on');
    if (point === undefined || epoch === undefined) return point;
    const { scanner, position } = point;
    const { offset } = position;
    const expected = epoch.history.boundary(offset);
    this.#witness.expect(offset >= promiseOf(epoch), () => `${offset} is behind what was acknowledged`);
    const found = readsUpTo(epoch, offset);
    this.#witness.expect(found !== undefined, () => `it wants to go on behind ${offset}, which never came`);
    this.#witness.expect(
      scanner.boundary === expected,
      () => `the scanner takes ${scanner.boundary} for the last boundary instead of ${expected}`,
    );
    if (found !== undefined) {
      epoch.givenUp.push(epoch.reads);
      epoch.reads = found;
    }
    return point;
  }

  admit(...server: Parameters<Capture['admit']>): void {
    this.#capture.admit(...server);
  }

  async beginFullSync(...sync: Parameters<Capture['beginFullSync']>): Promise<FullSyncSink> {
    const [{ position, stamp }] = sync;
    const epoch = this.#witness.begin(position, stamp);
    const lost = this.#moment();
    const inner = await this.#capture.beginFullSync(...sync);
    return {
      append: (parts, slab) => {
        inner.append(parts, slab);
      },
      get congested(): boolean {
        return inner.congested;
      },
      relieved: () => inner.relieved(),
      beginStream: (head) => {
        this.#streaming = epoch;
        return this.#stream(epoch, inner.beginStream(head));
      },
      publish: async (head) => {
        await inner.publish(head);
        this.#established = epoch;
        epoch.coveredFrom = this.#capture.stamp();
        epoch.synced = { lost, back: this.#moment() };
      },
    };
  }

  async attach(...to: Parameters<Capture['attach']>): Promise<StreamSink> {
    const inner = await this.#capture.attach(...to);
    const epoch = this.#established;
    if (epoch === undefined) throw new Error('attached to nothing');
    const next = this.#witness.historyOf(to[0]);
    const offset = inner.durable;
    const isSame = next.bytesUpTo(offset).equals(epoch.history.bytesUpTo(offset));
    if (!isSame) throw new Error(`the model primary went on with another history behind ${offset}`);
    epoch.history = next;
    const last = epoch.reads.at(-1);
    if (last !== undefined) {
      const back = this.#moment();
      // Attached in vain before: nothing came, and the process may have ended with its clock.
      const again = epoch.outages.findIndex((outage) => outage.offset === offset && outage.from === last.stamp);
      if (again !== -1) epoch.outages.splice(again);
      epoch.outages.push({ offset, from: last.stamp, to: this.#capture.stamp(), lost: last.at, back });
    }
    this.#streaming = epoch;
    return this.#stream(epoch, inner);
  }

  sampled(...sample: Parameters<Capture['sampled']>): void {
    this.#capture.sampled(...sample);
  }

  stamp(): Micros {
    const stamp = this.#capture.stamp();
    const monotonic = this.#clock.monotonic();
    if (this.#last !== undefined) {
      const advanced = stamp - this.#last.stamp;
      const elapsed = monotonic - this.#last.monotonic;
      this.#witness.expect(advanced >= 0, () => `stamps went back by ${-advanced} µs`);
      this.#witness.expect(advanced >= 0.49 * elapsed - 2, () => `stamps stood still: ${advanced} µs in ${elapsed} µs`);
    }
    this.#last = { stamp, monotonic };
    return stamp;
  }

  #moment(): Micros {
    return this.#clock.monotonic() - monotonicOrigin;
  }

  #stream(epoch: Epoch, inner: StreamSink): StreamSink {
    const witness = this.#witness;
    return {
      append: (bytes, slab, stamp, mark) => {
        const from = receivedOf(epoch) + 1;
        const end = from + bytes.length - 1;
        const isTrue = end <= epoch.history.end && epoch.history.bytes(from, end).equals(bytes);
        witness.expect(isTrue, () => `bytes ${from} to ${end} came in wrong`);
        const boundary = epoch.history.boundary(end);
        witness.expect(mark.boundary === boundary, () => `boundary ${mark.boundary} instead of ${boundary}`);
        witness.expect(stamp >= (epoch.reads.at(-1)?.stamp ?? 0), () => `stamp ${stamp} is before the one before it`);
        epoch.reads.push({ end, stamp, at: this.#moment() });
        inner.append(bytes, slab, stamp, mark);
      },
      hurry: () => {
        inner.hurry();
      },
      get congested(): boolean {
        return inner.congested;
      },
      relieved: () => inner.relieved(),
      drain: () => inner.drain(),
      get durable(): Offset {
        return inner.durable;
      },
    };
  }
}

/** The newest reads that reach that far; undefined when none do. */
function readsUpTo({ reads, givenUp, offset: base }: Epoch, offset: Offset): Read[] | undefined {
  const long = [...givenUp, reads].findLast((one) => (one.at(-1)?.end ?? base) >= offset);
  return long === undefined ? undefined : upTo(long, base, offset);
}

/** What is left of the reads when all behind the offset was lost. */
function upTo(reads: readonly Read[], base: Offset, offset: Offset): Read[] {
  const kept = reads.filter(({ end }) => end <= offset);
  const cut = reads[kept.length];
  if (cut !== undefined && (kept.at(-1)?.end ?? base) < offset) kept.push({ ...cut, end: offset });
  return kept;
}
