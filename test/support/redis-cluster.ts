// RedisCluster: real servers of one release, joined into a cluster, for as long as a test holds it.
// Neighbours: redis-server.ts starts each of them. Nothing but the servers' own commands is used.
// Invariant: start() returns when every node says that the cluster is ok and all say the same of its slots.
import { keySlot } from '../../src/redis/key-slot.ts';
import { eventually } from './eventually.ts';
import { fingerprint, type KeyFacts } from './fingerprint.ts';
import { freePort, RedisServer, type RedisServerOptions } from './redis-server.ts';
import { replyBytes, replyList, replyNumber, replyText, type RespClient } from './resp-client.ts';
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

  static async start(binary: ServerBinary, options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const { primaries = 3, ...rest } = options;
    await using resources = new AsyncDisposableStack();
    const started = await Promise.all(Array.from({ length: primaries }, () => startNode(binary, rest)));
    const nodes = started.map(({ node }) => resources.use(node));
    const busPorts = started.map(({ busPort }) => busPort);
    const clients: RespClient[] = [];
    for (const [i, node] of nodes.entries()) {
      const client = resources.use(await node.connect());
      clients.push(client);
      const [from, to] = [i, i + 1].map((n) => Math.floor((slots * n) / primaries));
      await client.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: to! - from! }, (_, slot) => from! + slot));
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

  /** A key of a slot of that node. */
  async keyOf(index: number, name = 'theirs'): Promise<string> {
    const own = await slotsOf(this.clients[index]!);
    for (let i = 0; ; i += 1) {
      if (isIn(own, keySlot(Buffer.from(`${name}:${i}`)))) return `${name}:${i}`;
    }
  }

  /** How many keys each holds. */
  sizes(): Promise<number[]> {
    return Promise.all(this.clients.map(async (client) => replyNumber(await client.call('DBSIZE'))));
  }

  /** All of it together: every key once, in a slot that its node has. */
  async keys(): Promise<Map<string, KeyFacts>> {
    const keys = new Map<string, KeyFacts>();
    for (const client of this.clients) {
      for (const [name, facts] of (await fingerprint(client, this.nodes[0]!.binary)).keys) {
        if (keys.has(name)) throw new Error(`${name} is in two nodes`);
        keys.set(name, facts);
      }
      const own = await slotsOf(client);
      const names = replyList(await client.call('KEYS', '*')).map(replyBytes);
      const slots = (await client.callMany(names.map((name) => ['CLUSTER', 'KEYSLOT', name]))).map(replyNumber);
      const stray = slots.find((slot) => !isIn(own, slot));
      if (stray !== undefined) throw new Error(`a node has a key of slot ${stray}, which is not its own`);
    }
    return keys;
  }

  /** Starts a node again that was killed. */
  async rejoin(index: number): Promise<void> {
    await this.nodes[index]!.restart();
    this.clients[index] = this.#resources.use(await this.nodes[index]!.connect());
    await this.settled();
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
    const { node: replica, busPort } = await startNode(node.binary, this.#options);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

export function urlOf(node: RedisServer): string {
  return `${node.options.tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${node.port}`;
}

interface StartedNode {
  readonly node: RedisServer;
  readonly busPort: number;
}

/** Redis before 7.0 cannot be told the port of its bus: there it is 10000 above the other. */
async function startNode(binary: ServerBinary, options: RedisServerOptions): Promise<StartedNode> {
  const busPort = isAtLeast(binary, { redis: 7, valkey: 7 }) ? await freePort() : undefined;
  const config = {
    'cluster-enabled': 'yes',
    ...(busPort !== undefined && { 'cluster-port': String(busPort) }),
    'cluster-node-timeout': '5000',
    ...(options.tls !== undefined && { 'tls-cluster': 'yes' }),
    ...options.config,
  };
  const choosePort = busPort === undefined ? { choosePort: portBelowBus } : {};
  const node = await RedisServer.start(binary, { ...options, ...choosePort, config });
  return { node, busPort: busPort ?? node.port + busDistance };
}

const busDistance = 10_000;

/** Neither it nor that of its bus is one that a system gives away by itself. */
function portBelowBus(): Promise<number> {
  return Promise.resolve(20_000 + Math.floor(Math.random() * 2700));
}

/** Of the node itself, by what it says. */
async function slotsOf(client: RespClient): Promise<(readonly [number, number])[]> {
  const id = await client.text('CLUSTER', 'MYID');
  const rows = replyList(await client.call('CLUSTER', 'SLOTS')).map(replyList);
  const own = rows.filter(([, , owner]) => replyText(replyList(owner)[2]) === id);
  return own.map(([from, to]) => [Number(from), Number(to)]);
}

function isIn(ranges: readonly (readonly [number, number])[], slot: number): boolean {
  return ranges.some(([from, to]) => from <= slot && slot <= to);
}

/** Slots and ids. */
function simplified(map: Awaited<ReturnType<RespClient['call']>>): unknown[] {
  return replyList(map)
    .map(replyList)
    .map(([from, to, owner]) => [Number(from), Number(to), String(replyList(owner)[2])])
    .sort(([a], [b]) => Number(a) - Number(b));
}
