// Sentinel: the real one, a server program in its Sentinel mode, for as long as a test holds it.
// Neighbours: redis-server.ts, whose servers it watches; leash.ts ends it with the test process.
// Invariant: start() returns one that answers; its configuration, which it rewrites, is its own and goes with it.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { eventually } from './eventually.ts';
import { leash, temporaryDirectory } from './leash.ts';
import { freePort } from './redis-server.ts';
import { RespClient } from './resp-client.ts';
import type { Reply } from './resp-client.ts';
import type { ServerBinary } from './servers.ts';

export interface Watched {
  readonly primaryPort: number;
  readonly password: string;
  readonly quorum: number;
}

const master = 'watched';

export class Sentinel implements AsyncDisposable {
  readonly #home: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly client: RespClient;

  private constructor(child: ChildProcess, home: string, client: RespClient) {
    this.#child = child;
    this.#home = home;
    this.client = client;
    this.#exited = new Promise((resolve) => void child.once('exit', () => resolve()));
  }

  static async start(binary: ServerBinary, { primaryPort, password, quorum }: Watched): Promise<Sentinel> {
    const home = temporaryDirectory('sentinel');
    const port = await freePort();
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      'protected-mode no',
      `dir ${home}`,
      `sentinel monitor ${master} 127.0.0.1 ${primaryPort} ${quorum}`,
      `sentinel auth-pass ${master} ${password}`,
      `sentinel down-after-milliseconds ${master} 2000`,
      `sentinel failover-timeout ${master} 30000`,
      `sentinel parallel-syncs ${master} 1`,
    ];
    const configFile = path.join(home, 'sentinel.conf');
    writeFileSync(configFile, `${lines.join('\n')}\n`, { mode: 0o600 });
    const log = openSync(path.join(home, 'sentinel.log'), 'a');
    const child = spawn(binary.path, [configFile, '--sentinel'], { cwd: home, stdio: ['ignore', log, log] });
    closeSync(log);
    leash(child);
    const client = await eventually('Sentinel to answer', () => RespClient.connect({ host: '127.0.0.1', port }));
    return new Sentinel(child, home, client);
  }

  /** What happened, in its words, a line each. */
  get log(): string {
    return readFileSync(path.join(this.#home, 'sentinel.log'), 'utf8');
  }

  /** A number of the primary as it sees it, such as num-slaves. */
  async count(field: string): Promise<number> {
    return Number(fields(await this.client.call('SENTINEL', 'MASTER', master)).get(field));
  }

  /** The port of the primary, as clients are told. */
  async primaryPort(): Promise<number> {
    const reply = await this.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master);
    return Number(Array.isArray(reply) ? String(reply[1]) : 0);
  }

  /** The ports of the replicas, as clients are told. */
  async replicaPorts(): Promise<number[]> {
    const reply = await this.client.call('SENTINEL', 'REPLICAS', master);
    return Array.isArray(reply) ? reply.map((replica) => Number(fields(replica).get('port'))) : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.#child.kill('SIGKILL');
    await this.#exited;
    await rm(this.#home, { recursive: true, force: true });
  }
}

function fields(reply: Reply): Map<string, string> {
  const words = Array.isArray(reply) ? reply.map(String) : [];
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? ''] as const] : [])));
}
