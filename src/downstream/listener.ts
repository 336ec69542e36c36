/**
 * Where replicas come to: a port, those who are connected to it, and what they share. It never listens without accounts.
 *
 * Invariant: however many come, and whatever they send, the journal that is being written is not held up: a client costs
 * bounded memory, and capture knows nothing of it.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import { clientsMax, feedSocketBytesMax, strangersMax } from '../core/limits.ts';
import { errorReply } from '../redis/replies-out.ts';
import type { Disk } from '../storage/disk.ts';
import type { Accounts } from './accounts.ts';
import { Client } from './client.ts';
import type { ClientEvents, ReplicaState } from './client.ts';
import type { History, ServedTimeline } from './history.ts';
import type { About, AboutStream, ReplicaLine } from './info.ts';
import { LiveTail } from './live-tail.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface ListenTls {
  /** PEM of our certificate, and its key. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** PEM of the authorities of clients: who has no certificate of theirs is turned away. Absent: none is asked for. */
  readonly ca: Buffer | undefined;
}

export interface ListenerOptions {
  readonly address: ListenAddress;
  readonly tls: ListenTls | undefined;
  readonly accounts: Accounts;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly history: History;
  readonly events: ClientEvents;
}

export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tail: LiveTail;
  readonly #clients = new Set<Client>();
  readonly #runId = randomBytes(20).toString('hex');
  readonly #startedAt: number;
  #clientId = 0;

  private constructor(server: Server, options: ListenerOptions) {
    this.#options = options;
    this.#server = server;
    this.#tail = new LiveTail(options.disk, options.history);
    this.#startedAt = options.clock.monotonic();
  }

  /** UsageError when the address cannot be listened on. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { address, tls } = options;
    const settings = { noDelay: true, keepAlive: true, highWaterMark: feedSocketBytesMax };
    const server = tls === undefined ? createServer(settings) : createTls(tls, settings);
    const listener = new Listener(server, options);
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      listener.#meet(socket);
    });
    try {
      await once(server.listen(address.port, address.host), 'listening');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UsageError('cannot-listen', `cannot listen on ${address.host}:${address.port}: ${reason}`, {
        hint: 'another process may have the port, or this machine does not have the address',
        cause,
      });
    }
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get replicas(): readonly ReplicaState[] {
    return [...this.#clients].map(({ replica }) => replica).filter((replica) => replica !== undefined);
  }

  /** Tells everybody to go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
    await this.#tail[Symbol.asyncDispose]();
  }

  #meet(socket: Socket): void {
    if (this.#clients.size >= clientsMax) {
      socket.on('error', () => undefined);
      socket.end(errorReply('ERR max number of clients reached'));
      return;
    }
    const { accounts, disk, clock, history, events } = this.#options;
    const about = (): About => this.#about();
    const tail = this.#tail;
    this.#clientId += 1;
    const clientId = this.#clientId;
    const client = new Client(socket, { accounts, about, clientId, disk, clock, history, tail, events });
    this.#clients.add(client);
    socket.on('close', () => {
      this.#clients.delete(client);
    });
    this.#boundStrangers();
  }

  /** The longest of them has had its time: who means it needs a moment only. */
  #boundStrangers(): void {
    const strangers = [...this.#clients].filter(({ isKnown }) => !isKnown);
    if (strangers.length > strangersMax) strangers[0]?.destroy();
  }

  #about(): About {
    const { clock, history } = this.#options;
    const now = clock.monotonic();
    const stream = history.now();
    return {
      runId: this.#runId,
      port: this.port,
      uptime: now - this.#startedAt,
      now,
      upstream: history.upstream(),
      stream: stream && streamOf(stream),
      replicas: this.replicas.map(lineOf),
    };
  }
}

const states = { waiting: 'wait_bgsave', base: 'send_bulk', online: 'online' } as const;

function lineOf({ host, port, state, acknowledged, silentMs }: ReplicaState): ReplicaLine {
  return { host, port, state: states[state], offset: acknowledged, lag: Math.floor(silentMs / 1000) };
}

function streamOf({ ids, base, durable }: ServedTimeline): AboutStream {
  const newest = ids.at(-1);
  const before = ids.at(-2);
  return {
    id: newest?.id ?? '',
    before: before && newest && { id: before.id, end: newest.offset },
    first: base.record.offset + 1,
    durable,
  };
}

function createTls({ cert, key, ca }: ListenTls, settings: { readonly noDelay: boolean }): Server {
  try {
    return createTlsServer({
      ...settings,
      cert,
      key,
      ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }),
      handshakeTimeout: 10_000,
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError('bad-certificate', `the listener's certificate cannot be used: ${reason}`, {
      hint: 'the key must be the one of the certificate, and not encrypted',
      cause,
    });
  }
}
