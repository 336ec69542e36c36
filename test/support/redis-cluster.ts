// RedisCluster: real servers of one release, joined into a cluster, for as long as a test holds it.
// Neighbours: redis-server.ts starts each of them. Nothing but the servers' own commands is used.
// Invariant: start() returns when every node says that the cluster is ok and all say the same of its slots.
import { eventually } from './eventually.ts';
import { freePort, RedisServer, type RedisServerOptions } from './redis-server.ts';
import { replyList, type RespClient } from './resp-client.ts';
import { isAtLeast, type ServerBinary } from './servers.ts';

export interface RedisClusterOptions extends Omit<RedisServerOptions, 'dir'> {
  readonly primaries?: number;
}

const slots = 16_384;

export class RedisCluster implements AsyncDisposable {
  /** In the order of their slots. */
  readonly nodes: readonly RedisServer[];
  /** One for each. */
  readonly clients: RespClient[];
  readonly #options: RedisServerOptions;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    nodes: readonly RedisServer[],
    clients: RespClient[],
    options: RedisServerOptions,
    resources: AsyncDisposableStack,
  ) {
    this.#options = options;
    this.nodes = nodes;
    this.clients = clients;
    this.#resources = resources;
  }

  /** Redis 7 and later, Valkey: earlier ones cannot be told the port of their bus. */
  static async start(binary: ServerBinary, options: RedisClusterOptions = {}): Promise<RedisCluster> {
    if (!isAtLeast(binary, { redis: 7, valkey: 7 })) throw new Error('the server is too old for a cluster here');
    const { primaries = 3, ...rest } = options;
    await using resources = new AsyncDisposableStack();
    const busPorts = await Promise.all(Array.from({ length: primaries }, freePort));
    const nodes = await Promise.all(busPorts.map(async (port) => resources.use(await startNode(binary, port, rest))));
    const clients: RespClient[] = [];
    for (const [i, node] of nodes.entries()) {
      const client = resources.use(await node.connect());
      clients.push(client);
      const [from, to] = [i, i + 1].map((n) => Math.floor((slots * n) / primaries));
      await client.call('CLUSTER', 'ADDSLOTSRANGE', from!, to! - 1);
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
    }
    for (const [i, node] of nodes.entries()) {
      if (i > 0) await clients[0]!.call('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[i]!);
    }
    const cluster = new RedisCluster(nodes, clients, rest, resources.move());
    try {
      await cluster.settled();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get url(): string {
    return urlOf(this.nodes[0]!);
  }

  /** The node whose slot it is, as the servers compute it. */
  async ownerOf(slot: number): Promise<RedisServer> {
    for (const row of replyList(await this.clients[0]!.call('CLUSTER', 'SLOTS')).map(replyList)) {
      const [from, to, owner] = row;
      if (Number(from) > slot || Number(to) < slot) continue;
      const port = Number(replyList(owner)[1]);
      return this.nodes.find((node) => node.port === port)!;
    }
    throw new Error(`nobody has slot ${slot}`);
  }

  /** Once every node is content, and none has another idea of the whole. */
  async settled(): Promise<void> {
    await eventually(
      'the cluster to be ok',
      async () => {
        const states = await Promise.all(this.clients.map((client) => client.text('CLUSTER', 'INFO')));
        if (!states.every((text) => text.includes('cluster_state:ok'))) return false;
        const maps = await Promise.all(this.clients.map((client) => client.call('CLUSTER', 'SLOTS')));
        return maps.every((map) => JSON.stringify(simplified(map)) === JSON.stringify(simplified(maps[0]!)));
      },
      { everyMs: 20, timeoutMs: 30_000 },
    );
  }

  /** Of one of the primaries; the caller disposes it. Returns when it has all of it. */
  async addReplica(index: number): Promise<RedisServer> {
    const [node, client] = [this.nodes[index]!, this.clients[index]!];
    const busPort = await freePort();
    const replica = await startNode(node.binary, busPort, this.#options);
    try {
      await using link = await replica.connect();
      const [id, own] = await Promise.all([client.text('CLUSTER', 'MYID'), link.text('CLUSTER', 'MYID')]);
      await client.call('CLUSTER', 'MEET', '127.0.0.1', replica.port, busPort);
      await eventually('the replica to know the cluster', async () => link.call('CLUSTER', 'REPLICATE', id), {
        everyMs: 50,
      });
      await eventually('the replica to follow', async () => {
        const nodes = await Promise.all(this.clients.map((one) => one.text('CLUSTER', 'NODES')));
        if (!(await link.text('CLUSTER', 'INFO')).includes('cluster_state:ok')) return false;
        const isKnown = nodes.every((text) => new RegExp(`^${own} .* slave ${id} `, 'm').test(text));
        return isKnown && (await link.text('INFO', 'replication')).includes('master_link_status:up');
      });
      return replica;
    } catch (error) {
      await replica[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** After a node was restarted. */
  async reconnect(index: number): Promise<void> {
    this.clients[index] = this.#resources.use(await this.nodes[index]!.connect());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

export function urlOf(node: RedisServer): string {
  return `${node.options.tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${node.port}`;
}

function startNode(binary: ServerBinary, busPort: number, options: RedisServerOptions): Promise<RedisServer> {
  const config = {
    'cluster-enabled': 'yes',
    'cluster-port': String(busPort),
    'cluster-node-timeout': '5000',
    ...(options.tls !== undefined && { 'tls-cluster': 'yes' }),
    ...options.config,
  };
  return RedisServer.start(binary, { ...options, config });
}

/** Slots and ids. */
function simplified(map: Awaited<ReturnType<RespClient['call']>>): unknown[] {
  return replyList(map)
    .map(replyList)
    .map(([from, to, owner]) => [Number(from), Number(to), String(replyList(owner)[2])])
    .sort(([a], [b]) => Number(a) - Number(b));
}
