/**
 * A running server takes over the dataset: as a replica of ours that is promoted, or key by key. Everything is ready, and
 * the rails have been asked once more, before it is touched.
 *
 *   replicaof   scratch → SAVE → feed → the server, until it has all → REPLICAOF NO ONE
 *   restore     scratch → (FLUSHALL) → RESTORE … REPLACE ABSTTL, a few megabytes under way → the server
 *
 * Invariant: whatever fails after the first touch, the error says in which state the server is.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { InterruptedError, LinkError } from '../../core/errors.ts';
import type { JournalError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import { infoFields, keysIn } from '../../redis/info.ts';
import type { ReplicationInfo } from '../../redis/replication-info.ts';
import { hasFunctions } from '../../redis/server-version.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { dumpCommands } from '../../scratch/dump-commands.ts';
import { MasterFeed } from '../../scratch/master-feed.ts';
import type { Disk, DiskFile } from '../../storage/disk.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { withState } from './left-state.ts';
import type { RestoreOutput, RestoreSource, Written } from '../outputs/output.ts';
import { requireDbs } from './require-dbs.ts';
import { CommandPipe } from './command-pipe.ts';
import { decideTarget, refuseMemory } from '../plan/target-rails.ts';
import type { TargetAsked, TargetNeed, TargetPlan } from '../plan/target-rails.ts';
import { feedPasswordMark, TargetLink } from './target-link.ts';
import type { FeedAddress, TargetConfig } from './target-link.ts';

export interface ServerTarget {
  readonly config: TargetConfig;
  readonly asked: TargetAsked;
  readonly need: TargetNeed;
  /** What was decided, and shown. */
  readonly plan: TargetPlan;
  /** Gives the journal of a live primary a mark where that is now; returns its name. */
  readonly mark?: ((now: ReplicationInfo) => Promise<string>) | undefined;
}

/** A server that is loading what it got can be told nothing until it has. */
const loadingWaitMs = 10 * 60_000;
const loadingPollMs = 250;
/** While it is fed: often enough for our connection not to be taken for an idle one. */
const stillThereMs = 1000;

export class ServerOutput implements RestoreOutput {
  readonly to: string;
  readonly scratchParent: string = tmpdir();
  readonly #target: ServerTarget;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal) {
    this.to = target.plan.address;
    this.#target = target;
    this.#clock = clock;
    this.#signal = signal;
  }

  async write({ disk, dataset }: RestoreSource): Promise<Written> {
    if (dataset === undefined)
      throw new RangeError('a server is restored from a scratch server, and the plan has none');
    const { config, plan } = this.#target;
    const saved = plan.method === 'replicaof' ? await dataset.save() : undefined;
    using link = await TargetLink.open(config, this.#clock, this.#signal);
    // A replica that is given a db which it does not have ends itself.
    await requireDbs(link, dataset, undefined);
    await this.#lookAgain(link, dataset);
    throwIfInterrupted(this.#signal);
    if (saved === undefined) return await this.#keyByKey(link, dataset);
    if (config.feed === undefined) throw new RangeError('the plan feeds a server that cannot reach us');
    const bytes = await this.#asReplica(link, config.feed, disk, saved, keysIn(await dataset.client.info('keyspace')));
    return { files: [], bytes, isBaseClone: false, warnings: [] };
  }

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Minutes may have passed since the plan: what was seen then is no ground for what happens now. */
  async #lookAgain(link: TargetLink, dataset: ScratchDataset): Promise<void> {
    const { asked, need, plan } = this.#target;
    const facts = await link.facts();
    decideTarget(facts, { ...asked, method: plan.method }, need);
    const used = infoFields(await dataset.client.info('memory')).get('used_memory');
    refuseMemory(facts, plan.address, Number(used ?? 0));
  }

  async #asReplica(
    link: TargetLink,
    { host, port }: FeedAddress,
    disk: Disk,
    saved: string,
    keys: number,
  ): Promise<number> {
    const own = await link.masterAuth();
    const password = own === '' ? feedPasswordMark + randomBytes(24).toString('hex') : own;
    const isLoopback = port === 0;
    const address = { host: isLoopback ? '127.0.0.1' : '0.0.0.0', port };
    await using feed = await MasterFeed.listen(this.#clock, { ...address, password, who: this.to });
    await using file = await disk.open(saved, 'read');
    const rdbBytes = await file.size();
    const before = await link.keys();
    try {
      if (own === '') await link.ask('CONFIG', 'SET', 'masterauth', password);
      await link.ask('REPLICAOF', isLoopback ? '127.0.0.1' : host, String(feed.port));
      const source = { rdbBytes, rdb: () => bytesOf(file), db: 0, async *stream() {} };
      await this.#whileThere(link, (signal) => feed.feed(source, signal));
      const loaded = await link.keys();
      if (loaded !== keys) {
        throw new LinkError('target-differs', `${this.to} holds ${loaded} keys after it had loaded ${keys}`, 'never');
      }
    } catch (error) {
      throw await this.#leftAfter(error, before, own);
    }
    try {
      await release(link, own);
    } catch (error) {
      throw withState(error, `${this.to} has loaded everything, and is still a replica`, 'on it: REPLICAOF NO ONE');
    }
    return rdbBytes;
  }

  /** One that dies before it comes to the feed would be waited for in vain. */
  async #whileThere(link: TargetLink, what: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const lost = new AbortController();
    const over = new AbortController();
    const watch = async (): Promise<void> => {
      while (!over.signal.aborted) {
        await link.command('INFO', 'server');
        await this.#clock.sleep(stillThereMs, over.signal).catch(() => undefined);
      }
    };
    const watching = watch().catch((error: unknown) => {
      lost.abort(error);
    });
    try {
      await what(AbortSignal.any([this.#signal, lost.signal]));
    } finally {
      over.abort();
      await watching;
    }
  }

  /** It is let go over a connection of its own, whatever became of ours; then it is asked what it holds. */
  async #leftAfter(error: unknown, before: number, own: string): Promise<JournalError> {
    try {
      using link = await TargetLink.open(this.#target.config, this.#clock, new AbortController().signal);
      await this.#whenLoaded(() => release(link, own));
      const held = await link.keys();
      const state = `${this.to} is a primary again and holds ${held} keys (${before} before)`;
      return withState(error, state, held === 0 ? 'it can be done again' : 'it can be done again, with --replace');
    } catch {
      return withState(
        error,
        `${this.to} could not be asked what it holds, and may still be a replica of ours`,
        'when it answers again, do it again with --replace, or let it go: REPLICAOF NO ONE',
      );
    }
  }

  async #whenLoaded(tell: () => Promise<void>): Promise<void> {
    const start = this.#clock.monotonic();
    for (;;) {
      try {
        await tell();
        return;
      } catch (error) {
        const isLoading = error instanceof LinkError && error.code === 'loading';
        if (!isLoading || this.#clock.monotonic() - start > loadingWaitMs * 1000) throw error;
      }
      await this.#clock.sleep(loadingPollMs);
    }
  }

  async #keyByKey(link: TargetLink, dataset: ScratchDataset): Promise<Written> {
    const { plan } = this.#target;
    const count = { keys: 0, left: 0 };
    if (plan.isLeftBehind) await release(link, '');
    const isEmpty = plan.keys === 0 && plan.libraries === 0 && (await link.keys()) === 0;
    if (!isEmpty) await this.#flush(link);
    const pipe = new CommandPipe((args) => link.pipe(args));
    try {
      for await (const commands of dumpCommands(dataset, count, this.#signal)) await pipe.send(commands);
      await pipe.finish();
    } catch (error) {
      const emptied = isEmpty ? '' : ', and what it held is gone';
      const state = `${this.to} holds a part of it, about ${pipe.answered} commands of which were taken${emptied}`;
      throw withState(this.#signal.aborted ? new InterruptedError() : error, state, 'do it again with --replace');
    }
    const warnings = count.left === 0 ? [] : [`${count.left} keys whose time has passed are left out`];
    return { files: [], bytes: pipe.bytes, isBaseClone: false, warnings };
  }

  async #flush(link: TargetLink): Promise<void> {
    try {
      await link.command('FLUSHALL');
    } catch (error) {
      if (error instanceof LinkError && error.code !== 'target-lost') throw error;
      throw withState(error, `${this.to} may be empty now`, 'do it again with --replace');
    }
    const { server } = this.#target.plan;
    if (!hasFunctions(server)) return;
    try {
      await link.command('FUNCTION', 'FLUSH');
    } catch (error) {
      throw withState(error, `${this.to} is empty now, but for its functions`, 'do it again with --replace');
    }
  }
}

/** Its own primary again, with the password for a primary that it had. */
async function release(link: TargetLink, own: string): Promise<void> {
  await link.command('REPLICAOF', 'NO', 'ONE');
  if (own === '') await link.ask('CONFIG', 'SET', 'masterauth', '');
}

/** The feed asks for the next piece when it has taken one. */
async function* bytesOf(file: DiskFile): AsyncGenerator<Buffer, void, undefined> {
  for await (const { bytes } of filePieces(file)) yield bytes;
}
