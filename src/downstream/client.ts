/**
 * One connection to the listener: a conversation first, and a feed if it asks for the stream. It ends by itself: strangers
 * have little time and few tries, nobody may leave replies lying about, and a feed knows its own ends.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { JournalError, LinkError } from '../core/errors.ts';
import { feedSocketBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import { RequestReader } from '../redis/requests.ts';
import { errorReply } from '../redis/replies-out.ts';
import type { Disk } from '../storage/disk.ts';
import { Conversation } from './conversation.ts';
import type { ConversationEvent, ConversationOptions } from './conversation.ts';
import type { PsyncRequest } from './answer-psync.ts';
import { Feed } from './feed.ts';
import type { FeedBegun, FeedState } from './feed.ts';
import type { History } from './history.ts';
import type { LinkRates } from './link-feed.ts';
import type { LiveTail } from './live-tail.ts';
import type { Turns } from '../core/turns.ts';
import { Outlet } from './outlet.ts';

export interface ClientOptions extends ConversationOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly history: History;
  readonly tail: LiveTail;
  readonly turns: Turns;
  readonly rates: LinkRates;
  readonly events: ClientEvents;
}

export interface ClientEvents {
  /** Somebody was turned away, or broke the protocol. Nothing that is said here is a secret. */
  refused(peer: string, error: JournalError): void;
  /** The stream begins for a replica. */
  feeding(replica: ReplicaState, answer: FeedBegun): void;
  /** A replica says how far it is. */
  acknowledged?(): void;
  /** The stream of a replica is over. */
  left(replica: ReplicaState, error: JournalError): void;
  /** Sentinel says that the primary is there now, at one of the sources. */
  moved(host: string, port: number): void;
}

/** A replica, for status and INFO. */
export interface ReplicaState {
  /** Where it connects from. */
  readonly peer: string;
  /** Where it listens, as far as it says so. */
  readonly host: string;
  readonly port: number;
  readonly state: FeedState;
  /** Another journal, be it over a link or by the plain protocol. */
  readonly isJournal: boolean;
  /** The last byte that it says to have; 0 before it did. */
  readonly acknowledged: Offset;
  /** The last byte that was sent; 0 while it gets the base. */
  readonly sent: Offset;
  /** Since its last sign of life. */
  readonly silentMs: number;
}

/** From connecting to the right password. */
const strangerMs = 10_000;

export class Client {
  readonly peer: string;
  readonly #socket: Socket;
  readonly #options: ClientOptions;
  readonly #conversation: Conversation;
  readonly #requests = new RequestReader();
  readonly #outlet: Outlet;
  /** Ends the time that a stranger has. */
  readonly #met: () => void;
  #feed: Feed | undefined;
  /** Nothing that still comes counts. */
  #isOver = false;

  constructor(socket: Socket, options: ClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.#conversation = new Conversation(options);
    this.#outlet = new Outlet(socket, () => this.#feed?.sign());
    this.#met = options.clock.after(strangerMs, () => {
      this.#turnAway('too-slow', 'it did not say who it is within 10 s');
    });
    socket.on('data', (bytes: Buffer) => {
      this.#take(bytes);
    });
    // What goes wrong on the way is told by the end of the connection.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#met();
      this.#feed?.end(new LinkError('replica-gone', 'the replica closed its link', 'never'));
    });
  }

  get isKnown(): boolean {
    return this.#conversation.isKnown;
  }

  /** Undefined: it is no replica. */
  get replica(): ReplicaState | undefined {
    const feed = this.#feed;
    if (feed === undefined) return undefined;
    const { claims } = this.#conversation;
    return {
      peer: this.peer,
      host: claims.host ?? this.#socket.remoteAddress ?? '?',
      port: claims.port,
      state: feed.state,
      isJournal: claims.isJournal === true,
      acknowledged: feed.acknowledged,
      sent: Math.max(0, feed.next - 1),
      silentMs: (this.#options.clock.monotonic() - feed.lastSign) / 1000,
    };
  }

  /** Ends the connection once what was said is sent, or was not taken for a second. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#met();
    this.#socket.destroySoon();
    const cancel = this.#options.clock.after(1000, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    if (this.#isOver) return;
    if (this.#feed !== undefined) {
      this.#feed.take(bytes);
      return;
    }
    try {
      this.#requests.push(bytes);
      // What may stand behind PSYNC is the feed's, and behind the last word nobody's.
      while (!this.#isDone()) {
        const request = this.#requests.next();
        if (request === undefined) return;
        this.#answer(request);
      }
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      this.#outlet.send(errorReply('ERR Protocol error'));
      this.#turnAway(error.code, error.message);
    }
  }

  #isDone(): boolean {
    return this.#isOver || this.#feed !== undefined;
  }

  #answer(request: readonly Buffer[]): void {
    if (request.length === 0) return;
    const { send, event } = this.#conversation.take(request);
    if (send !== '') this.#outlet.send(send);
    if (event !== undefined) this.#react(event);
    if (!this.#isDone() && this.#socket.writableLength > feedSocketBytesMax) {
      this.#turnAway('replies-unread', 'it asks and does not read the answers');
    }
  }

  #react(event: ConversationEvent): void {
    switch (event.kind) {
      case 'known':
        this.#met();
        return;
      case 'wrong-password':
        this.#tellRefused('wrong-password', 'it gave a wrong user or password');
        return;
      case 'locked-out':
        this.#turnAway('wrong-password', 'it gave wrong passwords again and again');
        return;
      case 'close':
        this.close();
        return;
      case 'moved':
        this.#options.events.moved(event.host, event.port);
        return;
      case 'misled':
        this.#tellRefused('not-a-source', `it wants ${event.address} to be followed, which is none of the sources`);
        return;
      case 'psync':
        void this.#serve(event.request);
    }
  }

  async #serve(request: PsyncRequest): Promise<void> {
    const { disk, clock, history, tail, turns, rates, events } = this.#options;
    const outlet = this.#outlet;
    const skills = this.#conversation.claims;
    const began = (answer: FeedBegun): void => {
      if (this.replica !== undefined) events.feeding(this.replica, answer);
    };
    const acknowledged = (): void => events.acknowledged?.();
    this.#feed = new Feed({ disk, clock, history, tail, turns, rates, outlet, request, skills, began, acknowledged });
    try {
      await this.#feed.run();
    } catch (error) {
      if (this.replica !== undefined) events.left(this.replica, asJournalError(error));
      this.close();
    }
  }

  #turnAway(code: string, why: string): void {
    this.#tellRefused(code, why);
    this.close();
  }

  #tellRefused(code: string, why: string): void {
    this.#options.events.refused(this.peer, new LinkError(code, `a client was refused: ${why}`, 'never'));
  }
}

/** A fault of ours ends the feed, and nothing else: the journal goes on. */
function asJournalError(error: unknown): JournalError {
  if (error instanceof JournalError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new LinkError('feed-broken', `feeding the replica failed: ${reason}`, 'never', { cause: error });
}
