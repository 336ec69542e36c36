/**
 * The socket to a primary, reading straight into slabs. The only place that knows node:net and node:tls; everything
 * above takes a Connect, so that tests can bring a wire of their own.
 */
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { LinkError, UsageError } from '../core/errors.ts';
import { slabReadRoomBytes } from '../core/limits.ts';
import type { Slab, SlabPool } from '../core/slabs.ts';
import { formatAddress } from './address.ts';
import type { SourceAddress, TlsSettings } from './address.ts';
import { tlsFailure, tlsOptions, tlsProblem } from './tls.ts';

export interface ConnectionEvents {
  /** Bytes of one read; retain the slab to keep them. Called never after closed(). */
  bytes(bytes: Buffer, slab: Slab): void;
  /** The connection is gone, for whatever reason but close(). Called at most once. */
  closed(error: LinkError): void;
}

export interface Connection {
  /** More had come than the last read had room for, or than the disk takes: reading is paused. */
  readonly isBehind: boolean;
  send(bytes: Uint8Array): void;
  /** No bytes() until resume(), except for those of a read that is under way. */
  pause(): void;
  resume(): void;
  close(): void;
  /** Sends these last bytes, and closes when the primary has taken them, or a second later. Nothing is received any more. */
  closeAfter(bytes: Uint8Array): Promise<void>;
}

export interface ConnectOptions {
  readonly address: SourceAddress;
  readonly tls: TlsSettings;
  readonly pool: SlabPool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

const goodbyeMs = 1000;

/** Where a socket reads to, and what is done with the bytes of a read; false stops the reading. */
interface OnRead {
  readonly buffer: () => Uint8Array;
  readonly callback: (count: number) => boolean;
}

/**
 * Resolves when the connection is up (with TLS: verified); rejects with a LinkError, or with a UsageError when our own
 * certificates cannot be used.
 */
export type Connect = (options: ConnectOptions, events: ConnectionEvents) => Promise<Connection>;

export const connectSocket: Connect = async (options, events) => {
  const { address, clock, signal, timeoutMs } = options;
  signal.throwIfAborted();
  const reader = new SlabReader(options.pool, events);
  const socket = openSocket(options, reader);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30_000);
  const cancelTimeout = clock.after(timeoutMs, () => {
    socket.destroy(tooLate(address, socket, timeoutMs));
  });
  const onAbort = (): void => {
    socket.destroy(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await established(socket, address.tls ? 'secureConnect' : 'connect');
  } catch (error) {
    socket.destroy();
    reader.close();
    throw signal.aborted ? (signal.reason as Error) : unreachable(address, error);
  } finally {
    cancelTimeout();
    signal.removeEventListener('abort', onAbort);
  }
  return new SocketConnection(socket, reader, options, events);
};

function openSocket(options: ConnectOptions, reader: SlabReader): Socket {
  const { address } = options;
  const { host, port } = address;
  const onread = {
    buffer: () => reader.room(),
    callback: (count: number) => {
      if (!reader.took(count)) return false;
      if (!reader.filled) return true;
      // More is there. Node would read it at once, up to 32 times over, and see only then that writes have returned.
      setImmediate(() => {
        if (!reader.paused && !reader.closed) socket.resume();
      });
      return false;
    },
  };
  const socket = address.tls ? openTls(options, onread) : connectTcp({ host, port, onread });
  return socket;
}

function openTls({ address, tls }: ConnectOptions, onread: OnRead): Socket {
  const { host, port } = address;
  // Node takes onread here too, and says so in its manual; its types do not.
  const options: TlsOptions & { readonly onread: OnRead } = { host, port, onread, ...tlsOptions(host, tls) };
  try {
    return connectTls(options);
  } catch (cause) {
    throw new UsageError('bad-certificate', `the certificates cannot be used: ${reasonOf(cause)}`, {
      hint: 'the key must be the one of the client certificate, and not encrypted',
      cause,
    });
  }
}

/** The peer may have taken the connection and then said nothing: it waits for words that are not those of TLS. */
function tooLate(address: SourceAddress, socket: Socket, timeoutMs: number): Error {
  const seconds = timeoutMs / 1000;
  return address.tls && !socket.connecting
    ? tlsFailure(formatAddress(address), `no answer within ${seconds} s`)
    : new Error(`no connection within ${seconds} s`);
}

function established(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => {
      socket.off('error', reject);
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      reject(new Error('closed while connecting'));
    });
  });
}

/** Hands the socket room in a slab, and what was read into it to the consumer. */
class SlabReader {
  readonly #pool: SlabPool;
  readonly #events: ConnectionEvents;
  #slab: Slab;
  #filled = 0;
  #offered = 0;
  /** The last read took all the room there was. */
  filled = false;
  paused = false;
  /** Bytes are still read, and thrown away. */
  discarding = false;
  closed = false;
  /** Anything at all has come. */
  hasRead = false;

  constructor(pool: SlabPool, events: ConnectionEvents) {
    this.#pool = pool;
    this.#events = events;
    this.#slab = pool.take();
  }

  room(): Buffer {
    if (!this.closed && this.#slab.bytes.length - this.#filled < slabReadRoomBytes) {
      this.#slab.release();
      this.#slab = this.#pool.take();
      this.#filled = 0;
    }
    const room = this.#slab.bytes.subarray(this.#filled);
    this.#offered = room.length;
    return room;
  }

  /** False stops the reading. */
  took(count: number): boolean {
    this.hasRead = true;
    this.filled = count === this.#offered;
    if (this.closed) return false;
    if (this.discarding) return true;
    const bytes = this.#slab.bytes.subarray(this.#filled, this.#filled + count);
    this.#filled += count;
    this.#events.bytes(bytes, this.#slab);
    return !this.paused;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#slab.release();
  }
}

class SocketConnection implements Connection {
  readonly #socket: Socket;
  readonly #reader: SlabReader;
  readonly #clock: Clock;

  constructor(
    socket: Socket,
    reader: SlabReader,
    { address, clock }: Pick<ConnectOptions, 'address' | 'clock'>,
    events: ConnectionEvents,
  ) {
    this.#socket = socket;
    this.#reader = reader;
    this.#clock = clock;
    let cause: unknown;
    socket.on('error', (error) => {
      cause = error;
    });
    // The primary never half-closes: its end is the end.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (reader.closed || reader.discarding) return;
      reader.close();
      events.closed(lost(address, cause, reader.hasRead));
    });
  }

  get isBehind(): boolean {
    const { filled, paused, closed } = this.#reader;
    return (filled || paused) && !closed;
  }

  send(bytes: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  pause(): void {
    this.#reader.paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#reader.paused = false;
    this.#socket.resume();
  }

  close(): void {
    this.#reader.close();
    this.#socket.destroy();
  }

  /**
   * The primary closes first. If we did, with bytes of its stream unread, the system would reset the link, and what we
   * have just sent could be thrown away with it.
   */
  async closeAfter(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    this.#reader.discarding = true;
    this.resume();
    const cancel = this.#clock.after(goodbyeMs, () => socket.destroy());
    await new Promise<void>((resolve) => {
      if (socket.closed) resolve();
      socket.once('close', resolve).end(bytes);
    });
    cancel();
    this.#reader.close();
  }
}

function unreachable(address: SourceAddress, cause: unknown): LinkError {
  if (cause instanceof LinkError) return cause;
  const where = formatAddress(address);
  const problem = tlsProblem(where, cause);
  return problem ?? new LinkError('unreachable', `cannot connect to ${where}: ${reasonOf(cause)}`, 'soon', { cause });
}

function lost(address: SourceAddress, cause: unknown, wasHeard: boolean): LinkError {
  const where = formatAddress(address);
  const problem = tlsProblem(where, cause);
  if (problem !== undefined) return problem;
  const reason = cause === undefined ? 'the primary closed it' : reasonOf(cause);
  return new LinkError('link-lost', `the link to ${where} was lost: ${reason}`, 'soon', {
    hint: wasHeard
      ? 'if it is the primary that closes: see its log, often client-output-buffer-limit or repl-timeout'
      : `not a word had come over it: is it the right port${address.tls ? '' : ', and does it not speak TLS (rediss://)'}?`,
    cause,
  });
}

function reasonOf(error: unknown): string {
  // A host with several addresses fails with all their errors, and no message of its own.
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
