/**
 * A connection to the server that is restored to, and what that server says of itself. How it is reached, TLS included,
 * is handed in: those rooms know.
 *
 * Invariant: asking for the facts changes nothing there. A password is in no message.
 */
import type { Clock } from '../../core/clock.ts';
import type { JournalError } from '../../core/errors.ts';
import { InterruptedError, LinkError } from '../../core/errors.ts';
import {
  migrationsCommand,
  migrationsUnderWay,
  parseClusterNodes,
  parseClusterSlots,
} from '../../redis/cluster-map.ts';
import { infoFields, keysIn } from '../../redis/info.ts';
import { printable, refused } from '../../redis/refusals.ts';
import { parseReplicationInfo } from '../../redis/replication-info.ts';
import type { ReplicationInfo } from '../../redis/replication-info.ts';
import { hasFunctions, serverVersionFromInfo } from '../../redis/server-version.ts';
import type { ServerVersion } from '../../redis/server-version.ts';
import { bytesClient, createServerClient, refusalIn } from './target-client.ts';
import type { BytesClient, ServerClient, ServerSocket } from './target-client.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';
import type { ClusterView } from '../plan/target-cluster.ts';
import type { TargetFacts } from '../plan/target-rails.ts';

/** How the server connects to our feed: where it finds us, and the port there; 0 for any. */
export interface FeedAddress {
  readonly host: string;
  readonly port: number;
}

export interface TargetConfig {
  /** `host:port`. */
  readonly address: string;
  readonly socket: ServerSocket;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** What a failure to connect means, where it is one of TLS. */
  readonly explain: (cause: unknown) => JournalError | undefined;
  /** Undefined where the server cannot be expected to reach us. */
  readonly feed: FeedAddress | undefined;
  /** How another member of its cluster is reached; undefined: at the same host. */
  readonly at: (host: string | undefined, port: number) => TargetConfig;
}

/** Beginning of the password that a target without one is given, so that one left behind is known again. */
export const feedPasswordMark = 'journal-restore-';

const connectTimeoutMs = 5_000;
/** Of a question. Commands that load or flush take as long as they take. */
const answerTimeoutMs = 10_000;

export class TargetLink implements Disposable {
  readonly #config: TargetConfig;
  readonly #client: ServerClient;
  readonly #bytes: BytesClient;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #leave: () => void;

  private constructor(config: TargetConfig, client: ServerClient, clock: Clock, signal: AbortSignal) {
    this.#config = config;
    this.#client = client;
    this.#bytes = bytesClient(client);
    this.#clock = clock;
    this.#signal = signal;
    this.#leave = () => {
      client.destroy();
    };
    signal.addEventListener('abort', this.#leave, { once: true });
  }

  /** LinkError when it cannot be reached (exit 11) or does not let us in (exit 10). */
  static async open(config: TargetConfig, clock: Clock, signal: AbortSignal): Promise<TargetLink> {
    const { address, socket, user, password } = config;
    signal.throwIfAborted();
    const client = await createServerClient({
      socket: { ...socket, connectTimeout: connectTimeoutMs },
      ...(user !== undefined && { username: user }),
      ...(password !== undefined && { password }),
    });
    const cancel = clock.after(connectTimeoutMs + answerTimeoutMs, () => {
      client.destroy();
    });
    try {
      await client.connect();
    } catch (error) {
      const refusal = await refusalIn(error);
      if (refusal !== undefined) throw refused('AUTH', refusal.message, true);
      throw config.explain(error) ?? unreachable(address, error);
    } finally {
      cancel();
    }
    return new TargetLink(config, client, clock, signal);
  }

  get address(): string {
    return this.#config.address;
  }

  /** The reply to a command, however long it takes. */
  async command(...words: readonly string[]): Promise<unknown> {
    try {
      return await this.#client.sendCommand<unknown>(words);
    } catch (error) {
      throw await this.#failed(words, error);
    }
  }

  /** The reply to a command that takes no time. */
  async ask(...words: readonly string[]): Promise<unknown> {
    const cancel = this.#clock.after(answerTimeoutMs, () => {
      this.#client.destroy();
    });
    try {
      return await this.command(...words);
    } finally {
      cancel();
    }
  }

  /** Sends a command of bytes; an error reply is rejected with as it is. */
  pipe(words: DumpCommand): Promise<unknown> {
    return this.#client.sendCommand<unknown>(words);
  }

  /** The reply to a command of bytes, its texts as bytes. */
  async bytes(...words: readonly (string | Buffer)[]): Promise<unknown> {
    try {
      return await this.#bytes.sendCommand<unknown>(words);
    } catch (error) {
      throw await this.#failed([String(words[0])], error);
    }
  }

  /** What it says of the cluster that it is a member of. */
  async cluster(server: ServerVersion): Promise<ClusterView> {
    const owners = parseClusterSlots(await this.ask('CLUSTER', 'SLOTS'));
    if (owners === undefined) {
      throw new LinkError('target-unknown', `${this.address} does not say who has which slots`, 'never', {
        hint: 'is it a Redis or Valkey server?',
      });
    }
    const migrations = migrationsCommand(server);
    return {
      address: this.address,
      owners,
      state: infoFields(String(await this.ask('CLUSTER', 'INFO'))).get('cluster_state') ?? 'not told',
      troubles: parseClusterNodes(String(await this.ask('CLUSTER', 'NODES'))),
      migrations: migrations === undefined ? [] : migrationsUnderWay(await this.ask(...migrations)),
    };
  }

  /** Which history it has, and how much of it. */
  async replication(): Promise<ReplicationInfo> {
    const replication = parseReplicationInfo(await this.#info('replication'));
    if (replication !== undefined) return replication;
    throw new LinkError('target-unknown', `${this.address} does not say which history it has`, 'never', {
      hint: 'is it a Redis or Valkey server?',
    });
  }

  async facts(): Promise<TargetFacts> {
    const persistence = await this.#info('persistence');
    if (infoFields(persistence).get('loading') === '1')
      throw refused('to be restored to', `LOADING ${this.address} is loading its dataset`);
    const about = await this.#info('server');
    const server = serverVersionFromInfo(about);
    if (server === undefined) {
      throw new LinkError('target-unknown', `${this.address} does not say what it is`, 'never', {
        hint: 'is it a Redis or Valkey server?',
      });
    }
    const replication = await this.replication();
    const memory = infoFields(await this.#info('memory'));
    const mode = infoFields(about).get('redis_mode') ?? infoFields(about).get('server_mode') ?? 'standalone';
    const isReplica = replication.role === 'slave';
    const masterAuth = await this.#setting('masterauth').catch(() => undefined);
    return {
      server,
      mode,
      replication,
      replicas: Number(infoFields(await this.#info('replication')).get('connected_slaves') ?? 0),
      keys: await this.keys(),
      libraries: await this.#libraries(server),
      usedBytes: Number(memory.get('used_memory') ?? 0),
      maxMemoryBytes: Number(memory.get('maxmemory') ?? 0),
      machineBytes: Number(memory.get('total_system_memory') ?? 0),
      evictionPolicy: memory.get('maxmemory_policy') ?? 'unknown',
      isLeftBehind: isReplica && replication.primary?.isUp === false && isOurs(masterAuth),
      replicaofRefused: mode === 'cluster' ? 'it is in a cluster' : await this.#whyNoReplicaof(masterAuth),
    };
  }

  /** In all dbs. */
  async keys(): Promise<number> {
    return keysIn(await this.#info('keyspace'));
  }

  /** The value of a setting. */
  async #setting(name: string): Promise<string | undefined> {
    const reply = await this.ask('CONFIG', 'GET', name);
    const value: unknown = Array.isArray(reply) ? reply[1] : undefined;
    return typeof value === 'string' ? value : undefined;
  }

  /** Its own password for its primary; a mark of ours is none. */
  async masterAuth(): Promise<string> {
    const value = (await this.#setting('masterauth')) ?? '';
    return isOurs(value) ? '' : value;
  }

  /** Makes it its own primary again, with the password for a primary that it had. */
  async letGo(masterAuth = ''): Promise<void> {
    await this.command('REPLICAOF', 'NO', 'ONE');
    if (masterAuth === '') await this.ask('CONFIG', 'SET', 'masterauth', '');
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#leave);
    this.#client.destroy();
  }

  async #info(section: string): Promise<string> {
    const reply = await this.ask('INFO', section);
    return typeof reply === 'string' ? reply : '';
  }

  async #libraries(server: ServerVersion): Promise<number> {
    if (!hasFunctions(server)) return 0;
    const reply = await this.ask('FUNCTION', 'LIST');
    return Array.isArray(reply) ? reply.length : 0;
  }

  /** Whether its commands are there and allowed is learnt from how it refuses to do what makes no sense. */
  async #whyNoReplicaof(masterAuth: string | undefined): Promise<string | undefined> {
    if (this.#config.feed === undefined)
      return 'the server could not reach us: it is elsewhere, and there is no --feed-address';
    if (masterAuth === undefined) return 'its CONFIG is not open to us';
    const isTls = await this.#setting('tls-replication').catch(() => undefined);
    if (isTls === 'yes') return 'it replicates over TLS only';
    const attempts = [
      ['REPLICAOF', 'nowhere', 'no-port'],
      ...(masterAuth === '' ? [['CONFIG', 'SET', 'masterauth', '']] : []),
    ];
    for (const words of attempts) {
      const text = await this.#client.sendCommand(words).then(
        () => '',
        (error: unknown) => (error instanceof Error ? error.message : ''),
      );
      if (/^NOPERM\b/.test(text)) return `we are not allowed ${words[0]} there`;
      if (/unknown command|not allowed|disabled/i.test(text)) return `${words[0]} is switched off there`;
    }
    return undefined;
  }

  async #failed(words: readonly string[], error: unknown): Promise<JournalError> {
    if (this.#signal.aborted) return new InterruptedError('the restore was interrupted', { cause: error });
    const name = words[0] ?? '';
    const refusal = await refusalIn(error);
    if (refusal === undefined) {
      return new LinkError('target-lost', `the connection to ${this.address} was lost at ${name}`, 'never', {
        hint: 'is the server still there?',
        cause: error,
      });
    }
    const moved = movedFrom(this.address, refusal.message);
    if (moved !== undefined) return moved;
    if (!/^NOPERM\b/.test(refusal.message)) return refused(name, refusal.message);
    return new LinkError(
      'target-permission',
      `the user may not do ${name} on ${this.address}: ${printable(refusal.message)}`,
      'never',
      {
        hint: 'it takes +info +select +restore +function, +flushall for --replace, and +replicaof +config for a load at once; +cluster for a cluster; to compare some keys +dump +pexpiretime +pttl +time +scan +type, for --delete-absent +scan +type +unlink, to look for room +memory; and all keys (~*)',
        exitCode: 10,
      },
    );
  }
}

export function slotsMoved(what: string): LinkError {
  return new LinkError('slots-moved', `slots of the cluster moved meanwhile: ${what}`, 'never');
}

/** What a reply means by which a primary sends us to another; undefined: it is no such reply. */
export function movedFrom(address: string, reply: string): LinkError | undefined {
  return /^(MOVED|ASK) /.test(reply) ? slotsMoved(`${address} answered ${reply}`) : undefined;
}

function isOurs(masterAuth: string | undefined): boolean {
  return masterAuth?.startsWith(feedPasswordMark) === true;
}

function unreachable(address: string, cause: unknown): LinkError {
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : String(cause);
  return new LinkError('target-unreachable', `${address} cannot be reached: ${printable(reason)}`, 'never', {
    hint: 'nothing was changed; is it the right address, and is the server running?',
    cause,
  });
}
