// Restores to instants under load, not only to quiet ones: money moves between accounts in MULTI at full speed, the full
// sync included, and wherever a cut is asked for, the sum is what it was at the beginning, and the number of transfers
// is the number of transactions that the stream holds up to the cut.
//
// What the stream holds is found here in the plainest way, command by command from its beginning and without an index.
// What time it was is told by a witness: a counter, each step of which was acknowledged before the next one was made.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CoverageError } from '../../src/core/errors.ts';
import { formatPosition } from '../../src/core/position.ts';
import type { Offset } from '../../src/core/position.ts';
import type { CutMode } from '../../src/restore/locate/locate.ts';
import { plannedStream } from '../../src/restore/plan/planned-stream.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyText, type RespClient } from '../support/resp-client.ts';
import { formatTarget, journaled, quietInstant, type Restored, RunningJournal } from '../support/running-journal.ts';
import type { ServerBinary } from '../support/servers.ts';
import { readTotals, runTransfers } from '../support/transfers.ts';

const segmentBytes = 1024 * 1024;

const dbs = [0, 11] as const;
const accounts = 50;
const balance = 1000;

/** Half a hundred restores of many MB, on a machine that has other work too. */
const timeoutMs = 240_000;

const witnessDb = 12;
const witnessSteps = 24;

/** A target and what a restore to it must bring, as far as it is known beforehand. */
interface Wanted {
  readonly target: string;
  readonly mode: CutMode;
  readonly cut?: Offset;
  readonly witness?: number;
}

/** What a restored server shows. */
interface Shown {
  readonly sums: readonly (number | undefined)[];
  readonly transfers: number;
  readonly witness: number;
}

class Bank implements AsyncDisposable {
  readonly primary: RedisServer;
  readonly journal: RunningJournal;
  /** Times as targets; at number n, counting from 0, the witness stood at n + 1. */
  readonly witnessed: readonly string[];
  readonly #closed: () => Promise<void>;

  private constructor(
    primary: RedisServer,
    journal: RunningJournal,
    witnessed: readonly string[],
    closed: () => Promise<void>,
  ) {
    this.primary = primary;
    this.journal = journal;
    this.witnessed = witnessed;
    this.#closed = closed;
  }

  /** The transfers begin before the journal attaches, and go on until close(). */
  static async open(binary: ServerBinary, seed: number): Promise<Bank> {
    const primary = await RedisServer.start(binary);
    const teller = await primary.connect();
    const closing = new AbortController();
    const transfers = runTransfers(teller, { seed, signal: closing.signal, dbs, accounts, balance });
    await using observer = await primary.connect();
    await eventually('the first transfers', async () => (await show(observer)).transfers > 1000);
    const journal = await RunningJournal.attach({ port: primary.port, segmentBytes });
    const witnessed: string[] = [];
    await observer.call('SELECT', witnessDb);
    while (witnessed.length < witnessSteps) {
      await observer.call('INCR', 'witness');
      await journaled(observer);
      witnessed.push(await quietInstant());
    }
    return new Bank(primary, journal, witnessed, async () => {
      closing.abort();
      await transfers;
      await teller.close();
    });
  }

  /** The last transfer is durable on return. */
  async close(): Promise<void> {
    await this.#closed();
    await using client = await this.primary.connect();
    await client.call('INCR', 'closed');
    await journaled(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closed();
    await this.journal[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

/** The stream so far: where its commands and groups end, and how many transactions there are up to each end. */
class Stream {
  readonly id: string;
  readonly base: Offset;
  readonly firstStamp: number;
  readonly lastStamp: number;
  /** Ends of commands outside of groups, and of groups; ascending. */
  readonly #ends: readonly Offset[];
  readonly #transactions: readonly number[];

  private constructor(
    place: { id: string; offset: Offset; completed: number; lastStamp: number },
    ends: readonly Offset[],
    transactions: readonly number[],
  ) {
    this.id = place.id;
    this.base = place.offset;
    this.firstStamp = place.completed;
    this.lastStamp = place.lastStamp;
    this.#ends = ends;
    this.#transactions = transactions;
  }

  static async read(journal: RunningJournal): Promise<Stream> {
    const plan = await journal.plan('latest');
    const { record } = plan.base;
    const chunks: Buffer[] = [];
    for await (const { bytes } of plannedStream(localDisk, plan)) chunks.push(bytes);
    const ends: Offset[] = [record.offset];
    const transactions = [0];
    let count = 0;
    let isInGroup = false;
    for (const { name, end } of commandsOf(Buffer.concat(chunks))) {
      if (name === 'MULTI') isInGroup = true;
      if (name === 'EXEC') {
        isInGroup = false;
        count += 1;
      }
      if (isInGroup) continue;
      ends.push(record.offset + end);
      transactions.push(count);
    }
    return new Stream({ ...record, lastStamp: plan.cut.reached }, ends, transactions);
  }

  get end(): Offset {
    return this.#ends.at(-1)!;
  }

  /** Up to and including what ends at `cut`, behind the base. */
  transactionsUpTo(cut: Offset): number {
    const index = this.#ends.indexOf(cut);
    expect(index, `offset ${cut} is the end of a command or group`).toBeGreaterThanOrEqual(0);
    return this.#transactions[index]!;
  }

  atOffset(offset: Offset): Wanted {
    const target = formatPosition({ id: this.id, offset });
    return { target, mode: 'at', cut: this.#ends.find((end) => end >= offset)! };
  }

  beforeOffset(offset: Offset): Wanted {
    const target = formatPosition({ id: this.id, offset });
    return { target, mode: 'before', cut: this.#ends.findLast((end) => end < offset)! };
  }

  /** Strictly inside a group of more than two commands' length. */
  offsetInsideGroup(random: Random): Offset {
    while (true) {
      const index = random.between(1, this.#ends.length - 1);
      const isGroup = this.#transactions[index] !== this.#transactions[index - 1];
      if (isGroup) return random.between(this.#ends[index - 1]! + 1, this.#ends[index]! - 1);
    }
  }
}

/** Name and end of each command, as a count of bytes. */
function* commandsOf(bytes: Buffer): Generator<{ name: string; end: number }> {
  let at = 0;
  const line = (type: string): number => {
    const end = bytes.indexOf('\r\n', at);
    if (bytes[at] !== type.charCodeAt(0)) throw new Error(`${bytes.toString('latin1', at, end)} is not a ${type} line`);
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  while (at < bytes.length) {
    let name: string | undefined;
    for (let left = line('*'); left > 0; left -= 1) {
      const length = line('$');
      name ??= bytes.toString('latin1', at, at + length).toUpperCase();
      at += length + 2;
    }
    yield { name: name ?? '', end: at };
  }
}

describeServers('a restore into constant transfers', (binary) => {
  const seed = Date.now() >>> 0;
  const random = new Random(seed);
  let bank: Bank;
  let transfersInBase: number;

  beforeAll(async () => {
    bank = await Bank.open(binary, seed);
    const { id, base } = await Stream.read(bank.journal);
    transfersInBase = (await load(await bank.journal.restore(formatPosition({ id, offset: base })))).transfers;
  });

  afterAll(async () => {
    await bank[Symbol.asyncDispose]();
  });

  async function load(restored: Restored): Promise<Shown> {
    // A server that would cut off an incomplete transaction at the end refuses to start on one instead.
    const config = { 'aof-load-truncated': 'no' };
    await using server = await RedisServer.startFrom(binary, restored.dir, { config });
    await using client = await server.connect();
    return await show(client);
  }

  /** Restores to each target; how far the transfers were at each cut, by cut. */
  async function expectExact(stream: Stream, targets: readonly Wanted[]): Promise<void> {
    const found: { cut: Offset; transfers: number }[] = [];
    for (const { target, mode, cut, witness } of targets) {
      const label = `seed ${seed}, ${mode} ${target}`;
      const restored = await unlessUncertain(bank.journal.restore(target, mode));
      if (restored === undefined) continue;
      const shown = await load(restored);
      const { offset, lastApplied, firstOmitted, requested } = restored.plan.cut;
      expect(shown.sums, label).toEqual(dbs.map(() => accounts * balance));
      expect(shown.transfers, label).toBe(transfersInBase + stream.transactionsUpTo(offset));
      if (cut !== undefined) expect(offset, label).toBe(cut);
      if (witness !== undefined) expect(shown.witness, label).toBe(witness);
      if (requested.target.kind === 'time') {
        expect(lastApplied.stamp, label).toBeLessThanOrEqual(requested.target.at);
        expect(firstOmitted?.stamp ?? Infinity, label).toBeGreaterThan(requested.target.at);
      }
      found.push({ cut: offset, transfers: shown.transfers });
    }
    expect(found.length, `seed ${seed}`).toBeGreaterThan(targets.length * 0.75);
    found.sort((a, b) => a.cut - b.cut);
    const counts = found.map(({ transfers }) => transfers);
    expect(counts, `seed ${seed}`).toEqual(counts.toSorted((a, b) => a - b));
  }

  function randomTargets(stream: Stream, count: { offsets: number; times: number }): Wanted[] {
    const offsets = Array.from({ length: count.offsets }, (_, index) => {
      const inside = stream.offsetInsideGroup(random);
      const anywhere = random.between(stream.base + 1, stream.end);
      return [stream.atOffset(inside), stream.beforeOffset(inside), stream.atOffset(anywhere)][index % 3]!;
    });
    const times = Array.from({ length: count.times }, () => {
      const at = random.between(stream.firstStamp, stream.lastStamp);
      return { target: formatTarget(at), mode: random.pick(['at', 'before'] as const) };
    });
    return [...offsets, ...times];
  }

  function witnessTargets(which: (index: number) => boolean): Wanted[] {
    const targets = bank.witnessed.map((target, index) => ({ target, mode: 'at' as const, witness: index + 1 }));
    return targets.filter((_, index) => which(index));
  }

  test('keeps the sum and misses no transfer, while they go on', { timeout: timeoutMs }, async () => {
    const stream = await Stream.read(bank.journal);
    const targets = [...randomTargets(stream, { offsets: 3, times: 2 }), ...witnessTargets((index) => index % 6 === 0)];
    await expectExact(stream, targets);
  });

  test(
    'keeps the sum and misses no transfer at the rest of fifty instants, afterwards',
    { timeout: timeoutMs },
    async () => {
      await bank.close();
      await bank.journal.stop();
      const stream = await Stream.read(bank.journal);
      const targets = [
        ...randomTargets(stream, { offsets: 18, times: 8 }),
        ...witnessTargets((index) => index % 3 !== 0),
      ];
      await expectExact(stream, targets);
      const { timelines } = await bank.journal.catalog();
      expect(timelines[0]?.segments.filter(({ kind }) => kind === 'sealed').length).toBeGreaterThan(1);
    },
  );
});

/** Where a busy machine let the link fall behind, what had been written by a time is not known, and is not guessed. */
async function unlessUncertain(restoring: Promise<Restored>): Promise<Restored | undefined> {
  try {
    return await restoring;
  } catch (error) {
    if (error instanceof CoverageError && error.code === 'time-uncertain') return undefined;
    throw error;
  }
}

async function show(client: RespClient): Promise<Shown> {
  const totals = [];
  for (const db of dbs) totals.push(await readTotals(client, db, accounts));
  await client.call('SELECT', witnessDb);
  const witness = await client.call('GET', 'witness');
  return {
    sums: totals.map((total) => total?.sum),
    transfers: totals.reduce((sum, total) => sum + (total?.transfers ?? 0), 0),
    witness: witness === null ? 0 : Number(replyText(witness)),
  };
}
