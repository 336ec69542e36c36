/**
 * A real server, run for us in a private directory: what executes commands is always one of these, never an imitation.
 * Its settings are in a file, not on the command line, where `ps` would show them; it listens on a Unix socket, and on
 * loopback only when a port is asked for. Whoever starts it disposes it; its directory stays the caller's.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createClient } from 'redis';
import type { Clock } from '../core/clock.ts';
import type { JournalError } from '../core/errors.ts';
import { StorageError } from '../core/errors.ts';
import { isAtLeast } from '../redis/server-version.ts';
import type { ServerProgram } from './find-server.ts';

export interface ScratchServerOptions {
  readonly program: ServerProgram;
  /** Its working directory: private, existing. Data in it is loaded when `settings` say so. */
  readonly directory: string;
  /** Listens on 127.0.0.1 too. */
  readonly port?: number;
  /** Lines of its configuration. */
  readonly settings?: readonly string[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly readyTimeoutMs: number;
}

export type ServerClient = ReturnType<typeof createClient>;

const settingsFile = 'scratch.conf';
const socketFile = 'scratch.sock';
const logFile = 'scratch.log';
const pollMs = 50;
const stopTimeoutMs = 10_000;

export class ScratchServer implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #socketPath: string;
  readonly #clock: Clock;

  private constructor(child: ChildProcess, socketPath: string, clock: Clock) {
    this.#process = child;
    this.#socketPath = socketPath;
    this.#clock = clock;
  }

  /** Resolves when it has loaded its data and answers. */
  static async start(options: ScratchServerOptions): Promise<ScratchServer> {
    const { program, directory, clock } = options;
    const settingsPath = join(directory, settingsFile);
    await writeFile(settingsPath, settingsOf(options), { mode: 0o600 });
    const child = spawn(program.path, [settingsPath], { cwd: directory, stdio: 'ignore' });
    const server = new ScratchServer(child, join(directory, socketFile), clock);
    try {
      await server.#ready(options);
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A connection of its own; the caller destroys it. */
  async connect(): Promise<ServerClient> {
    const client = createClient({ socket: { path: this.#socketPath, reconnectStrategy: false }, RESP: 2 });
    client.on('error', () => undefined);
    await client.connect();
    return client as ServerClient;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    const tooLong = new AbortController();
    await Promise.race([exited, this.#clock.sleep(stopTimeoutMs, tooLong.signal).catch(() => undefined)]);
    tooLong.abort();
  }

  async #ready({ directory, program, signal, readyTimeoutMs, clock }: ScratchServerOptions): Promise<void> {
    const deadline = clock.monotonic() + readyTimeoutMs * 1000;
    let lastError: unknown;
    while (clock.monotonic() < deadline) {
      signal.throwIfAborted();
      if (this.#process.exitCode !== null) break;
      try {
        const client = await this.connect();
        try {
          await client.ping();
          return;
        } finally {
          client.destroy();
        }
      } catch (error) {
        lastError = error;
      }
      await clock.sleep(pollMs, signal);
    }
    throw await notReady(program, directory, lastError);
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

function settingsOf({ program, port, settings = [] }: ScratchServerOptions): string {
  const lines = [
    `port ${port ?? 0}`,
    'bind 127.0.0.1',
    `unixsocket ${socketFile}`,
    'unixsocketperm 700',
    'daemonize no',
    'save ""',
    `logfile ${logFile}`,
    // Redis 7.0 and Valkey keep DEBUG closed unless told; older servers do not know the word.
    ...(program.kind === 'valkey' || isAtLeast(program, 7, 0) ? ['enable-debug-command local'] : []),
    ...settings,
  ];
  return `${lines.join('\n')}\n`;
}

async function notReady(program: ServerProgram, directory: string, cause: unknown): Promise<JournalError> {
  const log = await readFile(join(directory, logFile), 'utf8').catch(() => '');
  const last = log.trimEnd().split('\n').slice(-3).join(' | ');
  return new StorageError('server-not-ready', `${program.path} did not come up in ${directory}: ${last}`, {
    exitCode: 1,
    cause,
  });
}
