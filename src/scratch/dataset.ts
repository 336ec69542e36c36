/**
 * A dataset as it was, alive in a server of our own: loaded over a replication link, and a replica ever after, so that
 * nothing in it expires by itself. It can be looked at, edited over its link, and saved.
 *
 *   private directory ─ feed ─ server ─ watchdog         disposed in the opposite order, whatever happens
 *
 * Invariant: what load() returns is exactly the source's dataset behind the last byte of the stream, elapsed keys included;
 * not one command of the stream has failed on the way, unless it was said that they may.
 */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { JournalError } from '../core/errors.ts';
import { IntegrityError, StorageError, UsageError } from '../core/errors.ts';
import { infoFields } from '../redis/info.ts';
import type { ServerProgram } from './find-server.ts';
import { MasterFeed } from './master-feed.ts';
import type { FeedSource } from './master-feed.ts';
import { mebibytes } from './memory.ts';
import { PrivateDirectory } from './private-directory.ts';
import type { ScratchConnection } from './scratch-connection.ts';
import { ScratchServer } from './server.ts';

export interface ScratchOptions {
  readonly program: ServerProgram;
  /** Where its private directory is made. */
  readonly parent: string;
  /** What it may take; beyond that the load is given up. */
  readonly memoryBytes: number;
  /** The stream is not as it was, so commands of it may fail; a replica passes over them. */
  readonly mayFail?: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const readyTimeoutMs = 60_000;
const memoryPollMs = 250;
const endSeenMs = 500;
const rdbFile = 'dump.rdb';
/** More than anybody uses; each takes some kilobytes. A dataset with more is refused by the server. */
const databases = 1024;
/** For what is put beside the dataset. */
export const lastDb: number = databases - 1;

interface Parts {
  readonly directory: PrivateDirectory;
  readonly server: ScratchServer;
  readonly feed: MasterFeed;
  readonly client: ScratchConnection;
  readonly failures: number;
}

export class ScratchDataset implements AsyncDisposable {
  readonly program: ServerProgram;
  /** How many commands of the stream failed; none, unless some may. */
  readonly failures: number;
  readonly #resources: AsyncDisposableStack;
  readonly #directory: PrivateDirectory;
  readonly #server: ScratchServer;
  readonly #feed: MasterFeed;
  readonly #client: ScratchConnection;
  readonly #options: ScratchOptions;
  #isSaved = false;

  private constructor(resources: AsyncDisposableStack, parts: Parts, options: ScratchOptions) {
    this.program = options.program;
    this.failures = parts.failures;
    this.#options = options;
    this.#resources = resources;
    this.#directory = parts.directory;
    this.#server = parts.server;
    this.#feed = parts.feed;
    this.#client = parts.client;
  }

  static async load(source: FeedSource, options: ScratchOptions): Promise<ScratchDataset> {
    await using resources = new AsyncDisposableStack();
    const directory = resources.use(await PrivateDirectory.create(options.parent, options.clock));
    const feed = resources.use(await MasterFeed.listen(options.clock));
    const server = resources.use(await startServer(directory.path, feed, options));
    const client = await server.connect();
    const leave = (): void => {
      client.destroy();
    };
    resources.defer(leave);
    // Whoever is interrupted does not wait for a server that is saving.
    options.signal.addEventListener('abort', leave, { once: true });
    resources.defer(() => {
      options.signal.removeEventListener('abort', leave);
    });
    const allowed = options.mayFail === true ? Infinity : 0;
    const failures = await whileWatched(server, client, options, allowed, (signal) => feed.feed(source, signal));
    return new ScratchDataset(resources.move(), { directory, server, feed, client, failures }, options);
  }

  /** The connection of the dataset itself, for whoever needs but one. */
  get client(): ScratchConnection {
    return this.#client;
  }

  get socketPath(): string {
    return this.#server.socketPath;
  }

  /** Another connection; the caller destroys it. */
  connect(): Promise<ScratchConnection> {
    return this.#server.connect();
  }

  /**
   * Edits it over its replication link, where commands see what has elapsed and nothing expires. The first is SELECT;
   * resolves when all of them are applied, and none has failed.
   */
  async edit(commands: AsyncIterable<Buffer>): Promise<void> {
    const feed = (signal: AbortSignal): Promise<void> => this.#feed.append(commands, signal);
    try {
      await whileWatched(this.#server, this.#client, this.#options, this.failures, feed);
    } finally {
      // Not before: the commands may be made of what they save as they begin.
      this.#isSaved = false;
    }
  }

  /** Has the server write an RDB of everything, elapsed keys included; its path is as it is until the next one, or disposal. */
  async save(): Promise<string> {
    const path = join(this.#directory.path, rdbFile);
    if (this.#isSaved) return path;
    try {
      // To compress is most of the work.
      await this.#client.sendCommand(['CONFIG', 'SET', 'rdbcompression', (await this.#isShortOfRoom()) ? 'yes' : 'no']);
      await this.#client.sendCommand(['SAVE']);
      this.#isSaved = true;
    } catch (error) {
      throw await this.failed('save the dataset', error);
    }
    return path;
  }

  /** An RDB is hardly larger than what it is made of; a copy of it may be made beside it. */
  async #isShortOfRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#directory.path);
    return bavail * bsize < 2 * (await infoNumber(this.#client, 'memory', 'used_memory'));
  }

  /** What to throw when a command of ours was not answered as it should be. */
  async failed(what: string, cause: unknown): Promise<JournalError> {
    const last = await this.#server.lastWords();
    const message = `the scratch server could not ${what}: ${last}`;
    if (!/no space left/i.test(last)) return new StorageError('scratch-failed', message, { exitCode: 1, cause });
    return new StorageError('no-space', message, {
      hint: 'free some space, or let it work on another file system: --scratch-dir DIR',
      cause,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

function startServer(directory: string, feed: MasterFeed, options: ScratchOptions): Promise<ScratchServer> {
  const { program, clock, signal } = options;
  return ScratchServer.start({
    ...{ program, directory, clock, signal, readyTimeoutMs },
    removesDirectory: true,
    whileLoading: true,
    settings: [
      `replicaof 127.0.0.1 ${feed.port}`,
      `masterauth ${feed.password}`,
      // The RDB is loaded as it comes, instead of being written to disk first.
      'repl-diskless-load on-empty-db',
      // The feed has no need to say that it is still there: if it isn't, neither are we.
      `repl-timeout ${24 * 60 * 60}`,
      `dbfilename ${rdbFile}`,
      `databases ${databases}`,
      'appendonly no',
    ],
  });
}

/** Feeds it, as long as the server lives and takes no more memory than it may; returns how many commands have failed. */
async function whileWatched(
  server: ScratchServer,
  client: ScratchConnection,
  options: ScratchOptions,
  failuresMax: number,
  feed: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const { clock } = options;
  const given = new AbortController();
  const cancel = server.onEnd((error) => {
    given.abort(error);
  });
  const signal = AbortSignal.any([options.signal, given.signal]);
  const over = new AbortController();
  const watching = watchMemory(client, options, AbortSignal.any([signal, over.signal])).catch((error: unknown) => {
    given.abort(error);
  });
  try {
    await feed(signal);
    refuseTooMuch(await infoNumber(client, 'memory', 'used_memory'), options.memoryBytes);
    return await refuseFailures(server, client, failuresMax);
  } catch (error) {
    // Its link breaks a moment before its end is seen, which says why.
    await clock.sleep(endSeenMs, signal).catch(() => undefined);
    throw given.signal.aborted ? given.signal.reason : error;
  } finally {
    cancel();
    over.abort();
    await watching;
  }
}

/** Rejects when it takes more than it may; returns when it is aborted. */
async function watchMemory(
  client: ScratchConnection,
  { memoryBytes, clock }: ScratchOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // While it executes one long command it does not answer; then nothing is learnt until it does.
    const used = await infoNumber(client, 'memory', 'used_memory').catch(() => undefined);
    if (used !== undefined) refuseTooMuch(used, memoryBytes);
    await clock.sleep(memoryPollMs, signal).catch(() => undefined);
  }
}

/** A replica passes over a command that fails; we do not. */
async function refuseFailures(server: ScratchServer, client: ScratchConnection, max: number): Promise<number> {
  const failed = await infoNumber(client, 'stats', 'unexpected_error_replies');
  if (failed <= max) return failed;
  throw new IntegrityError(
    'scratch-diverged',
    `${failed} commands of the stream failed on the scratch server: ${await server.lastWords()}`,
    { hint: 'the source may know commands that this server does not, such as those of a module', exitCode: 1 },
  );
}

async function infoNumber(client: ScratchConnection, section: string, field: string): Promise<number> {
  return Number(infoFields(await client.info(section)).get(field) ?? 0);
}

function refuseTooMuch(used: number, allowed: number): void {
  if (used <= allowed) return;
  throw new UsageError(
    'not-enough-memory',
    `the scratch server took ${mebibytes(used)} of memory, and may take ${mebibytes(allowed)}`,
    { hint: 'free some memory, or say with --scratch-memory SIZE what it may take', exitCode: 1 },
  );
}
