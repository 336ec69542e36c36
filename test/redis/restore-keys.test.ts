// Some keys of a moment: they are those of the whole dataset there, values and expiries, under their names or others,
// elapsed ones included, in every output, whatever commands connected them with the keys that stay away.
// The reference is the primary itself, stopped at that moment. That globs mean what servers mean: redis/glob.test.ts.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { formatPosition } from '../../src/core/position.ts';
import { glob } from '../../src/redis/glob.ts';
import { parseSelection } from '../../src/redis/key-selection.ts';
import type { SelectionText } from '../../src/redis/key-selection.ts';
import type { Destination } from '../../src/restore/plan/destination.ts';
import { loadScratch } from '../../src/restore/replay/load-scratch.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { planToJson } from '../../src/restore/plan/plan-print.ts';
import { PlannedBytes } from '../../src/restore/replay/planned-bytes.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import type { RestoreReport } from '../../src/restore/restore.ts';
import type { TtlMode } from '../../src/restore/plan/ttl-mode.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint, type Fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { printable } from '../support/rdb-stream.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

/** A primary at a moment, and the journal that holds it. */
class Past implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly primary: RedisServer;
  readonly journal: RunningJournal;
  readonly taken: Fingerprint;
  /** Of the last restore. */
  sent: Uint8Array[] = [];

  private constructor(primary: RedisServer, journal: RunningJournal, taken: Fingerprint) {
    this.binary = primary.binary;
    this.primary = primary;
    this.journal = journal;
    this.taken = taken;
  }

  static async live(binary: ServerBinary, seed: number, hashFieldTtl = true): Promise<Past> {
    const primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl, keysPerType: 12, without: ['flushall'] });
    await workload.run(client, 400);
    const journal = await RunningJournal.attach({ port: primary.port, segmentBytes: 128 * 1024 });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(client, 900);
    await client.callMany([
      ['SELECT', 3],
      ['SET', 'string:elapsed', 'was here', 'PX', 5],
      ['RPUSH', Buffer.from([0xff, 0, 0x3a]), 'binary'],
      ['SET', '12345', 'a name that is stored as a number'],
      ['SET', 'compressible '.repeat(30), 'a name that is stored compressed'],
    ]);
    await sleep(20);
    const taken = await fingerprint(client, binary);
    await journaled(client);
    return new Past(primary, journal, taken);
  }

  plan(
    kind: Kind,
    text: Partial<SelectionText>,
    ttl: TtlMode = 'keep',
    servers: readonly ServerBinary[] = [this.binary],
  ): Promise<Plan> {
    const { id, offset } = this.taken.position;
    const isCounted = kind === 'directory, counted';
    return planRestore(localDisk, this.journal.tree, {
      ...{ target: { kind: 'position', idPrefix: id, offset }, text: formatPosition({ id, offset }), mode: 'at' },
      ...{ now: systemClock.wall(), relativeTtl: 'convert', selection: parseSelection(text), ttl },
      ...{ to: isCounted ? 'directory' : kind, countsExpired: isCounted },
      servers: async () => servers,
    });
  }

  async restore(
    kind: Kind,
    text: Partial<SelectionText>,
    to: string,
    ttl: TtlMode = 'keep',
    servers?: readonly ServerBinary[],
  ): Promise<RestoreReport> {
    const plan = await this.plan(kind, text, ttl, servers);
    this.sent = [];
    const send = async (bytes: Uint8Array): Promise<void> => void this.sent.push(bytes);
    const report = await executeRestore(localDisk, plan, { to, send, clock: systemClock, writer: 'test' });
    if (kind === 'resp') writeFileSync(to, Buffer.concat(this.sent));
    return report;
  }

  /** What the primary held of these keys. */
  expected(wants: (key: Wanted) => boolean, rename = (name: Buffer): Buffer => name): Fingerprint {
    const keys = new Map<string, KeyFacts>();
    for (const [full, facts] of this.taken.keys) {
      const [, db = '', shown = ''] = /^db(\d+):(.*)$/s.exec(full) ?? [];
      const name = unprintable(shown);
      if (wants({ db: Number(db), name, facts })) keys.set(`db${db}:${printable(rename(name))}`, facts);
    }
    return { ...this.taken, digest: '', keys, functions: new Map() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

interface Wanted {
  readonly db: number;
  readonly name: Buffer;
  readonly facts: KeyFacts;
}

function unprintable(text: string): Buffer {
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}

/** A directory is made of the journal's bytes where it can be, and by a scratch server where what has expired is counted. */
type Kind = Destination['kind'] | 'directory, counted';
const kinds: readonly Kind[] = ['directory', 'directory, counted', 'rdb', 'resp'];
const globs = ['string:*', '*:1*', '*[02468]', 's*', '*\r\n*', 'h?sh:*', '[^s]*', 'list:[0-5]', '*e*:*', 'zset:?'];

/** On a server of its own, on which nothing goes by itself. */
async function loaded(binary: ServerBinary, kind: Kind, to: string): Promise<Fingerprint> {
  await using server = await start(binary, kind, to);
  await using client = await server.connect();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
  if (kind === 'resp') {
    const told = execFileSync(binary.cliPath, ['-p', String(server.port), '--pipe'], { input: readFileSync(to) });
    expect(told.toString()).toContain('errors: 0');
  }
  return { ...(await fingerprint(client, binary)), digest: '' };
}

async function start(binary: ServerBinary, kind: Kind, to: string): Promise<RedisServer> {
  if (kind.startsWith('directory')) return RedisServer.startFrom(binary, to, { replicaOfNowhere: true });
  if (kind === 'resp') return RedisServer.start(binary);
  const dir = temporaryDirectory('loaded');
  copyFileSync(to, path.join(dir, 'dump.rdb'));
  return RedisServer.start(binary, { dir, config: { replicaof: '127.0.0.1 1' } });
}

/** Commands bring nothing that has elapsed. */
function visible(of: Fingerprint, kind: Kind, now: number): Fingerprint {
  if (kind !== 'resp') return of;
  return { ...of, keys: new Map([...of.keys].filter(([, { expireMs }]) => expireMs === null || expireMs > now)) };
}

const typeOfName: Readonly<Record<string, string>> = {
  ...{ string: 'string', number: 'string', float: 'string', bits: 'string', hll: 'string', list: 'list' },
  ...{ set: 'set', ints: 'set', hash: 'hash', zset: 'zset', geo: 'zset', stream: 'stream', live: 'stream' },
};

describeServers('some keys', (binary) => {
  const seed = Date.now() >>> 0;
  const random = new Random(seed);
  const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };
  let past: Past;

  beforeAll(async () => {
    past = await Past.live(binary, seed);
  });

  afterAll(async () => {
    await past[Symbol.asyncDispose]();
  });

  async function compare(kind: Kind, text: Partial<SelectionText>, expected: Fingerprint): Promise<RestoreReport> {
    const to = path.join(temporaryDirectory('restored'), 'out');
    const report = await past.restore(kind, text, to);
    const back = await loaded(binary, kind, to);
    const now = Date.now();
    const [wanted, found] = [visible(expected, kind, now), visible(back, kind, now)];
    const functions = text.keys === undefined && text.db === undefined && text.type === undefined;
    const libraries = functions ? past.taken.functions : new Map<string, string>();
    const differences = explainDifference({ ...wanted, functions: libraries }, found, tolerance);
    expect(differences, `seed ${seed}: ${JSON.stringify(text)} as ${kind}`).toEqual([]);
    const { held, scratch, keys } = report.record;
    const total = held?.everything === false ? null : past.taken.keys.size;
    // Without a server nobody counts, but what nobody ever named is not there.
    const taken = scratch !== null || keys?.taken === 0 ? expected.keys.size : null;
    expect(keys).toEqual({ taken, total });
    return report;
  }

  test.each(kinds)('for random globs, dbs and exclusions are those of the primary, as %s', async (kind) => {
    for (let round = 0; round < 4; round++) {
      const keys = Array.from({ length: random.between(1, 2) }, () => random.pick(globs));
      const exclude = random.chance(0.5) ? [random.pick(globs)] : [];
      const db = random.chance(0.5) ? [0, 3] : [];
      const [wants, avoids] = [keys.map(glob), exclude.map(glob)];
      const expected = past.expected(
        (key) =>
          (db.length === 0 || db.includes(key.db)) &&
          wants.some(({ matches }) => matches(key.name)) &&
          !avoids.some(({ matches }) => matches(key.name)),
      );
      await compare(kind, { keys, exclude, db: db.map(String) }, expected);
    }
  });

  test.each(kinds)('come under other names, with the same values and expiries, as %s', async (kind) => {
    const rename = (name: Buffer): Buffer => Buffer.from(`old ${name.toString('latin1')}`, 'latin1');
    const all = past.expected(() => true, rename);
    await compare(kind, { rename: ['s/^/old /'] }, all);
    const strings = past.expected(
      ({ name }) => name.toString('latin1').startsWith('string:'),
      (name) => Buffer.from(name.toString('latin1').replace(/^string:(.*)$/s, '$1: of a string'), 'latin1'),
    );
    await compare(kind, { keys: ['string:*'], rename: ['s/^string:(.*)$/\\1: of a string/'] }, strings);
  });

  test('are told apart by type, elapsed, of binary, numeric and compressed names alike', async () => {
    const typeOf = ({ name }: Wanted): string | undefined => typeOfName[name.toString('latin1').split(':')[0] ?? ''];
    const known = past.expected((key) => typeOf(key) !== undefined && ['list', 'stream'].includes(typeOf(key)!));
    for (const kind of kinds) {
      await compare(kind, { type: ['list', 'stream'], keys: ['l*', 's*'] }, known);
    }
    for (const keys of [['string:elapsed'], ['12345'], ['compressible *']]) {
      const { matches } = glob(keys[0]!);
      const expected = past.expected(({ name }) => matches(name));
      expect(expected.keys.size).toBe(1);
      await compare('rdb', { keys, db: ['3'] }, expected);
    }
  });

  test('that would get one name are refused with both, and nothing is made or sent', async () => {
    for (const kind of kinds) {
      const parent = temporaryDirectory('restored');
      const refused = past.restore(kind, { keys: ['list:*'], rename: ['s/:[^]*//'] }, path.join(parent, 'out'));
      await expect(refused).rejects.toMatchObject({
        code: 'rename-collision',
        exitCode: 2,
        message: expect.stringMatching(/^keys "list:.*" and "list:.*" of db \d+ would both be named "list"$/) as string,
      });
      expect([...readdirSync(parent), ...past.sent]).toEqual([]);
    }
  });

  test('are the only ones whose expiries are changed, and counted', async () => {
    const to = path.join(temporaryDirectory('restored'), 'out');
    const { record } = await past.restore('rdb', { keys: ['*:1*'], type: ['string', 'set'] }, to, 'persist');
    const { matches } = glob('*:1*');
    const wanted = past.expected((key) => {
      const type = typeOfName[key.name.toString('latin1').split(':')[0] ?? ''];
      return matches(key.name) && (type === 'string' || type === 'set');
    });
    const { passedAtCut, passedSince, ahead } = record.ttlOutcome!;
    const expiring = [...wanted.keys.values()].filter(({ expireMs }) => expireMs !== null).length;
    expect(passedAtCut.keys + passedSince!.keys + ahead!.keys).toBe(expiring);
    const back = await loaded(binary, 'rdb', to);
    expect(back.keys.size).toBe(wanted.keys.size - passedAtCut.keys);
    expect([...back.keys.values()].filter(({ expireMs }) => expireMs !== null)).toEqual([]);
  });

  test('are all that the scratch server holds, with what they depend on; or it holds everything, and why is said', async () => {
    const held = async (
      text: Partial<SelectionText>,
    ): Promise<{ readonly why: string | null; readonly keys: number }> => {
      const plan = await past.plan('rdb', text);
      const parent = temporaryDirectory('scratch');
      const replayed = new PlannedBytes(localDisk, plan, () => undefined);
      const { signal } = new AbortController();
      const options = { parent, allowedBytes: undefined, clock: systemClock, signal };
      await using dataset = await loadScratch(plan, replayed, options);
      const keyspace = await dataset.client.info('keyspace');
      const keys = [...keyspace.matchAll(/keys=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
      return { why: planToJson(plan).held?.why ?? null, keys };
    };
    const some = await held({ keys: ['compressible *'] });
    expect(some.why).toBeNull();
    expect(some.keys).toBeGreaterThan(0);
    expect(some.keys).toBeLessThan(past.taken.keys.size / 2);
    expect(await held({ type: ['string'] })).toEqual({ why: 'no --keys say which', keys: past.taken.keys.size });
  });

  test('of which there are none leave an output with nothing in it, and a warning', async () => {
    for (const kind of kinds) {
      const { record } = await compare(
        kind,
        { keys: ['no such key'] },
        past.expected(() => false),
      );
      expect(record.warnings).toContain('no key is what was asked for: nothing is in it');
    }
  });
});

describeServers('some keys in a directory, without a server', (binary) => {
  const seed = Date.now() >>> 0;
  const random = new Random(seed);
  const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };

  test('are those of the primary, whatever connected them, in dbs that were exchanged and flushed', async () => {
    await using past = await Past.live(binary, seed, false);
    for (let round = 0; round < 12; round++) {
      const [keys, exclude] = [0, 1].map((least) =>
        Array.from({ length: random.below(3 - least) }, () => random.pick(globs)),
      );
      const db =
        random.chance(0.4) || (keys!.length === 0 && exclude!.length === 0) ? [random.pick([0, 1, 3]), 15] : [];
      const [wants, avoids] = [keys!.map(glob), exclude!.map(glob)];
      const expected = past.expected(
        (key) =>
          (db.length === 0 || db.includes(key.db)) &&
          (wants.length === 0 || wants.some(({ matches }) => matches(key.name))) &&
          !avoids.some(({ matches }) => matches(key.name)),
      );
      const text = { keys: keys!, exclude: exclude!, db: db.map(String) };
      const to = path.join(temporaryDirectory('restored'), 'out');
      const { record } = await past.restore('directory', text, to, 'keep', []);
      expect(record.scratch).toBeNull();
      const back = await loaded(binary, 'directory', to);
      const functions = keys!.length === 0 && db.length === 0 ? past.taken.functions : new Map<string, string>();
      const differences = explainDifference({ ...expected, functions }, back, tolerance);
      expect(differences, `seed ${seed}: ${JSON.stringify(text)}`).toEqual([]);
    }
  });
});
