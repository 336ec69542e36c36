// What --ttl makes of a dataset: its expectation is computed from the physical dataset at the cut, elapsed keys and fields
// included, by the rule of each mode; values by digest, expiries to the millisecond.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { parseOffset, type Position } from '../../src/core/position.ts';
import type { Destination } from '../../src/restore/plan/destination.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { executeRestore, type RestoreReport } from '../../src/restore/restore.ts';
import type { TtlMode } from '../../src/restore/plan/ttl-mode.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import type { Physical } from '../support/fed-replica.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { readRdb } from '../support/rdb-reader.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyText, type RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { expectedTtl, otherExpiryMark } from '../support/ttl-expectation.ts';
import { Workload } from '../support/workload.ts';

/** All that there was at an instant. */
interface Moment extends Physical {
  readonly position: Position;
}

/** A primary that was busy for a while, its journal, and moments of it. */
class Past implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly seed: number;
  readonly journal: RunningJournal;
  readonly positions: readonly Position[];
  readonly #primary: RedisServer;

  private constructor(primary: RedisServer, seed: number, journal: RunningJournal, positions: readonly Position[]) {
    this.binary = primary.binary;
    this.seed = seed;
    this.journal = journal;
    this.positions = positions;
    this.#primary = primary;
  }

  static async live(binary: ServerBinary): Promise<Past> {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    const primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true });
    await workload.run(client, 300);
    const journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 128 * 1024 });
    const positions: Position[] = [];
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    for (let moment = 0; moment < 3; moment++) {
      await workload.run(client, random.between(100, 400));
      await writeElapsing(client, binary);
      positions.push(await positionOf(client));
      // Some of it has not elapsed by then, but will have.
      await sleep(random.between(1, 300));
    }
    await journaled(client);
    await client.call('FLUSHALL');
    await journaled(client);
    await sleep(1600);
    return new Past(primary, seed, journal, positions);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
    await this.#primary[Symbol.asyncDispose]();
  }
}

function hasFieldTtl(binary: ServerBinary): boolean {
  return isAtLeast(binary, { redis: 7.4, valkey: 9 });
}

/** Keys and fields that elapse 5 ms and 1500 ms from now, and what commands made of them in time. */
async function writeElapsing(client: RespClient, binary: ServerBinary): Promise<void> {
  await client.callMany([
    ['SELECT', 12],
    ['SET', 'gone', '5', 'PX', 5],
    ['SET', 'incr', '5', 'PX', 1500],
    ['INCR', 'incr'],
    ['SET', 'to rename', 'x', 'PX', 1500],
    ['RENAME', 'to rename', 'renamed'],
    ['SET', 'persisted', 'x', 'PX', 1500],
    ['PERSIST', 'persisted'],
    ['SET', 'kept', 'x', 'PX', 1500],
    ['SET', 'kept', 'y', 'KEEPTTL'],
    ['SET', 'again', 'x', 'PX', 1500],
    ['PEXPIRE', 'again', 3_600_000],
    ['SET', 'stays', 'x', 'PX', 3_600_000],
    ['SET', 'far', 'x'],
    ['PEXPIREAT', 'far', '9007199254740900'],
    ['DEL', 'hash', 'all', 'large'],
    ['HSET', 'hash', 'gone', '10', 'incr', '10', 'persisted', '10', 'again', '10', 'stays', '1', '77', 'number'],
    ['HSET', 'all', 'a', '1', 'b', '2'],
  ]);
  if (hasFieldTtl(binary)) {
    await client.callMany([
      ['HPEXPIRE', 'hash', 5, 'FIELDS', 1, 'gone'],
      ['HPEXPIRE', 'hash', 1500, 'FIELDS', 3, 'incr', 'persisted', 'again'],
      ['HINCRBY', 'hash', 'incr', 5],
      ['HPERSIST', 'hash', 'FIELDS', 1, 'persisted'],
      ['HPEXPIRE', 'hash', 3_600_000, 'FIELDS', 2, 'again', '77'],
      ['HPEXPIRE', 'all', 5, 'FIELDS', 2, 'a', 'b'],
      // Too large for a listpack; some compressed.
      ['HSET', 'large', 'elapses', 'x'.repeat(2000), 'moves', 'y'.repeat(2000), 'f'.repeat(200), '1'],
      ['HPEXPIRE', 'large', 5, 'FIELDS', 1, 'elapses'],
      ['HPEXPIRE', 'large', 3_600_000, 'FIELDS', 2, 'moves', 'f'.repeat(200)],
    ]);
  }
  await sleep(8);
  await client.call('SET', 'here', '1');
}

async function positionOf(client: RespClient): Promise<Position> {
  const info = await client.text('INFO', 'replication');
  const id = /^master_replid:(\w+)/m.exec(info)?.[1] ?? '';
  const offset = parseOffset(/^master_repl_offset:(\d+)/m.exec(info)?.[1] ?? '');
  if (offset === undefined) throw new Error('the server does not tell its offset');
  return { id, offset };
}

async function restore(
  past: Past,
  at: Position,
  to: Destination['kind'],
  ttl: TtlMode,
  countsExpired = false,
): Promise<Restored> {
  const out = path.join(temporaryDirectory('restored'), 'dump.rdb');
  const target = { kind: 'position', idPrefix: at.id, offset: at.offset } as const;
  const plan = await planRestore(localDisk, past.journal.tree, {
    ...{ target, text: 'there', mode: 'at', now: systemClock.wall(), relativeTtl: 'convert', to, ttl },
    countsExpired,
    servers: async () => [past.binary],
  });
  const parts: Uint8Array[] = [];
  const send = async (bytes: Uint8Array): Promise<void> => void parts.push(bytes);
  const report = await executeRestore(localDisk, plan, { to: out, send, clock: systemClock, writer: 'test' });
  if (to === 'resp') writeFileSync(out, Buffer.concat(parts));
  return { out, report, asOfMs: Math.floor(plan.ttl.asOf / 1000) };
}

interface Restored {
  readonly out: string;
  readonly report: RestoreReport;
  readonly asOfMs: number;
}

async function load(binary: ServerBinary, kind: Destination['kind'], { out }: Restored): Promise<RedisServer> {
  if (kind === 'directory') return await RedisServer.startFrom(binary, out, { replicaOfNowhere: true });
  if (kind === 'rdb') {
    return await RedisServer.start(binary, { dir: path.dirname(out), config: { replicaof: '127.0.0.1 1' } });
  }
  const server = await RedisServer.start(binary);
  await using client = await server.connect();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
  const cli = spawn(binary.cliPath, ['-p', String(server.port), '--pipe'], { stdio: ['pipe', 'pipe', 'inherit'] });
  cli.stdin.end(readFileSync(out));
  let text = '';
  cli.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(cli, 'close');
  expect(text).toContain('errors: 0');
  return server;
}

async function loaded(binary: ServerBinary, kind: Destination['kind'], restored: Restored): Promise<Fingerprint> {
  await using server = await load(binary, kind, restored);
  await using client = await server.connect();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
  return { ...(await fingerprint(client, binary)), digest: '' };
}

describeServers('restored with --ttl', (binary) => {
  let past: Past;
  let plain: RedisServer;
  const moments: Moment[] = [];

  beforeAll(async () => {
    past = await Past.live(binary);
    plain = await RedisServer.start(binary);
    for (const position of past.positions) {
      const kept = await restore(past, position, 'rdb', 'keep');
      const { keys: entries } = readRdb(readFileSync(kept.out));
      moments.push({ position, entries, physical: await loaded(binary, 'rdb', kept) });
    }
  });

  afterAll(async () => {
    await plain[Symbol.asyncDispose]();
    await past[Symbol.asyncDispose]();
  });

  describe.each([['as-of'], ['shift'], ['persist']] as const)('%s', (mode) => {
    test.each([
      ['rdb', false],
      ['directory', false],
      // Counted, it goes through a server in any case.
      ['directory', true],
      ['resp', false],
    ] as const)('to %s (counted: %s), it is what the rule makes of it', async (kind, isCounted) => {
      await using client = await plain.connect();
      for (const moment of moments) {
        const restored = await restore(past, moment.position, kind, mode, isCounted);
        const outcome = restored.report.record.ttlOutcome;
        if (outcome === null) throw new Error('nobody looked');
        const laterByMs = Math.round(outcome.shiftedBy * 1000);
        let wanted = await expectedTtl(moment, mode, restored.asOfMs, laterByMs, client);
        let back = await loaded(binary, kind, restored);
        if (kind === 'resp') [wanted, back] = [visible(wanted), visible(back)];
        expect(explainDifference(wanted, back, { expiryToleranceMs: 0 }), `seed ${past.seed}`).toEqual([]);
        if (mode === 'shift') expect(Math.abs(restored.asOfMs + laterByMs - Date.now())).toBeLessThan(20_000);
        expect(outcome.passedAtCut.keys).toBeGreaterThan(0);
        const { scratch, elapsedKeys, asked } = restored.report.record;
        if (kind === 'directory') {
          const isInexact = hasFieldTtl(binary) && binary.kind === 'redis' && mode !== 'persist';
          if (isCounted || isInexact) expect(scratch).not.toBe(null);
          // Of what is random, only a serialised hash with expiring fields cannot be followed.
          else expect(scratch?.why ?? 'RESTORE').toContain('RESTORE');
          if (hasFieldTtl(binary) && scratch === null) expect(asked?.keys).toBeGreaterThan(0);
        }
        if (scratch === null && asked === null) expect(elapsedKeys).toBe(outcome.passedAtCut.keys);
        if (hasFieldTtl(binary)) expect(outcome.passedAtCut.fields).toBeGreaterThan(3);
      }
    });
  });

  test.each([['directory'], ['resp']] as const)(
    'keep, to %s: what has elapsed is counted where it is asked for, and where it is not, that is said',
    async (kind) => {
      for (const { position, entries } of moments) {
        const elapsedBefore = (ms: number): number =>
          entries.filter(({ expireMs }) => expireMs !== undefined && expireMs < ms).length;
        const { report, asOfMs } = await restore(past, position, kind, 'keep', true);
        const { passedAtCut, passedSince } = report.record.ttlOutcome ?? {};
        expect(passedAtCut?.keys).toBe(elapsedBefore(asOfMs));
        expect(passedAtCut?.keys).toBeGreaterThan(0);
        expect((passedAtCut?.keys ?? 0) + (passedSince?.keys ?? 0)).toBe(elapsedBefore(Date.now()));
        expect(report.record.warnings.join()).toContain(`of ${passedAtCut?.keys} keys`);
        expect(report.record.ttlEffect).not.toContain('not counted');
      }
      if (hasFieldTtl(binary)) return;
      const { report } = await restore(past, moments[0]!.position, kind, 'keep');
      expect(report.record.ttlOutcome).toBe(null);
      expect(report.record.ttlEffect).toContain('--count-expired');
    },
  );

  test.each([['keep'], ['as-of'], ['shift'], ['persist']] as const)(
    'with %s, what commands made of keys and fields in time is right, though they have elapsed since',
    async (mode) => {
      await using client = await plain.connect();
      await client.callMany([
        ...[['FLUSHALL'], ['SET', 'incr', '6'], ['SET', 'renamed', 'x'], ['SET', 'persisted', 'x']],
        ...[
          ['SET', 'kept', 'y'],
          ['SET', 'again', 'x'],
        ],
      ]);
      const digests = (await client.call(
        'DEBUG',
        'DIGEST-VALUE',
        'incr',
        'renamed',
        'persisted',
        'kept',
        'again',
      )) as Buffer[];
      const position = past.positions.at(-1);
      if (position === undefined) throw new Error('no moment');
      const restored = await restore(past, position, 'rdb', mode);
      const { keys } = await loaded(binary, 'rdb', restored);
      for (const [i, name] of ['incr', 'renamed', 'persisted', 'kept', 'again'].entries()) {
        const facts = keys.get(`db12:${name}`);
        const digest = replyText(digests[i]);
        const isLasting = name === 'persisted' || mode === 'persist';
        expect(facts?.expireMs === null, name).toBe(isLasting);
        expect(facts?.valueDigest, name).toBe(isLasting ? digest : otherExpiryMark(digest));
      }
      expect(keys.has('db12:gone')).toBe(mode === 'keep');
      if (!hasFieldTtl(binary)) return;
      const hash = readRdb(readFileSync(restored.out)).keys.find(({ key }) => key.toString() === 'hash');
      if (mode === 'persist') {
        expect(keys.get('db12:hash')?.fieldExpiries).toBeUndefined();
        return;
      }
      const fields = new Map(hash?.fields?.map(({ field, ...rest }) => [field.toString(), rest]));
      expect(fields.get('incr')?.value.toString()).toBe('15');
      expect(fields.get('incr')?.expireMs).toBeGreaterThan(restored.asOfMs);
      expect(fields.get('persisted')?.expireMs).toBeUndefined();
      expect(fields.get('again')?.expireMs).toBeGreaterThan(Date.now() + 3_000_000);
      expect(fields.has('gone')).toBe(mode === 'keep');
    },
  );
});

/** What had elapsed by now cannot be seen, and is not told. */
function visible(of: Fingerprint): Fingerprint {
  const now = Date.now();
  const keys = new Map([...of.keys].filter(([, { expireMs }]) => expireMs === null || expireMs > now));
  return { ...of, digest: '', keys };
}
