// What the tests of feeding have in common: a primary, a journal of it that listens, and stock replicas that may follow
// the one or the other. Whether anybody made a full sync is counted on both sides.
import { expect } from 'vitest';
import { infoFields } from '../../src/redis/info.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { JournalProcess } from '../support/journal-process.ts';
import type { JournalProcessOptions } from '../support/journal-process.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RedisServerOptions } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';
import { CaptureRig, primaryOffset } from './capture-rig.ts';

/** Of replicas, at the journal and at the primary. */
export const password = 'password-of-replicas';

/** Replicas reconnect within a second, and take a silent primary for dead soon. */
const quiet = { 'repl-ping-replica-period': '3600', 'repl-backlog-size': '256mb' };

export class FeedRig implements AsyncDisposable {
  readonly capture: CaptureRig;
  readonly #workload: Workload;
  #port = 0;

  private constructor(capture: CaptureRig, seed: number) {
    this.capture = capture;
    this.#workload = new Workload(seed, capture.binary, { hashFieldTtl: true });
  }

  static async start(binary: ServerBinary, seed: number, options: RedisServerOptions = {}): Promise<FeedRig> {
    return new FeedRig(await CaptureRig.start(binary, options), seed);
  }

  get binary(): ServerBinary {
    return this.capture.binary;
  }

  get primary(): RedisServer {
    return this.capture.primary;
  }

  get client(): RespClient {
    return this.capture.client;
  }

  get journal(): JournalProcess {
    return this.capture.journal;
  }

  /** Where the journal listens; the same after a restart. */
  get port(): number {
    return this.#port;
  }

  /** A journal process that listens. */
  async listen(options: Partial<JournalProcessOptions> = {}): Promise<JournalProcess> {
    const journal = this.capture.run({
      ...options,
      args: ['--listen', `127.0.0.1:${this.#port}`, ...(options.args ?? [])],
      env: { JOURNAL_LISTEN_PASSWORD: password, ...options.env },
    });
    this.#port = Number((await journal.waitFor('listening')).port);
    return journal;
  }

  async attach(options: Partial<JournalProcessOptions> = {}): Promise<JournalProcess> {
    const journal = await this.listen(options);
    await journal.waitFor('ready');
    return journal;
  }

  /** `journal serve` of the same directory, and its port. */
  async serve(args: readonly string[] = []): Promise<{ readonly process: JournalProcess; readonly port: number }> {
    const process = JournalProcess.serve({
      dir: this.capture.dir,
      args: ['--listen', '127.0.0.1:0', ...args],
      env: { JOURNAL_LISTEN_PASSWORD: password },
    });
    return { process, port: Number((await process.waitFor('listening')).port) };
  }

  /** A stock replica of the journal, or of `port`. */
  replica(port: number = this.#port, config: Readonly<Record<string, string>> = {}): Promise<FedReplica> {
    return FedReplica.start(this.binary, port, { masterauth: password, ...config });
  }

  /** One of the primary. */
  replicaOfPrimary(): Promise<FedReplica> {
    return FedReplica.start(this.binary, this.primary.port);
  }

  write(commands: number): Promise<void> {
    return this.#workload.run(this.client, commands);
  }

  /** The replica has all that the primary has, and is the same. */
  async expectSame(replica: FedReplica, message?: string): Promise<void> {
    // Keys of the primary expire between one look and the other: what is compared is of one offset.
    const [expected, actual] = await eventually('both to be looked at at one offset', async () => {
      await this.level(replica);
      const both = await Promise.all([fingerprint(this.client, this.binary), fingerprint(replica.client, this.binary)]);
      return both[0].position.offset === both[1].position.offset && both;
    });
    // Before 7.0 TTLs come relative: what is received later ends later.
    const late = expected.expiriesExact ? {} : { expiryToleranceMs: 60_000, elapsedAtMs: Date.now() + 60_000 };
    expect(explainDifference(expected, actual, late), message).toEqual([]);
    expect(actual.position, message).toEqual(expected.position);
  }

  /** The replica is where the primary is. */
  async level(replica: FedReplica): Promise<void> {
    await eventually('the replica to be level', async () => {
      const isUp = (await replica.info('replication')).get('master_link_status') === 'up';
      return isUp && (await primaryOffset(replica.client)) === (await primaryOffset(this.client));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture[Symbol.asyncDispose]();
  }
}

/** A stock server that was told REPLICAOF. */
export class FedReplica implements AsyncDisposable {
  readonly server: RedisServer;
  #client: RespClient;

  private constructor(server: RedisServer, client: RespClient) {
    this.server = server;
    this.#client = client;
  }

  get client(): RespClient {
    return this.#client;
  }

  static async start(
    binary: ServerBinary,
    port: number,
    config: Readonly<Record<string, string>> = {},
  ): Promise<FedReplica> {
    const oneChannel = isAtLeast(binary, { redis: 8 }) && { 'repl-rdb-channel': 'no' };
    const server = await RedisServer.start(binary, {
      config: { ...quiet, replicaof: `127.0.0.1 ${port}`, ...oneChannel, ...config },
    });
    return new FedReplica(server, await server.connect());
  }

  /** Of a journal, or of a server, which has no password. */
  async follow(port: number, isJournal: boolean): Promise<void> {
    await this.client.call('CONFIG', 'SET', 'masterauth', isJournal ? password : '');
    await this.client.call('REPLICAOF', '127.0.0.1', port);
  }

  /** After it was killed: with what it had saved, and told the same again. */
  async restart(): Promise<void> {
    await this.server.restart();
    await this.#client.close();
    this.#client = await this.server.connect();
  }

  async info(section: string): Promise<ReadonlyMap<string, string>> {
    return infoFields(await this.client.text('INFO', section));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.server[Symbol.asyncDispose]();
  }
}
