// What the tests of chains have in common: a primary, a journal of it that listens (near), and a second journal of that
// one (far), with a tap between the two journals.
import path from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import type { Status } from '../../src/daemon/status.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { firstDifference, journaledEnd, journaledHistories } from '../support/journal-content.ts';
import type { JournalProcess, JournalProcessOptions } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import type { RedisServerOptions } from '../support/redis-server.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';
import { primaryOffset, startJournal } from './capture-rig.ts';
import { FedReplica, FeedRig, password } from './feed-rig.ts';

export class ChainRig implements AsyncDisposable {
  readonly near: FeedRig;
  readonly dir = path.join(temporaryDirectory('chain'), 'journal-data');
  #tap: Tap | undefined;
  #far: JournalProcess | undefined;
  #port = 0;

  private constructor(near: FeedRig) {
    this.near = near;
  }

  static async start(binary: ServerBinary, seed: number, options: RedisServerOptions = {}): Promise<ChainRig> {
    return new ChainRig(await FeedRig.start(binary, seed, options));
  }

  get far(): JournalProcess {
    if (this.#far === undefined) throw new Error('no far journal has been started');
    return this.#far;
  }

  /** Between the two journals. */
  async tap(): Promise<Tap> {
    this.#tap ??= await Tap.start({ port: this.near.port });
    return this.#tap;
  }

  /** The far journal, listening. */
  async run(options: Partial<JournalProcessOptions> = {}): Promise<JournalProcess> {
    const { port } = await this.tap();
    this.#far = startJournal(this.near.binary, {
      source: `redis://127.0.0.1:${port}`,
      dir: this.dir,
      ...options,
      args: ['--listen', `127.0.0.1:${this.#port}`, ...(options.args ?? [])],
      env: { JOURNAL_PASSWORD: password, JOURNAL_LISTEN_PASSWORD: password, ...options.env },
    });
    this.#port = Number((await this.#far.waitFor('listening')).port);
    return this.#far;
  }

  /** The same, once its base is durable. */
  async attach(options: Partial<JournalProcessOptions> = {}): Promise<JournalProcess> {
    const far = await this.run(options);
    await far.waitFor('ready');
    return far;
  }

  /** A stock replica of the far journal. */
  replica(): Promise<FedReplica> {
    return FedReplica.start(this.near.binary, this.#port, { masterauth: password });
  }

  status(): Promise<Status> {
    return readStatus(localDisk, this.far.tree, systemClock);
  }

  /** All that the primary has is durable at the far end, too. */
  async level(): Promise<void> {
    await eventually(
      'the far journal to be level',
      async () => (await journaledEnd(this.far.tree)) === (await primaryOffset(this.near.client)),
      { timeoutMs: 20_000 },
    );
  }

  /** Both hold the same timelines: bases, bytes, positions, names. */
  async expectSame(message?: string): Promise<void> {
    // Keys of the primary expire meanwhile: what is compared has one end.
    const [near, far] = await eventually('both to be read at one end', async () => {
      await this.level();
      const both = [await journaledHistories(this.near.journal.tree), await journaledHistories(this.far.tree)] as const;
      return both[0].at(-1)?.stream.length === both[1].at(-1)?.stream.length && both;
    });
    const places = (list: typeof near): unknown => list.map(({ id, offset, ids }) => ({ id, offset, ids }));
    expect(places(far), message).toEqual(places(near));
    for (const [i, history] of near.entries()) {
      const copy = far[i];
      expect(copy?.rdb.equals(history.rdb), message).toBe(true);
      expect(firstDifference(history.stream, copy?.stream ?? Buffer.alloc(0)), message).toBeUndefined();
      expect(copy?.stream.length, message).toBe(history.stream.length);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#far?.[Symbol.asyncDispose]();
    await this.#tap?.[Symbol.asyncDispose]();
    await this.near[Symbol.asyncDispose]();
  }
}
