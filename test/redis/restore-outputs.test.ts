// Every way in which a restore comes out, held to one contract: loaded by a real server it is the dataset of the cut,
// it is refused where something is in the way, and what was interrupted leaves nothing and can be done again.
// What an output cannot do (commands say nothing of what has elapsed, and have nowhere to be in the way) it declares.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { formatPosition } from '../../src/core/position.ts';
import type { Destination } from '../../src/restore/plan/destination.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore, type RestoreOptions, type RestoreReport } from '../../src/restore/restore.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, hashParts } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

interface OutputCase {
  readonly name: string;
  readonly kind: Destination['kind'];
  /** Whether keys that have elapsed come back. */
  readonly bringsElapsed: boolean;
  readonly load: (binary: ServerBinary, to: string) => Promise<RedisServer>;
}

const cases: readonly OutputCase[] = [
  {
    name: 'a directory',
    kind: 'directory',
    bringsElapsed: true,
    load: (binary, to) => RedisServer.startFrom(binary, to, { replicaOfNowhere: true }),
  },
  {
    name: 'an RDB',
    kind: 'rdb',
    bringsElapsed: true,
    async load(binary, to) {
      const dir = temporaryDirectory('loaded');
      copyFileSync(to, path.join(dir, 'dump.rdb'));
      return await RedisServer.start(binary, { dir, config: { replicaof: '127.0.0.1 1' } });
    },
  },
  {
    name: 'commands',
    kind: 'resp',
    bringsElapsed: false,
    async load(binary, to) {
      const server = await RedisServer.start(binary);
      await using client = await server.connect();
      // Hash fields that have elapsed come with their hash, and would go one by one.
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const cli = spawn(binary.cliPath, ['-p', String(server.port), '--pipe'], { stdio: ['pipe', 'pipe', 'inherit'] });
      cli.stdin.end(readFileSync(to));
      let text = '';
      cli.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
      await once(cli, 'close');
      expect(text).toContain('errors: 0');
      return server;
    },
  },
];

/** A dataset of everything, some of it elapsed, and the journal that holds it. */
class Past implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly journal: RunningJournal;
  readonly taken: Fingerprint;
  readonly #primary: RedisServer;

  private constructor(primary: RedisServer, journal: RunningJournal, taken: Fingerprint) {
    this.binary = primary.binary;
    this.journal = journal;
    this.taken = taken;
    this.#primary = primary;
  }

  static async live(binary: ServerBinary): Promise<Past> {
    const seed = Date.now() >>> 0;
    const primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true });
    await workload.run(client, 300);
    const journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 128 * 1024 });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(client, 500);
    await writeElapsing(client, binary);
    await sleep(20);
    const taken = await fingerprint(client, binary);
    await journaled(client);
    await client.call('FLUSHALL');
    await journaled(client);
    return new Past(primary, journal, taken);
  }

  plan(to: Destination['kind']): Promise<Plan> {
    const { id, offset } = this.taken.position;
    return planRestore(localDisk, this.journal.tree, {
      ...{ target: { kind: 'position', idPrefix: id, offset }, text: formatPosition({ id, offset }), mode: 'at' },
      ...{ now: systemClock.wall(), relativeTtl: 'convert', to },
      servers: async () => [this.binary],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
    await this.#primary[Symbol.asyncDispose]();
  }
}

async function writeElapsing(client: RespClient, binary: ServerBinary): Promise<void> {
  await client.callMany([
    ['SELECT', 12],
    ['SET', 'elapsed', '5', 'PX', 5],
    ['HSET', 'with fields', 'gone', '10', 'stays', '1'],
    ['SET', 'stays', 'x', 'PX', 3_600_000],
  ]);
  if (!isAtLeast(binary, { redis: 7.4, valkey: 9 })) return;
  // Added to in time, and elapsed since: an append-only file would be loaded as 5.
  await client.callMany([
    ['HPEXPIRE', 'with fields', 15, 'FIELDS', 1, 'gone'],
    ['HINCRBY', 'with fields', 'gone', 5],
  ]);
}

/** Carried out; commands go into a file of that name. */
async function restore(plan: Plan, to: string, more: Partial<RestoreOptions> = {}): Promise<RestoreReport> {
  const parts: Uint8Array[] = [];
  const send = async (bytes: Uint8Array): Promise<void> => void parts.push(bytes);
  const report = await executeRestore(localDisk, plan, { to, send, clock: systemClock, writer: 'test', ...more });
  if (plan.form === 'resp') writeFileSync(to, Buffer.concat(parts));
  return report;
}

/** Without keys that have elapsed, and without elapsed fields of others. */
function visible(of: Fingerprint, now: number): Fingerprint {
  const keys = new Map([...of.keys].filter(([, { expireMs }]) => expireMs === null || expireMs > now));
  const parts = { ...of, digest: '', keys };
  return { ...parts, sha256: hashParts(parts) };
}

describeServers('restored as', (binary) => {
  let past: Past;

  beforeAll(async () => {
    past = await Past.live(binary);
  });

  afterAll(async () => {
    await past[Symbol.asyncDispose]();
  });

  describe.each(cases.map((one) => [one.name, one] as const))('%s', (_, { kind, load, bringsElapsed }) => {
    const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };

    test('it is what the primary held', async () => {
      const to = path.join(temporaryDirectory('restored'), 'out');
      const plan = await past.plan(kind);
      await restore(plan, to);
      await using server = await load(binary, to);
      await using client = await server.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      const back = await fingerprint(client, binary);
      const elapsed = [...past.taken.keys.values()].filter(
        ({ expireMs }) => expireMs !== null && expireMs < Date.now(),
      );
      expect(elapsed.length).toBeGreaterThan(0);
      const now = Date.now();
      const [taken, loaded] = bringsElapsed ? [past.taken, back] : [visible(past.taken, now), visible(back, now)];
      expect(explainDifference(taken, loaded, tolerance)).toEqual([]);
    });

    test('it is interrupted without a trace, wherever that is, and done again', async () => {
      const parent = temporaryDirectory('restored');
      const to = path.join(parent, 'out');
      const plan = await past.plan(kind);
      let steps = 0;
      await restore(plan, to, { progress: () => (steps += 1) });
      await localDisk.removeTree(to);
      await localDisk.removeTree(`${to}.restore.json`);
      for (let at = 1; at <= steps; at += Math.ceil(steps / 6)) {
        const stop = new AbortController();
        let step = 0;
        const progress = (): void => {
          step += 1;
          if (step === at) stop.abort(new InterruptedError());
        };
        await expect(restore(plan, to, { progress, signal: stop.signal })).rejects.toMatchObject({ exitCode: 130 });
        expect(readdirSync(parent)).toEqual([]);
      }
      await restore(plan, to);
      expect(readdirSync(parent)).toContain('out');
    });
  });
});

describeServers(
  'an RDB',
  (binary) => {
    test('is for its owner alone, with a record beside it, and takes the place of nothing', async () => {
      await using past = await Past.live(binary);
      const parent = temporaryDirectory('restored');
      const to = path.join(parent, 'dump.rdb');
      const plan = await past.plan('rdb');
      const { record, bytes } = await restore(plan, to);
      expect(readdirSync(parent).sort()).toEqual(['dump.rdb', 'dump.rdb.restore.json']);
      expect([to, `${to}.restore.json`].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
      expect(JSON.parse(readFileSync(`${to}.restore.json`, 'utf8'))).toEqual(record);
      expect(record).toMatchObject({
        form: 'rdb',
        scratch: { program: binary.path },
        files: [{ path: 'dump.rdb', bytes }],
      });
      const before = readFileSync(to);
      await expect(restore(plan, to)).rejects.toMatchObject({ code: 'destination-in-the-way', exitCode: 7 });
      expect(readFileSync(to).equals(before)).toBe(true);
      await expect(restore(plan, path.join(parent, 'none', 'x'))).rejects.toMatchObject({ code: 'no-parent' });
      // A file that comes while it is being made is left as it is.
      const late = path.join(parent, 'late.rdb');
      const progress = (): void => {
        writeFileSync(late, 'precious');
      };
      await expect(restore(plan, late, { progress })).rejects.toMatchObject({ code: 'destination-in-the-way' });
      expect(readFileSync(late, 'utf8')).toBe('precious');
      expect(readdirSync(parent).sort()).toEqual(['dump.rdb', 'dump.rdb.restore.json', 'late.rdb']);
    });

    test('is refused for want of memory, or of a server that can load it, and nothing is made', async () => {
      await using past = await Past.live(binary);
      const parent = temporaryDirectory('restored');
      const plan = await past.plan('rdb');
      const tight = restore(plan, path.join(parent, 'out'), { scratch: { memoryBytes: 1_000_000 } });
      await expect(tight).rejects.toMatchObject({ code: 'not-enough-memory', exitCode: 1 });
      const { tree } = past.journal;
      const request = { target: { kind: 'latest' }, text: 'latest', mode: 'at', relativeTtl: 'convert' } as const;
      const planned = (servers: ServerBinary[]): Promise<Plan> =>
        planRestore(localDisk, tree, { ...request, to: 'rdb', now: 0, servers: async () => servers });
      await expect(planned([])).rejects.toMatchObject({ code: 'no-server', exitCode: 1 });
      const old = { ...binary, version: '6.2.0', major: 6, minor: 2 };
      await expect(planned([old])).rejects.toMatchObject({ code: 'no-fitting-server', exitCode: 1 });
      expect((await planned([old, binary])).scratch?.program).toBe(binary);
      expect(readdirSync(parent)).toEqual([]);
    });
  },
  { where: ({ kind, major }) => kind === 'redis' && major === 7 },
);
