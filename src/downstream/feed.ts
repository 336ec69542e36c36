/**
 * The stream of one replica, from its PSYNC to its end: what it lacks from the disk, then what becomes durable, as it does.
 *
 *   waiting ─┬─ FULLRESYNC ─ base ─┬─ online
 *            └─ CONTINUE ──────────┘
 *
 * Invariant: bytes are the journal's, in order, from the one that the replica was promised; none that is not durable. When
 * the history gets another name, or goes on in another timeline, the feed ends: the replica asks again, and is told what
 * its bytes are worth there (a primary ends its replicas' links for the same reason). Nothing is ever put in between: a
 * newline would shift the replica's offset.
 */
import { Bell } from '../core/bell.ts';
import type { Clock, Micros } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import { parseOffset } from '../core/position.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import { RequestReader } from '../redis/requests.ts';
import { errorReply, statusReply } from '../redis/replies-out.ts';
import { Share } from '../core/turns.ts';
import type { Turns } from '../core/turns.ts';
import type { Disk } from '../storage/disk.ts';
import { answerPsync } from './answer-psync.ts';
import type { PsyncAnswer, PsyncRequest, ReplicaSkills } from './answer-psync.ts';
import type { History, ServedTimeline } from './history.ts';
import { LinkFeed } from './link-feed.ts';
import type { LinkFeedEvents, LinkRates } from './link-feed.ts';
import type { LiveTail } from './live-tail.ts';
import type { Outlet } from './outlet.ts';
import { servedBase, servedBaseBytes } from './served-base.ts';
import { ServedStream } from './served-stream.ts';
import type { ServedPiece } from './served-stream.ts';

export interface FeedOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly history: History;
  readonly tail: LiveTail;
  readonly outlet: Outlet;
  /** Capture goes first. */
  readonly turns: Turns;
  readonly rates: LinkRates;
  readonly request: PsyncRequest;
  readonly skills: ReplicaSkills;
  readonly began: (answer: FeedBegun) => void;
  /** It says to have more, or the same still. */
  readonly acknowledged: () => void;
}

/** What a replica was told. */
export type FeedBegun = Extract<PsyncAnswer, { readonly kind: 'continue' | 'full' }>;

export type FeedState = 'waiting' | 'base' | 'online';

/** A replica gives a sign of life each second. */
const silence: Micros = 60_000_000;
const lookMs = 1000;
/** For bytes that a replica has and that are not here; longer, and it takes us for dead. */
const aheadPatience: Micros = 30_000_000;

const noMasterLink = "NOMASTERLINK Can't SYNC while not connected with my master";

export class Feed {
  readonly #options: FeedOptions;
  readonly #reader = new RequestReader();
  readonly #bell = new Bell();
  readonly #share: Share;
  #state: FeedState = 'waiting';
  #acknowledged: Offset = 0;
  #next: Offset = 0;
  #lastSign: Micros;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#share = new Share(options.turns);
    this.#lastSign = options.clock.monotonic();
  }

  get state(): FeedState {
    return this.#state;
  }

  /** What the replica says to have; 0 before it did. */
  get acknowledged(): Offset {
    return this.#acknowledged;
  }

  /** The first byte that was not sent. */
  get next(): Offset {
    return this.#next;
  }

  /** By the monotonic clock. */
  get lastSign(): Micros {
    return this.#lastSign;
  }

  /** Until the replica goes, or must ask again: rejects with the reason. */
  async run(): Promise<never> {
    const watch = this.#watchSilence();
    const unwatch = this.#options.history.watch(() => {
      this.#bell.ring();
    });
    try {
      const { served, answer } = await this.#answer();
      this.#options.began(answer);
      if (this.#options.skills.link === true) return await this.#link(served, answer);
      return await this.#stream(served, await this.#begin(served, answer));
    } finally {
      unwatch();
      watch();
    }
  }

  /** What the replica sends. */
  take(bytes: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#reader.push(bytes);
      for (let request = this.#reader.next(); request !== undefined; request = this.#reader.next()) {
        const [name = '', option = '', value = ''] = request.map((argument) => argument.toString('latin1'));
        if (name.toUpperCase() !== 'REPLCONF' || option.toUpperCase() !== 'ACK') continue;
        this.#acknowledge(parseOffset(value) ?? 0);
      }
      this.sign();
    } catch (error) {
      this.end(error);
    }
  }

  /** The replica is alive. */
  sign(): void {
    this.#lastSign = this.#options.clock.monotonic();
  }

  end(error: unknown): void {
    this.#failure ??= { error };
    this.#bell.ring();
    this.#options.outlet.wake();
  }

  /** Others count on what a journal says to have: one that claims more is not believed at all, a replica not further. */
  #acknowledge(offset: Offset): void {
    const sent = Math.max(0, this.#next - 1);
    if (offset > sent && this.#options.skills.link === true) {
      throw new LinkError('ack-beyond', `it acknowledges ${offset}, and was sent up to ${sent}`, 'never', {
        hint: 'it is no journal, or its directory is of another history: begin a new one there',
      });
    }
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(offset, sent));
    this.#options.acknowledged();
  }

  /** Up to the stream; returns where that begins. */
  async #begin(served: ServedTimeline, answer: FeedBegun): Promise<Offset> {
    this.#tell(answer);
    if (answer.kind === 'continue') return answer.from;
    await this.#sendBase(served);
    return answer.offset + 1;
  }

  #tell(answer: FeedBegun): void {
    const { outlet } = this.#options;
    if (answer.kind === 'full') this.#state = 'base';
    const what = answer.kind === 'full' ? `FULLRESYNC ${answer.id} ${answer.offset}` : `CONTINUE ${answer.id}`;
    outlet.send(statusReply(what));
  }

  /** Of another journal. */
  async #link(served: ServedTimeline, answer: FeedBegun): Promise<never> {
    const { disk, clock, history, outlet, tail, rates } = this.#options;
    const events: LinkFeedEvents = {
      requireGoing: () => this.#requireSame(served),
      changedOr: (ms) => this.#changedOr(ms),
      room: (sent) => this.#room(sent),
      sentUpTo: (next) => {
        this.#next = next;
      },
    };
    const link = new LinkFeed({ disk, clock, history, outlet, served, blocks: tail.blocks, rates, events });
    this.#tell(answer);
    const from = answer.kind === 'full' ? answer.offset + 1 : answer.from;
    // It may have the whole base before the pace allows for more.
    this.#next = from;
    if (answer.kind === 'full') await link.sendBase(this.#options.skills.heldBase);
    this.#state = 'online';
    return link.stream(from);
  }

  /** Waits where a replica is ahead; newlines tell it that we are here, and cost no offset before the answer. */
  async #answer(): Promise<{ readonly served: ServedTimeline; readonly answer: FeedBegun }> {
    const { history, clock, outlet, request, skills } = this.#options;
    const patience = clock.monotonic() + aheadPatience;
    for (;;) {
      this.#throwFailure();
      const served = history.now();
      const answer = served && answerPsync(offered(served), request, skills);
      if (served === undefined || answer === undefined) throw this.#refuse(noMasterLink, 'there is no base yet');
      if (answer.kind === 'refuse') throw this.#refuse(answer.error, answer.error);
      if (answer.kind !== 'ahead') return { served, answer };
      if (!history.upstream().isUp || clock.monotonic() > patience) {
        const ahead = answer.until - served.durable;
        throw this.#refuse(noMasterLink, `it is ${ahead} bytes ahead of the journal, and these do not come in`);
      }
      outlet.send('\n');
      await this.#changedOr(lookMs);
    }
  }

  #refuse(reply: string, why: string): LinkError {
    this.#options.outlet.send(errorReply(reply));
    return new LinkError('replica-refused', `the replica was refused: ${why}`, 'never');
  }

  async #sendBase(served: ServedTimeline): Promise<void> {
    const { disk, outlet } = this.#options;
    outlet.send(`$${servedBaseBytes(served)}\r\n`);
    for await (const { bytes, slab } of servedBase(disk, served)) {
      this.#throwFailure();
      outlet.send(bytes, slab);
      await this.#room(bytes.length);
    }
  }

  async #stream(served: ServedTimeline, from: Offset): Promise<never> {
    const { tail } = this.#options;
    this.#state = 'online';
    this.#next = from;
    const leave = tail.join({
      changed: () => {
        this.#bell.ring();
      },
      failed: (error) => {
        this.end(error);
      },
    });
    try {
      for (;;) {
        this.#requireSame(served);
        const piece = tail.from(this.#next);
        if (piece !== undefined) await this.#send(piece);
        else if (tail.isBehind(this.#next)) await this.#catchUp(served);
        else await this.#bell.rung();
      }
    } finally {
      leave();
    }
  }

  /** Reads what the tail has let go of, up to where it is held. */
  async #catchUp(served: ServedTimeline): Promise<void> {
    const { disk, tail } = this.#options;
    await using own = new ServedStream(disk, this.#next, tail.blocks);
    while (tail.isBehind(this.#next)) {
      const piece = await own.read(this.#requireSame(served));
      if (piece === undefined) return;
      await this.#send(piece);
    }
  }

  async #send({ bytes, slab }: ServedPiece): Promise<void> {
    this.#options.outlet.send(bytes, slab);
    this.#next += bytes.length;
    await this.#room(bytes.length);
  }

  /** What is served of it by now. */
  #requireSame(served: ServedTimeline): ServedTimeline {
    this.#throwFailure();
    const now = this.#options.history.now();
    if (now?.number === served.number && idOf(now) === idOf(served)) return now;
    throw new LinkError(
      'history-moved',
      'the history goes on under another name: the replica is to ask again',
      'never',
    );
  }

  async #changedOr(ms: number): Promise<void> {
    const cancel = this.#options.clock.after(ms, () => {
      this.#bell.ring();
    });
    await this.#bell.rung();
    cancel();
  }

  /** The result ends it. */
  #watchSilence(): () => void {
    const { clock } = this.#options;
    let cancel: () => void;
    const look = (): void => {
      if (clock.monotonic() - this.#lastSign > silence) {
        this.end(new LinkError('replica-silent', 'the replica gave no sign of life for a minute', 'never'));
      }
      cancel = clock.after(lookMs, look);
    };
    look();
    return () => {
      cancel();
    };
  }

  /** For more, behind a piece of so many bytes; a replica that takes nothing is silent at last. */
  async #room(sent: number): Promise<void> {
    await this.#options.outlet.room(() => {
      this.#throwFailure();
    });
    if (this.#share.spend(sent)) await this.#share.next();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

function offered({ ids, base, durable }: ServedTimeline): Parameters<typeof answerPsync>[0] {
  const { offset, magic, version } = base.record;
  return { ids, base: { offset, rdb: { magic, version } }, durable };
}

function idOf({ ids }: ServedTimeline): ReplicationId | undefined {
  return ids.at(-1)?.id;
}
