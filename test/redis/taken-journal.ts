// TakenJournal: a primary that went through a random workload, the journal that followed it meanwhile, and the fingerprint
// at its end: what tests of restores into running servers begin with.
// Invariant: the last position of the fingerprint is in the journal when start() returns.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { type CliOptions, type CliResult, cli, json, jsonError } from '../cli/cli.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { Command, RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload, type WorkloadOptions } from '../support/workload.ts';

export interface TakenOptions {
  readonly workload?: WorkloadOptions;
  /** What the primary is given at last; a key may elapse by then. */
  readonly commands: readonly Command[];
}

/** Few keys of each type, so that a server has some of the same names, and in db 3 some strings of all kinds. */
export const keysOfThen: TakenOptions = {
  workload: { keysPerType: 12, without: ['flushall'] },
  commands: [
    ['SELECT', 3],
    ['SET', 'string:elapsed', 'x', 'PX', 5],
    ['SET', 'string:stays', 'x', 'PX', 3_600_000],
    ['SET', 'string:only then', 'x'],
    ['SET', Buffer.from('string:\xff\x00', 'latin1'), 'binary'],
    ['SET', 'string:large', Buffer.alloc(3_000_000, 7)],
  ],
};

export interface RestoreOptions extends CliOptions {
  /** What is restored: what was taken, unless it is said otherwise. */
  readonly from?: { readonly root: string; readonly at: string };
  /** For people, not for programs. */
  readonly isText?: boolean;
}

/** Where it goes: a server, or a URL. */
type Destination = { readonly port: number } | string;

export class TakenJournal implements AsyncDisposable {
  readonly seed: number;
  readonly binary: ServerBinary;
  readonly primary: RedisServer;
  readonly journal: RunningJournal;
  readonly taken: Fingerprint;
  /** Before Redis 7.0 expiries of replicas are their own. */
  readonly tolerance: { readonly expiryToleranceMs?: number };

  private constructor(seed: number, primary: RedisServer, journal: RunningJournal, taken: Fingerprint) {
    this.seed = seed;
    this.binary = primary.binary;
    this.primary = primary;
    this.journal = journal;
    this.taken = taken;
    this.tolerance = isAtLeast(this.binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };
  }

  static async start(binary: ServerBinary, { workload: options, commands }: TakenOptions): Promise<TakenJournal> {
    const seed = Date.now() >>> 0;
    const primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true, ...options });
    await workload.run(client, 300);
    const journal = await RunningJournal.attach({ port: primary.port });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(client, 400);
    await client.callMany(commands);
    await sleep(50);
    const taken = await fingerprint(client, binary);
    await journaled(client);
    return new TakenJournal(seed, primary, journal, taken);
  }

  /** As it is typed. */
  restore(to: Destination, words: readonly string[] = ['--yes'], options: RestoreOptions = {}): Promise<CliResult> {
    const { id, offset } = this.taken.position;
    const { from = { root: this.journal.root, at: `${id}:${offset}` }, isText = false, ...rest } = options;
    const url = typeof to === 'string' ? to : `redis://127.0.0.1:${to.port}`;
    const argv = ['restore', '--at', from.at, '--dir', from.root, '--server-bin', this.binary.path];
    const all = [...argv, '--relative-ttl', 'convert', ...(isText ? [] : ['--json']), '--to', url, ...words];
    return cli(all, { ...rest, env: { PATH: process.env.PATH, ...options.env } });
  }

  /** What it answers, once it is done without a question. */
  async done(
    to: Destination,
    words: readonly string[] = [],
    options: RestoreOptions = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    const result = await this.restore(to, ['--yes', ...words], options);
    expect(result.exitCode, result.stderr).toBe(0);
    return json(result);
  }

  /** A server that has keys of the same names, and others. */
  async startBusy(): Promise<RedisServer> {
    const server = await RedisServer.start(this.binary);
    await using client = await server.connect();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    const options = { hashFieldTtl: true, keysPerType: 16, without: ['flushall'] };
    await new Workload(this.seed + 1, this.binary, options).run(client, 400);
    return server;
  }

  /** These keys are there, functions as in `of`, and nothing else, but for what elapses meanwhile. */
  async expectKeys(client: RespClient, wanted: ReadonlyMap<string, KeyFacts>, of: Fingerprint): Promise<void> {
    const found = await fingerprint(client, this.binary);
    this.expectSame({ ...of, digest: '', keys: wanted }, { ...found, digest: '' });
  }

  expectSame(wanted: Fingerprint, found: Fingerprint): void {
    const differences = explainDifference(wanted, found, { ...this.tolerance, elapsedAtMs: Date.now() });
    expect(differences, `seed ${this.seed}`).toEqual([]);
  }

  /** Those of `before`, and of what was taken the ones that are wanted and have not elapsed. */
  merged(
    before: ReadonlyMap<string, KeyFacts>,
    wants: (key: Named) => boolean,
    rename = (full: string): string => full,
  ): Map<string, KeyFacts> {
    const keys = new Map(before);
    for (const [full, facts] of this.taken.keys) {
      if (!wants(named(full)) || (facts.expireMs !== null && facts.expireMs <= Date.now())) continue;
      keys.set(rename(full), facts);
    }
    return keys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

export interface Named {
  readonly db: number;
  readonly name: Buffer;
}

/** A key by the name that fingerprints give it. */
export function named(full: string): Named {
  const [, db = '', shown = ''] = /^db(\d+):(.*)$/s.exec(full) ?? [];
  const bytes = shown.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { db: Number(db), name: Buffer.from(bytes, 'latin1') };
}

export function startsWith(text: string): (key: Named) => boolean {
  return ({ name }) => name.toString('latin1').startsWith(text);
}

export async function expectRefused(restoring: Promise<CliResult>, code: string, exitCode: number): Promise<CliResult> {
  const refused = await restoring;
  expect(refused.stderr).toContain(code);
  expect(jsonError(refused)).toMatchObject({ code, exitCode });
  expect(refused.exitCode).toBe(exitCode);
  return refused;
}
