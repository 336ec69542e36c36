/**
 * One life of the link to a primary: handshake, full sync if it must be, then the stream, until the link breaks or we
 * are told to stop. It owns the connection and the timing of acknowledgements; protocol is in redis/, disks behind Sink.
 *
 *   handshake ─► settling ─► transfer ─► streaming
 *                       └──────────────► streaming
 *
 * Bytes flow one way and in order. While settling (the sink opens files) reading is paused, and what a read under way
 * still brings is held. Invariant: nothing is acknowledged before the sink says that it is durable.
 */
import type { Clock } from '../core/clock.ts';
import { IntegrityError, LinkError } from '../core/errors.ts';
import type { Slab, SlabPool } from '../core/slabs.ts';
import { BoundaryScanner } from '../redis/boundary-scanner.ts';
import { Handshake } from '../redis/handshake.ts';
import type { AnnouncedAddress, HandshakeOutcome } from '../redis/handshake.ts';
import { checkPosition, RdbHeadReader, streamDb } from '../redis/rdb-head.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import { RdbTransfer } from '../redis/rdb-transfer.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { serverVersionFromAux } from '../redis/server-version.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { Position } from '../core/position.ts';
import { Acker } from './acker.ts';
import { formatAddress } from './address.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import type { BrokenStream } from './broken-stream.ts';
import type { Connect, Connection } from './connect.ts';
import type { FullSyncSink, ResumePoint, Sink, StreamSink } from './sink.ts';

export interface SessionOptions {
  readonly address: SourceAddress;
  readonly credentials: Credentials;
  /** Absent: nobody learns from the server where we listen. */
  readonly announce?: AnnouncedAddress | undefined;
  readonly tls: TlsSettings;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly pool: SlabPool;
  readonly sink: Sink;
  readonly events: SessionEvents;
  /** Set: the journal does not go on where it ends, a full sync is asked for. */
  readonly broken?: BrokenStream | undefined;
}

export interface SessionEvents {
  /** What the server says of itself, before it is known whether it takes us. */
  described?(lineage: ReplicationInfo): void;
  /** The server answered; `notes` are replies that were passed over. */
  greeted(server: ServerVersion | undefined, notes: readonly string[]): void;
  fullSync(position: Position): void;
  /** Bytes of the RDB so far; `size` where the primary told it. */
  receiving(received: number, size: number | undefined): void;
  /** The base is published: acknowledgements begin. */
  published(): void;
  /** The stream goes on. */
  attached(position: Position): void;
}

const tickMs = 1000;
const connectTimeoutMs = 10_000;
/** A primary sends PINGs every 10 s (repl-ping-replica-period); a real replica gives up after 60 s (repl-timeout). */
const silenceMs = 60_000;

type Phase =
  | { readonly name: 'handshake'; readonly handshake: Handshake }
  | { readonly name: 'settling'; readonly held: { readonly bytes: Buffer; readonly slab: Slab }[] }
  | {
      readonly name: 'transfer';
      readonly transfer: RdbTransfer;
      readonly sink: FullSyncSink;
      readonly position: Position;
    }
  | { readonly name: 'streaming'; readonly sink: StreamSink; readonly scanner: BoundaryScanner }
  | { readonly name: 'over' };

export class ReplicaSession {
  readonly #options: SessionOptions;
  readonly #over = Promise.withResolvers<never>();
  readonly #headReader = new RdbHeadReader();
  #phase: Phase;
  #resume: ResumePoint | undefined;
  #server: ServerVersion | undefined;
  #lineage: ReplicationInfo | undefined;
  #head: RdbHead | undefined;
  #acker: Acker | undefined;
  #connection: Connection | undefined;
  /** Set once the stream has begun; it outlives the phase, for the acknowledgements of a session that finishes. */
  #streamSink: StreamSink | undefined;
  #lastByteAt: number;
  #congested = false;
  #publishing: Promise<void> | undefined;

  private constructor(options: SessionOptions, resume: ResumePoint | undefined) {
    this.#options = options;
    this.#resume = resume;
    this.#phase = {
      name: 'handshake',
      handshake: new Handshake({ ...options.credentials, announce: options.announce, resume: resume?.position }),
    };
    this.#lastByteAt = options.clock.monotonic();
    // Nobody may be waiting yet when it fails.
    this.#over.promise.catch(() => undefined);
  }

  /** Connects and begins the handshake. */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<ReplicaSession> {
    // Asked in either case: it settles what the session before left.
    const resume = await options.sink.resumePoint();
    const session = new ReplicaSession(options, options.broken === undefined ? resume : undefined);
    await session.#connect(signal);
    return session;
  }

  /** More has come than could be taken yet. */
  get isBehind(): boolean {
    return this.#connection?.isBehind ?? false;
  }

  /** Follows until the link ends: rejects with the reason; resolves when `signal` stopped it and all is durable. */
  async run(signal: AbortSignal): Promise<void> {
    const ticker = new AbortController();
    const stopped = Promise.withResolvers<'stopped'>();
    const onAbort = (): void => {
      stopped.resolve('stopped');
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void this.#tick(ticker.signal);
    try {
      await Promise.race([this.#over.promise, stopped.promise]);
      await this.#finish();
    } finally {
      ticker.abort();
      signal.removeEventListener('abort', onAbort);
      this.#phase = { name: 'over' };
      this.#connection?.close();
    }
  }

  /** The sink's durable offset has moved: answers a primary that waits for it. */
  progressed(): void {
    if (this.#phase.name !== 'streaming') return;
    const answer = this.#acker?.advanced(this.#phase.sink.durable);
    if (answer !== undefined) this.#connection?.send(answer);
  }

  /** The sink cannot go on: ends the session with its error. */
  fail(error: unknown): void {
    if (this.#phase.name === 'over') return;
    this.#phase = { name: 'over' };
    this.#connection?.close();
    this.#over.reject(error);
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { address, tls, pool, clock, connect } = this.#options;
    const options = { address, tls, pool, clock, signal, timeoutMs: connectTimeoutMs };
    this.#connection = await connect(options, {
      bytes: (bytes, slab) => {
        this.#bytes(bytes, slab);
      },
      closed: (error) => {
        this.fail(error);
      },
    });
    if (this.#phase.name === 'handshake') this.#connection.send(this.#phase.handshake.start());
  }

  /** Told to stop: what was received becomes durable and is acknowledged; then the link is closed. */
  async #finish(): Promise<void> {
    this.#connection?.pause();
    const phase = this.#phase;
    if (phase.name !== 'streaming') return;
    this.#phase = { name: 'over' };
    await phase.sink.drain();
    // The RDB is all here: without its base the sync would have been for nothing.
    await this.#publishing;
    if (this.#acker !== undefined) await this.#connection?.closeAfter(this.#acker.tick(phase.sink.durable));
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    try {
      for (;;) {
        await clock.sleep(tickMs, signal);
        const silentMs = (clock.monotonic() - this.#lastByteAt) / 1000;
        if (silentMs > silenceMs && !this.#congested) throw this.#silence(silentMs);
        if (this.#acker !== undefined) this.#connection?.send(this.#acker.tick(this.#streamSink?.durable ?? 0));
      }
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  #bytes(bytes: Buffer, slab: Slab | undefined): void {
    this.#lastByteAt = this.#options.clock.monotonic();
    try {
      this.#take(bytes, slab);
    } catch (error) {
      this.fail(error);
    }
  }

  #take(bytes: Buffer, slab: Slab | undefined): void {
    const phase = this.#phase;
    switch (phase.name) {
      case 'handshake':
        this.#shake(phase.handshake, bytes);
        return;
      case 'settling':
        if (slab !== undefined) phase.held.push({ bytes, slab: slab.retain() });
        return;
      case 'transfer':
        try {
          this.#transfer(phase, bytes, slab);
        } catch (error) {
          throw asPeerProblem(error);
        }
        return;
      case 'streaming':
        this.#stream(phase, bytes, slab);
        return;
      case 'over':
        return;
    }
  }

  #shake(handshake: Handshake, bytes: Buffer): void {
    const { send, outcome } = handshake.push(bytes);
    if (this.#server === undefined && handshake.server !== undefined) this.#admit(handshake.server);
    if (this.#lineage === undefined && handshake.lineage !== undefined) {
      this.#lineage = handshake.lineage;
      this.#options.events.described?.(handshake.lineage);
    }
    if (send !== undefined) this.#connection?.send(send);
    if (outcome === undefined) return;
    this.#options.events.greeted(this.#server, handshake.notes);
    // A copy: the handshake's bytes are not a slab's, and what is appended must stay as it is until it is written.
    void this.#settle(outcome, Buffer.from(handshake.rest()));
  }

  #admit(server: ServerVersion): void {
    this.#server = server;
    this.#options.sink.admit(server);
  }

  /** Lets the sink get ready, then takes what has come in the meantime. */
  async #settle(outcome: HandshakeOutcome, rest: Buffer): Promise<void> {
    const held: { readonly bytes: Buffer; readonly slab: Slab }[] = [];
    this.#phase = { name: 'settling', held };
    this.#connection?.pause();
    try {
      const next = outcome.kind === 'continue' ? await this.#attach(outcome.id) : await this.#beginFullSync(outcome);
      if (this.#isOver()) return;
      this.#phase = next;
      if (rest.length > 0) this.#take(rest, undefined);
      for (const { bytes, slab } of held) this.#take(bytes, slab);
      if (!this.#congested) this.#connection?.resume();
    } catch (error) {
      this.fail(error);
    } finally {
      for (const { slab } of held) slab.release();
    }
  }

  async #attach(id: string): Promise<Phase> {
    if (this.#resume === undefined)
      throw new LinkError('protocol-broken', '+CONTINUE without a request for it', 'later');
    const { scanner } = this.#resume;
    const sink = await this.#options.sink.attach(id, this.#server);
    if (this.#isOver()) return this.#phase;
    this.#acker = new Acker('streaming');
    this.#streamSink = sink;
    this.#options.events.attached({ id, offset: scanner.offset });
    this.#connection?.send(this.#acker.tick(sink.durable));
    return { name: 'streaming', sink, scanner };
  }

  async #beginFullSync(position: Position): Promise<Phase> {
    const { sink, events } = this.#options;
    this.#acker = new Acker('transfer');
    events.fullSync({ id: position.id, offset: position.offset });
    const full = await sink.beginFullSync({
      position,
      stamp: sink.stamp(),
      server: this.#server,
      lineage: this.#lineage,
      address: formatAddress(this.#options.address),
      broken: this.#options.broken,
    });
    return { name: 'transfer', transfer: new RdbTransfer(), sink: full, position };
  }

  #transfer(phase: Phase & { name: 'transfer' }, bytes: Buffer, slab: Slab | undefined): void {
    const { transfer, sink, position } = phase;
    const { rdb, rest } = transfer.push(bytes);
    for (const part of rdb) this.#readHead(part, position);
    if (rdb.length > 0) {
      sink.append(rdb, slab);
      this.#options.events.receiving(transfer.received, transfer.size);
    }
    this.#relieve(sink);
    if (rest === undefined) return;
    this.#beginStream(sink, position);
    if (rest.length > 0) this.#take(rest, slab);
  }

  #readHead(part: Buffer, position: Position): void {
    if (this.#head !== undefined) return;
    this.#head = this.#headReader.push(part);
    if (this.#head === undefined) return;
    checkPosition(this.#head.aux, position);
    const server = serverVersionFromAux(this.#head.aux);
    if (this.#server === undefined && server !== undefined) this.#admit(server);
  }

  #beginStream(sink: FullSyncSink, position: Position): void {
    const head = this.#head;
    if (head === undefined) throw new LinkError('protocol-broken', 'the RDB ended before its first key', 'later');
    const acker = new Acker('base-pending');
    const stream = sink.beginStream(head);
    const scanner = new BoundaryScanner({ offset: position.offset, db: streamDb(head.aux) });
    this.#acker = acker;
    this.#streamSink = stream;
    this.#phase = { name: 'streaming', sink: stream, scanner };
    this.#connection?.send(acker.tick(0));
    this.#publishing = this.#publish(sink, head, acker, stream);
    this.#publishing.catch((error: unknown) => {
      this.fail(error);
    });
  }

  async #publish(sink: FullSyncSink, head: RdbHead, acker: Acker, stream: StreamSink): Promise<void> {
    try {
      await sink.publish(head);
    } catch (error) {
      throw asPeerProblem(error);
    }
    acker.phase = 'streaming';
    this.#options.events.published();
    if (!this.#isOver()) this.#connection?.send(acker.tick(stream.durable));
  }

  #stream(phase: Phase & { name: 'streaming' }, bytes: Buffer, slab: Slab | undefined): void {
    const { sink, scanner } = phase;
    const asked = scanner.acksWanted;
    scanner.scan(bytes);
    sink.append(bytes, slab, this.#options.sink.stamp(), scanner);
    if (scanner.acksWanted > asked) {
      this.#acker?.asked(scanner.offset);
      sink.hurry();
    }
    this.#relieve(sink);
  }

  /** Stops reading while the disk is behind; the primary's own buffer takes over, and TCP tells it. */
  #relieve(sink: FullSyncSink | StreamSink): void {
    if (!sink.congested || this.#congested) return;
    this.#congested = true;
    this.#connection?.pause();
    sink.relieved().then(
      () => {
        this.#congested = false;
        this.#lastByteAt = this.#options.clock.monotonic();
        if (!this.#isOver()) this.#connection?.resume();
      },
      (error: unknown) => {
        this.fail(error);
      },
    );
  }

  #isOver(): boolean {
    return this.#phase.name === 'over';
  }

  #silence(silentMs: number): LinkError {
    const seconds = Math.round(silentMs / 1000);
    return new LinkError('silent', `nothing came from the primary for ${seconds} s`, 'soon', {
      hint: 'a half-open connection, or repl-ping-replica-period above 60 s',
    });
  }
}

/** What came over the wire contradicts itself: another full sync may be right, and what is journaled stays. */
function asPeerProblem(error: unknown): unknown {
  if (!(error instanceof IntegrityError)) return error;
  return new LinkError(error.code, error.message, 'later', { hint: error.hint, exitCode: 6, cause: error });
}
