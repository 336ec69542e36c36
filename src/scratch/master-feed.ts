/**
 * A primary for one replica, for as long as it takes to load a dataset: an RDB and the commands behind it go
 * over a replication link, which is the one way of loading that is exact on every server. Keys and hash fields do not
 * expire on it, and what has elapsed is still there for the commands behind it (an append-only file would lose elapsed
 * hash fields on Redis 7.4 to 8.x). It is about as fast, too.
 *
 *   base (RDB) → SELECT db → stream → REPLCONF GETACK *        the replica's ACK tells that all of it is applied
 *
 * The history is one of our own, with a random id and offsets from 0: what is loaded here can be edited, and must never be
 * taken for a state of the source's history.
 *
 * Invariant: exactly one connection gets past the password; from then on nobody is listened to.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import { parseOffset } from '../core/position.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import { RequestReader } from '../redis/requests.ts';
import { FeedHandshake } from './feed-handshake.ts';

/** What is loaded. */
export interface FeedSource {
  /** Of the RDB; undefined when that is not known before. */
  readonly rdbBytes: number | undefined;
  /** A piece stays as it is until the next one is asked for, which is when it has been taken. May throw to end it. */
  readonly rdb: () => AsyncIterable<Buffer>;
  /** The db that the stream begins in. */
  readonly db: number;
  /** Whole commands, cut anywhere; the bytes stay as they are. */
  readonly stream: () => AsyncIterable<Buffer>;
}

/** A connection that does not come to the point makes room for the next. */
const handshakeTimeoutMs = 10_000;
/** From listening to the handshake: a server starts within this, or never. */
const arrivalTimeoutMs = 60_000;
/** Neither a byte taken nor a sign of life: longer than any command takes. */
const silenceMs = 30 * 60_000;
const getAck = encodeCommand('REPLCONF', 'GETACK', '*');

/** Whom it is for. */
export interface FeedOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly password: string;
  /** In messages. */
  readonly who: string;
}

export class MasterFeed implements AsyncDisposable {
  readonly password: string;
  readonly port: number;
  readonly #who: string;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #arrived = Promise.withResolvers<Socket>();
  readonly #reader = new RequestReader();
  /** The connection that is being asked who it is, or has told. */
  #socket: Socket | undefined;
  /** The stream so far, in bytes. */
  #sent = 0;
  #acknowledged = -1;
  #failure: Error | undefined;
  #lastSign = 0;
  #wake: (() => void) | undefined;

  private constructor(server: Server, clock: Clock, { password, who }: FeedOptions) {
    this.password = password;
    this.#who = who;
    this.#server = server;
    this.#clock = clock;
    this.port = (server.address() as AddressInfo).port;
    this.#arrived.promise.catch(() => undefined);
    server.on('connection', (socket) => {
      this.#meet(socket);
    });
  }

  /** On loopback, for a scratch server, with a password of its own, unless told otherwise. */
  static async listen(clock: Clock, given: Partial<FeedOptions> = {}): Promise<MasterFeed> {
    const password = randomBytes(24).toString('hex');
    const options = { host: '127.0.0.1', port: 0, password, who: 'the scratch server', ...given };
    const server = createServer({ noDelay: true }).listen(options.port, options.host);
    await once(server, 'listening');
    return new MasterFeed(server, clock, options);
  }

  /** Resolves when the replica has applied everything; the link stays until disposal, so that it remains a replica. */
  async feed(source: FeedSource, signal: AbortSignal): Promise<void> {
    await this.#unlessAborted(signal, async () => {
      const patience = this.#clock.after(arrivalTimeoutMs, () => {
        this.#fail(new LinkError('feed-unused', `${this.#who} did not connect to its feed`, 'never'));
      });
      const socket = await this.#arrived.promise.finally(patience);
      await this.#send(socket, source);
    });
  }

  /** More of the stream, behind what was fed: whole commands, the first of which is SELECT. Resolves like feed(). */
  async append(commands: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    await this.#unlessAborted(signal, async () => {
      await this.#stream(await this.#arrived.promise, commands);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(this.#eof());
    this.#socket?.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #unlessAborted(signal: AbortSignal, what: () => Promise<void>): Promise<void> {
    const stop = (): void => {
      this.#fail(signal.reason as Error);
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const watch = this.#watchSilence();
    try {
      await what();
    } finally {
      watch();
      signal.removeEventListener('abort', stop);
    }
  }

  async #send(socket: Socket, source: FeedSource): Promise<void> {
    const mark = randomBytes(20).toString('hex');
    socket.write(`$${source.rdbBytes ?? `EOF:${mark}`}\r\n`);
    for await (const piece of source.rdb()) await this.#flushed(socket, piece);
    if (source.rdbBytes === undefined) {
      socket.write(mark);
      // What comes right behind the mark may be read along with it, and be lost.
      await this.#until(() => this.#acknowledged >= 0);
    }
    await this.#stream(socket, behind(encodeCommand('SELECT', String(source.db)), source.stream()));
  }

  async #stream(socket: Socket, commands: AsyncIterable<Buffer>): Promise<void> {
    for await (const bytes of commands) {
      await this.#write(socket, bytes);
      this.#sent += bytes.length;
    }
    const end = this.#sent;
    await this.#write(socket, getAck);
    this.#sent += getAck.length;
    // The answer to GETACK is the offset before it; the one that follows within a second includes it.
    await this.#until(() => this.#acknowledged >= end);
    if (this.#acknowledged > this.#sent) {
      throw new LinkError('feed-broken', `${this.#who} acknowledged ${this.#acknowledged} of ${end}`, 'never');
    }
  }

  /** Bytes that the caller uses again afterwards. */
  async #flushed(socket: Socket, bytes: Buffer): Promise<void> {
    let isFlushed = false;
    socket.write(bytes, () => {
      isFlushed = true;
      this.#sign();
    });
    await this.#until(() => isFlushed);
  }

  async #write(socket: Socket, bytes: Buffer): Promise<void> {
    this.#throwFailure();
    if (!socket.write(bytes)) await this.#until(() => !socket.writableNeedDrain);
  }

  /** Looks again whenever something has happened. */
  async #until(isTrue: () => boolean): Promise<void> {
    for (;;) {
      this.#throwFailure();
      if (isTrue()) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The result ends it. */
  #watchSilence(): () => void {
    this.#lastSign = this.#clock.monotonic();
    let cancel: () => void;
    const look = (): void => {
      if (this.#clock.monotonic() - this.#lastSign > silenceMs * 1000) {
        this.#fail(new LinkError('feed-silent', `${this.#who} has not moved for half an hour`, 'never'));
      }
      cancel = this.#clock.after(silenceMs / 10, look);
    };
    look();
    return () => {
      cancel();
    };
  }

  #meet(socket: Socket): void {
    if (this.#socket !== undefined) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    const handshake = new FeedHandshake(this.password, { id: randomBytes(20).toString('hex'), offset: 0 });
    const reader = new RequestReader();
    const patience = this.#clock.after(handshakeTimeoutMs, () => socket.destroy());
    const leave = (): void => {
      patience();
      socket.destroy();
      if (this.#socket === socket) this.#socket = undefined;
    };
    const take = (bytes: Buffer): void => {
      try {
        reader.push(bytes);
        for (let request = reader.next(); request !== undefined; request = reader.next()) {
          const { send, isDone } = handshake.take(request);
          socket.write(send);
          if (!isDone) continue;
          patience();
          socket.off('data', take).off('close', leave);
          this.#settle(socket);
          return;
        }
      } catch {
        // No replica of ours; the next connection may be.
        leave();
      }
    };
    socket.on('error', () => undefined);
    socket.on('data', take).on('close', leave);
  }

  /** This is the replica: nobody else is needed. */
  #settle(socket: Socket): void {
    this.#server.close();
    socket.on('data', (bytes: Buffer) => {
      this.#takeProgress(bytes);
    });
    socket.on('drain', () => {
      this.#sign();
    });
    socket.on('close', () => {
      this.#fail(this.#eof());
    });
    this.#arrived.resolve(socket);
  }

  /** Newlines while it loads, acknowledgements afterwards. */
  #takeProgress(bytes: Buffer): void {
    try {
      this.#reader.push(bytes);
      for (let request = this.#reader.next(); request !== undefined; request = this.#reader.next()) {
        const words = request.map((argument) => argument.toString('latin1'));
        if (words[0]?.toUpperCase() !== 'REPLCONF' || words[1]?.toUpperCase() !== 'ACK') continue;
        this.#acknowledged = Math.max(this.#acknowledged, parseOffset(words[2] ?? '') ?? -1);
      }
      this.#sign();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #eof(): LinkError {
    return new LinkError('feed-broken', `${this.#who} broke off its replication link`, 'never');
  }

  #sign(): void {
    this.#lastSign = this.#clock.monotonic();
    this.#wake?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#arrived.reject(this.#failure);
    this.#wake?.();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

async function* behind(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield first;
  yield* rest;
}
