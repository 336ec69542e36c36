// Some keys of RDBs made by hand: every opcode and type, cut anywhere; the bytes of what is taken are those that were there.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc64Hex } from '../../src/redis/crc64.ts';
import { parseSelection } from '../../src/redis/key-selection.ts';
import type { SelectionText } from '../../src/redis/key-selection.ts';
import { RdbFilter } from '../../src/redis/rdb-filter.ts';
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
  stream,
  string,
  strings,
  through,
} from './rdb-maker.ts';

interface Filtered {
  readonly rdb: Buffer;
  readonly filter: RdbFilter;
}

function filtered(chunks: readonly Buffer[], text: Partial<SelectionText>): Filtered {
  const filter = new RdbFilter({ selection: parseSelection(text) });
  return { rdb: through(filter, chunks), filter };
}

/** Parts of an RDB with their true checksum. */
function whole(magic: string, ...parts: readonly Buffer[]): Buffer {
  const all = Buffer.concat([Buffer.from(magic), ...parts, bytes(255)]);
  return Buffer.concat([all, Buffer.from(crc64Hex(all), 'hex').reverse()]);
}

const history = [
  opcode(250, string('repl-stream-db'), bytes(0xc0, 3)),
  opcode(250, strings('repl-id', 'a'.repeat(40))),
  opcode(250, string('repl-offset'), oddStrings[2]!),
];
const version = opcode(250, strings('redis-ver', '8.8.0'));
const [db0, db3] = [opcode(254, length(0)), opcode(254, length(300))];
const sizes = [opcode(251, length(30), length(2)), opcode(244, length(1), length(2), length(3))];
const code = [
  opcode(245, string('#!lua name=lib')),
  opcode(247, length(2 ** 52, '64'), length(2), length(1), moduleValue),
];
const expiring = Buffer.concat([
  opcode(252, ms(1_800_000_000_000)),
  opcode(248, length(100)),
  entry(0, 'user:1', string('value')),
]);
const withMeta = Buffer.concat([
  opcode(249, bytes(200)),
  opcode(243, length(2), bytes(1, 2, 3, 4), moduleValue, bytes(1, 2, 3, 4), bytes(0)),
  entry(16, 'user:2', string('packed')),
]);
const others = [entry(0, 'other', string('user:1')), entry(1, 'user', length(2), strings('a', 'b'))];
const log = entry(21, 'user:log', stream(3));
const everything = rdb(
  'REDIS0014',
  ...[version, ...history, ...code, db0, ...sizes, expiring, ...others, withMeta, db3, ...sizes, log],
);

describe('a part of an RDB', () => {
  test('is what was asked for byte by byte, wherever the RDB was cut', () => {
    const part = whole('REDIS0014', version, db0, expiring, withMeta, db3, log);
    for (const chunks of [[everything], singleBytes(everything), ...splitsInTwo(everything)]) {
      const { rdb: out, filter } = filtered(chunks, { keys: ['user:*'] });
      expect(out.equals(part)).toBe(true);
      expect([filter.taken, filter.total]).toEqual([3, 5]);
    }
  });

  test.each([
    [{ db: ['300'] }, [db3, log]],
    [{ db: ['1'] }, []],
    [{ type: ['hash', 'list'] }, [db0, others[1]!, withMeta]],
    [{ keys: ['user*'], type: ['string'] }, [db0, expiring]],
    [{ keys: ['user*'], exclude: ['*1', '*log'] }, [db0, others[1]!, withMeta]],
    [{ keys: ['other', 'user'] }, [db0, ...others]],
    [{ keys: ['none'] }, []],
  ])('of %j has nothing else, no functions either', (text, parts) => {
    expect(filtered([everything], text).rdb.equals(whole('REDIS0014', version, ...parts))).toBe(true);
  });

  test('keeps functions where keys are only excluded or renamed', () => {
    const { rdb: out } = filtered([everything], { exclude: ['user*'] });
    expect(out.equals(whole('REDIS0014', version, ...code, db0, others[0]!))).toBe(true);
  });

  test('has other names and the same values where keys are renamed', () => {
    const { rdb: out } = filtered(singleBytes(everything), {
      keys: ['user:*'],
      rename: ['s/^user:/a longer name than before, /'],
    });
    const renamed = (item: Buffer, key: string): Buffer => {
      const at = item.indexOf(string(key));
      const name = string(key.replace('user:', 'a longer name than before, '));
      return Buffer.concat([item.subarray(0, at), name, item.subarray(at + string(key).length)]);
    };
    const items = [db0, renamed(expiring, 'user:1'), renamed(withMeta, 'user:2'), db3, renamed(log, 'user:log')];
    expect(out.equals(whole('REDIS0014', version, ...items))).toBe(true);
  });

  test('knows keys that are written as integers, or compressed', () => {
    const keyed = (key: Buffer): Buffer => Buffer.concat([bytes(0), key, string('value')]);
    const [small, medium, large, packed] = oddStrings.map(keyed);
    const all = rdb('REDIS0011', small!, medium!, large!, packed!, keyed(bytes(0xc0, 0xff)));
    const takes = (key: string): Buffer => filtered(splitsInTwo(all)[20]!, { keys: [key] }).rdb;
    expect(takes('5').equals(whole('REDIS0011', db0, small!))).toBe(true);
    expect(takes('261').equals(whole('REDIS0011', db0, medium!))).toBe(true);
    expect(takes('16843013').equals(whole('REDIS0011', db0, large!))).toBe(true);
    expect(takes('a'.repeat(40)).equals(whole('REDIS0011', db0, packed!))).toBe(true);
    expect(takes('-1').equals(whole('REDIS0011', db0, keyed(bytes(0xc0, 0xff))))).toBe(true);
  });

  test('of every type and opcode is all of it where all of it is wanted', () => {
    const valkey = [
      opcode(243, string('job'), length(1), length(0), length(9)),
      db0,
      entry(22, 'h', length(1), strings('a', 'b'), ms(-1)),
    ];
    const { rdb: out } = filtered(singleBytes(rdb('VALKEY080', ...valkey)), { keys: ['*'] });
    expect(out.equals(whole('VALKEY080', ...valkey.slice(1)))).toBe(true);
    const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
    const all = rdb('REDIS0014', ...commonOpcodes, db0, ...commonTypes);
    const expected = whole('REDIS0014', ...commonOpcodes, db0, ...commonTypes);
    fc.assert(
      fc.property(lengths, (sizesOfPieces) =>
        filtered(pieces(all, sizesOfPieces), { exclude: ['none'] }).rdb.equals(expected),
      ),
    );
  });

  test('holds a name longer than what comes at once', () => {
    const item = entry(0, 'x'.repeat(5000), string('value'));
    const all = rdb('REDIS0011', entry(0, 'y'.repeat(5000), string('other')), item);
    expect(filtered(pieces(all, [700]), { keys: ['x*'] }).rdb.equals(whole('REDIS0011', db0, item))).toBe(true);
  });

  test('tells names that two keys would have', () => {
    const { filter } = filtered([everything], { rename: ['s/:.*//'] });
    expect(filter.sameNames.map(({ db, name, key }) => [db, String(name), String(key)])).toEqual([
      [0, 'user', 'user'],
      [0, 'user', 'user:2'],
    ]);
  });

  test('is refused where the RDB holds what is not known, or is cut short', () => {
    const future = rdb('REDIS0014', entry(40, 'x', string('')));
    expect(() => filtered([future], { keys: ['*'] })).toThrow(
      expect.objectContaining({ code: 'unknown-rdb', exitCode: 1 }),
    );
    for (const end of [5, 40, everything.length - 1]) {
      expect(() => filtered([everything.subarray(0, end)], { keys: ['*'] })).toThrow(
        expect.objectContaining({ code: 'rdb-broken' }),
      );
    }
  });

  test.each([
    [{ db: ['x'] }, 'bad-db'],
    [{ db: ['-1'] }, 'bad-db'],
    [{ type: ['sring'] }, 'bad-type'],
    [{ rename: ['x'] }, 'bad-rename'],
  ])('is refused for %j', (text, reason) => {
    expect(() => parseSelection(text)).toThrow(expect.objectContaining({ code: reason, exitCode: 2 }));
  });
});
