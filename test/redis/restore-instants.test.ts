// What a restore gives is what the primary held: at instants of a workload of everything, noted while it happened, by
// position, by time and by the command that followed; from a journal that is running and from one that was stopped.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { type DifferenceOptions, explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, readCounters } from '../support/fingerprint.ts';
import { RedisServer, type StartFromOptions } from '../support/redis-server.ts';
import type { Command, RespClient } from '../support/resp-client.ts';
import { journaled, quietInstant, type Restored, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

/** Small, so that the history is spread over many: most sealed, the last one open. */
const segmentBytes = 128 * 1024;

const instantCount = 24;
const stepsBetween = 150;

/** What the workload does too seldom to be relied upon, by the number of the instant that follows. */
const events: ReadonlyMap<number, readonly Command[]> = new Map([
  [3, [['SWAPDB', 0, 10]]],
  [5, [['SELECT', 15], ['MULTI'], ['SET', 'string:0', '1'], ['SELECT', 10], ['SET', 'string:0', '2'], ['EXEC']]],
  [8, [['SWAPDB', 15, 3]]],
  [11, [['SELECT', 10], ['FLUSHDB']]],
  [14, [['FLUSHALL']]],
  [17, [['MULTI'], ['FLUSHALL'], ['SET', 'string:1', '\r\n#TS:9999999999\r\n*3\r\n\0'], ['SWAPDB', 0, 1], ['EXEC']]],
]);

interface Instant {
  readonly number: number;
  readonly taken: Fingerprint;
  /** `<id>:<offset>` of the fingerprint. */
  readonly position: string;
  /** A time at which nothing happened, as a target. */
  readonly time: string;
  /** Where the stream stood when it was over: the next byte belongs to the next command. */
  readonly endOffset: number;
}

/** A primary, a journal attached to it, and what was noted while both were at work. */
class History implements AsyncDisposable {
  readonly seed: number;
  readonly binary: ServerBinary;
  readonly primary: RedisServer;
  readonly journal: RunningJournal;
  readonly instants: Instant[] = [];

  private constructor(seed: number, primary: RedisServer, journal: RunningJournal) {
    this.seed = seed;
    this.binary = primary.binary;
    this.primary = primary;
    this.journal = journal;
  }

  static async record(binary: ServerBinary): Promise<History> {
    const seed = Date.now() >>> 0;
    const primary = await RedisServer.start(binary);
    await using writer = await primary.connect();
    await using observer = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: binary.kind === 'valkey' });
    // The base shall not be empty.
    await workload.run(writer, 300);
    const journal = await RunningJournal.attach({ port: primary.port, segmentBytes });
    const history = new History(seed, primary, journal);
    for (let number = 1; number <= instantCount; number += 1) {
      await history.#live(number, workload, writer, observer);
      history.instants.push(await history.#note(number, writer, observer));
    }
    await workload.run(writer, stepsBetween);
    await journaled(writer);
    return history;
  }

  /** Restored to `target`, loaded, and held against what the primary had then. */
  async difference(
    instant: Instant,
    restored: Restored,
    start: StartFromOptions = { replicaOfNowhere: true },
    options: () => DifferenceOptions = () => ({}),
  ): Promise<string[]> {
    await using server = await RedisServer.startFrom(this.binary, restored.dir, start);
    await using client = await server.connect();
    return explainDifference(instant.taken, await fingerprint(client, this.binary), options());
  }

  label(instant: Instant): string {
    return `instant ${instant.number} of seed ${this.seed}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }

  /** Every other time nothing is deleted but what is touched: then elapsed keys are part of the instant. */
  async #live(number: number, workload: Workload, writer: RespClient, observer: RespClient): Promise<void> {
    await observer.call('DEBUG', 'SET-ACTIVE-EXPIRE', number % 2);
    await workload.run(writer, stepsBetween);
    await writer.callMany(events.get(number) ?? []);
    if (number % 2 === 0) {
      await writer.callMany([['SET', elapsedKey, `at ${number}`, 'PX', 2]]);
      await sleep(4);
    }
  }

  #note(number: number, writer: RespClient, observer: RespClient): Promise<Instant> {
    return eventually('an instant in which nothing expires', async () => {
      const before = await readCounters(observer);
      const taken = await fingerprint(observer, this.binary);
      await journaled(writer);
      const time = await quietInstant();
      const after = await readCounters(observer);
      if (after.changes !== '0' || after.expired !== before.expired) return undefined;
      return { number, taken, position: formatPosition(taken.position), time, endOffset: after.position.offset };
    });
  }
}

const elapsedKey = 'elapsed';

describeServers('a restore', (binary) => {
  let history: History;

  beforeAll(async () => {
    history = await History.record(binary);
  });

  afterAll(async () => {
    await history[Symbol.asyncDispose]();
  });

  test('has instants to prove itself on: elapsed keys in them, and segments of both kinds', async () => {
    const { instants, journal } = history;
    const elapsed = instants.flatMap(({ taken }) =>
      [...taken.keys].filter(([name]) => name.endsWith(`:${elapsedKey}`)).map(([, facts]) => facts.expireMs),
    );
    expect(elapsed.length).toBeGreaterThanOrEqual(instantCount / 2 - 3);
    expect(elapsed.every((time) => time !== null && time < Date.now())).toBe(true);
    expect(new Set(instants.map(({ taken }) => taken.sha256)).size).toBe(instantCount);
    await eventually('several segments to be sealed', async () => {
      const { timelines } = await journal.catalog();
      expect(timelines).toHaveLength(1);
      const kinds = timelines[0]?.segments.map(({ kind }) => kind) ?? [];
      return kinds.at(-1) === 'open' && kinds.filter((kind) => kind === 'sealed').length >= 3;
    });
  });

  describe('from a running journal', () => {
    let writing: AsyncDisposable;

    beforeAll(async () => {
      writing = await keepWriting(history);
    });

    afterAll(async () => {
      await writing[Symbol.asyncDispose]();
    });

    test('to the position of an instant is what the primary held then, elapsed keys included', async () => {
      for (const instant of history.instants) {
        const restored = await history.journal.restore(instant.position);
        expect(restored.plan.cut.offset).toBe(instant.taken.position.offset);
        expect(await history.difference(instant, restored), history.label(instant)).toEqual([]);
      }
    });

    test('to the time of an instant is what the primary held then', async () => {
      for (const instant of history.instants) {
        const restored = await history.journal.restore(instant.time);
        expect(restored.plan.cut.offset).toBeGreaterThanOrEqual(instant.taken.position.offset);
        expect(restored.plan.cut.offset).toBeLessThanOrEqual(instant.endOffset);
        expect(await history.difference(instant, restored), history.label(instant)).toEqual([]);
      }
    });
  });

  describe('from a journal that was stopped', () => {
    beforeAll(async () => {
      await history.journal.stop();
    });

    test('to before the command that followed an instant is what the primary held then', async () => {
      for (const instant of history.instants) {
        const following = formatPosition({ ...instant.taken.position, offset: instant.endOffset + 1 });
        const restored = await history.journal.restore(following, 'before');
        expect(restored.plan.cut.offset).toBe(instant.endOffset);
        expect(await history.difference(instant, restored), history.label(instant)).toEqual([]);
      }
    });

    test('is loaded by a plain primary, which then deletes what has elapsed and nothing else', async () => {
      for (const instant of history.instants.filter(({ number }) => number % 4 === 0)) {
        const restored = await history.journal.restore(instant.position);
        const difference = await history.difference(instant, restored, {}, () => ({ elapsedAtMs: Date.now() }));
        expect(difference, history.label(instant)).toEqual([]);
      }
    });
  });
});

/** Redis from 7.4 on takes an elapsed field for missing while it loads commands, so the directory would not be exact. */
const hasInexactFields = (binary: ServerBinary): boolean => isAtLeast(binary, { redis: 7.4 });

describeServers(
  'hash fields that expire',
  (binary) => {
    test('are restored while none has, and the plan says until when the directory can be loaded', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      const inAnHour = Date.now() + 3_600_000;
      await client.callMany([
        ['HSET', 'in base', 'f', '1', 'g', '2'],
        ['HPEXPIREAT', 'in base', inAnHour + 1, 'FIELDS', 1, 'f'],
      ]);
      await using journal = await RunningJournal.attach({ port: primary.port });
      const replies = await client.callMany([
        ['HSET', 'in stream', 'f', '1', 'g', '2'],
        ['HEXPIRE', 'in stream', 7200, 'FIELDS', 1, 'f'],
        ['HPEXPIREAT', 'in stream', inAnHour, 'FIELDS', 1, 'g'],
        ['HINCRBY', 'in stream', 'f', 5],
        ['HPERSIST', 'in base', 'FIELDS', 1, 'f'],
      ]);
      expect(replies.filter((reply) => reply instanceof Error)).toEqual([]);
      const taken = await fingerprint(client, binary);
      await journaled(client);
      const restored = await journal.restore(formatPosition(taken.position));
      expect(restored.plan.loadBefore).toBe(inAnHour * 1000);
      await using server = await RedisServer.startFrom(binary, restored.dir);
      await using reader = await server.connect();
      expect(explainDifference(taken, await fingerprint(reader, binary))).toEqual([]);
    });

    test('are refused once one has, except where the base alone is asked for, which is exact', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      await client.callMany([
        ['HSET', 'hash', 'f', '10', 'g', '2'],
        ['HPEXPIRE', 'hash', 1, 'FIELDS', 1, 'f'],
      ]);
      await sleep(5);
      await using journal = await RunningJournal.attach({ port: primary.port });
      const taken = await fingerprint(client, binary);
      expect(taken.keys.get('db0:hash')?.fieldExpiries?.get('f')).toBeLessThan(Date.now());
      const { timelines } = await journal.catalog();
      const restored = await journal.restore(formatPosition(timelines[0]!.base.record));
      await using server = await RedisServer.startFrom(binary, restored.dir, { replicaOfNowhere: true });
      await using reader = await server.connect();
      expect(explainDifference(taken, await fingerprint(reader, binary))).toEqual([]);
      await client.call('SET', 'another', 'command');
      await journaled(client);
      await expect(journal.plan('latest')).rejects.toMatchObject({ code: 'hash-field-ttl', exitCode: 1 });
    });
  },
  { where: hasInexactFields },
);

/** The primary is written to while restores go on: segments are completed and sealed below their feet. */
async function keepWriting(history: History): Promise<AsyncDisposable> {
  const client = await history.primary.connect();
  const workload = new Workload(history.seed + 1, history.binary);
  const enough = new AbortController();
  const writing = (async () => {
    while (!enough.signal.aborted) {
      await workload.run(client, 5);
      await sleep(5);
    }
  })();
  return {
    [Symbol.asyncDispose]: async () => {
      enough.abort();
      await writing;
      await client.close();
    },
  };
}
