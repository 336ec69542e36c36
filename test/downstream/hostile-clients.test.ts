// Clients that mean harm, against the real listener: each is answered within bounds or cut off, nothing is thrown past it
// (the test process would end), and a well-behaved replica beside them goes on.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { clientsMax, strangersMax } from '../../src/core/limits.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { eventually } from '../support/eventually.ts';
import { baseOffset, ListenerRig, password } from './listener-rig.ts';
import type { RawClient } from './listener-rig.ts';

const command = encodeCommand('SET', 'key', 'value');

/** A replica that was there before goes on, and one that comes now is served. */
async function expectUnaffected(rig: ListenerRig, harm: () => Promise<void>): Promise<void> {
  const replica = await rig.replica();
  await rig.write(command);
  await replica.hasAll();
  await harm();
  await rig.write(command);
  await replica.hasAll();
  const fresh = await rig.replica();
  await fresh.hasAll();
  expect(replica.client.isClosed).toBe(false);
}

describe('what is no request', () => {
  it.each([
    ['garbage', randomBytes(100_000)],
    ['a request of HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: journal\r\n\r\n')],
    ['an argument that is too long', Buffer.from('*1\r\n$16385\r\n')],
    ['an argument of a length that nobody has', Buffer.from('*1\r\n$99999999999999999999\r\n')],
    ['a negative length', Buffer.from('*1\r\n$-1\r\n')],
    ['too many arguments', Buffer.from('*17\r\n$4\r\nPING\r\n')],
    ['a count that nobody has', Buffer.from('*4294967296\r\n')],
    ['a nested array', Buffer.from('*1\r\n*1\r\n$4\r\nPING\r\n')],
    ['a line that does not end', Buffer.alloc(100, '*')],
  ])('closes the connection: %s', async (_what, bytes) => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      for (const client of [await rig.connect(), await rig.known()]) {
        client.send(bytes);
        await client.closed();
        expect(client.heard.toString('latin1')).toMatch(/-ERR Protocol error\r\n$/);
      }
      expect(rig.codes()).toEqual(['protocol-broken', 'protocol-broken']);
    });
  });

  it('is told of once for each client, however much more comes', async () => {
    await using rig = await ListenerRig.start();
    const client = await rig.connect();
    for (let i = 0; i < 50; i += 1) client.send(randomBytes(10_000));
    await client.closed();
    expect(rig.refused).toHaveLength(1);
  });

  it('ends the feed of a replica that sends it, and no other', async () => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      const replica = await rig.replica();
      replica.client.send('*1\r\n$16385\r\n');
      await replica.client.closed();
      expect(rig.left.map(({ code }) => code)).toEqual(['protocol-broken']);
    });
  });
});

describe('a stranger that is silent', () => {
  it.each([
    ['says nothing', ''],
    ['sends half a request', '*2\r\n$4\r\nAU'],
    ['sends newlines', '\n'.repeat(100_000)],
    ['asks and does not say who it is', '*1\r\n$4\r\nPING\r\n'],
    ['sends empty requests', '*0\r\n'.repeat(10_000)],
  ])('has ten seconds: it %s', async (_what, bytes) => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      const client = await rig.connect();
      client.send(bytes);
      await eventually('the clock to be set', () => rig.clock.pending >= 2);
      await sleep(20);
      rig.clock.advance(9_999);
      await sleep(20);
      expect(client.isClosed).toBe(false);
      rig.clock.advance(1);
      await client.closed();
      expect(rig.codes()).toEqual(['too-slow']);
    });
  });

  it('holds no memory for newlines that never end', async () => {
    await using rig = await ListenerRig.start();
    const client = await rig.known();
    const newlines = Buffer.alloc(1024 * 1024, '\n');
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 128; i += 1) {
      if (!client.socket.write(newlines)) await eventually('room', () => !client.socket.writableNeedDrain);
    }
    client.say('PING');
    await client.hears('+PONG\r\n');
    expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024);
  });
});

describe('who guesses passwords', () => {
  it('has three tries in a connection, even when all are sent at once', async () => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      const client = await rig.connect();
      const guesses = Array.from({ length: 500 }, (_, i) => encodeCommand('AUTH', `guess ${i}`));
      client.send(Buffer.concat([...guesses, encodeCommand('AUTH', password), encodeCommand('PING')]));
      await client.closed();
      const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
      expect(client.heard.toString()).toBe(wrong.repeat(3));
      expect(rig.codes()).toEqual(['wrong-password', 'wrong-password', 'wrong-password']);
      expect(rig.refused.map(({ message }) => message).join()).not.toContain('guess');
    });
  });

  it('has no more of them when its first request is right and it reads no answer', async () => {
    await using rig = await ListenerRig.start();
    const client = await rig.known();
    client.send(Buffer.concat(Array.from({ length: 100 }, () => encodeCommand('AUTH', 'dr', 'guess'))));
    await client.closed();
    expect(rig.codes()).toHaveLength(3);
  });
});

describe('who does not read', () => {
  it('the answers, is cut off', async () => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      const client = await rig.known();
      client.socket.pause();
      const asks = Buffer.concat(Array.from({ length: 1000 }, () => encodeCommand('INFO')));
      await eventually('it to be cut off', () => {
        client.send(asks);
        return rig.codes().includes('replies-unread');
      });
      rig.clock.advance(1000);
      client.socket.resume();
      await client.closed();
    });
  });

  it('the base, is given up after a minute, and cost one piece of it', async () => {
    await using rig = await ListenerRig.start({ rdb: randomBytes(48 * 1024 * 1024) });
    const client = await rig.known();
    client.socket.pause();
    client.say('PSYNC', '?', '-1');
    await eventually('the base to be sent', () => rig.listener.replicas[0]?.state === 'base');
    await sleep(200);
    const before = process.memoryUsage().rss;
    await passTime(rig, 62_000);
    await eventually('it to be given up', () => rig.left.length > 0);
    expect(rig.left.map(({ code }) => code)).toEqual(['replica-silent']);
    expect(process.memoryUsage().rss - before).toBeLessThan(40 * 1024 * 1024);
    await passTime(rig, 1_000);
    client.socket.resume();
    await client.closed();
    expect(rig.listener.replicas).toEqual([]);
  });

  it('the stream, is given up after a minute, while others get it', async () => {
    await using rig = await ListenerRig.start();
    const slow = await rig.replica();
    const replica = await rig.replica();
    slow.client.socket.pause();
    const large = encodeCommand('SET', 'key', 'x'.repeat(1024 * 1024));
    for (let i = 0; i < 16; i += 1) {
      await rig.write(large);
      await replica.hasAll();
    }
    for (let i = 0; i < 62; i += 1) {
      replica.client.say('REPLCONF', 'ACK', String(baseOffset));
      await sleep(2);
      await passTime(rig, 1_000);
    }
    await eventually('it to be given up', () => rig.left.length > 0);
    expect(rig.left.map(({ code }) => code)).toEqual(['replica-silent']);
    await rig.write(command);
    await replica.hasAll();
  });
});

describe('many connections', () => {
  it('of strangers end the longest of them, and none that is known', async () => {
    await using rig = await ListenerRig.start();
    await expectUnaffected(rig, async () => {
      const clients: RawClient[] = [];
      for (let i = 0; i < 1000; i += 1) clients.push(await rig.connect());
      await eventually(
        'the others to be ended',
        () => clients.filter(({ isClosed }) => !isClosed).length <= strangersMax,
      );
      expect(clients.findIndex(({ isClosed }) => !isClosed)).toBeGreaterThanOrEqual(1000 - strangersMax);
      expect(rig.codes().every((code) => code === 'too-many-strangers')).toBe(true);
    });
  });

  it('of one machine do not keep out another', async () => {
    await using rig = await ListenerRig.start();
    const other = await rig.connect();
    const flood = await Promise.all(Array.from({ length: 300 }, () => rig.connectFrom('127.0.0.2')));
    await eventually('the flood to be bounded', () => flood.filter(({ isClosed }) => isClosed).length >= 200);
    other.say('AUTH', password);
    await other.hears('+OK\r\n');
  });

  it('of those who are known have a bound, and leave nothing open', async () => {
    await using rig = await ListenerRig.start();
    const known: RawClient[] = [];
    while (known.length < clientsMax) known.push(...(await Promise.all(Array.from({ length: 50 }, () => rig.known()))));
    for (let i = 0; i < 20; i += 1) {
      const more = await rig.connect();
      await more.closed();
      expect(more.heard.toString()).toBe('-ERR max number of clients reached\r\n');
    }
    known.pop()?.destroy();
    const replica = await eventually('somebody to be let in', async () => {
      const client = await rig.connect();
      client.say('AUTH', password);
      return (await client.answers()).startsWith('+OK') && client;
    });
    replica.say('PING');
    await replica.hears('+PONG\r\n');
  });
});

describe('who leaves', () => {
  it('at any byte of the handshake or of the base, leaves nothing behind', async () => {
    await using rig = await ListenerRig.start({ rdb: randomBytes(500) });
    await expectUnaffected(rig, async () => {
      for (let at = 0; at <= handshake.length; at += 1) {
        const client = await rig.connect();
        client.send(handshake.subarray(0, at));
        client.socket.end();
        await client.closed();
      }
      const { length } = await wholeAnswer(rig);
      for (let at = 1; at < length; at += 7) {
        const client = await rig.connect();
        client.send(handshake);
        await eventually('so much', () => client.heard.length >= Math.min(at, 20));
        client.socket.resetAndDestroy();
      }
      await eventually('all to be gone', () => rig.listener.replicas.length === 1);
    });
    expect(rig.left.every(({ code }) => code === 'replica-gone')).toBe(true);
  });

  it('in the middle of a long base, ends the reading of it', async () => {
    await using rig = await ListenerRig.start({ rdb: randomBytes(24 * 1024 * 1024) });
    for (let i = 0; i < 10; i += 1) {
      const client = await rig.known();
      client.say('PSYNC', '?', '-1');
      await eventually('some of it', () => client.heard.length > i * 2_000_000);
      client.socket.resetAndDestroy();
    }
    await eventually('all to be gone', () => rig.listener.replicas.length === 0 && rig.left.length === 10);
    expect(rig.left.every(({ code }) => code === 'replica-gone')).toBe(true);
  });
});

const handshake = Buffer.concat([
  encodeCommand('PING'),
  encodeCommand('AUTH', password),
  encodeCommand('REPLCONF', 'listening-port', '6390'),
  encodeCommand('REPLCONF', 'capa', 'eof', 'capa', 'psync2'),
  Buffer.from('\n'),
  encodeCommand('REPLCONF', 'version', '9.1.0'),
  encodeCommand('PSYNC', '?', '-1'),
]);

async function wholeAnswer(rig: ListenerRig): Promise<Buffer> {
  const client = await rig.connect();
  client.send(handshake);
  await eventually('all of it', () => client.heard.includes(Buffer.concat([rig.timeline.rdb, rig.timeline.stream])));
  client.destroy();
  return client.heard;
}

describe('a handshake', () => {
  it('may come in pieces of any size', async () => {
    await using rig = await ListenerRig.start({ rdb: randomBytes(500) });
    await rig.write(command);
    const whole = await wholeAnswer(rig);
    expect(whole.toString('latin1')).toMatch(/^-NOAUTH .*\r\n(\+OK\r\n){4}\+FULLRESYNC a{40} 1000\r\n\$500\r\n/);
    for (let at = 1; at < handshake.length; at += 1) {
      const client = await rig.connect();
      client.send(handshake.subarray(0, at));
      await sleep(1);
      client.send(handshake.subarray(at));
      await eventually(`the answer, split at ${at}`, () => client.heard.equals(whole), { everyMs: 1 });
      client.destroy();
    }
    const client = await rig.connect();
    for (const byte of handshake) {
      client.send(Buffer.of(byte));
      await sleep(1);
    }
    await eventually('the answer, byte by byte', () => client.heard.equals(whole));
  });
});

describe('what fails within', () => {
  it('ends the feed that it fails in, and is told as what it is', async () => {
    await using rig = await ListenerRig.start();
    const replica = await rig.replica();
    rig.move({ ids: [] });
    await replica.client.closed();
    const client = await rig.known();
    client.say('PSYNC', '?', '-1');
    await client.closed();
    expect(rig.left.map(({ code }) => code)).toEqual(['history-moved', 'feed-broken']);
  });
});

/** What is set off at each second runs before the next. */
async function passTime(rig: ListenerRig, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1000) {
    rig.clock.advance(1000);
    await new Promise(setImmediate);
  }
}
