// Kills a journal under load, again and again, at moments that nobody chose, and looks each time at what it left before
// anything is mended: whatever had been acknowledged must be there. Used by kill.test.ts (dozens) and kill.long.ts.
//
//   primary ◄── tap ◄── journal (killed, started again)          load, and a writer that waits for each of its writes
//
// Invariant: a failure names the seed, with which the same moments are chosen again (the rest is the machine's).
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { firstDifference, journaledHistories, recordedHistories } from '../support/journal-content.ts';
import { JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { parseReplication, recordedAcks, replicationConnections } from '../support/tap-parser.ts';
import { Tap } from '../support/tap.ts';
import { runTransfers } from '../support/transfers.ts';
import { Workload } from '../support/workload.ts';

/** Small enough that there is a rotation, and something to seal, in the life of each process. */
const segmentBytes = 128 * 1024;

export class Killing implements AsyncDisposable {
  readonly #binary: ServerBinary;
  readonly #random: Random;
  readonly #seed: number;
  readonly #primary: RedisServer;
  readonly #tap: Tap;
  readonly #dir = path.join(temporaryDirectory('crash'), 'journal-data');
  #journal: JournalProcess | undefined;
  #round = 0;
  /** The highest number that WAIT has confirmed. */
  #confirmed = -1;
  /** The highest number that was found in the journal, and up to where that has been read. */
  #found = -1;
  #readTo: number | undefined;
  #carry = '';
  /** Where the journal ended at the last death, and how many connections there had been. */
  #leftEnd: number | undefined;
  #connectionsBefore = 0;

  private constructor(primary: RedisServer, tap: Tap, seed: number) {
    this.#binary = primary.binary;
    this.#primary = primary;
    this.#tap = tap;
    this.#seed = seed;
    this.#random = new Random(seed);
  }

  static async start(binary: ServerBinary, seed: number): Promise<Killing> {
    const config = { 'repl-backlog-size': '512mb', 'repl-ping-replica-period': '1' };
    const primary = await RedisServer.start(binary, { config });
    return new Killing(primary, await Tap.start(primary), seed);
  }

  /** So many lives and deaths, then a last life in peace; the journal is then what the tap saw. */
  async run(crashes: number): Promise<void> {
    const clients = await Promise.all([1, 2, 3].map(() => this.#primary.connect()));
    const [transfers, mixed, waiting] = clients as [RespClient, RespClient, RespClient];
    await new Workload(this.#seed, this.#binary).run(mixed, 100);
    await this.#live(0).waitFor('ready');
    const ending = new AbortController();
    const loads = [
      runTransfers(transfers, { seed: this.#seed, signal: ending.signal, batch: 4 }),
      this.#mixedLoad(mixed, ending.signal),
      this.#waitingWriter(waiting, ending.signal),
    ];
    // A failure below is the one to be told, not what becomes of these then.
    for (const load of loads) load.catch(() => undefined);
    for (this.#round = 1; this.#round <= crashes; this.#round++) {
      await this.#die();
      this.#live(this.#round);
    }
    ending.abort();
    await Promise.all(loads);
    await this.#finish(waiting);
    for (const client of clients) await client.close();
  }

  /** A new process; every other one has small segments. */
  #live(round: number): JournalProcess {
    const isOld = !isAtLeast(this.#binary, { redis: 7, valkey: 7 });
    this.#journal = JournalProcess.start({
      source: `redis://127.0.0.1:${this.#tap.port}`,
      dir: this.#dir,
      args: isOld ? ['--relative-ttl', 'convert'] : [],
      ...(round % 2 === 0 && { segmentBytes }),
    });
    return this.#journal;
  }

  /** At a moment of its start, its attachment or its work; then what is left is looked at. */
  async #die(): Promise<void> {
    const journal = this.#current;
    if (this.#random.chance(0.7)) await journal.waitFor('ready');
    await sleep(this.#random.below(700));
    expect(journal.isRunning, `${this.#where}: it ended by itself:\n${journal.stderr}`).toBe(true);
    await journal.kill9();
    const end = await this.#readWhatIsThere(journal.tree);
    expect(end, `${this.#where}: the last byte in the journal`).toBeGreaterThanOrEqual(this.#acknowledged());
    expect(this.#found, `${this.#where}: the last write that WAIT had confirmed`).toBeGreaterThanOrEqual(
      this.#confirmed,
    );
    expect(journal.of('gap'), this.#where).toEqual([]);
    this.#expectResumption();
    this.#leftEnd = end;
  }

  /** In this life, if it came to that, it went on behind the very last byte that the one before had left. */
  #expectResumption(): void {
    const connections = replicationConnections(this.#tap);
    const [first] = connections.slice(this.#connectionsBefore);
    this.#connectionsBefore = connections.length;
    if (first === undefined || this.#leftEnd === undefined) return;
    const recorded = parseReplication(first.fromPrimary.subarray(0, 4096), first.toPrimary);
    if (recorded === undefined) return;
    expect(recorded.sync.kind, this.#where).toBe('continue');
    expect(recorded.firstOffset, `${this.#where}: where it went on`).toBe(this.#leftEnd + 1);
  }

  async #finish(client: RespClient): Promise<void> {
    const journal = this.#current;
    await journal.waitFor('ready');
    await client.call('SET', 'last', 'write');
    expect(await client.call('WAIT', 1, 30_000), `${this.#where}:\n${journal.stderr}`).toBe(1);
    expect(await journal.stop(), journal.stderr).toBe(0);
    const journaled = await journaledHistories(journal.tree);
    const [seen, ...more] = recordedHistories(this.#tap);
    expect([journaled.length, more.length], this.#where).toEqual([1, 0]);
    const [history] = journaled;
    if (history === undefined || seen === undefined) throw new Error(`${this.#where}: there is no history`);
    expect(history.rdb.equals(seen.rdb), `${this.#where}: the RDB is what was sent`).toBe(true);
    expect(firstDifference(history.stream, seen.stream), this.#where).toBeUndefined();
    expect(history.stream.includes('$4\r\nlast\r\n$5\r\nwrite\r\n'), this.#where).toBe(true);
    const { timelines } = await loadCatalog(localDisk, journal.tree);
    const kinds = new Set(timelines.flatMap(({ segments }) => segments.map(({ kind }) => kind)));
    expect([...kinds].sort(), `${this.#where}: there was something to rotate and to seal`).toEqual(['open', 'sealed']);
    const stats = await client.text('INFO', 'stats');
    expect(/sync_full:(\d+)/.exec(stats)?.[1], this.#where).toBe('1');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal?.[Symbol.asyncDispose]();
    await this.#tap[Symbol.asyncDispose]();
    await this.#primary[Symbol.asyncDispose]();
  }

  get #current(): JournalProcess {
    if (this.#journal === undefined) throw new Error('no journal has been started');
    return this.#journal;
  }

  get #where(): string {
    return `seed ${this.#seed}, crash ${this.#round}`;
  }

  async #mixedLoad(client: RespClient, signal: AbortSignal): Promise<void> {
    const workload = new Workload(this.#seed + 1, this.#binary, { without: ['flushall', 'flushdb'] });
    while (!signal.aborted) {
      await workload.run(client, 3);
      await sleep(2);
    }
  }

  /** Numbers its writes, and waits for each without end: a dead journal answers in its next life. */
  async #waitingWriter(client: RespClient, signal: AbortSignal): Promise<void> {
    for (let number = 0; !signal.aborted; number++) {
      await client.call('SET', 'waiting', `wait:${number};`);
      if ((await client.call('WAIT', 1, 0)) === 1) this.#confirmed = number;
    }
  }

  /** Reads what was added since the last time, each byte verified, and what of the waiting writer is in it. */
  async #readWhatIsThere(tree: SourceTree): Promise<number> {
    const { timelines } = await loadCatalog(localDisk, tree);
    const [timeline] = timelines;
    if (timeline === undefined || timelines.length > 1)
      throw new Error(`${this.#where}: ${timelines.length} timelines`);
    const from = (this.#readTo ?? timeline.base.record.offset) + 1;
    for await (const { bytes } of readRange(localDisk, timeline.segments, from, timeline.end)) {
      const text = this.#carry + bytes.toString('latin1');
      for (const [, number] of text.matchAll(/wait:(\d+);/g)) this.#found = Math.max(this.#found, Number(number));
      this.#carry = text.slice(-32);
    }
    expect(timeline.end, `${this.#where}: nothing is lost again that was there`).toBeGreaterThanOrEqual(from - 1);
    this.#readTo = timeline.end;
    return timeline.end;
  }

  /** The highest offset that the primary was told. */
  #acknowledged(): number {
    const acks = replicationConnections(this.#tap).flatMap(({ toPrimary }) => recordedAcks(toPrimary));
    return Math.max(0, ...acks.map(({ ack, fack = 0 }) => Math.max(ack, fack)));
  }
}

/** From the environment, for longer or shorter runs. */
export function crashCount(usually: number): number {
  return Number(process.env.JOURNAL_CRASHES ?? usually);
}

export function newSeed(): number {
  return Number(process.env.JOURNAL_SEED ?? Date.now() % 2 ** 31);
}
