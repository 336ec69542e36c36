// Replies cut out of a byte stream: each kind whole, split at every byte, and from hostile servers.
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import { ReplyReader } from '../../src/redis/replies.ts';
import type { Reply } from '../../src/redis/replies.ts';
import { singleBytes, splitsInTwo } from './bytes.ts';

const bulk = (text: string): Reply => ({ kind: 'bulk', value: Buffer.from(text) });
const integer = (value: number): Reply => ({ kind: 'integer', value });

const samples: readonly (readonly [string, string, Reply])[] = [
  ['a status', '+PONG\r\n', { kind: 'status', value: 'PONG' }],
  ['an empty status', '+\r\n', { kind: 'status', value: '' }],
  ['an error', '-NOAUTH Authentication required.\r\n', { kind: 'error', value: 'NOAUTH Authentication required.' }],
  ['an integer', ':9007199254740991\r\n', integer(Number.MAX_SAFE_INTEGER)],
  ['a negative integer', ':-1\r\n', integer(-1)],
  ['a bulk string', '$5\r\na\r\nb\n\r\n', bulk('a\r\nb\n')],
  ['an empty bulk string', '$0\r\n\r\n', bulk('')],
  ['a null bulk string', '$-1\r\n', { kind: 'null', value: null }],
  ['a null array', '*-1\r\n', { kind: 'null', value: null }],
  ['an empty array', '*0\r\n', { kind: 'array', value: [] }],
  [
    'TIME and ROLE out of EXEC',
    '*2\r\n*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n' +
      '*3\r\n$6\r\nmaster\r\n:4711\r\n*2\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n$4\r\n4711\r\n*0\r\n',
    {
      kind: 'array',
      value: [
        { kind: 'array', value: [bulk('1700000000'), bulk('123456')] },
        {
          kind: 'array',
          value: [
            bulk('master'),
            integer(4711),
            {
              kind: 'array',
              value: [
                { kind: 'array', value: ['127.0.0.1', '6380', '4711'].map(bulk) },
                { kind: 'array', value: [] },
              ],
            },
          ],
        },
      ],
    },
  ],
  [
    'an error within an array',
    '*2\r\n-NOPERM no\r\n$-1\r\n',
    {
      kind: 'array',
      value: [
        { kind: 'error', value: 'NOPERM no' },
        { kind: 'null', value: null },
      ],
    },
  ],
];

function readAll(chunks: readonly Buffer[], reader = new ReplyReader()): Reply[] {
  const replies: Reply[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let reply = reader.next(); reply !== undefined; reply = reader.next()) replies.push(reply);
  }
  return replies;
}

describe.each(samples)('%s', (_name, text, expected) => {
  const bytes = Buffer.from(text);

  test('is read whole', () => {
    expect(readAll([bytes])).toEqual([expected]);
  });

  test('is read in single bytes and cut anywhere, and not before it is complete', () => {
    expect(readAll(singleBytes(bytes))).toEqual([expected]);
    for (const halves of splitsInTwo(bytes)) expect(readAll(halves)).toEqual([expected]);
    expect(readAll([bytes.subarray(0, -1)])).toEqual([]);
  });

  test('leaves what follows it untouched', () => {
    const reader = new ReplyReader();
    const behind = Buffer.from('\n$EOF:*1\r\n\xff');
    reader.push(Buffer.concat([bytes, behind]));
    expect(reader.next()).toEqual(expected);
    expect(reader.rest()).toEqual(behind);
    expect(reader.rest()).toEqual(Buffer.alloc(0));
  });
});

test('all replies in a row are read one by one', () => {
  const all = Buffer.from(samples.map(([, text]) => text).join(''));
  expect(readAll([all])).toEqual(samples.map(([, , reply]) => reply));
  expect(readAll(singleBytes(all))).toEqual(samples.map(([, , reply]) => reply));
});

test('a reply keeps its bytes when more arrive', () => {
  const reader = new ReplyReader();
  reader.push(Buffer.from('$3\r\nabc\r\n'));
  const reply = reader.next();
  for (let i = 0; i < 1000; i++) {
    reader.push(Buffer.from('$3\r\nxyz\r\n'));
    reader.next();
  }
  expect(reply).toEqual(bulk('abc'));
});

test('newlines before a reply are skipped only when asked for', () => {
  const bytes = Buffer.from('\n\n\n+OK\r\n\n');
  const ok = { kind: 'status', value: 'OK' };
  expect(readAll(singleBytes(bytes), new ReplyReader({ skipNewlines: true }))).toEqual([ok]);
  expect(readAll([bytes], new ReplyReader({ skipNewlines: true }))).toEqual([ok]);
  expect(() => readAll([bytes])).toThrow('cannot begin with');
});

describe('from a hostile server', () => {
  test.each([
    ['another protocol', 'HTTP/1.1 400 Bad Request\r\n', "cannot begin with 'H'"],
    ['a RESP3 reply', '%1\r\n', "cannot begin with '%'"],
    ['a bulk string above the limit', '$1048577\r\n', 'longer than'],
    ['a length of many digits', `$${'9'.repeat(300)}\r\n`, 'length'],
    ['a length that is none', '$3x\r\n', "length '3x'"],
    ['a negative length', '$-2\r\n', "length '-2'"],
    ['a leading zero', '$03\r\nabc\r\n', "length '03'"],
    ['an array of too many', '*999999\r\n', 'longer than'],
    ['an integer beyond safety', ':9007199254740993\r\n', 'integer'],
    ['an integer that is none', ':1e3\r\n', 'integer'],
    ['nesting below the limit', '*1\r\n'.repeat(5), 'nested'],
    ['endless nesting', '*1\r\n'.repeat(100_000), 'nested'],
    ['a line without carriage return', '+OK\n', 'without CR LF'],
    ['a carriage return inside a line', '+O\rK\r\n', 'without CR LF'],
    ['a bulk string with another end', '$1\r\nabc\r\n', 'not followed by CR LF'],
    ['an endless line', `+${'x'.repeat(70_000)}`, 'line longer than'],
    ['an array that never ends', '*300000\r\n' + '$5\r\naaaaa\r\n'.repeat(120_000), 'longer than'],
  ])('%s is refused', (_what, text, message) => {
    const bytes = Buffer.from(text);
    expect(() => readAll([bytes])).toThrow(LinkError);
    expect(() => readAll([bytes])).toThrow(message);
    if (bytes.length < 1000) expect(() => readAll(singleBytes(bytes))).toThrow(message);
  });

  test('a TLS alert is named as one', () => {
    const alert = Buffer.from([0x15, 3, 1, 0, 2, 2, 70]);
    expect(() => readAll([alert])).toThrow('TLS alert');
  });
});
