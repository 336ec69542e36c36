/**
 * What a journal that follows us is sent behind the answer to its PSYNC (journal-format/LINK.md): a base if it needs one, then
 * what the frames of this journal hold, as it becomes durable, and how we stand. Neighbour: feed.ts, which answers, hears its
 * acknowledgements, and says when it is over.
 *
 * Where the link is slower than the stream, more waits in the files by the time there is room, and goes out compressed at once.
 */
import { encodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { Clock, Micros } from '../core/clock.ts';
import { linkChunkBytes } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { RateLimit } from '../core/rate-limit.ts';
import { basePieces } from '../log/base-pieces.ts';
import type { BlockCache } from '../log/block-cache.ts';
import { FrameFollower } from '../log/frame-follower.ts';
import type { FollowedFrame } from '../log/frame-follower.ts';
import type { HeldBase } from '../redis/handshake.ts';
import { LinkFrameWriter, packBody } from '../redis/link-frame.ts';
import type { LinkFrameKind } from '../redis/link-frame.ts';
import { entryPart, LogPacker } from '../redis/link-log.ts';
import { baseIdentity, encodeLinkState } from '../redis/link-state.ts';
import type { Disk } from '../storage/disk.ts';
import type { History, ServedTimeline } from './history.ts';
import type { Outlet } from './outlet.ts';

export interface LinkFeedOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly history: History;
  readonly blocks: BlockCache;
  readonly outlet: Outlet;
  readonly served: ServedTimeline;
  readonly rates: LinkRates;
  readonly events: LinkFeedEvents;
}

/** For all journals that follow us together, of what is on the wire. Absent: as fast as it goes. */
export interface LinkRates {
  readonly base?: RateLimit | undefined;
  readonly stream?: RateLimit | undefined;
}

export interface LinkFeedEvents {
  /** What is served by now; throws when the feed is over. */
  requireGoing(): ServedTimeline;
  /** Resolves when there may be more, or after so long. */
  changedOr(ms: number): Promise<void>;
  /** For more, behind what took so many bytes of the journal. */
  room(sent: number): Promise<void>;
  /** All before this byte is sent. */
  sentUpTo(next: Offset): void;
}

/** Faster than any network is at sealed blocks; higher levels save a few percent of a stream of commands (bench/link). */
const compressionLevel = 1;
const stateEvery: Micros = 1_000_000;
const lookMs = 1000;
const largeBytes = 64 * 1024;

export class LinkFeed {
  readonly #options: LinkFeedOptions;
  readonly #writer = new LinkFrameWriter();
  readonly #packer = new LogPacker();
  #stateAt: Micros = -Infinity;
  /** Behind what was packed. */
  #next: Offset = 0;

  constructor(options: LinkFeedOptions) {
    this.#options = options;
  }

  /** From where the other side has it, if it is this one. */
  async sendBase(held: HeldBase | undefined): Promise<void> {
    const { disk, served, rates, events } = this.#options;
    const { record, rdbPath } = served.base;
    let at = goesOn(record, held) ? held.bytes : 0;
    await this.#send('base', at, encodeBase(record).bytes);
    for await (const { bytes } of basePieces(disk, rdbPath, record, at)) {
      events.requireGoing();
      await this.#pace(await this.#send('piece', at, bytes), rates.base);
      at += bytes.length;
      await this.#sendState(stateEvery);
    }
  }

  /** From this byte on, until it is over: rejects with the reason. */
  async stream(from: Offset): Promise<never> {
    const { disk, blocks, served, events } = this.#options;
    await using follower = new FrameFollower(disk, served.directory, from, blocks);
    for (;;) {
      const found = await follower.next(events.requireGoing().durable);
      if (found !== undefined) this.#pack(found);
      if (found !== undefined && this.#packer.length < linkChunkBytes) continue;
      // Before what takes its time on the way, so that the other side knows meanwhile how far it is behind.
      await this.#sendState(this.#packer.length >= largeBytes ? 0 : stateEvery);
      await this.#flush();
      if (found === undefined) await events.changedOr(lookMs);
    }
  }

  #pack({ frame, from, to }: FollowedFrame): void {
    const { header, meta, data } = frame;
    const { kind, start, firstStamp, lastStamp } = header;
    if (kind === 'unknown') return;
    this.#packer.add(entryPart({ kind, start, firstStamp, lastStamp, meta, data }, from, to));
    this.#next = to + 1;
  }

  async #flush(): Promise<void> {
    const taken = this.#packer.take();
    if (taken === undefined) return;
    // Before it goes out: it may be acknowledged before there is room for more.
    this.#options.events.sentUpTo(this.#next);
    const wireBytes = await this.#send('log', taken.place, taken.body);
    await this.#pace(wireBytes, this.#options.rates.stream);
  }

  /** Unless that was done so short a time ago. */
  async #sendState(least: Micros): Promise<void> {
    const { clock, history, events } = this.#options;
    const now = clock.monotonic();
    const standing = history.linkStanding?.();
    if (now - this.#stateAt < least || standing === undefined) return;
    const { durable } = events.requireGoing();
    this.#stateAt = now;
    await this.#send('state', 0, encodeLinkState({ ...standing, durable, head: Math.max(standing.head, durable) }));
  }

  /** The other side hears of us meanwhile, and how far it is behind. */
  async #pace(bytes: number, limit: RateLimit | undefined): Promise<void> {
    const { clock, events } = this.#options;
    const until = limit?.sent(bytes) ?? -Infinity;
    for (let left = until - clock.monotonic(); left > 0; left = until - clock.monotonic()) {
      await events.changedOr(Math.min(lookMs, Math.ceil(left / 1000)));
      await this.#sendState(stateEvery);
      events.requireGoing();
    }
  }

  /** Bytes on the wire. */
  async #send(kind: LinkFrameKind, place: number, raw: Buffer): Promise<number> {
    const { outlet, events } = this.#options;
    const packed = await packBody(raw, compressionLevel);
    events.requireGoing();
    const header = this.#writer.header(kind, place, packed);
    outlet.send(header);
    // What is sent as it is may be in memory that is used again.
    outlet.send(packed.meantLength === undefined ? Buffer.from(packed.bytes) : packed.bytes);
    await events.room(raw.length);
    return header.length + packed.bytes.length;
  }
}

function goesOn(record: BaseRecord, held: HeldBase | undefined): held is HeldBase {
  if (held?.identity !== baseIdentity(record)) return false;
  return held.bytes % record.chunk === 0 && held.bytes < record.size;
}
