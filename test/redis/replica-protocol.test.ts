// The protocol room against real primaries: handshake, full sync in both forms, stream, resumption, refusals. A socket
// and nothing else of ours around it.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { LinkError } from '../../src/core/errors.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import { CommandReader, nameOf } from '../../src/redis/command-reader.ts';
import type { StreamCommand } from '../../src/redis/command-reader.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { Crc64 } from '../../src/redis/crc64.ts';
import { Handshake } from '../../src/redis/handshake.ts';
import type { HandshakeOptions, HandshakeOutcome } from '../../src/redis/handshake.ts';
import { checkPosition, RdbHeadReader, streamDb } from '../../src/redis/rdb-head.ts';
import { RdbTransfer } from '../../src/redis/rdb-transfer.ts';
import { RdbWalk } from '../../src/redis/rdb-walk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber } from '../support/resp-client.ts';
import type { Reply, RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';

/** A connection whose bytes are taken when asked for. */
class Wire implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;

  constructor(port: number) {
    this.#socket = createConnection(port, '127.0.0.1');
    this.#chunks = this.#socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  async receive(): Promise<Buffer> {
    const { value, done } = await this.#chunks.next();
    if (done === true) throw new Error('the primary closed the connection');
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.closed) return;
    this.#socket.destroy();
    await once(this.#socket, 'close');
  }
}

async function shakeHands(
  wire: Wire,
  options: HandshakeOptions,
): Promise<{ outcome: HandshakeOutcome; handshake: Handshake }> {
  const handshake = new Handshake(options);
  wire.send(handshake.start());
  while (true) {
    const step = handshake.push(await wire.receive());
    if (step.send !== undefined) wire.send(step.send);
    if (step.outcome !== undefined) return { outcome: step.outcome, handshake };
  }
}

async function receiveRdb(wire: Wire, rest: Buffer): Promise<{ rdb: Buffer; rest: Buffer; form: string | undefined }> {
  const transfer = new RdbTransfer();
  const slices: Buffer[] = [];
  for (let bytes = rest; ; bytes = await wire.receive()) {
    const progress = transfer.push(bytes);
    slices.push(...progress.rdb);
    if (progress.rest !== undefined) return { rdb: Buffer.concat(slices), rest: progress.rest, form: transfer.form };
  }
}

/** Reads the stream until `isEnough`, acknowledging nothing, as a diskless stream needs to begin. */
async function receiveStream(
  wire: Wire,
  scanner: BoundaryScanner,
  rest: Buffer,
  isEnough: () => boolean,
): Promise<Buffer> {
  const received = [rest];
  scanner.scan(rest);
  const acking = setInterval(() => {
    wire.send(encodeCommand('REPLCONF', 'ACK', '0'));
  }, 100);
  try {
    while (!isEnough()) {
      const bytes = await wire.receive();
      received.push(bytes);
      scanner.scan(bytes);
    }
  } finally {
    clearInterval(acking);
  }
  return Buffer.concat(received);
}

async function primaryOffset(client: RespClient): Promise<number> {
  return replyNumber(((await client.call('ROLE')) as Reply[])[1]);
}

describeServers('a primary', (server) => {
  test.each([
    ['from disk', 'no'],
    ['without a disk', 'yes'],
  ])('is followed with a full sync %s, and resumed', async (_name, diskless) => {
    await using primary = await RedisServer.start(server, { config: { 'repl-diskless-sync': diskless } });
    await using client = await primary.connect();
    await client.callMany([
      ['SELECT', '5'],
      ['SET', 'before', 'x'.repeat(100_000)],
    ]);
    let resumeAt;
    {
      await using wire = new Wire(primary.port);
      const { outcome, handshake } = await shakeHands(wire, {});
      if (outcome.kind !== 'full-resync') throw new Error('a first sync cannot continue anything');
      expect(handshake.server).toMatchObject({ kind: server.kind, major: server.major, minor: server.minor });
      expect(handshake.notes).toEqual([]);

      const { rdb, rest, form } = await receiveRdb(wire, handshake.rest());
      expect(form).toBe(diskless === 'yes' ? 'mark' : 'length');
      const head = new RdbHeadReader().push(rdb)!;
      checkPosition(head.aux, outcome);
      expect(head.aux.get('repl-id')).toBe(outcome.id);
      const walk = new RdbWalk();
      walk.push(rdb);
      const crc = new Crc64();
      crc.update(rdb.subarray(0, -8));
      expect(walk.finish()).toMatchObject({ kind: 'walked', keys: 1, storedCrc64: crc.hex() });

      await client.callMany([
        ['SET', 'k', 'v'],
        ['MULTI'],
        ['INCR', 'n'],
        ['SELECT', '6'],
        ['INCR', 'n'],
        ['EXEC'],
        ['SELECT', '5'],
      ]);
      const start = { offset: outcome.offset, db: streamDb(head.aux) };
      const scanner = new BoundaryScanner(start);
      const target = await primaryOffset(client);
      const stream = await receiveStream(wire, scanner, rest, () => scanner.offset >= target);
      const reader = new CommandReader(start);
      reader.push(stream);
      const commands: StreamCommand[] = [];
      for (let next = reader.next(); next !== undefined; next = reader.next()) commands.push(next);
      const incrs = commands.filter((command) => nameOf(command) === 'INCR');
      expect(incrs.map(({ db, inMulti }) => [db, inMulti])).toEqual([
        [5, true],
        [6, true],
      ]);
      expect(commands.at(-1)?.end).toBe(scanner.boundary);
      expect(scanner.boundaryDb).toBe(6);
      resumeAt = { id: outcome.id, offset: scanner.boundary };
    }

    await client.callMany([
      ['SELECT', '6'],
      ['SET', 'k', 'later'],
      ['WAIT', '1', '100'],
    ]);
    await using wire = new Wire(primary.port);
    const { outcome, handshake } = await shakeHands(wire, { resume: resumeAt });
    expect(outcome).toEqual({ kind: 'continue', id: resumeAt.id });
    const scanner = new BoundaryScanner({ offset: resumeAt.offset, db: 6 });
    const target = await primaryOffset(client);
    const stream = await receiveStream(
      wire,
      scanner,
      handshake.rest(),
      () => scanner.offset >= target && scanner.acksWanted > 0,
    );
    expect(stream.subarray(0, 4).toString()).toBe('*3\r\n');
    expect(scanner.boundaryDb).toBe(6);
  });

  test('without the password is refused, with the right one accepted, and never names it', async () => {
    await using primary = await RedisServer.start(server, { password: 'correct-horse' });
    const refusal = async (options: HandshakeOptions): Promise<LinkError> => {
      await using wire = new Wire(primary.port);
      return (await shakeHands(wire, options).catch((error: unknown) => error)) as LinkError;
    };
    expect(await refusal({})).toMatchObject({ code: 'password-needed', retry: 'never', exitCode: 10 });
    const wrong = await refusal({ password: 'battery-staple' });
    expect(wrong).toMatchObject({ code: 'wrong-password', retry: 'never', exitCode: 10 });
    expect(wrong.message).not.toContain('battery');
    await using wire = new Wire(primary.port);
    expect((await shakeHands(wire, { password: 'correct-horse' })).outcome.kind).toBe('full-resync');
  });

  test('without a password refuses one', async () => {
    await using primary = await RedisServer.start(server);
    await using wire = new Wire(primary.port);
    await expect(shakeHands(wire, { password: 'needless' })).rejects.toMatchObject({ code: 'password-not-wanted' });
  });

  test('needs no more than the permissions that the hint names', async () => {
    await using primary = await RedisServer.start(server);
    await using client = await primary.connect();
    await client.call('ACL', 'SETUSER', 'least', 'on', '>secret', '+psync', '+replconf', '+ping');
    await client.call('ACL', 'SETUSER', 'less', 'on', '>secret', '+replconf');
    {
      await using wire = new Wire(primary.port);
      const { outcome, handshake } = await shakeHands(wire, { user: 'least', password: 'secret' });
      expect(outcome.kind).toBe('full-resync');
      expect(handshake.server).toBeUndefined();
      expect(handshake.notes).toHaveLength(1);
    }
    await using wire = new Wire(primary.port);
    const refused = shakeHands(wire, { user: 'less', password: 'secret' });
    await expect(refused).rejects.toMatchObject({
      code: 'no-permission',
      exitCode: 10,
      hint: expect.stringContaining('+psync'),
    });
  });

  test('whose PSYNC was renamed says so', async () => {
    await using primary = await RedisServer.start(server, { config: { 'rename-command': 'PSYNC ""' } });
    await using wire = new Wire(primary.port);
    await expect(shakeHands(wire, {})).rejects.toMatchObject({ code: 'command-missing', retry: 'never', exitCode: 11 });
  });

  test('that is a replica without its primary asks for patience', async () => {
    await using primary = await RedisServer.start(server, { config: { replicaof: '127.0.0.1 1' } });
    await using wire = new Wire(primary.port);
    await expect(shakeHands(wire, {})).rejects.toMatchObject({ code: 'source-has-no-primary', retry: 'soon' });
  });
});

describeServers(
  'a primary with hash fields that expire',
  (server) => {
    test('sends them, because the handshake reports a version that can hold them', async () => {
      await using primary = await RedisServer.start(server);
      await using client = await primary.connect();
      await client.callMany([
        ['HSET', 'h', 'f', 'v'],
        ['HPEXPIREAT', 'h', '4000000000000', 'FIELDS', '1', 'f'],
      ]);
      await sleep(10);
      await using wire = new Wire(primary.port);
      const { handshake } = await shakeHands(wire, {});
      const { rdb } = await receiveRdb(wire, handshake.rest());
      const walk = new RdbWalk();
      walk.push(rdb);
      expect(walk.finish()).toMatchObject({ hashFieldExpires: 1, minHashFieldExpireMs: 4_000_000_000_000 });
    });
  },
  { where: (server) => isAtLeast(server, { redis: 7.4, valkey: 9 }) },
);
