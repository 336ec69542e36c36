// What the tests of the listener have in common: a journal on the real disk, a real Listener on loopback with a clock that
// the test moves, and clients that send any bytes. What it logs is kept.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { JournalError } from '../../src/core/errors.ts';
import { Accounts } from '../../src/downstream/accounts.ts';
import type { History, ServedTimeline } from '../../src/downstream/history.ts';
import { Listener } from '../../src/downstream/listener.ts';
import type { ListenTls } from '../../src/downstream/listener.ts';
import { loadBase } from '../../src/log/catalog.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';
import { ManualClock } from '../support/manual-clock.ts';

export const password = 'sesame';
export const id = 'a'.repeat(40);
export const baseOffset = 1000;

export interface RigOptions {
  readonly rdb?: Buffer;
  readonly tls?: ListenTls;
  readonly disk?: Disk;
  /** Small ones, of which there are several. */
  readonly segmentBytes?: number;
  /** Journals that follow get a link. */
  readonly hasLink?: boolean;
}

export class ListenerRig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly refused: JournalError[] = [];
  readonly left: JournalError[] = [];
  readonly moved: string[] = [];
  readonly timeline: TimelineBuilder;
  /** As a history has it; a test may make it another. */
  served: ServedTimeline;
  readonly #journal: JournalBuilder;
  readonly #watchers = new Set<() => void>();
  readonly #clients: RawClient[] = [];
  #listener: Listener | undefined;

  private constructor(journal: JournalBuilder, timeline: TimelineBuilder, served: ServedTimeline) {
    this.#journal = journal;
    this.timeline = timeline;
    this.served = served;
  }

  static async start({
    rdb,
    tls,
    disk = localDisk,
    segmentBytes,
    hasLink = false,
  }: RigOptions = {}): Promise<ListenerRig> {
    const journal = await JournalBuilder.create();
    const script = {
      ...{ id, offset: baseOffset, completed: 1_000_000 },
      ...(rdb && { rdb }),
      ...(segmentBytes !== undefined && { segmentBytes }),
    };
    const timeline = await journal.timeline(script);
    const { directory, number } = timeline;
    const base = await loadBase(localDisk, directory, number, await localDisk.list(directory));
    if (base === undefined) throw new Error('there is no base');
    const ids = [{ id, offset: baseOffset + 1 }];
    const rig = new ListenerRig(journal, timeline, { number, directory, base, ids, durable: baseOffset });
    rig.#listener = await Listener.open({
      ...{ disk, clock: rig.clock, history: rig.#history(hasLink) },
      address: { host: '127.0.0.1', port: 0 },
      tls,
      accounts: new Accounts([{ user: 'default', password }]),
      events: {
        refused: (_peer, error) => void rig.refused.push(error),
        feeding: () => undefined,
        left: (_replica, error) => void rig.left.push(error),
        moved: (host, port) => void rig.moved.push(`${host}:${port}`),
      },
    });
    return rig;
  }

  get listener(): Listener {
    if (this.#listener === undefined) throw new Error('it does not listen yet');
    return this.#listener;
  }

  /** Stream bytes that become durable. */
  async write(bytes: Buffer): Promise<void> {
    this.timeline.read(bytes, this.timeline.lastStamp + 1);
    await this.timeline.commit();
    this.move({ durable: this.timeline.end });
  }

  move(change: Partial<ServedTimeline>): void {
    this.served = { ...this.served, ...change };
    for (const changed of [...this.#watchers]) changed();
  }

  async connect(tls?: ConnectionOptions): Promise<RawClient> {
    const client = await RawClient.connect(this.listener.port, tls);
    this.#clients.push(client);
    return client;
  }

  /** From another address of this machine. */
  async connectFrom(localAddress: string): Promise<RawClient> {
    const client = await RawClient.connect(this.listener.port, undefined, localAddress);
    this.#clients.push(client);
    return client;
  }

  /** One that has said who it is. */
  async known(tls?: ConnectionOptions): Promise<RawClient> {
    const client = await this.connect(tls);
    client.say('AUTH', password);
    await client.hears('+OK\r\n');
    return client;
  }

  /** A well-behaved replica, online. */
  async replica(tls?: ConnectionOptions): Promise<RawReplica> {
    const client = await this.known(tls);
    const replica = new RawReplica(client, this);
    await replica.attach();
    return replica;
  }

  codes(): string[] {
    return this.refused.map(({ code }) => code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.#listener?.[Symbol.asyncDispose]();
    await this.#journal[Symbol.asyncDispose]();
  }

  #history(hasLink: boolean): History {
    return {
      now: () => this.served,
      ...(hasLink && { linkStanding: () => ({ isUp: true, hops: 0, stamp: 1_000_000, head: 0 }) }),
      upstream: () => ({
        ...{ host: '10.0.0.5', port: 6379, isUp: true, since: 0, server: undefined },
        sources: [{ host: '10.0.0.5', port: 6379 }],
      }),
      watch: (changed) => {
        this.#watchers.add(changed);
        return () => void this.#watchers.delete(changed);
      },
    };
  }
}

/** Any bytes out, all bytes in. */
export class RawClient {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => void this.#parts.push(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  static async connect(port: number, tls?: ConnectionOptions, localAddress?: string): Promise<RawClient> {
    const to = { host: '127.0.0.1', port, ...(localAddress !== undefined && { localAddress }) };
    const socket = tls === undefined ? connect(to) : connectTls({ ...to, ...tls });
    const client = new RawClient(socket);
    await Promise.race([once(socket, tls === undefined ? 'connect' : 'secureConnect'), once(socket, 'close')]);
    return client;
  }

  get heard(): Buffer {
    return Buffer.concat(this.#parts);
  }

  send(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  say(...words: string[]): void {
    this.send(encodeCommand(...words));
  }

  async hears(text: string): Promise<void> {
    await eventually(`'${text.trim()}'`, () => this.heard.includes(text));
  }

  /** What it hears first, or as it is cut off. */
  async answers(): Promise<string> {
    await eventually('an answer', () => this.isClosed || this.heard.length > 0);
    return this.heard.toString();
  }

  async closed(): Promise<void> {
    await eventually('the connection to be closed', () => this.isClosed);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export class RawReplica {
  readonly client: RawClient;
  readonly #rig: ListenerRig;
  #streamAt = 0;

  constructor(client: RawClient, rig: ListenerRig) {
    this.client = client;
    this.#rig = rig;
  }

  async attach(): Promise<void> {
    const before = this.client.heard.length;
    this.client.say('PSYNC', '?', '-1');
    const { rdb } = this.#rig.timeline;
    const head = `+FULLRESYNC ${id} ${baseOffset}\r\n$${rdb.length}\r\n`;
    this.#streamAt = before + head.length + rdb.length;
    await eventually('the base', () => this.client.heard.length >= this.#streamAt);
  }

  /** It has all that is durable, byte for byte. */
  async hasAll(): Promise<void> {
    const { rdb, stream } = this.#rig.timeline;
    const wanted = Buffer.concat([rdb, stream]);
    await eventually('the stream', () => this.client.heard.subarray(this.#streamAt - rdb.length).equals(wanted));
  }
}
