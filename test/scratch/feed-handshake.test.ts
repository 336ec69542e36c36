// The primary's side of a handshake: replicas of every kind get their full sync, others get nothing.
import { describe, expect, test } from 'vitest';
import { FeedHandshake } from '../../src/scratch/feed-handshake.ts';
import { RequestReader } from '../../src/redis/requests.ts';
import { command } from '../redis-protocol/bytes.ts';

const id = 'f'.repeat(40);
const password = 'b0b'.repeat(16);

function handshake(): FeedHandshake {
  return new FeedHandshake(password, { id, offset: 0 });
}

function words(...args: string[]): Buffer[] {
  return args.map((arg) => Buffer.from(arg));
}

test('a replica that knows the password gets a full sync of our history', () => {
  const machine = handshake();
  const script = [
    [words('PING'), '-NOAUTH Authentication required.\r\n'],
    [words('AUTH', password), '+OK\r\n'],
    [words('REPLCONF', 'listening-port', '0'), '+OK\r\n'],
    [words('REPLCONF', 'capa', 'eof', 'capa', 'psync2', 'capa', 'rdb-channel-repl'), '+OK\r\n'],
    [words('replconf', 'version', '9.1.2'), '+OK\r\n'],
  ] as const;
  for (const [request, send] of script) expect(machine.take(request)).toEqual({ send, isDone: false });
  expect(machine.take(words('PSYNC', '?', '-1'))).toEqual({ send: `+FULLRESYNC ${id} 0\r\n`, isDone: true });
});

describe('is refused', () => {
  test.each([
    ['a wrong password', [words('AUTH', 'wrong')]],
    ['PSYNC without a password', [words('PING'), words('PSYNC', '?', '-1')]],
    ['another command', [words('AUTH', 'default', password), words('FLUSHALL')]],
    ['an empty request', [[]]],
    ['too much talk', Array.from({ length: 40 }, () => words('PING'))],
  ])('%s', (_, requests) => {
    const machine = handshake();
    expect(() => {
      for (const request of requests) machine.take(request);
    }).toThrow(expect.objectContaining({ code: 'feed-refused' }));
  });
});

describe('requests', () => {
  const bytes = Buffer.concat([
    Buffer.from('\n\n'),
    command('REPLCONF', 'ACK', '17'),
    Buffer.from('\n'),
    command('', 'a\r\nb'),
  ]);

  test('are read however they are split', () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new RequestReader();
      const found: string[][] = [];
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        reader.push(part);
        for (let request = reader.next(); request !== undefined; request = reader.next()) {
          found.push(request.map(String));
        }
      }
      expect(found).toEqual([
        ['REPLCONF', 'ACK', '17'],
        ['', 'a\r\nb'],
      ]);
    }
  });

  test.each([
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    '*17\r\n',
    '*1\r\n$16385\r\n',
    '*1\r\n$-1\r\n',
    '*99999999999999999',
    '*1\r\n+a\r\n',
    `*2\r\n$16000\r\n${'x'.repeat(16_000)}\r\n$1000\r\n`,
  ])('of other forms or sizes are refused: %j', (text) => {
    const reader = new RequestReader();
    expect(() => {
      reader.push(Buffer.from(text));
      reader.next();
    }).toThrow(expect.objectContaining({ code: 'protocol-broken' }));
  });
});
