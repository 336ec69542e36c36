// The socket: what it hands on, how it is paused, and how it ends, against servers of Node's own.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { LinkError } from '../../src/core/errors.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import type { Slab } from '../../src/core/slabs.ts';
import { connectSocket } from '../../src/upstream/connect.ts';
import type { Connection, ConnectOptions } from '../../src/upstream/connect.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/redis-server.ts';

class Peer implements AsyncDisposable {
  readonly #server: Server;
  readonly sockets: Socket[] = [];
  /** What came over the first connection, and how that ended. */
  received = '';
  ended: 'in order' | 'by a reset' | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.sockets.push(socket);
      socket.on('data', (chunk) => {
        this.received += chunk.toString();
      });
      socket.on('end', () => {
        this.ended ??= 'in order';
      });
      socket.on('error', () => {
        this.ended ??= 'by a reset';
      });
    });
  }

  static async listen(host = '127.0.0.1'): Promise<Peer> {
    const server = createServer();
    server.listen(0, host);
    await once(server, 'listening');
    return new Peer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async socket(): Promise<Socket> {
    return eventually('a connection', () => this.sockets[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Keeps what it is given as a log would: views, with their slabs retained. */
class Receiver {
  readonly #held: { readonly bytes: Buffer; readonly slab: Slab }[] = [];
  closed: LinkError | undefined;
  connection!: Connection;

  get bytes(): Buffer {
    return Buffer.concat(this.#held.map(({ bytes }) => bytes));
  }

  async connect(options: Partial<ConnectOptions> & Pick<ConnectOptions, 'address'>): Promise<this> {
    const defaults = {
      tls: { verify: true },
      pool: new SlabPool(512 * 1024, 2),
      clock: systemClock,
      signal: new AbortController().signal,
      timeoutMs: 5000,
    };
    this.connection = await connectSocket(
      { ...defaults, ...options },
      {
        bytes: (bytes, slab) => {
          this.#held.push({ bytes, slab: slab.retain() });
        },
        closed: (error) => {
          this.closed = error;
        },
      },
    );
    return this;
  }
}

function to(peer: Peer, host = '127.0.0.1'): Pick<ConnectOptions, 'address'> {
  return { address: { host, port: peer.port, tls: false } };
}

/** Bytes of which no two stretches are alike. */
function numbered(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32BE(at, at);
  return bytes;
}

describe('a connection', () => {
  test('hands on every byte, in order, in memory that stays as it is while it is held', async () => {
    await using peer = await Peer.listen();
    const receiver = await new Receiver().connect(to(peer));
    const sent = numbered(5_000_000);
    (await peer.socket()).write(sent);
    await eventually('all of it', () => receiver.bytes.length === sent.length);
    expect(receiver.bytes.equals(sent)).toBe(true);
    receiver.connection.close();
  });

  test('brings nothing while it is paused, and all of it afterwards', async () => {
    await using peer = await Peer.listen();
    const receiver = await new Receiver().connect(to(peer));
    const socket = await peer.socket();
    socket.write('before');
    await eventually('the first bytes', () => receiver.bytes.length === 6);
    receiver.connection.pause();
    const sent = numbered(3_000_000);
    socket.write(sent);
    await sleep(50);
    expect(receiver.bytes.length).toBe(6);
    receiver.connection.resume();
    await eventually('the rest', () => receiver.bytes.length === 6 + sent.length);
    expect(receiver.bytes.subarray(6).equals(sent)).toBe(true);
    receiver.connection.close();
  });

  test('tells once that the peer has closed it, and never when we have', async () => {
    await using peer = await Peer.listen();
    const receiver = await new Receiver().connect(to(peer));
    (await peer.socket()).end('last words');
    await eventually('the end', () => receiver.closed);
    expect(receiver.bytes.toString()).toBe('last words');
    expect(receiver.closed).toMatchObject({ code: 'link-lost', retry: 'soon' });
    await using other = await Peer.listen();
    const closing = await new Receiver().connect(to(other));
    closing.connection.close();
    await eventually('the end', () => other.ended);
    expect(closing.closed).toBeUndefined();
  });

  test('delivers its last words also when the peer goes on sending, instead of losing them to a reset', async () => {
    for (let round = 0; round < 10; round++) {
      await using peer = await Peer.listen();
      const receiver = await new Receiver().connect(to(peer));
      const socket = await peer.socket();
      const beat = setInterval(() => socket.write(Buffer.alloc(300_000)), 1);
      await eventually('the stream', () => receiver.bytes.length > 0);
      receiver.connection.pause();
      await sleep(5);
      // A peer that is busy finds the words and the end at the same time.
      socket.pause();
      const closing = receiver.connection.closeAfter(Buffer.from('the last words'));
      await sleep(5);
      socket.resume();
      await closing;
      clearInterval(beat);
      await eventually('the end', () => peer.ended);
      expect([peer.received, peer.ended]).toEqual(['the last words', 'in order']);
      expect(receiver.closed).toBeUndefined();
    }
  });

  test('waits only so long for a peer that does not take its last words, or is gone', async () => {
    await using peer = await Peer.listen();
    const receiver = await new Receiver().connect(to(peer));
    (await peer.socket()).pause();
    await receiver.connection.closeAfter(Buffer.from('anybody?'));
    await using other = await Peer.listen();
    const late = await new Receiver().connect(to(other));
    (await other.socket()).resetAndDestroy();
    await eventually('the end', () => late.closed);
    await late.connection.closeAfter(Buffer.from('anybody?'));
  });

  test('to a port where nobody listens is refused, and to be tried again', async () => {
    const port = await freePort();
    const refused = new Receiver().connect({ address: { host: '127.0.0.1', port, tls: false } });
    await expect(refused).rejects.toMatchObject({
      code: 'unreachable',
      retry: 'soon',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  test('with TLS to a port that waits for other words ends in time, and says which address to write', async () => {
    await using peer = await Peer.listen();
    const address = { host: '127.0.0.1', port: peer.port, tls: true };
    await expect(new Receiver().connect({ address, timeoutMs: 200 })).rejects.toMatchObject({
      code: 'tls',
      retry: 'later',
      message: expect.stringContaining('no answer within 0.2 s'),
      hint: expect.stringContaining('redis://'),
    });
  });

  test('to a name that nobody has is refused with the name', async () => {
    const refused = new Receiver().connect({ address: { host: 'no-such-host.invalid', port: 1, tls: false } });
    await expect(refused).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('no-such-host.invalid'),
    });
  });

  test('that is told to stop before it is up fails with that reason', async () => {
    const stop = new AbortController();
    const reason = new Error('stop');
    // A blackhole of the documentation range; where there is no route at all it fails faster, with another error.
    const address = { host: '192.0.2.1', port: 6379, tls: false };
    const connecting = new Receiver().connect({ address, signal: stop.signal });
    stop.abort(reason);
    await expect(connecting).rejects.toBe(reason);
  });
});
