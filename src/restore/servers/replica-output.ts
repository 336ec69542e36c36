/**
 * A running server takes over the dataset as a replica of ours that is promoted. Everything is ready, and the rails have
 * been asked once more, before it is touched.
 *
 *   scratch → SAVE → feed → the server, until it has all → REPLICAOF NO ONE
 *
 * Invariant: whatever fails after the first touch, the error says in which state the server is.
 */
import { randomBytes } from 'node:crypto';
import { LinkError } from '../../core/errors.ts';
import type { JournalError } from '../../core/errors.ts';
import { keysIn } from '../../redis/info.ts';
import { MasterFeed } from '../../scratch/master-feed.ts';
import type { Disk, DiskFile } from '../../storage/disk.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { RestoreSource, Written } from '../outputs/output.ts';
import { withState } from './left-state.ts';
import { requireDbs } from './require-dbs.ts';
import { feedPasswordMark, TargetLink } from './target-link.ts';
import type { FeedAddress } from './target-link.ts';
import { TargetOutput } from './target-output.ts';
import { TargetServers } from './target-servers.ts';

/** A server that is loading what it got can be told nothing until it has. */
const loadingWaitMs = 10 * 60_000;
const loadingPollMs = 250;
/** While it is fed: often enough for our connection not to be taken for an idle one. */
const stillThereMs = 1000;

export class ReplicaOutput extends TargetOutput {
  async write({ disk, dataset, step }: RestoreSource): Promise<Written> {
    if (dataset === undefined)
      throw new RangeError('servers are restored from a scratch server, and the plan has none');
    const { feed } = this.target.config;
    if (feed === undefined) throw new RangeError('the plan feeds a server that cannot reach us');
    const saved = await dataset.save();
    using servers = await TargetServers.open(this.target, dataset, this.clock, this.signal);
    // A replica that is given a db which it does not have ends itself.
    await requireDbs(servers.links, dataset);
    throwIfInterrupted(this.signal);
    const [link] = servers.links;
    if (link === undefined) throw new RangeError('there is no server');
    const keys = keysIn(await dataset.client.info('keyspace'));
    const bytes = await this.#asReplica(link, feed, disk, saved, { keys, step });
    return { files: [], bytes, isBaseClone: false, warnings: [] };
  }

  async #asReplica(
    link: TargetLink,
    { host, port }: FeedAddress,
    disk: Disk,
    saved: string,
    { keys, step }: { readonly keys: number } & Pick<RestoreSource, 'step'>,
  ): Promise<number> {
    const own = await link.masterAuth();
    const password = own === '' ? feedPasswordMark + randomBytes(24).toString('hex') : own;
    const isLoopback = port === 0;
    const address = { host: isLoopback ? '127.0.0.1' : '0.0.0.0', port };
    await using feed = await MasterFeed.listen(this.clock, { ...address, password, who: this.to });
    await using file = await disk.open(saved, 'read');
    const rdbBytes = await file.size();
    const before = await link.keys();
    try {
      if (own === '') await link.ask('CONFIG', 'SET', 'masterauth', password);
      await link.ask('REPLICAOF', isLoopback ? '127.0.0.1' : host, String(feed.port));
      const source = { rdbBytes, rdb: () => bytesOf(file, rdbBytes, step), db: 0, async *stream() {} };
      await this.#whileThere(link, (signal) => feed.feed(source, signal));
      const loaded = await link.keys();
      if (loaded !== keys) {
        throw new LinkError('target-differs', `${this.to} holds ${loaded} keys after it had loaded ${keys}`, 'never');
      }
    } catch (error) {
      throw await this.#leftAfter(error, before, own);
    }
    try {
      await link.letGo(own);
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
        await this.clock.sleep(stillThereMs, over.signal).catch(() => undefined);
      }
    };
    const watching = watch().catch((error: unknown) => {
      lost.abort(error);
    });
    try {
      await what(AbortSignal.any([this.signal, lost.signal]));
    } finally {
      over.abort();
      await watching;
    }
  }

  /** It is let go over a connection of its own, whatever became of ours; then it is asked what it holds. */
  async #leftAfter(error: unknown, before: number, own: string): Promise<JournalError> {
    try {
      using link = await TargetLink.open(this.target.config, this.clock, new AbortController().signal);
      await this.#whenLoaded(() => link.letGo(own));
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
    const start = this.clock.monotonic();
    for (;;) {
      try {
        await tell();
        return;
      } catch (error) {
        const isLoading = error instanceof LinkError && error.code === 'loading';
        if (!isLoading || this.clock.monotonic() - start > loadingWaitMs * 1000) throw error;
      }
      await this.clock.sleep(loadingPollMs);
    }
  }
}

/** The feed asks for the next piece when it has taken one. */
async function* bytesOf(
  file: DiskFile,
  total: number,
  step: RestoreSource['step'],
): AsyncGenerator<Buffer, void, undefined> {
  let sent = 0;
  for await (const { bytes } of filePieces(file)) {
    yield bytes;
    sent += bytes.length;
    step(sent, total, 'sending');
  }
}
