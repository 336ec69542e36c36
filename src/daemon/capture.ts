/**
 * Joins the link to the log: implements upstream's Sink with timelines, bases and segments. It decides nothing about
 * protocol or files; it knows the order in which things must happen (SPEC.md 10 and 11), and holds what outlives a
 * session: the timeline being written, its writer, the time.
 *
 * Invariant 4 is kept here by construction: a stream writer begins at its base's offset + 1, under the same id.
 */
import type { Micros } from '../core/clock.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import { IntegrityError, LinkError } from '../core/errors.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import { BaseReceiver } from '../log/base-receiver.ts';
import { lastNotes, noNotes } from '../log/evidence.ts';
import { PartialBase } from '../log/partial-base.ts';
import type { Recovered } from '../log/recovery.ts';
import { recover } from '../log/recovery.ts';
import { Sealer } from '../log/sealer.ts';
import { createSourceTree, timelineDirectory } from '../log/source-tree.ts';
import { StreamWriter } from '../log/stream-writer.ts';
import type { StreamTail } from '../log/stream-writer.ts';
import { beginTimeline, moveAsideFrom, removeTimeline, writeStop } from '../log/timeline-store.ts';
import type { HeldBase } from '../redis/handshake.ts';
import { baseIdentity } from '../redis/link-state.ts';
import type { LinkState } from '../redis/link-state.ts';
import { streamDb } from '../redis/rdb-head.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import { formatServerVersion, replicatesRelativeTtl } from '../redis/server-version.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type {
  FullSync,
  FullSyncSink,
  LinkedStreamSink,
  LinkSink,
  ResumePoint,
  Sink,
  StreamSink,
} from '../upstream/sink.ts';
import type { CaptureOptions } from './capture-options.ts';
import type { Progress, Served } from './capture-progress.ts';
import { LinkedLog, requireRoomForName } from './linked-log.ts';
import { gapBefore, timelineRecord } from './new-timeline.ts';
import { scannerAtTail } from './scanner-at-tail.ts';
import { Timekeeper } from './timekeeper.ts';
import type { PrimaryTime } from './timekeeper.ts';
import { writerName } from './version.ts';

/** A timeline being written. */
interface Current {
  readonly timeline: number;
  readonly directory: string;
  readonly writer: StreamWriter;
}

/** A base of another journal, of which so much is there. */
interface LinkedBegin {
  readonly base: BaseRecord;
  readonly held: number;
}

/** A full sync that is not a timeline yet: a restart would begin anew. */
interface Pending {
  readonly timeline: number;
  readonly directory: string;
  readonly sync: FullSync;
  /** What another journal says of the base, where it comes from one. */
  readonly linked: BaseRecord | undefined;
  readonly gap: GapRecord | undefined;
  readonly receiver: BaseReceiver;
  /** Set when the RDB is complete. */
  current?: Current;
  publishing?: Promise<void>;
}

export class Capture implements Sink, LinkSink, AsyncDisposable {
  readonly #options: CaptureOptions;
  readonly #sealer: Sealer;
  readonly #time: Timekeeper;
  readonly #partial: PartialBase;
  #established: Current | undefined;
  #pending: Pending | undefined;
  /** A full sync whose files are being made; its session may be gone before it is pending. */
  #beginning: Promise<unknown> | undefined;
  /** Folders of full syncs that are not timelines, and will not be: no later one may be made while they are there. */
  readonly #unfinished = new Set<string>();
  #nextTimeline: number;
  #everAttached = false;

  private constructor(options: CaptureOptions, recovered: Recovered) {
    const { newest, nextTimeline, unsealed } = recovered;
    this.#options = options;
    this.#partial = new PartialBase(options.disk, options.tree);
    this.#sealer = new Sealer({ seal: options.seal, events: options.events, clock: options.clock });
    this.#time = new Timekeeper(options.clock, newest?.tail.lastStamp ?? 0);
    this.#nextTimeline = nextTimeline;
    if (newest !== undefined) {
      const { number, directory } = newest.timeline;
      this.#established = { timeline: number, directory, writer: this.#writer(number, directory, newest.tail) };
      this.#time.resume(this.#established.writer);
    }
    for (const { path, end } of unsealed) this.#sealer.add(path, end);
  }

  /** Recovers what is there. The caller holds the writer's lock. */
  static async open(options: CaptureOptions): Promise<Capture> {
    await createSourceTree(options.disk, options.root, options.tree);
    const recovered = await recover(options.disk, options.tree);
    options.events.recovered(recovered.actions);
    return new Capture(options, recovered);
  }

  /** Where the log stands; undefined before the first full sync. */
  get progress(): Progress | undefined {
    const current = this.#pending?.current ?? this.#established;
    if (current === undefined) return undefined;
    const { id, received, durable, lastStamp, tail } = current.writer;
    const isEstablished = current === this.#established;
    return {
      timeline: current.timeline,
      id,
      received,
      boundary: tail.boundary,
      durable,
      lastStamp,
      isEstablished,
      sealing: this.#sealer.backlog,
      clock: this.#time.reading,
    };
  }

  /** What may be served to others: nothing as long as there is no base. */
  get served(): Served | undefined {
    if (this.#established === undefined) return undefined;
    const { timeline, directory, writer } = this.#established;
    return { number: timeline, directory, ids: [...writer.ids], durable: writer.durable };
  }

  /** For a journal that follows us: what our stamps show now, and how far the primary was when it was asked last. */
  get reach(): { readonly stamp: Micros; readonly head: Offset } {
    return { stamp: this.#time.served, head: this.#time.head };
  }

  async resumePoint(): Promise<ResumePoint | undefined> {
    await this.#settlePending();
    if (this.#established?.writer.hasFailed === true) this.#established = await this.#renew(this.#established);
    this.#time.resume(this.#established?.writer);
    if (this.#established === undefined) return undefined;
    const { writer } = this.#established;
    await writer.drain();
    return {
      position: { id: writer.id, offset: writer.durable },
      scanner: await scannerAtTail(this.#options.disk, writer),
    };
  }

  admit(server: ServerVersion): void {
    if (this.#options.relativeTtl === 'convert' || !replicatesRelativeTtl(server)) return;
    throw new LinkError(
      'relative-ttl',
      `${formatServerVersion(server)} replicates relative TTLs (EXPIRE key 60): when they end is not in its stream`,
      'never',
      {
        hint: 'Redis 7.0 and later replicate absolute ones. With --relative-ttl convert, restores compute them from the time of receipt, late by the transit time',
        exitCode: 2,
      },
    );
  }

  async beginFullSync(sync: FullSync): Promise<FullSyncSink> {
    const pending = await this.#begun(sync, undefined);
    await this.#partial.discard();
    return this.#fullSyncSink(pending, (head) => {
      const { writer } = this.#beginStream(pending, head, this.#time.now());
      this.#time.streaming(writer);
      return writer;
    });
  }

  async heldBase(): Promise<HeldBase | undefined> {
    await this.#settlePending();
    const held = await this.#partial.held();
    return held && { identity: baseIdentity(held.record), bytes: held.bytes };
  }

  async beginLinkedSync(sync: FullSync, base: BaseRecord, held: number): Promise<FullSyncSink<LinkedStreamSink>> {
    const pending = await this.#begun(sync, { base, held });
    return this.#fullSyncSink(pending, (head) => {
      const { writer } = this.#beginStream(pending, head, base.completed);
      return new LinkedLog(writer, noNotes);
    });
  }

  async attach(id: ReplicationId): Promise<StreamSink> {
    if (this.#established === undefined) throw new RangeError('nothing to attach to');
    const { writer } = this.#established;
    this.#time.followed(writer.lastStamp);
    // Samples are written without a link, too: it may have failed since it was asked where to go on.
    writer.requireWhole();
    if (id !== writer.id) requireRoomForName(writer);
    writer.attach(id, this.#time.now());
    this.#time.attached(writer);
    this.#everAttached = true;
    return writer;
  }

  async attachLinked(): Promise<LinkedStreamSink> {
    if (this.#established === undefined) throw new RangeError('nothing to attach to');
    const { directory, writer } = this.#established;
    writer.requireWhole();
    this.#time.resume(undefined);
    this.#everAttached = true;
    return new LinkedLog(writer, await lastNotes(this.#options.disk, directory));
  }

  stamp(): Micros {
    return this.#time.now();
  }

  /** What the primary said of its time and offset. */
  sampled(sample: PrimaryTime): void {
    this.#time.sampled(sample);
  }

  /** How a journal that is followed stands. */
  linkState(state: LinkState): void {
    this.#time.heard(state.stamp);
  }

  /** The link is gone. */
  detached(): void {
    this.#time.detached();
  }

  /** A clean stop: all is durable, and recorded to be. */
  async stop(): Promise<void> {
    await this.#settlePending();
    await this.#sealer.stop();
    if (this.#established === undefined || !this.#everAttached) return;
    const { timeline, directory, writer } = this.#established;
    await writer.drain();
    await writeStop(this.#options.disk, directory, { timeline, offset: writer.durable, stamp: writer.lastStamp });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#time[Symbol.dispose]();
    await this.#sealer.stop();
    await this.#beginning;
    await this.#pending?.receiver[Symbol.asyncDispose]();
    await this.#pending?.current?.writer.close();
    await this.#established?.writer.close();
  }

  #begun(sync: FullSync, linked: LinkedBegin | undefined): Promise<Pending> {
    const begun = this.#begin(sync, linked);
    this.#beginning = begun.then(
      () => undefined,
      () => undefined,
    );
    return begun;
  }

  async #begin(sync: FullSync, linked: LinkedBegin | undefined): Promise<Pending> {
    const { disk, tree, check, events } = this.#options;
    const timeline = this.#nextTimeline;
    this.#nextTimeline += 1;
    const { offset } = sync.position;
    // Where the timeline before ends is recorded now: samples and ticks go to it no longer, and are durable.
    this.#time.syncing(offset);
    await this.#established?.writer.drain();
    const before = this.#established;
    const gap = before && gapBefore(before.timeline, before.writer, timeline, sync);
    this.#unfinished.add(timelineDirectory(tree, timeline));
    const directory = await beginTimeline(disk, tree, timelineRecord(this.#options, timeline, sync), gap);
    const receiver = await BaseReceiver.open({
      ...{ disk, directory, offset, check, failed: events.failed, expected: linked?.base },
      begun: linked && (await this.#partial.open(linked.base, linked.held)),
    });
    const pending: Pending = { timeline, directory, sync, linked: linked?.base, gap, receiver };
    this.#pending = pending;
    return pending;
  }

  #fullSyncSink<S extends StreamSink>(pending: Pending, beginStream: (head: RdbHead) => S): FullSyncSink<S> {
    const { receiver } = pending;
    return {
      append: (parts, slab) => {
        receiver.append(parts, slab);
      },
      get congested(): boolean {
        return receiver.congested;
      },
      relieved: () => receiver.relieved(),
      beginStream,
      publish: (head) => {
        pending.publishing = this.#publish(pending, head);
        return pending.publishing;
      },
    };
  }

  #writer(timeline: number, directory: string, tail: StreamTail): StreamWriter {
    const { disk, clock, tree, events, segmentBytes, isFollowed } = this.#options;
    return new StreamWriter(
      {
        disk,
        clock,
        directory,
        source: tree.source,
        timeline,
        writer: writerName,
        ...(segmentBytes !== undefined && { segmentBytes }),
        isAwaited: isFollowed,
        events: {
          durable: events.progressed,
          failed: events.failed,
          completed: (path, end) => {
            this.#sealer.add(path, end);
          },
        },
      },
      tail,
    );
  }

  /** The link went away during a full sync: if the RDB is whole it may still become a timeline, else it is removed. */
  async #settlePending(): Promise<void> {
    await this.#beginning;
    let isWrong = false;
    try {
      await this.#pending?.publishing;
    } catch (error) {
      // The session was told, and has ended with it.
      isWrong = error instanceof IntegrityError;
    }
    const pending = this.#pending;
    this.#pending = undefined;
    await pending?.receiver[Symbol.asyncDispose]();
    if (pending?.linked !== undefined) this.#partial.kept(pending.receiver.written);
    if (isWrong) await this.#partial.discard();
    await pending?.current?.writer.close();
    for (const directory of this.#unfinished) {
      await removeTimeline(this.#options.disk, this.#options.tree, directory);
      this.#unfinished.delete(directory);
    }
  }

  /**
   * A write or sync failed (SPEC.md 10, step 7): another writer goes on behind the last boundary that is on the medium,
   * in a file of its own.
   */
  async #renew({ timeline, directory, writer }: Current): Promise<Current> {
    const { disk, tree, events } = this.#options;
    await writer.close();
    const tail = writer.durableTail;
    events.recovered(await moveAsideFrom(disk, tree, directory, tail.offset + 1));
    return { timeline, directory, writer: this.#writer(timeline, directory, tail) };
  }

  #beginStream(pending: Pending, head: RdbHead, lastStamp: Micros): Current {
    const { timeline, directory, sync } = pending;
    const { id, offset } = sync.position;
    const writer = this.#writer(timeline, directory, {
      offset,
      boundary: offset,
      db: streamDb(head.aux),
      lastStamp,
      ids: [{ id, offset: offset + 1 }],
      segment: undefined,
    });
    return (pending.current = { timeline, directory, writer });
  }

  async #publish(pending: Pending, head: RdbHead): Promise<void> {
    const { timeline, sync, linked, receiver, gap, current } = pending;
    await receiver.publish({
      timeline,
      offset: sync.position.offset,
      id: sync.position.id,
      origin: 'received',
      db: streamDb(head.aux),
      stamp: sync.stamp,
      completed: linked?.completed ?? this.#time.now(),
      magic: head.magic,
      version: head.version,
      aux: Object.fromEntries(head.aux),
    });
    await receiver[Symbol.asyncDispose]();
    await this.#partial.discard();
    const before = this.#established;
    this.#unfinished.delete(pending.directory);
    this.#established = current;
    this.#pending = undefined;
    this.#everAttached = true;
    if (gap !== undefined) this.#options.events.gap(gap);
    await before?.writer.close();
  }
}
