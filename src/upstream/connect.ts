/**
 * The socket to a primary, reading straight into slabs. The only place that knows node:net and node:tls; everything
 * above takes a Connect, so that tests can bring a wire of their own.
 */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import { slabReadRoomBytes } from '../core/limits.ts';
import type { Slab, SlabPool } from '../core/slabs.ts';
import { formatAddress } from './address.ts';
import type { SourceAddress, TlsSettings } from './address.ts';

export interface ConnectionEvents {
  /** Bytes of one read; retain the slab to keep them. Called never after closed(). */
  bytes(bytes: Buffer, slab: Slab): void;
  /** The connection is gone, for whatever reason but close(). Called at most once. */
  closed(error: LinkError): void;
}

export interface Connection {
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

/** Resolves when the connection is up (with TLS: verified); rejects with a LinkError. */
export type Connect = (options: ConnectOptions, events: ConnectionEvents) => Promise<Connection>;

export const connectSocket: Connect = async (options, events) => {
  const { address, clock, signal, timeoutMs } = options;
  signal.throwIfAborted();
  const reader = new SlabReader(options.pool, events);
  const socket = openSocket(options, reader);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30_000);
  const cancelTimeout = clock.after(timeoutMs, () => {
    socket.destroy(new Error(`no connection within ${timeoutMs / 1000} s`));
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

function openSocket({ address, tls }: ConnectOptions, reader: SlabReader): Socket {
  const { host, port } = address;
  const onread = {
    buffer: () => reader.room(),
    callback: (count: number) => reader.took(count),
  };
  if (!address.tls) return connectTcp({ host, port, onread });
  const { ca, cert, key, serverName, verify } = tls;
  // SNI takes names only; for an address Node checks the certificate against the host all the same.
  const servername = serverName ?? (isIP(host) === 0 ? host : undefined);
  // Node takes onread here too, and says so in its manual; its types do not.
  const options: TlsOptions & { readonly onread: typeof onread } = {
    host,
    port,
    onread,
    rejectUnauthorized: verify,
    ...(servername !== undefined && { servername }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
  return connectTls(options);
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
  paused = false;
  /** Bytes are still read, and thrown away. */
  discarding = false;
  closed = false;

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
    return this.#slab.bytes.subarray(this.#filled);
  }

  /** False stops the reading. */
  took(count: number): boolean {
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
      events.closed(lost(address, cause));
    });
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

/** OpenSSL's and Node's codes for a certificate that does not verify. */
const certificateProblem = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/;

function unreachable(address: SourceAddress, cause: unknown): LinkError {
  const where = formatAddress(address);
  const reason = reasonOf(cause);
  if (certificateProblem.test(codeOf(cause))) {
    return new LinkError('certificate', `the certificate of ${where} does not verify: ${reason}`, 'later', {
      hint: 'give the authority with --tls-ca FILE, or the name in the certificate with --tls-server-name',
      exitCode: 10,
      cause,
    });
  }
  if (/^ERR_SSL|EPROTO/.test(codeOf(cause))) {
    return new LinkError('tls', `TLS with ${where} failed: ${reason}`, 'later', {
      hint: 'rediss:// is for a port that speaks TLS (tls-port); a plain port needs redis://',
      cause,
    });
  }
  return new LinkError('unreachable', `cannot connect to ${where}: ${reason}`, 'soon', { cause });
}

function lost(address: SourceAddress, cause: unknown): LinkError {
  const reason = cause === undefined ? 'the primary closed it' : reasonOf(cause);
  return new LinkError('link-lost', `the link to ${formatAddress(address)} was lost: ${reason}`, 'soon', {
    hint: 'if it is the primary that closes: see its log, often client-output-buffer-limit or repl-timeout',
    cause,
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function reasonOf(error: unknown): string {
  // A host with several addresses fails with all their errors, and no message of its own.
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
