// Other expiries for an RDB made by hand: keys and hash fields of every encoding; all else stays byte for byte.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc64Hex } from '../../src/redis/crc64.ts';
import { parseSelection } from '../../src/redis/key-selection.ts';
import { RdbFilter } from '../../src/redis/rdb-filter.ts';
import { TtlJudge } from '../../src/redis/ttl-rule.ts';
import type { TtlRule } from '../../src/redis/ttl-rule.ts';
import { pieces, singleBytes } from './bytes.ts';
import {
  bytes,
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

const asOfMs = 1_800_000_000_000;
const before = asOfMs - 1;
const after = asOfMs + 5000;
const nowMs = asOfMs + 1000;
const latestField = 2 ** 46 - 1;

const rules = {
  'as-of': { asOfMs, elapsed: 'goes', others: 'stay' },
  shift: { asOfMs, elapsed: 'goes', others: { laterByMs: 700_000 } },
  persist: { asOfMs, elapsed: 'goes', others: 'persist' },
  keep: { asOfMs, elapsed: 'stays', others: 'stay' },
} as const satisfies Record<string, TtlRule>;
type Mode = keyof typeof rules;

interface Edited {
  readonly rdb: Buffer;
  readonly judge: TtlJudge;
  readonly filter: RdbFilter;
}

function edited(
  chunks: readonly Buffer[],
  mode: Mode,
  keys?: readonly string[],
  rename: readonly string[] = [],
): Edited {
  const judge = new TtlJudge(rules[mode], nowMs);
  const selection = keys && parseSelection({ keys, rename });
  const filter = new RdbFilter({ selection, ttl: judge });
  return { rdb: through(filter, chunks), judge, filter };
}

/** With the true checksum. */
function whole(magic: string, parts: readonly Buffer[]): Buffer {
  const all = Buffer.concat([Buffer.from(magic), ...parts, bytes(255)]);
  return Buffer.concat([all, Buffer.from(crc64Hex(all), 'hex').reverse()]);
}

function expires(atMs: number, ...rest: Buffer[]): Buffer {
  return Buffer.concat([opcode(252, ms(atMs)), ...rest]);
}

interface Field {
  readonly pair: readonly [string, string];
  readonly at?: number;
}

function pairsOf(fields: readonly Field[]): Buffer[] {
  return fields.map(({ pair }) => strings(...pair));
}

function plainHash(key: string, fields: readonly Field[]): Buffer {
  return entry(4, key, length(fields.length), ...pairsOf(fields));
}

function redisHash(key: string, fields: readonly Field[]): Buffer {
  const earliest = Math.min(...fields.map(({ at }) => at ?? Infinity));
  const parts = fields.map(({ pair, at }) =>
    Buffer.concat([at === undefined ? length(0) : relative(at - earliest + 1), strings(...pair)]),
  );
  return entry(24, key, ms(earliest), length(fields.length), ...parts);
}

function relative(value: number): Buffer {
  return value < 2 ** 32 ? length(value) : length(value, '64');
}

function valkeyHash(key: string, fields: readonly Field[]): Buffer {
  const parts = fields.map(({ pair, at }) => Buffer.concat([strings(...pair), ms(at ?? -1)]));
  return entry(22, key, length(fields.length), ...parts);
}

function listpackHash(key: string, fields: readonly Field[], packed?: (listpack: Buffer) => Buffer): Buffer {
  const element = (head: Buffer, content: Buffer): Buffer =>
    Buffer.concat([head, content, bytes(head.length + content.length)]);
  const text = (value: string): Buffer => element(bytes(0x80 | value.length), Buffer.from(value));
  const elements = fields.flatMap(({ pair, at = 0 }) => [
    ...pair.map((one) => (/^\d$/.test(one) ? element(bytes(Number(one)), bytes()) : text(one))),
    at === 0 ? element(bytes(0), bytes()) : element(bytes(0xf4), ms(at)),
  ]);
  const body = Buffer.concat(elements);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(body.length + 7, 0);
  head.writeUInt16LE(elements.length, 4);
  const listpack = Buffer.concat([head, body, bytes(0xff)]);
  const earliest = Math.min(...fields.map(({ at }) => at ?? Infinity));
  return entry(25, key, ms(earliest), packed?.(listpack) ?? string(listpack));
}

/** As LZF that copies nothing. */
function compressed(listpack: Buffer): Buffer {
  const runs = pieces(listpack, [32]).map((run) => Buffer.concat([bytes(run.length - 1), run]));
  const content = Buffer.concat(runs);
  return Buffer.concat([bytes(0xc3), length(content.length), length(listpack.length), content]);
}

const stays: Field = { pair: ['stays', 'x'.repeat(60)] };
const gone: Field = { pair: ['gone', '1'], at: before };
const since: Field = { pair: ['since', '2'], at: nowMs - 1 };
const ahead: Field = { pair: ['7', 'y'], at: after };
const farAhead: Field = { pair: ['far', 'z'], at: latestField };

function judged(fields: readonly Field[], mode: Mode): Field[] {
  if (mode === 'keep') return [...fields];
  return fields
    .filter(({ at }) => at === undefined || at >= asOfMs)
    .map(({ pair, at }) => {
      if (at === undefined || mode === 'persist') return { pair };
      return { pair, at: mode === 'as-of' || at === latestField ? at : at + 700_000 };
    });
}

const value = string('value');
const meta = [opcode(248, length(100)), opcode(249, bytes(200))];
const withSizes = [opcode(250, strings('repl-id', 'a'.repeat(40))), opcode(251, length(30), length(20))];
const functions = opcode(247, length(2 ** 52, '64'), length(2), length(1), moduleValue);
const [db0, db3] = [opcode(254, length(0)), opcode(254, length(300))];

/** What becomes of one that ends then, announced with its expiry. */
function key(mode: Mode, atMs: number, item: Buffer): Buffer[] {
  if (mode === 'keep') return [expires(atMs, item)];
  if (atMs < asOfMs) return [];
  return mode === 'persist' ? [item] : [expires(mode === 'shift' ? atMs + 700_000 : atMs, item)];
}

const plainItems = [
  entry(0, 'a', value),
  Buffer.concat([...meta, entry(0, 'b', value)]),
  Buffer.concat([bytes(0), oddStrings[3]!, string('x'.repeat(3000))]),
  entry(21, 'log', stream(3)),
];
const [a, b, packed, log] = plainItems as [Buffer, Buffer, Buffer, Buffer];

function everything(mode: Mode): Buffer[] {
  return [
    ...[...withSizes, functions, db0, ...key(mode, before, a), ...key(mode, after, b), packed],
    ...[...key(mode, nowMs - 1, log), ...key(mode, before, b), db3, a, ...key(mode, before, packed)],
  ];
}

/** The hash as it was, and what it is by the rule. */
function hashes(kind: 'redis' | 'valkey', mode: Mode): { readonly from: Buffer; readonly to: Buffer }[] {
  const written = kind === 'redis' ? redisHash : valkeyHash;
  const rewritten = (name: string, fields: readonly Field[], as = written): { from: Buffer; to: Buffer } => {
    const left = judged(fields, mode);
    const isSame = JSON.stringify(left) === JSON.stringify(fields);
    if (isSame) return { from: as(name, fields), to: as(name, fields) };
    const isPlain = left.every(({ at }) => at === undefined);
    const to = left.length === 0 ? Buffer.alloc(0) : (isPlain ? plainHash : written)(name, left);
    return { from: as(name, fields), to };
  };
  const all = [
    rewritten('all kinds', [gone, since, stays, ahead, farAhead]),
    rewritten('all gone', [gone, gone]),
    rewritten('stay', [stays, ahead]),
    rewritten('gone and stays', [gone, stays]),
  ];
  if (kind === 'valkey') return all;
  const squeezed = (name: string, fields: readonly Field[]): Buffer => listpackHash(name, fields, compressed);
  return [
    ...all,
    rewritten('packed', [gone, since, ahead, farAhead, stays], listpackHash),
    rewritten('packed gone', [gone], listpackHash),
    rewritten('packed stay', [ahead, stays], listpackHash),
    rewritten('squeezed', [since, ahead, stays], squeezed),
  ];
}

describe.each(Object.keys(rules) as Mode[])('an RDB with --ttl %s', (mode) => {
  test('has other expiries, and is else what it was, wherever it was cut', () => {
    const all = rdb('REDIS0011', ...everything('keep'));
    const wanted = whole('REDIS0011', everything(mode));
    for (const chunks of [[all], singleBytes(all)]) {
      expect(edited(chunks, mode).rdb.equals(wanted)).toBe(true);
    }
    const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(lengths, (sizes) => edited(pieces(all, sizes), mode).rdb.equals(wanted)));
  });

  test.each([
    ['redis', 'REDIS0012'],
    ['valkey', 'VALKEY080'],
  ] as const)('has them in the hash fields of %s, too', (kind, magic) => {
    const items = hashes(kind, mode);
    const all = rdb(magic, db0, ...items.flatMap(({ from }) => [...meta, from, expires(after, from)]), a);
    const parts = items.flatMap(({ to }) => (to.length === 0 ? [] : [...meta, to, ...key(mode, after, to)]));
    const wanted = whole(magic, [db0, ...parts, a]);
    for (const chunks of [[all], singleBytes(all), ...[3, 32, 71, 200].map((size) => pieces(all, [size]))]) {
      expect(edited(chunks, mode).rdb.equals(wanted)).toBe(true);
    }
  });

  test('tells how many there were, of the keys that are wanted alone', () => {
    const hash = redisHash('h', [gone, since, stays, ahead]);
    const all = rdb(
      'REDIS0012',
      db0,
      expires(before, hash),
      expires(after, hash),
      expires(before, entry(0, 'no', value)),
    );
    const { judge, filter } = edited(singleBytes(all), mode, ['h', 'a*']);
    const isLooked = mode !== 'keep';
    expect(judge.count).toEqual({
      elapsed: { keys: 1, fields: isLooked ? 1 : 0 },
      elapsedSince: { keys: 0, fields: isLooked ? 1 : 0 },
      ahead: { keys: 1, fields: isLooked ? 1 : 0 },
    });
    expect([filter.taken, filter.total]).toEqual(isLooked ? [1, 2] : [2, 3]);
  });

  test('has them under other names', () => {
    const hash = (name: string): Buffer => redisHash(name, [ahead]);
    const all = rdb('REDIS0012', db0, expires(after, hash('h')), expires(after, entry(0, 'h2', value)), a);
    const { rdb: out } = edited(pieces(all, [40]), mode, ['h*'], ['s/h/other/']);
    const [left = ahead] = judged([ahead], mode);
    const to = mode === 'persist' ? plainHash('other', [left]) : redisHash('other', [left]);
    const items = [...key(mode, after, to), ...key(mode, after, entry(0, 'other2', value))];
    expect(out.equals(whole('REDIS0012', [db0, ...items]))).toBe(true);
  });
});

test('an expiry in seconds becomes one in milliseconds where it changes', () => {
  const seconds = Buffer.concat([bytes(253), bytes(0, 0x2f, 0x68, 0x59), a]);
  const at = 0x59682f00 * 1000;
  const judge = new TtlJudge({ asOfMs: 0, elapsed: 'goes', others: { laterByMs: 1 } }, 0);
  const filter = new RdbFilter({ ttl: judge });
  const out = through(filter, [rdb('REDIS0006', db0, seconds)]);
  expect(out.equals(whole('REDIS0006', [db0, expires(at + 1, a)]))).toBe(true);
});

test('an RDB that holds what is not known is not given other expiries', () => {
  const future = rdb('REDIS0014', entry(40, 'x', string('')));
  expect(() => edited([future], 'shift')).toThrow(expect.objectContaining({ code: 'unknown-rdb', exitCode: 1 }));
});
