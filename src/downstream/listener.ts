/**
 * Where replicas come to: a port, those who are connected to it, and what they share. It never listens without accounts.
 *
 * Invariant: however many come, and whatever they send, the journal that is being written is not held up: a client costs
 * bounded memory, and capture knows nothing of it. Where strangers are too many, those go who come from where most do: a
 * flood from one machine keeps nobody else out.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { LinkError, UsageError } from '../core/errors.ts';
import { clientsMax, feedSocketBytesMax, strangersMax } from '../core/limits.ts';
import { Turns } from '../core/turns.ts';
import { errorReply } from '../redis/replies-out.ts';
import { serverVersionFromAux } from '../redis/server-version.ts';
import type { Disk } from '../storage/disk.ts';
import type { Accounts } from './accounts.ts';
import { Client } from './client.ts';
import type { ClientEvents, ReplicaState } from './client.ts';
import type { History, ServedTimeline } from './history.ts';
import type { About, AboutStream, ReplicaLine } from './info.ts';
import type { LinkRates } from './link-feed.ts';
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
  /** Whether capture has more to do than it could do yet: replicas wait. Absent: nothing goes before them. */
  readonly isBehind?: (() => boolean) | undefined;
  readonly rates?: LinkRates;
  readonly events: ClientEvents;
}

/** A connection; it has a client once it can be talked to, which with TLS takes a handshake. */
interface Guest {
  readonly socket: Socket;
  readonly address: string;
  client: Client | undefined;
}

export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tail: LiveTail;
  readonly #turns: Turns;
  /** By where they connect from, the longest here first. */
  readonly #guests = new Map<string, Guest>();
  readonly #runId = randomBytes(20).toString('hex');
  readonly #startedAt: number;
  #clientId = 0;

  private constructor(server: Server, options: ListenerOptions) {
    this.#options = options;
    this.#server = server;
    this.#turns = new Turns(options.clock, options.isBehind ?? (() => false));
    this.#tail = new LiveTail(options.disk, options.history, this.#turns);
    this.#startedAt = options.clock.monotonic();
  }

  /** UsageError when the address cannot be listened on. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { address, tls } = options;
    const settings = { noDelay: true, keepAlive: true, highWaterMark: feedSocketBytesMax };
    const server = tls === undefined ? createServer(settings) : createTls(tls, settings);
    const listener = new Listener(server, options);
    listener.#receive();
    try {
      await once(server.listen(address.port, address.host), 'listening');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UsageError('cannot-listen', `cannot listen on ${address.host}:${address.port}: ${reason}`, {
        hint: 'another process may have the port, or this machine does not have the address',
        cause,
      });
    }
    // Accepting may fail where files run out, and succeed a moment later.
    server.on('error', (error) => {
      listener.#tellRefused('?', 'cannot-accept', error.message);
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get replicas(): readonly ReplicaState[] {
    return [...this.#guests.values()].map(({ client }) => client?.replica).filter((replica) => replica !== undefined);
  }

  /** Whether there is anybody who waits for more of the stream. */
  get isFollowed(): boolean {
    return this.#tail.isFollowed;
  }

  /** Tells everybody to go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const { socket } of this.#guests.values()) socket.destroy();
    await this.#tail[Symbol.asyncDispose]();
  }

  #receive(): void {
    const server = this.#server;
    const isPlain = this.#options.tls === undefined;
    server.on('connection', (socket) => {
      const guest = this.#admit(socket);
      if (guest !== undefined && isPlain) this.#meet(guest, socket);
    });
    server.on('secureConnection', (socket: Socket) => {
      const guest = this.#guests.get(peerOf(socket));
      if (guest === undefined) socket.destroy();
      else this.#meet(guest, socket);
    });
    server.on('tlsClientError', (error: Error, socket: Socket) => {
      this.#tellRefused(peerOf(socket), 'tls-failed', `the TLS handshake failed: ${error.message}`);
    });
  }

  #admit(socket: Socket): Guest | undefined {
    socket.on('error', () => undefined);
    const peer = peerOf(socket);
    if (this.#guests.size >= clientsMax) {
      this.#tellRefused(peer, 'too-many-clients', `there are ${clientsMax} already`);
      if (this.#options.tls === undefined) socket.write(errorReply('ERR max number of clients reached'));
      socket.destroySoon();
      return undefined;
    }
    const guest = { socket, address: socket.remoteAddress ?? '?', client: undefined };
    this.#guests.set(peer, guest);
    socket.on('close', () => {
      if (this.#guests.get(peer) === guest) this.#guests.delete(peer);
    });
    this.#boundStrangers();
    return guest;
  }

  #meet(guest: Guest, socket: Socket): void {
    const { accounts, disk, clock, history, rates = {}, events } = this.#options;
    const about = (): About => this.#about();
    const [tail, turns] = [this.#tail, this.#turns];
    this.#clientId += 1;
    const clientId = this.#clientId;
    const offersLink = history.linkStanding !== undefined;
    const shared = { accounts, about, offersLink, disk, clock, history, tail, turns, rates, events };
    guest.client = new Client(socket, { ...shared, clientId });
  }

  /** Of those who are most, the longest here has had its time: who means it needs a moment only. */
  #boundStrangers(): void {
    const strangers = [...this.#guests].filter(([, { client }]) => client?.isKnown !== true);
    if (strangers.length <= strangersMax) return;
    const crowds = [...Map.groupBy(strangers, ([, { address }]) => address).values()];
    const [longest] = crowds.reduce((most, crowd) => (crowd.length > most.length ? crowd : most));
    if (longest === undefined) return;
    const [peer, { socket }] = longest;
    this.#guests.delete(peer);
    socket.destroy();
    this.#tellRefused(peer, 'too-many-strangers', `${strangersMax} others have not said who they are either`);
  }

  #tellRefused(peer: string, code: string, why: string): void {
    this.#options.events.refused(peer, new LinkError(code, `a client was refused: ${why}`, 'never'));
  }

  #about(): About {
    const { clock, history } = this.#options;
    const now = clock.monotonic();
    const stream = history.now();
    const upstream = history.upstream();
    // Until it has been reached, what wrote the base: a journal that follows us must know what TTLs it has to expect.
    const server = upstream.server ?? (stream && serverVersionFromAux(new Map(Object.entries(stream.base.record.aux))));
    return {
      runId: this.#runId,
      port: this.port,
      uptime: now - this.#startedAt,
      now,
      wall: clock.wall(),
      upstream: { ...upstream, server },
      stream: stream && streamOf(stream),
      replicas: this.replicas.map(lineOf),
    };
  }
}

function peerOf({ remoteAddress = '?', remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
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
