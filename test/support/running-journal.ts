// RunningJournal: a journal attached to a primary, run inside the test process as `journal run` runs it, and restores
// from what it has written. Whether it runs or has been stopped makes no difference to restoring, nor should it.
// Neighbours: redis-server.ts is what it attaches to and what loads a restored directory; journal-cli.ts is for tests of
// the command line itself.
// Invariant: attach() returns when the first byte is durable; disposal ends the run, and a run that failed fails the
// test that disposes it.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/core/clock.ts';
import { createSilentLogger, type LogLine } from '../../src/daemon/logger.ts';
import { runDaemon } from '../../src/daemon/run.ts';
import { type Catalog, loadCatalog } from '../../src/log/catalog.ts';
import { type SourceTree, sourceTree } from '../../src/log/source-tree.ts';
import type { CutMode } from '../../src/restore/locate/locate.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore, type RestoreReport } from '../../src/restore/restore.ts';
import { parseTarget } from '../../src/restore/locate/target.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from './eventually.ts';
import { temporaryDirectory } from './leash.ts';
import { replyNumber, type RespClient } from './resp-client.ts';

export interface RunningJournalOptions {
  readonly host?: string;
  readonly port: number;
  /** The journal directory; by default a new one. */
  readonly root?: string;
  readonly segmentBytes?: number;
  /** By default `convert`, so that every version can be followed. */
  readonly relativeTtl?: 'refuse' | 'convert';
  /** How long the first full sync may take. */
  readonly readyTimeoutMs?: number;
}

export interface Restored {
  /** The directory, for a server to be started from. */
  readonly dir: string;
  readonly plan: Plan;
  readonly report: RestoreReport;
}

const sourceName = 'primary';

export class RunningJournal implements AsyncDisposable {
  readonly root: string;
  readonly tree: SourceTree;
  /** Every line that the run has logged. */
  readonly log: LogLine[] = [];
  readonly #stop = new AbortController();
  readonly #run: Promise<void>;
  readonly #restores: string;
  #restoreCount = 0;

  private constructor(options: RunningJournalOptions) {
    const { host = '127.0.0.1', port, segmentBytes, relativeTtl = 'convert' } = options;
    this.root = options.root ?? path.join(temporaryDirectory('journal'), 'journal-data');
    this.tree = sourceTree(this.root, sourceName);
    this.#restores = temporaryDirectory('restores');
    const config = {
      addresses: [{ host, port, tls: false }],
      credentials: {},
      tls: { verify: true },
      warnings: [],
      root: this.root,
      name: sourceName,
      relativeTtl,
      once: false,
      logLevel: 'info',
    } as const;
    const logger = createSilentLogger((line) => void this.log.push(line));
    this.#run = runDaemon({ config, logger, ...(segmentBytes !== undefined && { segmentBytes }) }, this.#stop.signal);
    // Whoever waits for it is told; until then it is not an unhandled rejection.
    this.#run.catch(() => undefined);
  }

  static async attach(options: RunningJournalOptions): Promise<RunningJournal> {
    const journal = new RunningJournal(options);
    const { readyTimeoutMs = 30_000 } = options;
    await Promise.race([journal.logged('ready', readyTimeoutMs), journal.#endedEarly()]);
    return journal;
  }

  /** The first line of that event, once there is one. */
  async logged(event: string, timeoutMs = 10_000): Promise<LogLine> {
    return eventually(`the journal to log ${event}`, () => this.log.find((line) => line.event === event), {
      timeoutMs,
    });
  }

  /** A clean stop, as by SIGTERM. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  catalog(): Promise<Catalog> {
    return loadCatalog(localDisk, this.tree);
  }

  plan(target: string, mode: CutMode = 'at'): Promise<Plan> {
    const now = systemClock.wall();
    const request = { target: parseTarget(target, { now, zone: undefined }), text: target, mode, now } as const;
    return planRestore(localDisk, this.tree, { ...request, relativeTtl: 'convert' });
  }

  /** Into a directory of its own. */
  async restore(target: string, mode: CutMode = 'at'): Promise<Restored> {
    const plan = await this.plan(target, mode);
    this.#restoreCount += 1;
    const to = path.join(this.#restores, String(this.#restoreCount));
    const report = await executeRestore(localDisk, plan, { to, clock: systemClock, writer: 'test' });
    return { dir: to, plan, report };
  }

  async #endedEarly(): Promise<never> {
    await this.#run;
    throw new Error('the journal ended before it was ready');
  }
}

/**
 * Waits until the only follower has acknowledged, and so made durable, all that was written over this connection; then
 * a restore by time finds it, because it has been stamped.
 */
export async function journaled(client: RespClient, timeoutMs = 10_000): Promise<void> {
  const followers = replyNumber(await client.call('WAIT', 1, timeoutMs));
  if (followers < 1) throw new Error(`nobody acknowledged within ${timeoutMs} ms`);
}

/** An instant with some milliseconds of silence on both sides, as a restore target. */
export async function quietInstant(silenceMs = 5): Promise<string> {
  await sleep(silenceMs);
  const now = systemClock.wall();
  await sleep(silenceMs);
  return formatTarget(now);
}

/** Microseconds since the epoch in the `@seconds.fraction` form. */
export function formatTarget(micros: number): string {
  return `@${Math.floor(micros / 1e6)}.${String(micros % 1_000_000).padStart(6, '0')}`;
}
