/**
 * The demo, as a story that happens for real: a server, a journal attached to it, live writes, a FLUSHALL, and the moment
 * before it brought back and proven. Everything lives in one private temporary directory and is gone afterwards, also when
 * it fails half-way or is interrupted.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { JournalError } from '../../core/errors.ts';
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import { createSilentLogger } from '../../daemon/logger.ts';
import type { LogLine } from '../../daemon/logger.ts';
import { runDaemon } from '../../daemon/run.ts';
import { writerName } from '../../daemon/version.ts';
import { sourceTree } from '../../log/source-tree.ts';
import { replicatesRelativeTtl } from '../../redis/server-version.ts';
import { planRestore } from '../../restore/plan/plan-restore.ts';
import { executeRestore } from '../../restore/restore.ts';
import { findServer } from '../../scratch/find-server.ts';
import type { ServerProgram } from '../../scratch/find-server.ts';
import { freePort, ScratchServer } from '../../scratch/server.ts';
import type { ScratchConnection } from '../../scratch/scratch-connection.ts';
import type { Disk } from '../../storage/disk.ts';
import { fillShop, keepTrading } from './dataset.ts';
import { findCommand } from './find-command.ts';
import type { FoundCommand } from './find-command.ts';
import { fingerprint } from './fingerprint.ts';
import type { Fingerprint } from './fingerprint.ts';

export interface DemoOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly searchPath: string | undefined;
  readonly events: DemoEvents;
}

/** What has just happened, for whoever tells it. */
export interface DemoEvents {
  readonly serverStarted: (program: ServerProgram, port: number) => void;
  readonly attached: (line: LogLine) => void;
  readonly filled: (keys: number) => void;
  readonly traded: (commands: number) => void;
  readonly noted: (before: Fingerprint) => void;
  readonly flushed: (keysLeft: number) => void;
  readonly found: (flush: FoundCommand) => void;
  readonly restored: (bytes: number, seconds: number) => void;
}

export interface DemoReport {
  readonly server: string;
  readonly flushAt: string;
  readonly flushPosition: string;
  readonly before: Fingerprint;
  readonly after: Fingerprint;
  readonly isEqual: boolean;
}

const sourceName = 'shop';
const readyTimeoutMs = 60_000;
/** A primary waits 5 s for more replicas before a full sync; nobody else will come here. */
const promptSync = ['repl-diskless-sync-delay 0'];

export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-demo-'));
  try {
    return await new Demo(options, directory).play();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #directory: string;

  constructor(options: DemoOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  async play(): Promise<DemoReport> {
    const { events, searchPath } = this.#options;
    const program = await findServer(searchPath);
    const before = await this.#accident(program);
    const flush = await findCommand(this.#options.disk, this.#tree, 'FLUSHALL');
    events.found(flush);
    await this.#restoreBefore(flush, program);
    const after = await this.#fingerprintOf(program, 'restored');
    return {
      server: `${program.kind} ${program.version}`,
      flushAt: formatInstant(flush.stamp),
      flushPosition: formatPosition(flush.position),
      before,
      after,
      isEqual: before.sha256 === after.sha256,
    };
  }

  get #root(): string {
    return join(this.#directory, 'journal');
  }

  get #tree(): ReturnType<typeof sourceTree> {
    return sourceTree(this.#root, sourceName);
  }

  /** The day until shortly after the accident, with the journal attached. */
  async #accident(program: ServerProgram): Promise<Fingerprint> {
    const { events } = this.#options;
    const port = await freePort();
    await using server = await this.#startServer(program, 'primary', { port, settings: promptSync });
    events.serverStarted(program, port);
    await using journal = await this.#attach(program, port);
    events.attached(journal.ready);
    const client = await server.connect();
    try {
      return await this.#liveAndFlush(client, program);
    } finally {
      client.destroy();
    }
  }

  async #liveAndFlush(client: ScratchConnection, program: ServerProgram): Promise<Fingerprint> {
    const { events, signal } = this.#options;
    events.filled(await fillShop(client));
    events.traded(await keepTrading(client, 1, signal));
    const before = await fingerprint(client, knowsExpiryTimes(program));
    events.noted(before);
    await client.sendCommand(['FLUSHALL']);
    events.flushed(Number(await client.sendCommand(['DBSIZE'])));
    // The application has not noticed yet, and writes on.
    await keepTrading(client, 2, signal);
    await client.sendCommand(['WAIT', '1', '10000']);
    return before;
  }

  /** The journal, running in this process until it is disposed; then everything it received is on disk. */
  async #attach(program: ServerProgram, port: number): Promise<AsyncDisposable & { readonly ready: LogLine }> {
    const stop = new AbortController();
    const ready = Promise.withResolvers<LogLine>();
    const logger = createSilentLogger((line) => {
      if (line.event === 'ready') ready.resolve(line);
    });
    const run = runDaemon(
      {
        config: {
          addresses: [{ host: '127.0.0.1', port, tls: false }],
          credentials: {},
          tls: { verify: true },
          warnings: [],
          root: this.#root,
          name: sourceName,
          relativeTtl: replicatesRelativeTtl(program) ? 'convert' : 'refuse',
          once: false,
          logLevel: 'info',
        },
        logger,
      },
      AbortSignal.any([stop.signal, this.#options.signal]),
    );
    const ended = run.then(() => {
      throw new JournalEnded();
    });
    return {
      ready: await Promise.race([ready.promise, ended]),
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await run;
      },
    };
  }

  async #restoreBefore(flush: FoundCommand, program: ServerProgram): Promise<void> {
    const { disk, clock, events, signal } = this.#options;
    const { id, offset } = flush.position;
    const to = join(this.#directory, 'restored');
    const started = clock.monotonic();
    const plan = await planRestore(disk, this.#tree, {
      target: { kind: 'position', idPrefix: id, offset },
      text: formatPosition(flush.position),
      mode: 'before',
      now: clock.wall(),
      relativeTtl: replicatesRelativeTtl(program) ? 'convert' : 'refuse',
    });
    const report = await executeRestore(disk, plan, { to, clock, signal, writer: writerName });
    events.restored(report.bytes, (clock.monotonic() - started) / 1e6);
  }

  async #fingerprintOf(program: ServerProgram, directory: string): Promise<Fingerprint> {
    await using server = await this.#startServer(program, directory, { settings: ['appendonly yes'] });
    const client = await server.connect();
    try {
      return await fingerprint(client, knowsExpiryTimes(program));
    } finally {
      client.destroy();
    }
  }

  async #startServer(
    program: ServerProgram,
    directory: string,
    how: { readonly port?: number; readonly settings?: readonly string[] },
  ): Promise<ScratchServer> {
    const { clock, signal } = this.#options;
    const path = join(this.#directory, directory);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return ScratchServer.start({ program, directory: path, clock, signal, readyTimeoutMs, ...how });
  }
}

/** PEXPIRETIME came with Redis 7.0. */
function knowsExpiryTimes(program: ServerProgram): boolean {
  return !replicatesRelativeTtl(program);
}

class JournalEnded extends JournalError {
  constructor() {
    super('journal-ended', 'the journal stopped before it was ready', {}, 1);
  }
}
