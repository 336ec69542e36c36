// One history, many interruptions: the journal follows a replica (whose stream says nowhere which db it is in), its link
// is cut, it is stopped and started again, and the replica is promoted, which gives the history another id. Nothing of
// this is a gap, and what is restored on either side of each is what the servers held.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, readCounters } from '../support/fingerprint.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber, type RespClient } from '../support/resp-client.ts';
import { quietInstant, RunningJournal } from '../support/running-journal.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';
import { Workload } from '../support/workload.ts';

const segmentBytes = 64 * 1024;
const stepsBetween = 60;
const config = { 'repl-backlog-size': '64mb' };

interface Instant {
  readonly taken: Fingerprint;
  readonly position: string;
  readonly time: string;
  readonly phase: string;
}

class Recorder {
  readonly instants: Instant[] = [];
  readonly #binary: ServerBinary;
  readonly #workload: Workload;

  constructor(binary: ServerBinary, workload: Workload) {
    this.#binary = binary;
    this.#workload = workload;
  }

  /** Writes and notes, a few times. */
  async live(phase: string, client: RespClient, observer: RespClient, journal: RunningJournal): Promise<void> {
    for (let count = 0; count < 3; count += 1) {
      await this.write(client);
      this.instants.push({ phase, ...(await this.#note(observer, journal)) });
    }
  }

  write(client: RespClient): Promise<void> {
    return this.#workload.run(client, stepsBetween);
  }

  #note(observer: RespClient, journal: RunningJournal): Promise<Omit<Instant, 'phase'>> {
    return eventually('an instant in which nothing expires', async () => {
      const before = await readCounters(observer);
      const taken = await fingerprint(observer, this.#binary);
      const position = formatPosition(taken.position);
      await eventually('the journal to have it', () => journal.plan(position));
      const time = await quietInstant();
      const after = await readCounters(observer);
      if (after.changes !== '0' || after.expired !== before.expired) return undefined;
      return { taken, position, time };
    });
  }
}

describeServers('a history with interruptions', (binary) => {
  test('is restored to instants on either side of each of them', { timeout: 120_000 }, async () => {
    const seed = Date.now() >>> 0;
    await using primary = await RedisServer.start(binary, { config });
    await using replica = await RedisServer.start(binary, {
      config: { ...config, replicaof: `127.0.0.1 ${primary.port}` },
    });
    await using tap = await Tap.start(replica);
    await using writer = await primary.connect();
    await using observer = await primary.connect();
    const recorder = new Recorder(binary, new Workload(seed, binary));
    await recorder.write(writer);
    await caughtUp(writer);
    // Nothing but this write tells the replica a db: an expiry would tell another one.
    await observer.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await writer.callMany([
      ['SELECT', 11],
      ['SET', 'the db of the stream', 11],
    ]);
    await caughtUp(writer);

    const first = await RunningJournal.attach({ port: tap.port, segmentBytes });
    const { root } = first;
    await writer.call('SET', 'no SELECT before it', 11);
    await observer.call('DEBUG', 'SET-ACTIVE-EXPIRE', 1);
    await recorder.live('behind a replica', writer, observer, first);

    await Promise.all([recorder.write(writer), ...cutSeveralTimes(tap)]);
    await recorder.live('after the link was cut', writer, observer, first);

    await first.stop();
    await recorder.write(writer);
    await using journal = await RunningJournal.attach({ port: tap.port, root, segmentBytes });
    await recorder.live('after the journal was started again', writer, observer, journal);

    await using promoted = await replica.connect();
    await using promotedObserver = await replica.connect();
    await promoted.call('REPLICAOF', 'NO', 'ONE');
    await recorder.live('after the replica was promoted', promoted, promotedObserver, journal);
    // Coverage by time goes to the last byte that was received.
    await recorder.live('at the end', promoted, promotedObserver, journal);

    const { timelines } = await journal.catalog();
    expect(timelines.map(({ gap }) => gap)).toEqual([undefined]);
    expect(timelines[0]?.base.record.db).toBe(11);
    expect(timelines[0]?.ids).toHaveLength(2);
    expect(new Set(recorder.instants.map(({ position }) => position.split(':')[0])).size).toBe(2);
    for (const { taken, position, time, phase } of recorder.instants.slice(0, -1)) {
      for (const target of [position, time]) {
        const restored = await journal.restore(target);
        await using server = await RedisServer.startFrom(binary, restored.dir, { replicaOfNowhere: true });
        await using reader = await server.connect();
        const difference = explainDifference(taken, await fingerprint(reader, binary));
        expect(difference, `seed ${seed}, ${phase}, ${target}`).toEqual([]);
      }
    }
  });
});

/** The replica is attached, and has all that was written over this connection. */
function caughtUp(writer: RespClient): Promise<unknown> {
  return eventually('the replica to have it', async () => replyNumber(await writer.call('WAIT', 1, 100)) === 1);
}

function cutSeveralTimes(tap: Tap): Promise<unknown>[] {
  return [20, 90, 200].map(async (afterMs) => {
    await sleep(afterMs);
    tap.cut();
  });
}
