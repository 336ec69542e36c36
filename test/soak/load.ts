// Load: some thousand writes a second from clients that outlive every failover: transfers in MULTI whose sum never
// changes, a workload of everything, and a witness that numbers its writes and waits for each to be journaled.
// Invariant: what `confirmed` lists was acknowledged by journal and replica; a number is never used twice.
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/core/clock.ts';
import { eventually } from '../support/eventually.ts';
import { replyNumber, type RespClient } from '../support/resp-client.ts';
import { runTransfers } from '../support/transfers.ts';
import { Workload } from '../support/workload.ts';
import type { Site } from './site.ts';

/** Those that the workload of everything leaves alone. */
export const transferDbs = [11, 13] as const;
export const witnessDb = 12;
export const sumPerDb = 50 * 1000;

/** With the transactions around them, about 2,500 writes a second. */
const transfersAtOnce = 16;
const transfersEveryMs = 20;
const mixedSteps = 3;
const mixedEveryMs = 3;
const witnessEveryMs = 20;

/** What a client sees of a server that dies, loads, or is not the primary any more. */
const passing =
  /READONLY|LOADING|MASTERDOWN|UNBLOCKED|EXECABORT|NOREPLICAS|connection has ended|ECONNREFUSED|ECONNRESET|EPIPE/;

export interface Numbered {
  readonly number: number;
  /** Micros since the epoch. */
  readonly at: number;
}

export class Load {
  readonly #site: Site;
  readonly #seed: number;
  readonly #ending = new AbortController();
  #isPaused = false;
  #busy = 0;
  #running: Promise<unknown> = Promise.resolve();
  /** Writes of the witness as they were sent, and those of them that WAIT has confirmed with the time of its answer. */
  readonly sent: Numbered[] = [];
  readonly confirmed: Numbered[] = [];
  /** How often a client lost its server. */
  reconnections = 0;
  /** Sent, the transactions' MULTI and EXEC included; of the mixed workload its steps. */
  commands = 0;

  constructor(site: Site, seed: number) {
    this.#site = site;
    this.#seed = seed;
  }

  start(): void {
    const workload = new Workload(this.#seed + 1, this.#site.binary, { largeValues: false, without: ['flushall'] });
    const { signal } = this.#ending;
    this.#running = Promise.all([
      this.#client((client) =>
        runTransfers(client, {
          seed: this.#seed,
          signal,
          dbs: transferDbs,
          batch: transfersAtOnce,
          turn: async () => {
            await this.#turn(transfersEveryMs);
            this.commands += transfersAtOnce * 5;
          },
        }),
      ),
      this.#client((client) =>
        this.#steps(mixedEveryMs, async () => {
          this.commands += mixedSteps;
          await workload.run(client, mixedSteps);
        }),
      ),
      this.#client(async (client) => {
        await client.call('SELECT', witnessDb);
        await this.#steps(witnessEveryMs, () => this.#witness(client));
      }),
    ]);
    // stop() tells of it.
    this.#running.catch(() => undefined);
  }

  /** What failed in a way that no fault explains is thrown here. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#isPaused = false;
    await this.#running;
  }

  /** Nobody writes meanwhile. */
  async quiet<T>(work: () => Promise<T>): Promise<T> {
    this.#isPaused = true;
    try {
      await eventually('the load to pause', () => this.#busy === 0, { timeoutMs: 30_000 });
      // Of the transfers a last batch may be on its way.
      await sleep(100);
      return await work();
    } finally {
      this.#isPaused = false;
    }
  }

  /** Works with the primary of the moment until the end. */
  async #client(work: (client: RespClient) => Promise<unknown>): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        await using client = await this.#site.primary.connect();
        await work(client);
      } catch (error) {
        if (!passing.test(describe(error))) throw error;
        this.reconnections += 1;
        await sleep(100);
      }
    }
  }

  async #steps(everyMs: number, step: () => Promise<void>): Promise<void> {
    while (!this.#ending.signal.aborted) {
      await this.#turn(everyMs);
      this.#busy += 1;
      try {
        await step();
      } finally {
        this.#busy -= 1;
      }
    }
  }

  async #turn(everyMs: number): Promise<void> {
    await sleep(everyMs);
    while (this.#isPaused) await sleep(10);
  }

  async #witness(client: RespClient): Promise<void> {
    const number = (this.sent.at(-1)?.number ?? 0) + 1;
    this.sent.push({ number, at: systemClock.wall() });
    this.commands += 1;
    await client.call('SET', 'witness', `wait:${number};`);
    if (replyNumber(await client.call('WAIT', 2, 1000)) >= 2) this.confirmed.push({ number, at: systemClock.wall() });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.message} ${describe(error.cause ?? '')}` : String(error);
}
