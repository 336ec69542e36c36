// The head of an RDB: magic, version, AUX fields in every encoding, and the position that they claim.
import { describe, expect, test } from 'vitest';
import { IntegrityError } from '../../src/core/errors.ts';
import { checkPosition, RdbHeadReader, streamDb } from '../../src/redis/rdb-head.ts';
import type { RdbHead } from '../../src/redis/rdb-head.ts';
import { singleBytes, splitsInTwo } from './bytes.ts';

const id = '8c3b0e7a53cd2b10eb0f7d2e8f2f53a0a1b2c3d4';
const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
const aux = (key: string, value: Buffer): Buffer => Buffer.concat([Buffer.from([250]), text(key), value]);
// As liblzf packs forty equal letters: one literal, then a copy that overlaps itself.
const packed = Buffer.from([0xc3, 5, 40, 0, 0x61, 0xe0, 30, 0]);

const short = Buffer.concat([
  Buffer.from('REDIS0011'),
  aux('redis-ver', text('7.2.6')),
  aux('redis-bits', Buffer.from([0xc0, 64])),
  aux('ctime', Buffer.from([0xc2, 0x40, 0x0c, 0xf1, 0x65])),
  aux('used-mem', Buffer.from([0xc1, 0x00, 0x80])),
  aux('repl-stream-db', Buffer.from([0xc0, 3])),
  aux('repl-id', text(id)),
  aux('repl-offset', text('17179869184')),
  aux('letters', packed),
  aux('long', Buffer.concat([Buffer.from([0x40, 100]), Buffer.alloc(100, 0x62)])),
]);
const whole = Buffer.concat([
  short,
  aux('longer', Buffer.concat([Buffer.from([0x80, 0, 1, 0, 0]), Buffer.alloc(65536, 0x63)])),
  aux('aof-base', Buffer.from([0xc0, 0])),
]);

const fields: readonly (readonly [string, string])[] = [
  ['redis-ver', '7.2.6'],
  ['redis-bits', '64'],
  ['ctime', '1710296128'],
  ['used-mem', '-32768'],
  ['repl-stream-db', '3'],
  ['repl-id', id],
  ['repl-offset', '17179869184'],
  ['letters', 'a'.repeat(40)],
  ['long', 'b'.repeat(100)],
  ['longer', 'c'.repeat(65536)],
  ['aof-base', '0'],
];

function read(chunks: readonly Buffer[]): RdbHead | undefined {
  const reader = new RdbHeadReader();
  for (const chunk of chunks) {
    const head = reader.push(chunk);
    if (head !== undefined) return head;
  }
  return undefined;
}

describe('the head', () => {
  const expected = { magic: 'REDIS', version: 11, aux: new Map(fields) };

  test('is known when the first opcode that is no AUX has come, and not before', () => {
    expect(read([whole])).toBeUndefined();
    expect(read([Buffer.concat([whole, Buffer.from([254])])])).toEqual(expected);
  });

  test('may come in single bytes or cut anywhere', () => {
    const bytes = Buffer.concat([short, Buffer.from([255])]);
    const head = read([bytes]);
    expect(head?.aux).toEqual(new Map(fields.slice(0, 9)));
    expect(read(singleBytes(bytes))).toEqual(head);
    for (const halves of splitsInTwo(bytes)) expect(read(halves)).toEqual(head);
  });

  test('of Valkey 9 has its own magic', () => {
    expect(read([Buffer.from('VALKEY080\xff', 'latin1')])).toEqual({ magic: 'VALKEY', version: 80, aux: new Map() });
  });
});

describe('a broken head', () => {
  test.each([
    ['another magic', Buffer.from('RIDES0011\xff', 'latin1')],
    ['a version that is none', Buffer.from('REDIS00x1\xff', 'latin1')],
    [
      'a field longer than the limit',
      Buffer.concat([Buffer.from('REDIS0011'), Buffer.from([250, 0x80, 0xff, 0xff, 0xff, 0xff])]),
    ],
    ['a length encoding that is none', Buffer.concat([Buffer.from('REDIS0011'), Buffer.from([250, 0x82])])],
    ['a string encoding that is none', Buffer.concat([Buffer.from('REDIS0011'), Buffer.from([250, 0xc4])])],
    [
      'compression that reaches before its beginning',
      Buffer.concat([Buffer.from('REDIS0011'), aux('x', Buffer.from([0xc3, 2, 3, 0x20, 9]))]),
    ],
    [
      'compression that makes too little',
      Buffer.concat([Buffer.from('REDIS0011'), aux('x', Buffer.from([0xc3, 2, 9, 0, 0x61]))]),
    ],
    [
      'compression that makes too much',
      Buffer.concat([Buffer.from('REDIS0011'), aux('x', Buffer.from([0xc3, 2, 0, 0, 0x61]))]),
    ],
  ])('%s is refused', (_what, bytes) => {
    expect(() => read([bytes])).toThrow(IntegrityError);
    expect(() => read(singleBytes(bytes))).toThrow(IntegrityError);
  });

  test('fields without end are refused at the limit', () => {
    const reader = new RdbHeadReader();
    reader.push(Buffer.from('REDIS0011'));
    const field = aux('key', Buffer.concat([Buffer.from([0x80, 0, 1, 0, 0]), Buffer.alloc(65536)]));
    expect(() => {
      for (let i = 0; i < 20; i++) reader.push(field);
    }).toThrow('AUX fields');
  });

  test('compression does not get around the limit', () => {
    const reader = new RdbHeadReader();
    reader.push(Buffer.from('REDIS0011'));
    const bomb = Buffer.concat([
      Buffer.from([0, 0x61]),
      Buffer.from([0xe0, 255, 0]),
      Buffer.concat(Array<Buffer>(3000).fill(Buffer.from([0xe0, 255, 0]))),
    ]);
    const size = 1 + 3001 * 264;
    const length = (value: number): Buffer =>
      Buffer.from([0x80, value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
    const field = aux('k', Buffer.concat([Buffer.from([0xc3]), length(bomb.length), length(size), bomb]));
    expect(() => {
      for (let i = 0; i < 3; i++) reader.push(field);
    }).toThrow('AUX fields');
  });
});

describe('the position in the head', () => {
  const position = { id, offset: 42 };
  const claiming = (claimedId: string, offset: string): Map<string, string> =>
    new Map([
      ['repl-id', claimedId],
      ['repl-offset', offset],
    ]);

  test('that is the announced one, or is absent, is accepted', () => {
    checkPosition(claiming(id, '42'), position);
    checkPosition(new Map([['redis-ver', '7.2.6']]), position);
  });

  test.each([
    [id, '41'],
    [id, '042'],
    ['b'.repeat(40), '42'],
  ])('%s:%s is refused when another was announced', (claimedId, offset) => {
    expect(() => {
      checkPosition(claiming(claimedId, offset), position);
    }).toThrow(IntegrityError);
  });

  test('of a journal may be one that had another name, at the same offset', () => {
    checkPosition(claiming('b'.repeat(40), '42'), position, true);
    expect(() => {
      checkPosition(claiming('b'.repeat(40), '41'), position, true);
    }).toThrow(IntegrityError);
  });

  test('the stream begins in the db that is named, or in 0', () => {
    expect(streamDb(new Map([['repl-stream-db', '7']]))).toBe(7);
    expect(streamDb(new Map())).toBe(0);
    expect(() => streamDb(new Map([['repl-stream-db', '-1']]))).toThrow(IntegrityError);
  });
});
