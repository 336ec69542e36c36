/**
 * Joins the link to the log: implements upstream's Sink with timelines, bases and segments. It decides nothing about
 * protocol or files; it knows the order in which things must happen (SPEC.md 10 and 11), and holds what outlives a
 * session: the timeline being written, its writer, the time.
 *
 * Invariant 4 is kept here by construction: a stream writer begins at its base's offset + 1, under the same id.
 */
import type { Clock, Micros } from '../core/clock.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import { LinkError } from '../core/errors.ts';
import type { ReplicationId } from '../core/position.ts';
import { BaseReceiver } from '../log/base-receiver.ts';
import { idAt } from '../log/catalog.ts';
import type { BaseChecker } from '../log/base-receiver.ts';
import { readRange } from '../log/read-range.ts';
import type { Recovered } from '../log/recovery.ts';
import { recover } from '../log/recovery.ts';
import { Sealer } from '../log/sealer.ts';
import type { SealerEvents, SealFunction } from '../log/sealer.ts';
import { createSourceTree, timelineDirectory } from '../log/source-tree.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { StreamWriter } from '../log/stream-writer.ts';
import type { StreamTail } from '../log/stream-writer.ts';
import { beginTimeline, moveAsideFrom, removeTimeline, writeStop } from '../log/timeline-store.ts';
import { BoundaryScanner } from '../redis/boundary-scanner.ts';
import { streamDb } from '../redis/rdb-head.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import { formatServerVersion, replicatesRelativeTtl } from '../redis/server-version.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { Disk } from '../storage/disk.ts';
import type { FullSync, FullSyncSink, ResumePoint, Sink, StreamSink } from '../upstream/sink.ts';
import type { Progress, Served } from './capture-progress.ts';
import { divergence } from './divergence.ts';
import { Timekeeper } from './timekeeper.ts';
import type { PrimaryTime } from './timekeeper.ts';
import { writerName } from './version.ts';

export interface CaptureOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly root: string;
  readonly tree: SourceTree;
  /** Host and port of the primary, for the timeline documents. */
  readonly address: string;
  /** `convert`: a primary up to 6.2 is admitted; its relative TTLs become absolute at restore. */
  readonly relativeTtl: 'refuse' | 'convert';
  readonly seal: SealFunction;
  readonly check: (path: string) => BaseChecker;
  readonly events: CaptureEvents;
  readonly segmentBytes?: number | undefined;
  /** Whether replicas are fed with what becomes durable. */
  readonly isFollowed?: (() => boolean) | undefined;
}

export interface CaptureEvents extends SealerEvents {
  readonly recovered: (actions: readonly string[]) => void;
  /** The durable offset moved. */
  readonly progressed: () => void;
  /** The log cannot be written. */
  readonly failed: (error: unknown) => void;
  readonly gap: (gap: GapRecord) => void;
}

/** A timeline being written. */
interface Current {
  readonly timeline: number;
  readonly directory: string;
  readonly writer: StreamWriter;
}

/** A full sync that is not a timeline yet: a restart would begin anew. */
interface Pending {
  readonly timeline: number;
  readonly directory: string;
  readonly sync: FullSync;
  readonly gap: GapRecord | undefined;
  readonly receiver: BaseReceiver;
  /** Set when the RDB is complete. */
  current?: Current;
  publishing?: Promise<void>;
}

export class Capture implements Sink, AsyncDisposable {
  readonly #options: CaptureOptions;
  readonly #sealer: Sealer;
  readonly #time: Timekeeper;
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

  async resumePoint(): Promise<ResumePoint | undefined> {
    await this.#settlePending();
    if (this.#established?.writer.hasFailed === true) this.#established = await this.#renew(this.#established);
    this.#time.resume(this.#established?.writer);
    if (this.#established === undefined) return undefined;
    const { writer } = this.#established;
    await writer.drain();
    return { position: { id: writer.id, offset: writer.durable }, scanner: await this.#scannerAtTail(writer) };
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

  beginFullSync(sync: FullSync): Promise<FullSyncSink> {
    const begun = this.#begin(sync);
    this.#beginning = begun.then(
      () => undefined,
      () => undefined,
    );
    return begun.then((pending) => this.#fullSyncSink(pending));
  }

  async attach(id: ReplicationId): Promise<StreamSink> {
    if (this.#established === undefined) throw new RangeError('nothing to attach to');
    const { writer } = this.#established;
    // Samples are written without a link, too: it may have failed since it was asked where to go on.
    writer.requireWhole();
    writer.attach(id, this.#time.now());
    this.#time.attached(writer);
    this.#everAttached = true;
    return writer;
  }

  stamp(): Micros {
    return this.#time.now();
  }

  /** What the primary said of its time and offset. */
  sampled(sample: PrimaryTime): void {
    this.#time.sampled(sample);
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

  async #begin(sync: FullSync): Promise<Pending> {
    const { disk, tree, check, events } = this.#options;
    const timeline = this.#nextTimeline;
    this.#nextTimeline += 1;
    const { offset } = sync.position;
    // Where the timeline before ends is recorded now: samples and ticks go to it no longer, and are durable.
    this.#time.syncing(offset);
    await this.#established?.writer.drain();
    const gap = this.#gapBefore(timeline, sync);
    this.#unfinished.add(timelineDirectory(tree, timeline));
    const directory = await beginTimeline(disk, tree, this.#timelineRecord(timeline, sync), gap);
    const receiver = await BaseReceiver.open({ disk, directory, offset, check, failed: events.failed });
    const pending: Pending = { timeline, directory, sync, gap, receiver };
    this.#pending = pending;
    return pending;
  }

  #fullSyncSink(pending: Pending): FullSyncSink {
    const { receiver } = pending;
    return {
      append: (parts, slab) => {
        receiver.append(parts, slab);
      },
      get congested(): boolean {
        return receiver.congested;
      },
      relieved: () => receiver.relieved(),
      beginStream: (head) => this.#beginStream(pending, head),
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
    try {
      await this.#pending?.publishing;
    } catch {
      // The session was told, and has ended with it.
    }
    const pending = this.#pending;
    this.#pending = undefined;
    await pending?.receiver[Symbol.asyncDispose]();
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

  /** A scanner that stands at the last durable byte: from the last boundary on, the bytes are read back. */
  async #scannerAtTail(writer: StreamWriter): Promise<BoundaryScanner> {
    const { boundary, db, path } = writer.tail;
    const scanner = new BoundaryScanner({ offset: boundary, db });
    if (writer.durable === boundary || path === undefined) return scanner;
    const segment = { path, kind: 'open', start: 0, end: writer.durable } as const;
    for await (const { bytes } of readRange(this.#options.disk, [segment], boundary + 1, writer.durable)) {
      scanner.scan(bytes);
    }
    return scanner;
  }

  #timelineRecord(timeline: number, sync: FullSync): TimelineRecord {
    const { tree, address } = this.#options;
    return {
      source: tree.source,
      timeline,
      id: sync.position.id,
      offset: sync.position.offset,
      stamp: sync.stamp,
      address: sync.address ?? address,
      server: { kind: sync.server?.kind ?? 'unknown', version: sync.server?.version ?? 'unknown' },
      writer: writerName,
    };
  }

  #gapBefore(timeline: number, sync: FullSync): GapRecord | undefined {
    if (this.#established === undefined) return undefined;
    const { timeline: before, writer } = this.#established;
    const { durable, ids, lastStamp } = writer;
    const { id, offset } = sync.position;
    const { orphan, ...reason } = divergence({ timeline: before, ids, durable }, sync.position, sync);
    return {
      from: { timeline: before, id: idAt(writer, durable), offset: durable, stamp: lastStamp },
      to: { timeline, id, offset, stamp: sync.stamp },
      ...reason,
      ...(orphan !== undefined && { orphan }),
    };
  }

  #beginStream(pending: Pending, head: RdbHead): StreamSink {
    const { timeline, directory, sync } = pending;
    const { id, offset } = sync.position;
    const writer = this.#writer(timeline, directory, {
      offset,
      boundary: offset,
      db: streamDb(head.aux),
      lastStamp: this.#time.now(),
      ids: [{ id, offset: offset + 1 }],
      segment: undefined,
    });
    pending.current = { timeline, directory, writer };
    this.#time.streaming(writer);
    return writer;
  }

  async #publish(pending: Pending, head: RdbHead): Promise<void> {
    const { timeline, sync, receiver, gap, current } = pending;
    await receiver.publish({
      timeline,
      offset: sync.position.offset,
      id: sync.position.id,
      origin: 'received',
      db: streamDb(head.aux),
      stamp: sync.stamp,
      completed: this.#time.now(),
      magic: head.magic,
      version: head.version,
      aux: Object.fromEntries(head.aux),
    });
    await receiver[Symbol.asyncDispose]();
    const before = this.#established;
    this.#unfinished.delete(pending.directory);
    this.#established = current;
    this.#pending = undefined;
    this.#everAttached = true;
    if (gap !== undefined) this.#options.events.gap(gap);
    await before?.writer.close();
  }
}
