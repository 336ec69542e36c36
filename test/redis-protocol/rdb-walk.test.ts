// The walk over RDBs made by hand: every opcode and type, cut anywhere, damaged, cut short, and of the future.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IntegrityError } from '../../src/core/errors.ts';
import { RdbWalk } from '../../src/redis/rdb-walk.ts';
import type { RdbContents } from '../../src/redis/rdb-walk.ts';
import { pieces, singleBytes, splitsInTwo } from './bytes.ts';
import {
  bytes,
  commonOpcodes,
  commonTypes,
  entry,
  length,
  moduleValue,
  ms,
  oddStrings,
  opcode,
  rdb,
  storedCrc64,
  stream,
  string,
  strings,
} from './rdb-maker.ts';

function walk(chunks: readonly Buffer[]): RdbContents {
  const walker = new RdbWalk();
  for (const chunk of chunks) walker.push(chunk);
  return walker.finish();
}

const small = commonTypes.filter((one) => one.length < 1000);

const redis = rdb(
  'REDIS0014',
  ...commonOpcodes,
  opcode(254, length(0)),
  opcode(251, length(30), length(2)),
  opcode(244, length(1), length(2), length(3)),
  ...small,
  opcode(254, length(300)),
  opcode(252, ms(1_800_000_000_000)),
  opcode(248, length(100)),
  entry(0, 'expires', string('')),
  opcode(253, bytes(1, 2, 3, 4)),
  opcode(249, bytes(200)),
  opcode(243, length(2), bytes(1, 2, 3, 4), moduleValue, bytes(1, 2, 3, 4), bytes(0)),
  entry(0, 'expires too', string('')),
  entry(
    24,
    '24',
    ms(5000),
    length(3),
    length(0),
    strings('a', 'b'),
    length(1),
    strings('c', 'd'),
    length(101),
    strings('e', 'f'),
  ),
  entry(25, '25', ms(4000), string('packed')),
  entry(25, '25 without', ms(0), string('packed')),
  entry(26, '26', stream(4)),
  entry(27, '27', stream(5)),
);

const valkey = rdb(
  'VALKEY080',
  ...commonOpcodes,
  opcode(243, string('j'.repeat(40)), length(2), length(0), length(5), length(7), length(16383)),
  ...small,
  entry(22, '22', length(3), strings('a', 'b'), ms(-1), strings('c', 'd'), ms(9000), strings('e', 'f'), ms(8000)),
);

describe.each([
  [
    'Redis',
    redis,
    {
      kind: 'walked',
      magic: 'REDIS',
      version: 14,
      databases: [
        { db: 0, keys: small.length, expires: 0 },
        { db: 300, keys: 7, expires: 2 },
      ],
      keys: small.length + 7,
      expires: 2,
      hashFieldExpires: 3,
      minHashFieldExpireMs: 4000,
      storedCrc64,
    },
  ],
  [
    'Valkey',
    valkey,
    {
      kind: 'walked',
      magic: 'VALKEY',
      version: 80,
      databases: [{ db: 0, keys: small.length + 1, expires: 0 }],
      keys: small.length + 1,
      expires: 0,
      hashFieldExpires: 2,
      minHashFieldExpireMs: 8000,
      storedCrc64,
    },
  ],
] as const)('an RDB of %s with everything in it', (_name, whole, expected) => {
  test('is walked at once, in single bytes, and cut anywhere', () => {
    expect(walk([whole])).toEqual(expected);
    expect(walk(singleBytes(whole))).toEqual(expected);
    for (const halves of splitsInTwo(whole)) expect(walk(halves)).toEqual(expected);
    for (let size = 2; size < 150; size++) expect(walk(pieces(whole, [size]))).toEqual(expected);
  });

  test('is refused when cut short anywhere', () => {
    for (let end = 0; end < whole.length; end++) {
      expect(() => walk([whole.subarray(0, end)])).toThrow(IntegrityError);
      expect(() => walk(pieces(whole.subarray(0, end), [37]))).toThrow(IntegrityError);
    }
  });

  test('is refused when anything follows it', () => {
    for (const extra of [1, 31, 32, 33, 1000]) {
      expect(() => walk([whole, Buffer.alloc(extra)])).toThrow('bytes follow its end');
      expect(() => walk(pieces(Buffer.concat([whole, Buffer.alloc(extra)]), [50]))).toThrow('bytes follow its end');
      expect(() => walk(singleBytes(Buffer.concat([whole, Buffer.alloc(extra)])))).toThrow('bytes follow its end');
    }
  });

  test('damaged anywhere, it is refused, unknown or walked, in whatever pieces alike', () => {
    const outcome = (chunks: readonly Buffer[]): string => {
      try {
        return JSON.stringify(walk(chunks));
      } catch (error) {
        expect(error).toBeInstanceOf(IntegrityError);
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 255 }), fc.integer({ min: 1, max: 200 }), (at, value, size) => {
        const damaged = Buffer.from(whole);
        damaged[at % whole.length] = value;
        expect(outcome(pieces(damaged, [size]))).toBe(outcome([damaged]));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('single facts', () => {
  test('an empty RDB is one', () => {
    expect(walk([rdb('REDIS0009')])).toMatchObject({ kind: 'walked', keys: 0, databases: [], storedCrc64 });
  });

  test('before version 5 there is no checksum', () => {
    const old = Buffer.concat([Buffer.from('REDIS0003'), entry(0, 'a', string('b')), bytes(255)]);
    expect(walk([old])).toMatchObject({ version: 3, keys: 1, storedCrc64: '0'.repeat(16) });
  });

  test('a value longer than what is pushed is skipped over many calls', () => {
    const value = Buffer.concat([bytes(0), string('big'), length(10_000_000, '32')]);
    const walker = new RdbWalk();
    walker.push(Buffer.concat([Buffer.from('REDIS0011'), value]));
    for (let sent = 0; sent < 10_000_000; sent += 100_000) walker.push(Buffer.alloc(100_000, 254));
    walker.push(bytes(255, 0, 0, 0, 0, 0, 0, 0, 0));
    expect(walker.finish()).toMatchObject({ keys: 1, storedCrc64: '0'.repeat(16) });
  });

  test('a db that comes up again is counted on', () => {
    const parts = [0, 1, 0].map((db) => Buffer.concat([opcode(254, length(db)), entry(0, 'k', string('v'))]));
    const walked = walk([rdb('REDIS0011', ...parts)]);
    expect(walked).toMatchObject({
      databases: [
        { db: 0, keys: 2, expires: 0 },
        { db: 1, keys: 1, expires: 0 },
      ],
    });
  });

  test('negative and large times are read', () => {
    const hash = entry(22, 'h', length(2), strings('a', 'b'), ms(2 ** 50), strings('a', 'b'), ms(2 ** 50 + 1));
    expect(walk([rdb('VALKEY080', hash)])).toMatchObject({ hashFieldExpires: 2, minHashFieldExpireMs: 2 ** 50 });
  });

  test('a long value takes its arithmetic beyond 32 bits', () => {
    const walker = new RdbWalk();
    const size = 5 * 2 ** 30;
    walker.push(Buffer.concat([Buffer.from('REDIS0011'), bytes(0), string('k'), length(size, '64')]));
    const zeros = Buffer.alloc(2 ** 26);
    for (let sent = 0; sent < size; sent += zeros.length) walker.push(zeros);
    walker.push(bytes(255, 1, 0, 0, 0, 0, 0, 0, 0));
    expect(walker.finish()).toMatchObject({ keys: 1, storedCrc64: '0000000000000001' });
  });
});

describe('what is unknown is said to be so', () => {
  test.each([
    ['a Redis version of the future', rdb('REDIS0015'), 'REDIS version 15'],
    ['a Valkey version of the future', rdb('VALKEY081'), 'VALKEY version 81'],
    [
      'a type of Redis 7.4 in an RDB of 7.2',
      rdb('REDIS0011', entry(25, 'k', ms(0), string(''))),
      'opcode or type 25 at byte 9',
    ],
    ['a type that only Valkey has', rdb('REDIS0012', entry(22, 'k', length(0))), 'opcode or type 22 at byte 9'],
    ['a type that changed its meaning', rdb('REDIS0014', entry(29, 'k', length(0))), 'opcode or type 29 at byte 9'],
    ['a module of old', rdb('REDIS0009', entry(6, 'k')), 'opcode or type 6 at byte 9'],
    [
      'an opcode after keys',
      rdb('REDIS0011', entry(0, 'k', string('v')), opcode(242)),
      'opcode or type 242 at byte 14',
    ],
  ])('%s', (_what, whole, what) => {
    expect(walk([whole])).toEqual({ kind: 'unknown', what });
    expect(walk([whole, Buffer.alloc(1000, 255)])).toEqual({ kind: 'unknown', what });
    expect(walk(singleBytes(whole))).toEqual({ kind: 'unknown', what });
  });
});

describe('what cannot be an RDB is refused', () => {
  test.each([
    ['another file', Buffer.from('PK\x03\x04 and so on, for more than thirty-two bytes')],
    ['nothing', Buffer.alloc(0)],
    ['a length encoding that is none', rdb('REDIS0011', entry(1, 'k', bytes(0x82)))],
    ['a string encoding that is none', rdb('REDIS0011', entry(0, 'k', bytes(0xc4)))],
    ['a string where a number must be', rdb('REDIS0011', opcode(254, oddStrings[0]!))],
    ['a module value of a kind that is none', rdb('REDIS0011', entry(7, 'k', length(1), bytes(6)))],
    ['a value longer than the file', rdb('REDIS0011', entry(0, 'k', length(2 ** 53 - 1, '64')))],
    ['a count larger than the file', rdb('REDIS0011', entry(1, 'k', length(2 ** 53 - 1, '64')))],
    [
      'a value of any size that 64 bits can say',
      rdb('REDIS0011', entry(0, 'k', bytes(0x81, ...Array<number>(8).fill(255)))),
    ],
  ])('%s', (_what, whole) => {
    expect(() => walk([whole])).toThrow(IntegrityError);
    expect(() => walk(singleBytes(whole))).toThrow(IntegrityError);
  });

  test('the message names the byte', () => {
    const whole = rdb('REDIS0011', entry(0, 'k', string('v')), entry(1, 'k', bytes(0x82)));
    for (const chunks of [[whole], singleBytes(whole)]) {
      expect(() => walk(chunks)).toThrow('the RDB is broken at byte 17: a length encoded as 130');
    }
  });
});
