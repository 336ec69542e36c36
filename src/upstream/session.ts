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
import type { Micros } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Slab } from '../core/slabs.ts';
import { BoundaryScanner } from '../redis/boundary-scanner.ts';
import { Handshake } from '../redis/handshake.ts';
import type { HandshakeOutcome, HeldBase } from '../redis/handshake.ts';
import type { Announced } from '../redis/link-intake.ts';
import { streamDb } from '../redis/rdb-head.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { Offset, Position } from '../core/position.ts';
import { Acker } from './acker.ts';
import { formatAddress } from './address.ts';
import { BaseTransfer } from './base-transfer.ts';
import type { Connection } from './connect.ts';
import { LinkReceiver } from './link-receiver.ts';
import type { LinkHost, Streaming } from './link-receiver.ts';
import type { SessionOptions } from './session-options.ts';
import { asPeerProblem, silence } from './session-problems.ts';
import type { FullSync, FullSyncSink, LinkedStreamSink, LinkSink, ResumePoint, StreamSink } from './sink.ts';

const tickMs = 1000;
const connectTimeoutMs = 10_000;
/** A primary sends PINGs every 10 s (repl-ping-replica-period); a real replica gives up after 60 s (repl-timeout). */
const silenceMs = 60_000;

type Phase =
  | { readonly name: 'handshake'; readonly handshake: Handshake }
  | { readonly name: 'settling'; readonly held: { readonly bytes: Buffer; readonly slab: Slab }[] }
  | {
      readonly name: 'transfer';
      readonly transfer: BaseTransfer;
      readonly sink: FullSyncSink;
      readonly position: Position;
    }
  | ({ readonly name: 'streaming' } & Streaming<StreamSink>)
  /** Over a link: before the stream and in it. */
  | { readonly name: 'linked'; readonly receiver: LinkReceiver; streaming: Streaming<StreamSink> | undefined }
  | { readonly name: 'over' };

export class ReplicaSession {
  readonly #options: SessionOptions;
  readonly #over = Promise.withResolvers<never>();
  #phase: Phase;
  #resume: ResumePoint | undefined;
  readonly #heldBase: HeldBase | undefined;
  #server: ServerVersion | undefined;
  #lineage: ReplicationInfo | undefined;
  #acker: Acker | undefined;
  #connection: Connection | undefined;
  /** Set once the stream has begun; it outlives the phase, for the acknowledgements of a session that finishes. */
  #streamSink: StreamSink | undefined;
  #lastByteAt: number;
  #congested = false;
  #publishing: Promise<void> | undefined;

  private constructor(options: SessionOptions, resume: ResumePoint | undefined, heldBase: HeldBase | undefined) {
    this.#options = options;
    this.#resume = resume;
    this.#heldBase = heldBase;
    this.#phase = {
      name: 'handshake',
      handshake: new Handshake({
        ...options.credentials,
        announce: options.announce,
        resume: resume?.position,
        asksLink: options.link !== undefined,
        heldBase,
      }),
    };
    this.#lastByteAt = options.clock.monotonic();
    // Nobody may be waiting yet when it fails.
    this.#over.promise.catch(() => undefined);
  }

  /** Connects and begins the handshake. */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<ReplicaSession> {
    // Asked in either case: it settles what the session before left.
    const resume = await options.sink.resumePoint();
    const heldBase = await options.link?.heldBase();
    const session = new ReplicaSession(options, options.broken === undefined ? resume : undefined, heldBase);
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
    const sink = this.#streaming?.sink;
    if (sink === undefined) return;
    const answer = this.#acker?.advanced(sink.durable);
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
    const sink = this.#streaming?.sink;
    if (sink === undefined) return;
    this.#phase = { name: 'over' };
    await sink.drain();
    // The RDB is all here: without its base the sync would have been for nothing.
    await this.#publishing;
    if (this.#acker !== undefined) await this.#connection?.closeAfter(this.#acker.last(sink.durable));
  }

  get #streaming(): Streaming<StreamSink> | undefined {
    const phase = this.#phase;
    return phase.name === 'linked' ? phase.streaming : phase.name === 'streaming' ? phase : undefined;
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    try {
      for (;;) {
        await clock.sleep(tickMs, signal);
        const silentMs = (clock.monotonic() - this.#lastByteAt) / 1000;
        if (silentMs > silenceMs && !this.#congested) throw silence(silentMs);
        this.#acknowledge(this.#streamSink?.durable ?? 0);
      }
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  #acknowledge(durable: Offset): void {
    const words = this.#acker?.tick(durable);
    if (words !== undefined) this.#connection?.send(words);
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
        this.#append(phase, bytes, slab, this.#options.sink.stamp());
        this.#relieve(phase.sink);
        return;
      case 'linked':
        phase.receiver.take(bytes);
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
    this.#options.events.greeted(this.#server, handshake.notes, handshake.isLinked);
    // A copy: the handshake's bytes are not a slab's, and what is appended must stay as it is until it is written.
    void this.#settle(outcome, Buffer.from(handshake.rest()), handshake.isLinked);
  }

  #admit(server: ServerVersion): void {
    this.#server = server;
    this.#options.sink.admit(server);
  }

  /** Lets the sink get ready, then takes what has come in the meantime. */
  async #settle(outcome: HandshakeOutcome, rest: Buffer, isLinked: boolean): Promise<void> {
    const held: { readonly bytes: Buffer; readonly slab: Slab }[] = [];
    this.#phase = { name: 'settling', held };
    this.#connection?.pause();
    try {
      const link = isLinked ? this.#options.link : undefined;
      const next = await (outcome.kind === 'continue'
        ? this.#attach(outcome.id, link)
        : link === undefined
          ? this.#beginFullSync(outcome)
          : this.#beginLink(link, outcome));
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

  async #attach(id: string, link: LinkSink | undefined): Promise<Phase> {
    if (this.#resume === undefined)
      throw new LinkError('protocol-broken', '+CONTINUE without a request for it', 'later');
    const { scanner } = this.#resume;
    const linked = await link?.attachLinked();
    const sink = linked ?? (await this.#options.sink.attach(id, this.#server));
    if (this.#isOver()) return this.#phase;
    this.#acker = new Acker('streaming', this.#options.elsewhere);
    this.#streamSink = sink;
    this.#options.events.attached({ id, offset: scanner.offset });
    this.#acknowledge(sink.durable);
    if (link === undefined || linked === undefined) return { name: 'streaming', sink, scanner };
    const streaming = { sink: linked, scanner };
    return this.#linked(link, { next: scanner.offset + 1 }, streaming);
  }

  #beginLink(link: LinkSink, base: Position): Phase {
    this.#acker = new Acker('transfer');
    return this.#linked(link, { base, held: this.#heldBase }, undefined);
  }

  #linked(link: LinkSink, announced: Announced, streaming: Streaming<LinkedStreamSink> | undefined): Phase {
    const session: LinkHost = {
      pause: () => this.#connection?.pause(),
      resume: () => {
        if (!this.#isBlocked()) this.#connection?.resume();
      },
      fail: this.fail.bind(this),
      fullSync: (base) => this.#fullSync(base, base.stamp),
      beginStream: (sync, base, head) => this.#beginStream(sync, base, head),
      append: (to, bytes, stamp) => {
        this.#append(to, bytes, undefined, stamp);
      },
      isBlocked: () => this.#isBlocked(),
      relieve: this.#relieve.bind(this),
    };
    const receiver = new LinkReceiver({ session, link, events: this.#options.events, announced, streaming });
    return { name: 'linked', receiver, streaming };
  }

  #fullSync({ id, offset }: Position, stamp: Micros): FullSync {
    const [server, lineage] = [this.#server, this.#lineage];
    const { address, broken } = this.#options;
    return { position: { id, offset }, stamp, server, lineage, address: formatAddress(address), broken };
  }

  async #beginFullSync(position: Position): Promise<Phase> {
    const { sink, events } = this.#options;
    this.#acker = new Acker('transfer');
    events.fullSync({ id: position.id, offset: position.offset });
    const full = await sink.beginFullSync(this.#fullSync(position, sink.stamp()));
    const transfer = new BaseTransfer(position, this.#lineage?.isJournal === true);
    return { name: 'transfer', transfer, sink: full, position };
  }

  #transfer(phase: Phase & { name: 'transfer' }, bytes: Buffer, slab: Slab | undefined): void {
    const { transfer, sink, position } = phase;
    const { rdb, rest } = transfer.push(bytes);
    if (this.#server === undefined && transfer.server !== undefined) this.#admit(transfer.server);
    if (rdb.length > 0) {
      sink.append(rdb, slab);
      this.#options.events.receiving(transfer.received, transfer.size);
    }
    this.#relieve(sink);
    if (rest === undefined) return;
    this.#phase = { name: 'streaming', ...this.#beginStream(sink, position, transfer.wholeHead()) };
    if (rest.length > 0) this.#take(rest, slab);
  }

  /** The base is all here, though not durable yet. */
  #beginStream<S extends StreamSink>(full: FullSyncSink<S>, { offset }: Position, head: RdbHead): Streaming<S> {
    const acker = new Acker('base-pending', this.#options.elsewhere);
    const sink = full.beginStream(head);
    const streaming = { sink, scanner: new BoundaryScanner({ offset, db: streamDb(head.aux) }) };
    this.#acker = acker;
    this.#streamSink = sink;
    if (this.#phase.name === 'linked') this.#phase.streaming = streaming;
    this.#acknowledge(0);
    this.#publishing = this.#publish(full, head, acker, sink);
    this.#publishing.catch((error: unknown) => {
      this.fail(error);
    });
    return streaming;
  }

  async #publish(sink: FullSyncSink, head: RdbHead, acker: Acker, stream: StreamSink): Promise<void> {
    try {
      await sink.publish(head);
    } catch (error) {
      throw asPeerProblem(error);
    }
    acker.phase = 'streaming';
    this.#options.events.published();
    if (!this.#isOver()) this.#acknowledge(stream.durable);
  }

  #append({ sink, scanner }: Streaming<StreamSink>, bytes: Buffer, slab: Slab | undefined, stamp: Micros): void {
    const asked = scanner.acksWanted;
    scanner.scan(bytes);
    sink.append(bytes, slab, stamp, scanner);
    if (scanner.acksWanted === asked) return;
    this.#acker?.asked(scanner.offset);
    sink.hurry();
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
        if (this.#phase.name === 'linked') this.#phase.receiver.resume();
        if (!this.#isBlocked()) this.#connection?.resume();
      },
      (error: unknown) => {
        this.fail(error);
      },
    );
  }

  #isOver(): boolean {
    return this.#phase.name === 'over';
  }

  #isBlocked(): boolean {
    return this.#congested || this.#isOver();
  }
}
