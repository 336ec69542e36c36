/**
 * Where the link puts what it receives, and what it needs to know of it: the seam between the network and the log. The
 * composition root implements it with the log; tests with memory. upstream/ knows nothing of files.
 *
 *   resumePoint ─► (+FULLRESYNC) beginFullSync ─► append… ─► beginStream ─► append…   and, meanwhile, publish
 *               └► (+CONTINUE)   attach ─────────────────────────────────► append…
 */
import type { Micros } from '../core/clock.ts';
import type { Offset, Position, ReplicationId } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { BoundaryScanner } from '../redis/boundary-scanner.ts';
import type { HeldBase } from '../redis/handshake.ts';
import type { LinkedBase } from '../redis/link-intake.ts';
import type { LogItem } from '../redis/link-log.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { BrokenStream } from './broken-stream.ts';
import type { SourceSample } from './source-sample.ts';

export interface Sink {
  /** Asked before each attachment; undefined: there is nothing yet, a full sync is needed. All before it is durable. */
  resumePoint(): Promise<ResumePoint | undefined>;
  /** Throws when this server is not one that we can journal. Asked as soon as its version is known. */
  admit(server: ServerVersion): void;
  /** The primary begins a full sync: history so far cannot go on. */
  beginFullSync(sync: FullSync): Promise<FullSyncSink>;
  /** The primary goes on where we asked it to, under `id`. */
  attach(id: ReplicationId, server: ServerVersion | undefined): Promise<StreamSink>;
  /** A stamp for a read that happened now. */
  stamp(): Micros;
  /** What the source said of its time and offset, whether or not the link is up. */
  sampled(sample: SourceSample): void;
}

/** The same, of what comes over a link with another journal, with the stamps of that one. */
export interface LinkSink {
  /** What is left of a base that was being received. */
  heldBase(): Promise<HeldBase | undefined>;
  /** As beginFullSync(); the base is what the other journal says it is, and comes from byte `held` on. */
  beginLinkedSync(sync: FullSync, base: LinkedBase, held: number): Promise<FullSyncSink<LinkedStreamSink>>;
  /** As attach(); under which names the stream goes on will be noted. */
  attachLinked(): Promise<LinkedStreamSink>;
}

export interface ResumePoint {
  /** The last byte that is durable. */
  readonly position: Position;
  /** Stands at that byte. */
  readonly scanner: BoundaryScanner;
}

export interface FullSync {
  readonly position: Position;
  readonly stamp: Micros;
  readonly server: ServerVersion | undefined;
  /** What the primary said of its history just before. */
  readonly lineage?: ReplicationInfo | undefined;
  /** host:port, where it is not always the same. */
  readonly address?: string;
  /** Set when it was asked for although the journal could go on. */
  readonly broken?: BrokenStream | undefined;
}

export interface FullSyncSink<S extends StreamSink = StreamSink> {
  /** The next bytes of the RDB. */
  append(parts: readonly Buffer[], slab: Slab | undefined): void;
  readonly congested: boolean;
  relieved(): Promise<void>;
  /** The RDB is complete; stream bytes follow. */
  beginStream(head: RdbHead): S;
  /** Resolves when the base is checked, durable and published; rejects when it is not right. */
  publish(head: RdbHead): Promise<void>;
}

export interface StreamSink {
  append(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: StreamMark): void;
  /** Somebody waits for an acknowledgement. */
  hurry(): void;
  readonly congested: boolean;
  relieved(): Promise<void>;
  /** Resolves when all that was appended is durable. */
  drain(): Promise<void>;
  readonly durable: Offset;
}

/** What the other journal noted between its bytes: ticks, samples, attachments. */
export type LinkNote = Exclude<LogItem, { readonly kind: 'stream' }>;

export interface LinkedStreamSink extends StreamSink {
  /** It may have come before. */
  note(note: LinkNote): void;
}

export interface StreamMark {
  readonly boundary: Offset;
  readonly boundaryDb: number;
}
