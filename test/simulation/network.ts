// The network between the journal and whatever primary answers: a Connect whose links delay, cut reads anywhere, stall,
// go silent without telling either side, and break. Reads land in slabs that are counted, and spoilt once they are let go.
// Invariant: what arrives is what was sent, in order and without a hole, up to where the link ends.
import { LinkError } from '../../src/core/errors.ts';
import { Slab } from '../../src/core/slabs.ts';
import type { Connect, Connection, ConnectionEvents } from '../../src/upstream/connect.ts';
import type { Random } from '../support/random.ts';
import type { ModelPrimary, ServerLink } from './primary.ts';
import type { ProcessClock, SimulatedTime } from './time.ts';

const slabBytes = 4096;
const roomBytesMin = 64;

/** Slabs of one process: how many are held, and an end to those that were let go and are still looked at. */
export class CountedSlabs {
  held = 0;
  take(): Slab {
    this.held += 1;
    return new Slab(Buffer.allocUnsafe(slabBytes), (bytes) => {
      bytes.fill(0xee);
      this.held -= 1;
    });
  }

  get heldBytes(): number {
    return this.held * slabBytes;
  }
}

/** All links, those with the stream, or those beside it. */
export type Which = 'all' | 'stream' | 'side';

export interface NetworkOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly note: (text: string) => void;
}

export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly links = new Set<Link>();
  /** Who answers at the address; undefined: nobody. */
  server: ModelPrimary | undefined;
  isPartitioned = false;
  /** Added to each way. */
  slowMs = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** `sent` undefined: for questions, beside the stream. */
  connectFor(clock: ProcessClock, slabs: CountedSlabs, sent?: (bytes: Buffer) => void): Connect {
    return async ({ signal, timeoutMs }, events) => {
      signal.throwIfAborted();
      await clock.sleep(this.latencyMs(), signal);
      if (this.isPartitioned) {
        await clock.sleep(timeoutMs, signal);
        throw new LinkError('unreachable', 'no connection in time', 'soon');
      }
      if (this.server?.isAlive !== true) throw new LinkError('unreachable', 'connection refused', 'soon');
      const link = new Link(this, this.server, { ...this.#options, clock, slabs, events, sent });
      this.links.add(link);
      return link;
    };
  }

  latencyMs(): number {
    const { random } = this.#options;
    return this.slowMs + (random.chance(0.05) ? random.between(1, 150) : random.next());
  }

  /** These links end, with what was under way on them. */
  cut(why: string, which: Which = 'all'): void {
    for (const link of this.#those(which)) link.break(why);
  }

  /** Nothing comes through any more, and nobody is told. */
  goSilent(which: Which = 'all'): void {
    for (const link of this.#those(which)) link.isSilent = true;
  }

  /** Nothing comes through for a while. */
  stall(ms: number, which: Which = 'all'): void {
    for (const link of this.#those(which)) link.stall(ms);
  }

  /** The process of these links is gone; of a machine without power the primary hears nothing. */
  abandoned(clock: ProcessClock, isTold: boolean): void {
    for (const link of [...this.links]) if (link.clock === clock) link.abandon(isTold);
  }

  #those(which: Which): readonly Link[] {
    return [...this.links].filter(({ isSide }) => which === 'all' || isSide === (which === 'side'));
  }
}

interface LinkOptions extends NetworkOptions {
  readonly clock: ProcessClock;
  readonly slabs: CountedSlabs;
  readonly events: ConnectionEvents;
  readonly sent: ((bytes: Buffer) => void) | undefined;
}

class Link implements Connection {
  readonly clock: ProcessClock;
  readonly isBehind = false;
  isSilent = false;
  readonly isSide: boolean;
  readonly #network: SimulatedNetwork;
  readonly #server: ModelPrimary;
  readonly #serverEnd: ServerEnd;
  readonly #options: LinkOptions;
  readonly #incoming: Buffer[] = [];
  readonly #outgoing: Buffer[] = [];
  #isReading = false;
  #isSending = false;
  #isPaused = false;
  /** No more reads, and no more news. */
  #isClosed = false;
  #isDiscarding = false;
  #stalledUntil = 0;
  #slab: Slab;
  #filled = 0;
  readonly #gone = Promise.withResolvers<undefined>();

  constructor(network: SimulatedNetwork, server: ModelPrimary, options: LinkOptions) {
    this.#network = network;
    this.#server = server;
    this.#options = options;
    this.clock = options.clock;
    this.isSide = options.sent === undefined;
    this.#slab = options.slabs.take();
    this.#serverEnd = new ServerEnd(this.#incoming, {
      sent: () => {
        this.#read();
      },
      close: (why) => {
        this.break(why);
      },
    });
    server.connected(this.#serverEnd);
  }

  send(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#options.sent?.(Buffer.from(bytes));
    this.#outgoing.push(Buffer.from(bytes));
    this.#deliver();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#read();
  }

  close(): void {
    this.#end();
    this.#tellServer(this.#network.latencyMs());
  }

  async closeAfter(bytes: Uint8Array): Promise<void> {
    this.#isDiscarding = true;
    this.resume();
    this.send(bytes);
    const cancel = this.clock.after(1000, () => {
      this.#gone.resolve(undefined);
    });
    void this.#options.time.sleep(2 * this.#network.latencyMs() + 1).then(() => {
      if (this.isSilent) return;
      this.#server.disconnected(this.#serverEnd);
      this.#gone.resolve(undefined);
    });
    await this.#gone.promise;
    cancel();
    this.#end();
  }

  /** It breaks: what is under way is lost, and both sides hear of it. */
  break(why: string): void {
    this.#tellServer(0);
    this.#serverEnd.isOpen = false;
    this.#incoming.length = 0;
    this.#outgoing.length = 0;
    this.clock.after(this.#network.latencyMs(), () => {
      this.#gone.resolve(undefined);
      if (this.#isClosed || this.#isDiscarding || this.isSilent) return;
      this.#end();
      this.#options.events.closed(new LinkError('link-lost', `the link was lost: ${why}`, 'soon'));
    });
  }

  abandon(isServerTold: boolean): void {
    this.#isClosed = true;
    if (isServerTold) this.#tellServer(this.#network.latencyMs());
    else this.isSilent = true;
  }

  stall(ms: number): void {
    this.#stalledUntil = this.#options.time.now + ms * 1000;
  }

  #end(): void {
    if (!this.#isClosed) this.#slab.release();
    this.#isClosed = true;
  }

  #tellServer(afterMs: number): void {
    this.#network.links.delete(this);
    this.#options.time.after(afterMs, () => {
      this.#server.disconnected(this.#serverEnd);
    });
  }

  #delayMs(): number {
    return this.#network.latencyMs() + Math.max(0, this.#stalledUntil - this.#options.time.now) / 1000;
  }

  /** What the primary sent, read by read. */
  #read(): void {
    if (this.#isReading || this.#isClosed || this.#incoming.length === 0) return;
    this.#isReading = true;
    // A paused link may still bring the read that is under way.
    const isUnderWay = !this.#isPaused || this.#options.random.chance(0.1);
    if (!isUnderWay) {
      this.#isReading = false;
      return;
    }
    this.clock.after(this.#delayMs(), () => {
      this.#isReading = false;
      if (this.#isClosed || this.isSilent) return;
      this.#readOnce();
      if (!this.#isPaused) this.#read();
    });
  }

  #readOnce(): void {
    const { random, events, slabs } = this.#options;
    if (this.#incoming.length === 0) return;
    if (slabBytes - this.#filled < roomBytesMin) {
      this.#slab.release();
      this.#slab = slabs.take();
      this.#filled = 0;
    }
    const all = Buffer.concat(this.#incoming);
    const most = Math.min(all.length, slabBytes - this.#filled);
    const length = random.chance(0.25) ? random.between(1, Math.min(most, 24)) : most;
    this.#incoming.length = 0;
    if (length < all.length) this.#incoming.push(all.subarray(length));
    if (this.#isDiscarding) return;
    const bytes = this.#slab.bytes.subarray(this.#filled, this.#filled + length);
    all.copy(bytes, 0, 0, length);
    this.#filled += length;
    events.bytes(bytes, this.#slab);
  }

  /** What we sent, to the primary. It leaves the machine even when that stands still, or the process is gone. */
  #deliver(): void {
    if (this.#isSending || this.#outgoing.length === 0) return;
    this.#isSending = true;
    this.#options.time.after(this.#delayMs(), () => {
      this.#isSending = false;
      const bytes = Buffer.concat(this.#outgoing.splice(0));
      if (!this.isSilent && bytes.length > 0) this.#server.received(this.#serverEnd, bytes);
    });
  }
}

class ServerEnd implements ServerLink {
  isOpen = true;
  readonly #queue: Buffer[];
  readonly #events: { readonly sent: () => void; readonly close: (why: string) => void };

  constructor(queue: Buffer[], events: { readonly sent: () => void; readonly close: (why: string) => void }) {
    this.#queue = queue;
    this.#events = events;
  }

  get unsent(): number {
    return this.#queue.reduce((sum, { length }) => sum + length, 0);
  }

  send(bytes: Buffer): void {
    if (!this.isOpen) return;
    this.#queue.push(bytes);
    this.#events.sent();
  }

  close(why: string): void {
    this.#events.close(why);
  }
}
