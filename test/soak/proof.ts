// Proof: what the soak's journal must bring back, held against what was noted while it was written. Quiet instants are
// compared by fingerprint; at any other instant the transfers' sum must be whole and the witness between what had been
// confirmed before and what had been sent; and every confirmed write must be there.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import { JournalError } from '../../src/core/errors.ts';
import { formatPosition } from '../../src/core/position.ts';
import { type Catalog, loadCatalog, type Timeline } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import { parseTarget } from '../../src/restore/locate/target.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint, readCounters } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import type { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyText, type RespClient } from '../support/resp-client.ts';
import { formatTarget, quietInstant } from '../support/running-journal.ts';
import { readTotals } from '../support/transfers.ts';
import { type Load, type Numbered, sumPerDb, transferDbs, witnessDb } from './load.ts';
import type { Site } from './site.ts';

export interface QuietInstant {
  readonly taken: Fingerprint;
  readonly position: string;
  readonly time: string;
}

export interface Restores {
  quiet: number;
  random: number;
  /** Times that were refused because they are uncertain. */
  refused: number;
}

/** The exit code. */
const uncertain = 5;

/** A stamp and the time of an answer are read one after the other. */
const clockMarginMicros = 5000;

export class Proof {
  readonly #site: Site;
  readonly #load: Load;
  readonly #problem: (text: string) => void;
  readonly #directory = temporaryDirectory('restored');
  readonly restores: Restores = { quiet: 0, random: 0, refused: 0 };
  readonly instants: QuietInstant[] = [];

  constructor(site: Site, load: Load, problem: (text: string) => void) {
    this.#site = site;
    this.#load = load;
    this.#problem = problem;
  }

  /** While nobody writes and nothing expires. */
  async note(): Promise<void> {
    await this.#load.quiet(async () => {
      await this.#site.settled();
      await using client = await this.#site.primary.connect();
      const instant = await eventually(
        'an instant in which nothing expires',
        async () => {
          const before = await readCounters(client);
          const taken = await fingerprint(client, this.#site.binary);
          const time = await quietInstant();
          const after = await readCounters(client);
          if (after.changes !== '0' || after.expired !== before.expired) return undefined;
          return { taken, position: formatPosition(taken.position), time };
        },
        { timeoutMs: 30_000 },
      );
      this.instants.push(instant);
    });
  }

  /** By position, and by time. */
  async checkQuiet({ taken, position, time }: QuietInstant): Promise<void> {
    for (const target of [position, time]) {
      const lines = await this.#restored(target, async (client) => {
        return explainDifference(taken, await fingerprint(client, this.#site.binary));
      });
      if (lines === undefined) continue;
      this.restores.quiet += 1;
      if (lines.length > 0) this.#problem(`the restore of ${target} differs: ${lines.slice(0, 3).join('; ')}`);
    }
  }

  async checkRandom(random: Random, from: number, to: number): Promise<void> {
    // Before the first writes the accounts are not open yet.
    const begun = (this.#load.confirmed[0]?.at ?? Infinity) + 1_000_000;
    const at = random.between(Math.max(from, begun), Math.max(to, begun));
    if (at > to) return;
    const target = formatTarget(at);
    const shown = await this.#restored(target, show);
    if (shown === undefined) return;
    this.restores.random += 1;
    const least = lastBefore(this.#load.confirmed, at - clockMarginMicros);
    const most = lastBefore(this.#load.sent, at + clockMarginMicros);
    if (shown.witness < least || shown.witness > most) {
      this.#problem(`the restore of ${target} holds write ${shown.witness}, not one from ${least} to ${most}`);
    }
    for (const [index, sum] of shown.sums.entries()) {
      if (sum !== sumPerDb) this.#problem(`at ${target} the accounts of db ${transferDbs[index]} hold ${String(sum)}`);
    }
  }

  /** How many confirmed writes were looked for in the streams, and in which bases the rest is. */
  async checkConfirmed(): Promise<{ readonly inStreams: number; readonly inBases: number }> {
    const catalog = await loadCatalog(localDisk, this.#site.journal.tree);
    const found = new Set<number>();
    const bases: number[] = [];
    for (const timeline of catalog.timelines) {
      await readNumbers(timeline, found);
      bases.push(await this.#witnessInBase(timeline));
    }
    const missing = this.#load.confirmed.filter(({ number }) => !found.has(number));
    // Written while a full sync was under way and confirmed when it was over: part of its base.
    const lost = missing.filter(({ number }) => !isInBase(number, bases, found));
    for (const { number, at } of lost.slice(0, 10)) {
      this.#problem(`write ${number}, confirmed at ${formatTarget(at)}, is nowhere in the journal`);
    }
    return { inStreams: this.#load.confirmed.length - missing.length, inBases: missing.length - lost.length };
  }

  catalog(): Promise<Catalog> {
    return loadCatalog(localDisk, this.#site.journal.tree);
  }

  async #witnessInBase({ base }: Timeline): Promise<number> {
    const shown = await this.#restored(formatPosition(base.record), show);
    return shown?.witness ?? 0;
  }

  /** Undefined when the target was refused. */
  async #restored<T>(target: string, look: (client: RespClient) => Promise<T>): Promise<T | undefined> {
    const to = path.join(this.#directory, String(performance.now()));
    const now = systemClock.wall();
    const request = { target: parseTarget(target, { now, zone: undefined }), text: target, mode: 'at', now } as const;
    try {
      const plan = await planRestore(localDisk, this.#site.journal.tree, { ...request, relativeTtl: 'convert' });
      await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'soak' });
      const config = { 'aof-load-truncated': 'no' };
      await using server = await RedisServer.startFrom(this.#site.binary, to, { config, replicaOfNowhere: true });
      await using client = await server.connect();
      return await look(client);
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      // What is asked for is covered, so only its time may be uncertain.
      if (error.exitCode === uncertain) this.restores.refused += 1;
      else this.#problem(`the restore of ${target} was refused with exit ${error.exitCode}: ${error.message}`);
      return undefined;
    } finally {
      await rm(to, { recursive: true, force: true });
    }
  }
}

interface Shown {
  readonly sums: readonly (number | undefined)[];
  readonly witness: number;
}

async function show(client: RespClient): Promise<Shown> {
  const sums = [];
  for (const db of transferDbs) sums.push((await readTotals(client, db))?.sum);
  await client.call('SELECT', witnessDb);
  const value = await client.call('GET', 'witness');
  return { sums, witness: value === null ? 0 : Number(/\d+/.exec(replyText(value))?.[0]) };
}

/** The numbers of the witness's writes in the stream of a timeline, every byte verified on the way. */
async function readNumbers({ segments, base, end }: Timeline, found: Set<number>): Promise<void> {
  let carry = '';
  for await (const { bytes } of readRange(localDisk, segments, base.record.offset + 1, end)) {
    const text = carry + bytes.toString('latin1');
    for (const [, number] of text.matchAll(/wait:(\d+);/g)) found.add(Number(number));
    carry = text.slice(-32);
  }
}

/** Some base holds a later write, and the streams none between that and this. */
function isInBase(number: number, bases: readonly number[], found: ReadonlySet<number>): boolean {
  return bases.some((last) => {
    if (last < number) return false;
    for (let between = number; between < last; between += 1) if (found.has(between)) return false;
    return true;
  });
}

/** The last number that was there by then; the list ascends in both. */
function lastBefore(list: readonly Numbered[], at: number): number {
  return list.findLast((entry) => entry.at <= at)?.number ?? 0;
}
