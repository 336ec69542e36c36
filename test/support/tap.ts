// Tap: a TCP proxy between journal and its primary that keeps every byte of either direction, and disturbs the link
// on demand: cut, stall, slow down, delay, refuse. What journal stored is compared with what the tap saw.
// Neighbours: tap-parser.ts reads a recorded replication connection; redis-server.ts is what stands behind it.
// Invariant: `fromPrimary` is exactly what the primary's socket gave, whether or not it was passed on; the part that
// was passed on is its first `forwarded` bytes.
import { createServer, type Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Delays and limits from the primary to the follower; they may be changed while bytes flow. */
export interface LinkConditions {
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
  /** Nothing passes and nothing is closed, like a network that swallows packets. */
  readonly stalled?: boolean;
  /** The next connection is cut once this many bytes have been passed on: exactly there. */
  readonly cutAfterBytes?: number;
}

export interface TapTarget {
  readonly port: number;
  readonly host?: string;
}

export interface TapOptions {
  /** False: nothing is kept, for hours of traffic; then `connections` has only those that are open. */
  readonly keepsBytes?: boolean;
}

const throttleSliceMs = 10;

/** A follower that reads slowly makes the tap pause the primary, as the network would. */
const heldBytesMax = 16 * 1024 * 1024;

export class Tap implements AsyncDisposable {
  readonly #server: Server;
  #target: TapTarget;
  readonly #keepsBytes: boolean;
  #conditions: LinkConditions = {};
  #port = 0;
  /** Every connection there has been, in order of arrival. */
  readonly connections: TapConnection[] = [];

  private constructor(target: TapTarget, { keepsBytes = true }: TapOptions) {
    this.#target = target;
    this.#keepsBytes = keepsBytes;
    this.#server = createServer({ noDelay: true }, (follower) => this.#accept(follower));
  }

  static async start(target: TapTarget, options: TapOptions = {}): Promise<Tap> {
    const tap = new Tap(target, options);
    await tap.#listen(0);
    return tap;
  }

  /** What followers connect to, on 127.0.0.1. */
  get port(): number {
    return this.#port;
  }

  get conditions(): LinkConditions {
    return this.#conditions;
  }

  /** Replaces the conditions of present and future connections; `{}` is an undisturbed link. */
  disturb(conditions: LinkConditions): void {
    this.#conditions = conditions;
  }

  /** New connections go to another primary: a failover behind an unchanged address. */
  redirect(target: TapTarget): void {
    this.#target = target;
  }

  /** Ends all present connections, with a reset unless `orderly`. */
  cut(options: { readonly orderly?: boolean } = {}): void {
    for (const connection of [...this.connections]) connection.cut(options.orderly ?? false);
  }

  /** New connections are refused until accept(); present ones go on. */
  async refuse(): Promise<void> {
    if (!this.#server.listening) return;
    // close() calls back only when the connections have ended too, and they need not.
    this.#server.close();
    await sleep(0);
  }

  async accept(): Promise<void> {
    if (!this.#server.listening) await this.#listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
    this.cut();
    await Promise.all(this.connections.map((connection) => connection.ended));
  }

  #accept(follower: Socket): void {
    const { port, host = '127.0.0.1' } = this.#target;
    const primary = new Socket();
    const connection = new TapConnection(follower, primary, () => this.#conditions, this.#keepsBytes);
    this.connections.push(connection);
    if (!this.#keepsBytes) void connection.ended.then(() => this.#forget(connection));
    primary.setNoDelay(true).connect(port, host);
  }

  #forget(connection: TapConnection): void {
    this.connections.splice(this.connections.indexOf(connection), 1);
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        if (address !== null && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }
}

export class TapConnection {
  readonly #follower: Socket;
  readonly #primary: Socket;
  readonly #conditions: () => LinkConditions;
  readonly #received: Buffer[] = [];
  readonly #sent: Buffer[] = [];
  /** Received, not yet passed on. */
  readonly #held: { readonly bytes: Buffer; readonly dueAt: number }[] = [];
  #heldBytes = 0;
  #forwarded = 0;
  #pumping = false;
  #isOpen = true;
  /** Resolved when both sides have been closed. */
  readonly ended: Promise<void>;

  readonly #keepsBytes: boolean;

  constructor(follower: Socket, primary: Socket, conditions: () => LinkConditions, keepsBytes: boolean) {
    this.#keepsBytes = keepsBytes;
    this.#follower = follower;
    this.#primary = primary;
    this.#conditions = conditions;
    primary.on('data', (chunk: Buffer) => this.#receive(chunk));
    follower.on('data', (chunk: Buffer) => {
      if (keepsBytes) this.#sent.push(chunk);
      if (!primary.write(chunk)) void pauseUntilDrained(follower, primary);
    });
    // Either side's end, orderly or not, is passed on once what it sent before has been; 'close' follows every error.
    follower.on('error', () => undefined);
    primary.on('error', () => undefined);
    follower.once('close', () => endAfterWrites(primary));
    primary.once('close', () => void this.#pump());
    this.ended = Promise.all([whenClosed(follower), whenClosed(primary)]).then(() => {
      this.#isOpen = false;
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What the primary sent. */
  get fromPrimary(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** What the follower sent: the handshake, acknowledgements. */
  get toPrimary(): Buffer {
    return Buffer.concat(this.#sent);
  }

  /** How many bytes of fromPrimary the follower was given. */
  get forwarded(): number {
    return this.#forwarded;
  }

  cut(orderly = false): void {
    for (const socket of [this.#follower, this.#primary]) {
      // A socket that is already ending would never emit 'close' if it were reset as well (Node 24).
      if (orderly || socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  #receive(chunk: Buffer): void {
    if (this.#keepsBytes) this.#received.push(chunk);
    this.#held.push({ bytes: chunk, dueAt: performance.now() + (this.#conditions().delayMs ?? 0) });
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > heldBytesMax) this.#primary.pause();
    void this.#pump();
  }

  /** Passes on what is held, in order; one run at a time. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#follower.destroyed) {
      const next = this.#held[0];
      if (next === undefined) break;
      const { stalled = false, bytesPerSecond } = this.#conditions();
      const wait = stalled ? throttleSliceMs : next.dueAt - performance.now();
      if (wait > 0) {
        await sleep(wait);
        continue;
      }
      this.#held.shift();
      if (bytesPerSecond === undefined) await this.#forward(next.bytes);
      else await this.#forwardSlowly(next.bytes, bytesPerSecond);
    }
    this.#pumping = false;
    if (this.#primary.closed && this.#held.length === 0) endAfterWrites(this.#follower);
  }

  async #forwardSlowly(bytes: Buffer, bytesPerSecond: number): Promise<void> {
    const slice = Math.max(1, Math.floor((bytesPerSecond * throttleSliceMs) / 1000));
    for (let start = 0; start < bytes.length && !this.#follower.destroyed; start += slice) {
      await this.#forward(bytes.subarray(start, start + slice));
      await sleep(throttleSliceMs);
    }
  }

  async #forward(bytes: Buffer): Promise<void> {
    const allowed = (this.#conditions().cutAfterBytes ?? Infinity) - this.#forwarded;
    const part = bytes.subarray(0, Math.max(0, allowed));
    this.#forwarded += part.length;
    this.#heldBytes -= bytes.length;
    const accepted = part.length === 0 || this.#follower.write(part);
    if (part.length < bytes.length) {
      await this.#cutBehindWrites();
      return;
    }
    if (!accepted) await drainedOrClosed(this.#follower);
    if (this.#heldBytes <= heldBytesMax) this.#primary.resume();
  }

  /** A reset would throw away what the follower has not read yet, so this cut is an orderly one. */
  async #cutBehindWrites(): Promise<void> {
    this.#held.length = 0;
    this.#primary.destroy();
    endAfterWrites(this.#follower);
    await whenClosed(this.#follower);
  }
}

function endAfterWrites(socket: Socket): void {
  if (!socket.destroyed) socket.destroySoon();
}

async function pauseUntilDrained(source: Socket, sink: Socket): Promise<void> {
  source.pause();
  await drainedOrClosed(sink);
  source.resume();
}

/** Leaves no listener behind: a long connection drains many times. */
function drainedOrClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    if (socket.closed) resolve();
    else socket.on('drain', done).on('close', done);
  });
}

function whenClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
