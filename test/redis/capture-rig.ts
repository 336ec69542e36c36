// What the capture tests have in common: a primary, a tap before it, a journal process behind the tap, and the question
// whether the one holds what the other saw.
import path from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { firstDifference, journaledHistories, recordedHistories } from '../support/journal-content.ts';
import type { JournaledHistory } from '../support/journal-content.ts';
import { JournalProcess } from '../support/journal-process.ts';
import type { JournalProcessOptions } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RedisServerOptions } from '../support/redis-server.ts';
import { replyNumber } from '../support/resp-client.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';

/** Pings come by the clock, and would make an offset that a test has just read an old one. */
const quiet = { 'repl-ping-replica-period': '3600', 'repl-backlog-size': '256mb' };

export class CaptureRig implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly primary: RedisServer;
  readonly tap: Tap;
  readonly client: RespClient;
  readonly dir: string;
  #journal: JournalProcess | undefined;

  private constructor(primary: RedisServer, tap: Tap, client: RespClient) {
    this.binary = primary.binary;
    this.primary = primary;
    this.tap = tap;
    this.client = client;
    this.dir = path.join(temporaryDirectory('capture'), 'journal-data');
  }

  static async start(binary: ServerBinary, options: RedisServerOptions = {}): Promise<CaptureRig> {
    const primary = await RedisServer.start(binary, { ...options, config: { ...quiet, ...options.config } });
    return new CaptureRig(primary, await Tap.start(primary), await primary.connect());
  }

  get journal(): JournalProcess {
    if (this.#journal === undefined) throw new Error('no journal has been started');
    return this.#journal;
  }

  /** A journal process on this rig's directory. */
  run(options: Partial<JournalProcessOptions> = {}): JournalProcess {
    this.#journal = startJournal(this.binary, {
      source: `redis://127.0.0.1:${this.tap.port}`,
      dir: this.dir,
      ...options,
    });
    return this.#journal;
  }

  /** The same, once its first byte is durable. */
  async attach(options: Partial<JournalProcessOptions> = {}): Promise<JournalProcess> {
    const journal = this.run(options);
    await journal.waitFor('ready');
    return journal;
  }

  /** All that `client` has written is durable, since the only follower has acknowledged it. */
  async journaled(client: RespClient = this.client, timeoutMs = 20_000): Promise<void> {
    const count = replyNumber(await client.call('WAIT', 1, timeoutMs));
    if (count === 1) return;
    const state = await client.text('INFO', 'replication');
    throw new Error(
      `${count} followers acknowledged within ${timeoutMs} ms:\n${state}\n${this.#journal?.stderr ?? ''}`,
    );
  }

  /** Byte identity: base and stream of every timeline are what the tap saw, as far as the journal goes. */
  async expectIdentity(message?: string): Promise<JournaledHistory[]> {
    const journaled = await journaledHistories(this.journal.tree);
    const recorded = recordedHistories(this.tap);
    const positions = (list: readonly { id: string; offset: number }[]): string[] =>
      list.map(({ id, offset }) => `${id}:${offset}`);
    expect(positions(journaled), message).toEqual(positions(recorded));
    for (const [index, history] of journaled.entries()) {
      const seen = recorded[index];
      expect(history.rdb.equals(seen?.rdb ?? Buffer.alloc(0)), `${message ?? ''} the RDB is what was sent`).toBe(true);
      expect(firstDifference(history.stream, seen?.stream ?? Buffer.alloc(0)), message).toBeUndefined();
      expect(history.stream.length, message).toBeLessThanOrEqual(seen?.stream.length ?? 0);
    }
    return journaled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal?.[Symbol.asyncDispose]();
    await this.client.close();
    await this.tap[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

/** With what this server needs to be followed. */
export function startJournal(binary: ServerBinary, options: JournalProcessOptions): JournalProcess {
  const { args = [] } = options;
  const isPlain = isAtLeast(binary, { redis: 7, valkey: 7 }) || args.includes('--relative-ttl');
  return JournalProcess.start({ ...options, args: isPlain ? args : ['--relative-ttl', 'convert', ...args] });
}

/** A number from INFO. */
export async function info(client: RespClient, section: string, name: string): Promise<number> {
  const text = await client.text('INFO', section);
  const value = new RegExp(`^${name}:(\\d+)\\r?$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`INFO ${section} has no ${name}: ${text}`);
  return Number(value);
}

export function fullSyncs(client: RespClient): Promise<number> {
  return info(client, 'stats', 'sync_full');
}

export function primaryOffset(client: RespClient): Promise<number> {
  return info(client, 'replication', 'master_repl_offset');
}

/** The followers as the primary lists them: ip=…,port=…,state=…,offset=…,lag=…. */
export async function followers(client: RespClient): Promise<Map<string, string>[]> {
  const text = await client.text('INFO', 'replication');
  return [...text.matchAll(/^slave\d+:(.*?)\r?$/gm)].map(
    ([, line = '']) => new Map(line.split(',').map((pair) => pair.split('=') as [string, string])),
  );
}

/** A replica of `primary` that holds all that it has; `port` is that of a tap in between. */
export async function startReplica(primary: RedisServer, port: number = primary.port): Promise<RedisServer> {
  const { binary } = primary;
  // Redis 8 would fetch the RDB over a connection of its own.
  const oneChannel = isAtLeast(binary, { redis: 8 }) && { 'repl-rdb-channel': 'no' };
  const replica = await RedisServer.start(binary, {
    config: { ...quiet, replicaof: `127.0.0.1 ${port}`, ...oneChannel },
  });
  await using own = await replica.connect();
  await using theirs = await primary.connect();
  await eventually('the replica to be level', async () => {
    const isUp = (await own.text('INFO', 'replication')).includes('master_link_status:up');
    return isUp && (await primaryOffset(own)) === (await primaryOffset(theirs));
  });
  return replica;
}
