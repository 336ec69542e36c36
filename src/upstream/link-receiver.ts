/**
 * The part of a session that comes over a link with another journal: hands what the machine in redis/link-intake.ts makes of it
 * to the sink. The stamps are the source's: our clock has no part in it. Neighbour: session.ts, whose handshake, connection and
 * acknowledgements it uses.
 */
import type { Micros } from '../core/clock.ts';
import type { BoundaryScanner } from '../redis/boundary-scanner.ts';
import { LinkIntake } from '../redis/link-intake.ts';
import type { Announced, LinkedBase, LinkEvent } from '../redis/link-intake.ts';
import type { LogItem } from '../redis/link-log.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import type { SessionEvents } from './session-options.ts';
import { asPeerProblem } from './session-problems.ts';
import type { FullSync, FullSyncSink, LinkedStreamSink, LinkSink } from './sink.ts';

/** A stream that comes in, and how far it was understood. */
export interface Streaming<S> {
  readonly sink: S;
  readonly scanner: BoundaryScanner;
}

export type LinkedSyncSink = FullSyncSink<LinkedStreamSink>;

/** What a session does for it. */
export interface LinkHost {
  pause(): void;
  resume(): void;
  fail(error: unknown): void;
  fullSync(base: LinkedBase): FullSync;
  /** The base is all here. */
  beginStream(sync: LinkedSyncSink, base: LinkedBase, head: RdbHead): Streaming<LinkedStreamSink>;
  append(to: Streaming<LinkedStreamSink>, bytes: Buffer, stamp: Micros): void;
  /** The disk is behind, or the session is over: nothing is taken. */
  isBlocked(): boolean;
  /** Stops reading while the disk is behind; then resume() is called here. */
  relieve(sink: LinkedSyncSink | LinkedStreamSink): void;
}

export interface LinkReceiverOptions {
  readonly session: LinkHost;
  readonly link: LinkSink;
  readonly events: Pick<SessionEvents, 'fullSync' | 'receiving' | 'linkState'>;
  readonly announced: Announced;
  /** Where a stream that goes on does so. */
  readonly streaming: Streaming<LinkedStreamSink> | undefined;
}

export class LinkReceiver {
  readonly #options: LinkReceiverOptions;
  readonly #intake: LinkIntake;
  #streaming: Streaming<LinkedStreamSink> | undefined;
  #sync: { readonly base: LinkedBase; readonly sink: LinkedSyncSink; received: number } | undefined;
  /** The sink gets ready: what comes meanwhile waits in the intake. */
  #isSettling = false;

  constructor(options: LinkReceiverOptions) {
    this.#options = options;
    this.#intake = new LinkIntake(options.announced);
    this.#streaming = options.streaming;
  }

  take(bytes: Buffer): void {
    this.#intake.push(bytes);
    this.resume();
  }

  /** Takes what has come, as far as the disk is not behind: a read may be compressed a thousandfold. */
  resume(): void {
    const { session } = this.#options;
    try {
      while (!this.#isSettling && !session.isBlocked()) {
        const event = this.#intake.next();
        if (event === undefined) return;
        this.#handle(event);
        const sink = this.#streaming?.sink ?? this.#sync?.sink;
        if (sink !== undefined) session.relieve(sink);
      }
    } catch (error) {
      session.fail(asPeerProblem(error));
    }
  }

  #handle(event: LinkEvent): void {
    switch (event.kind) {
      case 'base':
        void this.#settle(event.record, event.held);
        return;
      case 'piece':
        this.#piece(event.bytes, event.isLast);
        return;
      case 'state':
        this.#options.events.linkState?.(event.state);
        return;
      case 'stream':
      case 'tick':
      case 'sample':
      case 'attach':
        if (this.#streaming !== undefined) this.#logged(this.#streaming, event);
    }
  }

  async #settle(base: LinkedBase, held: number): Promise<void> {
    const { session, link, events } = this.#options;
    this.#isSettling = true;
    session.pause();
    try {
      events.fullSync({ id: base.id, offset: base.offset }, held);
      this.#sync = { base, sink: await link.beginLinkedSync(session.fullSync(base), base, held), received: held };
      this.#isSettling = false;
      session.resume();
      this.resume();
    } catch (error) {
      session.fail(error);
    }
  }

  #piece(bytes: Buffer, isLast: boolean): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    const { base, sink } = sync;
    sink.append([bytes], undefined);
    sync.received += bytes.length;
    this.#options.events.receiving(sync.received, base.size);
    if (!isLast) return;
    this.#sync = undefined;
    const { magic, version, aux } = base;
    const head = { magic, version, aux: new Map(Object.entries(aux)) };
    this.#streaming = this.#options.session.beginStream(sink, base, head);
  }

  #logged(streaming: Streaming<LinkedStreamSink>, item: LogItem): void {
    if (item.kind !== 'stream') {
      streaming.sink.note(item);
      return;
    }
    const { start, data, reads } = item;
    let next = start;
    reads.forEach((stamp, end) => {
      this.#options.session.append(streaming, data.subarray(next - start, end + 1 - start), stamp);
      next = end + 1;
    });
  }
}
