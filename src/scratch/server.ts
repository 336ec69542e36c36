/**
 * A real server, run for us in a private directory: what executes commands is always one of these, never an imitation.
 * Its settings are in a file, not on the command line, where `ps` would show them; it listens on a Unix socket, and on
 * loopback only when a port is asked for. Whoever starts it disposes it; its directory stays the caller's.
 *
 * Neighbour: watchdog.ts, which ends it should we not live to do so.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, realpath, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { JournalError } from '../core/errors.ts';
import { StorageError } from '../core/errors.ts';
import { closesDebug } from '../redis/server-version.ts';
import { ScratchConnection } from './scratch-connection.ts';
import type { ServerProgram } from './find-server.ts';
import { attempt } from '../storage/disk-errors.ts';
import { Watchdog } from './watchdog.ts';

export interface ScratchServerOptions {
  readonly program: ServerProgram;
  /** Its working directory: private, existing. Data in it is loaded when `settings` say so. */
  readonly directory: string;
  /** Should we be killed, the directory is removed as well. */
  readonly removesDirectory?: boolean;
  /** Listens on 127.0.0.1 too. */
  readonly port?: number;
  /** Lines of its configuration. */
  readonly settings?: readonly string[];
  /** Ready is when it answers, whether or not it is still loading. */
  readonly whileLoading?: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly readyTimeoutMs: number;
}

const settingsFile = 'scratch.conf';
const socketFile = 'scratch.sock';
const logFile = 'scratch.log';
const pollMs = 50;
const stopTimeoutMs = 10_000;
/** The address of a Unix socket has room for 107 bytes on Linux, 103 elsewhere. */
const socketPathBytesMax = 103;
/** Nobody else reads what it writes. */
const privateMask = 0o077;

export class ScratchServer implements AsyncDisposable {
  readonly #options: ScratchServerOptions;
  readonly #process: ChildProcess;
  readonly #watchdog: Watchdog;
  /** Held open where the socket's own path is too long to be connected to. */
  readonly #directory: FileHandle | undefined;

  private constructor(
    options: ScratchServerOptions,
    child: ChildProcess,
    watchdog: Watchdog,
    directory: FileHandle | undefined,
  ) {
    this.#options = options;
    this.#process = child;
    this.#watchdog = watchdog;
    this.#directory = directory;
  }

  /** Resolves when it has loaded its data and answers. */
  static async start(options: ScratchServerOptions): Promise<ScratchServer> {
    const directory = await realpath(options.directory);
    const settingsPath = join(directory, settingsFile);
    await attempt('create', settingsPath, () => writeFile(settingsPath, settingsOf(options), { mode: 0o600 }));
    const isLong = Buffer.byteLength(join(directory, socketFile)) > socketPathBytesMax && existsSync('/proc/self/fd');
    const handle = isLong ? await open(directory, 'r') : undefined;
    const watchdog = new Watchdog(directory, options.removesDirectory === true);
    const child = spawnPrivately(options.program.path, settingsPath, directory);
    if (child.pid !== undefined) watchdog.watch(child.pid);
    const server = new ScratchServer({ ...options, directory }, child, watchdog, handle);
    try {
      await server.#ready();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where it listens, as this process may reach it. */
  get socketPath(): string {
    if (this.#directory === undefined) return join(this.#options.directory, socketFile);
    return `/proc/self/fd/${this.#directory.fd}/${socketFile}`;
  }

  /** A connection of its own; the caller destroys it. */
  connect(): Promise<ScratchConnection> {
    return ScratchConnection.open(this.socketPath);
  }

  /** Calls `fn` with the reason, once, if it ends before it is disposed; the result cancels that. */
  onEnd(fn: (error: JournalError) => void): () => void {
    const { program, directory } = this.#options;
    const ended = (): void => {
      void lastWords(directory).then((last) => {
        fn(new StorageError('server-ended', `${program.path} ended by itself: ${last}`, { exitCode: 1 }));
      });
    };
    if (this.#hasEnded) ended();
    else this.#process.once('exit', ended);
    return () => this.#process.off('exit', ended);
  }

  /** The last lines of its log. */
  lastWords(): Promise<string> {
    return lastWords(this.#options.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded && this.#process.pid !== undefined) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      const tooLong = new AbortController();
      await Promise.race([exited, this.#options.clock.sleep(stopTimeoutMs, tooLong.signal).catch(() => undefined)]);
      tooLong.abort();
    }
    this.#watchdog[Symbol.dispose]();
    await this.#directory?.close();
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async #ready(): Promise<void> {
    const { directory, program, signal, readyTimeoutMs, clock } = this.#options;
    const deadline = clock.monotonic() + readyTimeoutMs * 1000;
    let lastError: unknown;
    while (clock.monotonic() < deadline) {
      signal.throwIfAborted();
      if (this.#hasEnded || this.#process.pid === undefined) break;
      try {
        await this.#ping();
        return;
      } catch (error) {
        lastError = error;
      }
      await clock.sleep(pollMs, signal);
    }
    throw await notReady(program, directory, lastError);
  }

  async #ping(): Promise<void> {
    const client = await this.connect();
    try {
      await client.sendCommand(['PING']);
    } catch (error) {
      const isLoading = error instanceof Error && error.message.startsWith('LOADING');
      if (!isLoading || this.#options.whileLoading !== true) throw error;
    } finally {
      client.destroy();
    }
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Its files are for us alone, and an interrupt typed at the terminal is for us alone. */
function spawnPrivately(program: string, settingsPath: string, directory: string): ChildProcess {
  const mask = process.umask(privateMask);
  try {
    const child = spawn(program, [settingsPath], { cwd: directory, detached: true, stdio: 'ignore' });
    // One that cannot be started has no process id.
    child.on('error', () => undefined);
    return child;
  } finally {
    process.umask(mask);
  }
}

function settingsOf({ program, port, settings = [] }: ScratchServerOptions): string {
  const lines = [
    `port ${port ?? 0}`,
    'bind 127.0.0.1',
    `unixsocket ${socketFile}`,
    'unixsocketperm 700',
    'daemonize no',
    'save ""',
    `logfile ${logFile}`,
    // Servers that do not close it do not know the word.
    ...(closesDebug(program) ? ['enable-debug-command local'] : []),
    ...settings,
  ];
  return `${lines.join('\n')}\n`;
}

async function notReady(program: ServerProgram, directory: string, cause: unknown): Promise<JournalError> {
  const last = await lastWords(directory);
  return new StorageError('server-not-ready', `${program.path} did not come up in ${directory}: ${last}`, {
    exitCode: 1,
    cause,
  });
}

async function lastWords(directory: string): Promise<string> {
  const log = await readFile(join(directory, logFile), 'utf8').catch(() => '');
  return log.trimEnd().split('\n').slice(-3).join(' | ').slice(-1000);
}
