// RedisServer: a real server in a private directory, for as long as a test holds it.
// Neighbours: servers.ts finds the programs, leash.ts ends them when the test process ends, resp-client.ts talks to
// them. Secrets go into a configuration file of mode 0600, never on a command line.
// Invariant: start() returns a server that answers commands and has finished loading; disposal leaves neither a
// process nor a directory of ours behind (a directory that the caller named stays).
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { leash, temporaryDirectory } from './leash.ts';
import { RespClient, type RespTarget } from './resp-client.ts';
import { isAtLeast, type ServerBinary } from './servers.ts';

export interface ServerTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** Whether clients need a certificate too; they then use the server's own. */
  readonly clientCertificates?: boolean;
}

export interface RedisServerOptions {
  /** Further settings by name, as in the configuration file; they win over ours. A list repeats the name. */
  readonly config?: Readonly<Record<string, string | readonly string[]>>;
  /** The data directory; by default a new one that is removed at disposal. */
  readonly dir?: string;
  /** Listens on a unix socket too. */
  readonly unixSocket?: boolean;
  /** requirepass, and masterauth so that such servers can follow each other. */
  readonly password?: string;
  /** The port then speaks TLS only. */
  readonly tls?: ServerTls;
  readonly readyTimeoutMs?: number;
  /** By default one that nothing listens on. */
  readonly choosePort?: () => Promise<number>;
}

export interface StartFromOptions extends RedisServerOptions {
  /** A replica whose primary does not exist: it loads the data and expires nothing, so elapsed keys stay. */
  readonly replicaOfNowhere?: boolean;
}

const portAttemptsMax = 5;

/** A port where nothing listens and nothing is going to: the discard service. */
const nowhere = '127.0.0.1 1';

export class RedisServer implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly options: RedisServerOptions;
  /** Our own files: configuration, output, socket. */
  readonly #home: string;
  readonly dir: string;
  #port = 0;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(binary: ServerBinary, options: RedisServerOptions) {
    this.binary = binary;
    this.options = options;
    this.#home = temporaryDirectory('server');
    this.dir = options.dir ?? path.join(this.#home, 'data');
    mkdirSync(this.dir, { recursive: true });
  }

  static async start(binary: ServerBinary, options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(binary, options);
    try {
      await server.#startOnFreePort();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * A server on restored data: append-only, as such a directory is loaded. It works *in* the directory; active expiry
   * and its own writes append to the last file there, so give it a copy when the directory matters.
   */
  static startFrom(binary: ServerBinary, dir: string, options: StartFromOptions = {}): Promise<RedisServer> {
    const { replicaOfNowhere = false, ...rest } = options;
    const config = { appendonly: 'yes', ...(replicaOfNowhere && { replicaof: nowhere }), ...rest.config };
    return RedisServer.start(binary, { ...rest, dir, config });
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    const child = this.#child;
    if (child?.pid === undefined || hasEnded(child)) throw new Error('the server is not running');
    return child.pid;
  }

  get socketPath(): string {
    return path.join(this.#home, 'redis.sock');
  }

  /** What RespClient.connect takes to reach it. */
  get target(): RespTarget {
    const { password, tls } = this.options;
    return {
      host: '127.0.0.1',
      port: this.#port,
      ...(password !== undefined && { password }),
      ...(tls !== undefined && { tls: clientTls(tls) }),
    };
  }

  connect(): Promise<RespClient> {
    return RespClient.connect(this.target);
  }

  /** Everything the server has printed, restarts included. */
  logs(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** Power failure, as far as the process is concerned. */
  async kill9(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** An orderly end; a server that doesn't come to it (it waits for its replicas) is killed. */
  async stop(timeoutMs = 15_000): Promise<void> {
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), timeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Stands still without closing anything, like a machine that hangs. */
  suspend(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** The same directory, settings and port again; call it on a running server or after kill9 or stop. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#launch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    await this.kill9();
    await rm(this.#home, { recursive: true, force: true });
  }

  get #logFile(): string {
    return path.join(this.#home, 'server.log');
  }

  /** Between our finding a free port and the server's taking it another process may have been quicker. */
  async #startOnFreePort(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#port = await (this.options.choosePort ?? freePort)();
      try {
        await this.#launch();
        return;
      } catch (error) {
        if (attempt === portAttemptsMax || !this.logs().includes('Address already in use')) throw error;
      }
    }
  }

  async #launch(): Promise<void> {
    const configFile = path.join(this.#home, 'server.conf');
    writeFileSync(configFile, this.#configuration(), { mode: 0o600 });
    const log = openSync(this.#logFile, 'a');
    const child = spawn(this.binary.path, [configFile], { cwd: this.#home, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    this.#child = child;
    leash(child);
    await this.#ready(child);
  }

  #configuration(): string {
    const { password, tls, unixSocket = false, config = {} } = this.options;
    const settings: Record<string, string | readonly string[]> = {
      bind: '127.0.0.1',
      'protected-mode': 'no',
      port: String(this.#port),
      dir: quote(this.dir),
      save: '""',
      appendonly: 'no',
      'repl-diskless-sync-delay': '0',
      ...(isAtLeast(this.binary, { redis: 7, valkey: 7 }) && { 'enable-debug-command': 'yes' }),
      ...(unixSocket && { unixsocket: quote(this.socketPath) }),
      ...(password !== undefined && { requirepass: quote(password), masterauth: quote(password) }),
      ...(tls !== undefined && serverTls(tls, this.#port)),
      ...config,
    };
    const lines = Object.entries(settings).flatMap(([name, value]) =>
      [value].flat().map((single) => `${name} ${single}\n`),
    );
    return lines.join('');
  }

  async #ready(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + (this.options.readyTimeoutMs ?? 30_000);
    let cause: unknown;
    while (performance.now() < deadline && !hasEnded(child)) {
      try {
        await using client = await this.connect();
        if ((await client.text('PING')) === 'PONG') return;
      } catch (error) {
        // Refused while it starts, -LOADING while it loads.
        cause = error;
      }
      await sleep(10);
    }
    await this.kill9();
    throw new Error(`${this.binary.path} did not become ready; it printed:\n${this.logs()}`, { cause });
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A port that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', resolve);
  });
  const address = probe.address();
  await new Promise<void>((resolve) => void probe.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('the probe has no port');
  return address.port;
}

function serverTls(tls: ServerTls, port: number): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-replication': 'yes',
    'tls-cert-file': quote(tls.certFile),
    'tls-key-file': quote(tls.keyFile),
    'tls-ca-cert-file': quote(tls.caFile),
    'tls-auth-clients': tls.clientCertificates === true ? 'yes' : 'no',
  };
}

function clientTls(tls: ServerTls): NonNullable<RespTarget['tls']> {
  const ca = readFileSync(tls.caFile, 'utf8');
  if (tls.clientCertificates !== true) return { ca };
  return { ca, cert: readFileSync(tls.certFile, 'utf8'), key: readFileSync(tls.keyFile, 'utf8') };
}

/** The configuration file splits at spaces unless a value is quoted; JSON's escapes are a subset of its own. */
function quote(value: string): string {
  return JSON.stringify(value);
}
