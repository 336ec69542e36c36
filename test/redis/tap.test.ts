// The tap between a primary and its follower: what it records is what came, and its disturbances are what they say.
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { RedisServer } from '../support/redis-server.ts';
import { encodeCommand, RespClient } from '../support/resp-client.ts';
import { isAtLeast, pickServer, type ServerBinary } from '../support/servers.ts';
import { parseReplication, recordedAcks, replicationConnections } from '../support/tap-parser.ts';
import { Tap } from '../support/tap.ts';

async function offsetOf(client: RespClient): Promise<number> {
  return Number(/master_repl_offset:(\d+)/.exec(await client.text('INFO', 'replication'))?.[1]);
}

/** The plainest follower: it keeps what it gets and claims nothing. */
class RawFollower implements Disposable {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly #beat: NodeJS.Timeout;

  /** Told a follower's version, Valkey 9 sends it the current RDB, else an old one, and that never by way of a file. */
  constructor(port: number, binary: ServerBinary) {
    this.#socket = createConnection({ port, host: '127.0.0.1' });
    this.#socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk)).on('error', () => undefined);
    void this.#handshake(binary);
    this.#beat = setInterval(() => this.#acknowledge(), 100);
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  async #handshake(binary: ServerBinary): Promise<void> {
    this.#socket.write(encodeCommand(['REPLCONF', 'version', binary.version]));
    this.#socket.write(encodeCommand(['REPLCONF', 'capa', 'eof', 'capa', 'psync2']));
    this.#socket.write(encodeCommand(['PING']));
    await eventually('the replies', () => this.received.includes('+PONG\r\n'));
    this.#socket.write(encodeCommand(['PSYNC', '?', '-1']));
  }

  /**
   * A diskless stream is opened by an acknowledgement, and only once the primary has seen its child end. Not before
   * the full synchronisation has begun, though: the primary delays that until its followers have been idle for
   * repl-diskless-sync-delay, so that whatever they say puts it off.
   */
  #acknowledge(): void {
    if (this.received.includes('+FULLRESYNC')) this.#socket.write(encodeCommand(['REPLCONF', 'ACK', 0]));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#beat);
    this.#socket.destroy();
  }
}

describeServers('the tap', (binary) => {
  test.each([
    ['mark', 'yes'],
    ['length', 'no'],
  ])('records what a raw follower gets, byte for byte, with an RDB of known %s', async (form, diskless) => {
    await using server = await RedisServer.start(binary, { config: { 'repl-diskless-sync': diskless } });
    await using client = await server.connect();
    await client.call('SET', 'before', 'x'.repeat(100));
    await using tap = await Tap.start(server);
    using follower = new RawFollower(tap.port, binary);
    const connection = await eventually('a connection', () => tap.connections[0]);
    await eventually('the RDB', () => {
      return parseReplication(connection.fromPrimary, connection.toPrimary)?.rdb?.isComplete;
    });
    const written = [
      ['SET', 'after', '*3\r\n$5'],
      ['RPUSH', 'list', '1', '2'],
    ] as const;
    for (const command of written) await client.call(...command);

    const expected = Buffer.concat(written.map(encodeCommand));
    const parsed = await eventually('the stream', () => {
      const recording = parseReplication(connection.fromPrimary, connection.toPrimary);
      return recording?.stream.includes(expected) === true && recording;
    });
    expect(parsed.replies.slice(1)).toEqual(['+OK', '+PONG']);
    expect(parsed.rdb?.form).toBe(form);
    expect(parsed.rdb?.bytes.toString('latin1')).toMatch(/^(REDIS00\d\d|VALKEY\d{3})/);
    expect(parsed.firstOffset + parsed.stream.length - 1).toBe(await offsetOf(client));
    expect(parsed.sync).toMatchObject({ kind: 'full', offset: parsed.firstOffset - 1 });
    await eventually('the last byte', () => follower.received.equals(connection.fromPrimary));
    expect(connection.forwarded).toBe(connection.fromPrimary.length);
    await eventually('an acknowledgement', () => recordedAcks(connection.toPrimary)[0]?.ack === 0);
  });

  test('shows a cut link being resumed where it ended', async () => {
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    await using tap = await Tap.start(server);
    // Redis 8 would fetch the RDB over a connection of its own.
    const oneChannel = isAtLeast(binary, { redis: 8 }) && { 'repl-rdb-channel': 'no' };
    const config = { replicaof: `127.0.0.1 ${tap.port}`, ...oneChannel };
    await using replica = await RedisServer.start(binary, { config });
    await using reader = await replica.connect();
    const caughtUp = (): Promise<boolean> =>
      eventually('the replica to be level', async () => (await offsetOf(client)) === (await offsetOf(reader)));
    await client.call('SET', 'a', 1);
    await eventually('the key', async () => (await reader.call('GET', 'a')) !== null);
    await caughtUp();
    tap.cut();
    await client.call('SET', 'a', 2);
    await eventually('a second link', () => replicationConnections(tap).length >= 2);
    await caughtUp();

    const recordings = replicationConnections(tap).map((one) => parseReplication(one.fromPrimary, one.toPrimary));
    const [first, second] = [recordings[0], recordings.at(-1)];
    expect(first?.sync.kind).toBe('full');
    expect(second?.sync.kind).toBe('continue');
    expect(second?.firstOffset).toBe((first?.firstOffset ?? 0) + (first?.stream.length ?? 0));
    expect(second?.stream.toString()).toContain('$1\r\n2\r\n');
  });
});

describe('a disturbed link', () => {
  const binary = pickServer();

  test('is cut behind exactly the byte that was asked for', async () => {
    await using server = await RedisServer.start(binary);
    await using tap = await Tap.start(server);
    tap.disturb({ cutAfterBytes: 60 });
    using follower = new RawFollower(tap.port, binary);
    await eventually('the end', () => follower.isClosed);
    expect(follower.received.length).toBe(60);
    expect(tap.connections[0]?.forwarded).toBe(60);
    expect(tap.connections[0]?.fromPrimary.subarray(0, 60)).toEqual(follower.received);
  });

  test('holds bytes back while it is stalled, and loses none', async () => {
    await using server = await RedisServer.start(binary);
    await using tap = await Tap.start(server);
    await using client = await connectThrough(tap);
    tap.disturb({ stalled: true });
    let answered = false;
    const reply = client.text('PING').then((text) => {
      answered = true;
      return text;
    });
    await sleep(100);
    expect(answered).toBe(false);
    tap.disturb({});
    expect(await reply).toBe('PONG');
  });

  test('is as late and as slow as it was told to be', async () => {
    await using server = await RedisServer.start(binary);
    await using tap = await Tap.start(server);
    await using client = await connectThrough(tap);
    await client.call('SET', 'key', Buffer.alloc(20_000));
    tap.disturb({ delayMs: 50 });
    let start = performance.now();
    await client.text('PING');
    expect(performance.now() - start).toBeGreaterThanOrEqual(45);
    tap.disturb({ bytesPerSecond: 100_000 });
    start = performance.now();
    await client.call('GET', 'key');
    expect(performance.now() - start).toBeGreaterThanOrEqual(150);
  });

  test('refuses and accepts again on the same port, and can lead elsewhere', async () => {
    await using server = await RedisServer.start(binary);
    await using other = await RedisServer.start(binary);
    await using tap = await Tap.start(server);
    await using present = await connectThrough(tap);
    await tap.refuse();
    await expect(connectThrough(tap)).rejects.toThrow('ECONNREFUSED');
    expect(await present.text('PING')).toBe('PONG');
    await tap.accept();
    tap.redirect(other);
    await using client = await connectThrough(tap);
    expect(await client.text('INFO', 'server')).toContain(`tcp_port:${other.port}`);
  });

  test('passes a lot of data through without losing any, to a follower that is slower', async () => {
    await using server = await RedisServer.start(binary);
    await using tap = await Tap.start(server);
    await using client = await connectThrough(tap);
    const value = Buffer.alloc(40 * 1024 * 1024, 'payload!');
    await client.call('SET', 'large', value);
    const reply = await client.call('GET', 'large');
    expect(Buffer.isBuffer(reply) && reply.equals(value)).toBe(true);
  });
});

function connectThrough(tap: Tap): Promise<RespClient> {
  return RespClient.connect({ port: tap.port });
}
