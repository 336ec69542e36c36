// The feed on its socket, with a replica played by the test: who is let in, what comes over, how it ends.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { type FeedSource, MasterFeed } from '../../src/scratch/master-feed.ts';
import { command } from '../redis-protocol/bytes.ts';
import { eventually } from '../support/eventually.ts';

const rdb = [Buffer.from('REDIS0010'), Buffer.from('the rest')];
const stream = [command('SET', 'a', '1'), command('SET', 'b', '2')];
const select = command('SELECT', '11');
const getAck = command('REPLCONF', 'GETACK', '*');
const end = select.length + Buffer.concat(stream).length;

const source: FeedSource = {
  rdbBytes: Buffer.concat(rdb).length,
  async *rdb() {
    yield* rdb;
  },
  db: 11,
  async *stream() {
    yield* stream;
  },
};

/** A connection that keeps what it gets. */
class Wire implements Disposable {
  readonly socket: Socket;
  text = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => (this.text += bytes.toString('latin1')));
    socket.on('error', () => undefined);
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Wire(socket);
  }

  static async replica({ port, password }: MasterFeed): Promise<Wire> {
    const wire = await Wire.open(port);
    wire.socket.write(command('AUTH', password));
    wire.socket.write(command('REPLCONF', 'capa', 'eof'));
    wire.socket.write(command('PSYNC', '?', '-1'));
    return wire;
  }

  get isClosed(): boolean {
    return this.socket.closed;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

const forever = new AbortController().signal;

test('a replica gets the RDB, its db, the stream; what it acknowledges at the end ends it', async () => {
  await using feed = await MasterFeed.listen(systemClock);
  const fed = feed.feed(source, forever);
  using replica = await Wire.replica(feed);
  const all = [...rdb, select, ...stream, getAck].map((bytes) => bytes.toString('latin1')).join('');
  await eventually('all of it', () => replica.text.endsWith(all));
  expect(replica.text).toMatch(/^\+OK\r\n\+OK\r\n\+FULLRESYNC [0-9a-f]{40} 0\r\n\$17\r\nREDIS0010/);
  let isOver = false;
  void fed.then(() => (isOver = true));
  replica.socket.write('\n');
  replica.socket.write(command('REPLCONF', 'ACK', String(end - 1)));
  await sleep(50);
  expect(isOver).toBe(false);
  replica.socket.write(command('REPLCONF', 'ACK', String(end), 'FACK', '0'));
  await fed;
  expect(replica.isClosed, 'it stays a replica').toBe(false);
});

test('strangers are turned away, one at a time, and nobody is listened to behind the replica', async () => {
  await using feed = await MasterFeed.listen(systemClock);
  const stop = new AbortController();
  const fed = feed.feed(source, stop.signal);
  fed.catch(() => undefined);
  for (const greeting of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    command('AUTH', 'guess'),
    command('PSYNC', '?', '-1'),
  ]) {
    using stranger = await Wire.open(feed.port);
    stranger.socket.write(greeting);
    await eventually('the stranger to be turned away', () => stranger.isClosed);
    expect(stranger.text).toBe('');
  }
  {
    using silent = await Wire.open(feed.port);
    using next = await Wire.open(feed.port);
    await eventually('the second to be turned away', () => next.isClosed);
    expect(silent.isClosed).toBe(false);
  }
  using replica = await eventually('the replica to be let in', async () => {
    const wire = await Wire.replica(feed);
    await sleep(20);
    return wire.isClosed ? undefined : wire;
  });
  await eventually('the stream', () => replica.text.endsWith(getAck.toString()));
  await expect(Wire.open(feed.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  stop.abort(new Error('enough'));
  await expect(fed).rejects.toThrow('enough');
});

describe('it fails', () => {
  test('when the replica leaves, acknowledges what was not sent, or breaks the protocol', async () => {
    const ways: readonly ((wire: Wire) => void)[] = [
      (wire) => wire.socket.end(),
      (wire) => wire.socket.write(command('REPLCONF', 'ACK', String(end + 1000))),
      (wire) => wire.socket.write('+OK\r\n'),
    ];
    for (const way of ways) {
      await using feed = await MasterFeed.listen(systemClock);
      const fed = feed.feed(source, forever);
      fed.catch(() => undefined);
      using replica = await Wire.replica(feed);
      await eventually('the stream', () => replica.text.endsWith(getAck.toString()));
      way(replica);
      await expect(fed).rejects.toMatchObject({ name: 'LinkError' });
    }
  });

  test('with the error of what it reads, and when it is interrupted before anybody came', async () => {
    await using feed = await MasterFeed.listen(systemClock);
    const broken: FeedSource = {
      ...source,
      // eslint-disable-next-line require-yield -- it fails before its first piece
      async *rdb() {
        throw new RangeError('rotten');
      },
    };
    const fed = feed.feed(broken, forever);
    fed.catch(() => undefined);
    using _replica = await Wire.replica(feed);
    await expect(fed).rejects.toThrow('rotten');
    await using unused = await MasterFeed.listen(systemClock);
    await expect(unused.feed(source, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
  });
});
