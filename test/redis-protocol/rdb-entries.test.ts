// The wanted keys of RDBs made by hand, each with its value as it is encoded: the same wherever the RDB was cut.
import { createHash } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { RdbEntries } from '../../src/redis/rdb-entries.ts';
import type { RdbEntry, WantsKey } from '../../src/redis/rdb-entries.ts';
import { pieces, singleBytes, splitsInTwo } from './bytes.ts';
import { bytes, entry, length, moduleValue, ms, opcode, rdb, stream, string, strings } from './rdb-maker.ts';

const heldMax = 3000;

vi.mock('../../src/core/limits.ts', async (original) => ({ ...(await original<object>()), entryValueBytesMax: 3000 }));

interface Told {
  readonly db: number;
  readonly code: number;
  readonly key: string;
  readonly endsMs: number;
  readonly value: string;
}

/** What was given is used again at once. */
function entriesOf(chunks: readonly Buffer[], wants: WantsKey = () => true): Told[] {
  const entries = new RdbEntries(wants);
  const told: Told[] = [];
  const take = (found: readonly RdbEntry[]): void => {
    for (const { db, code, key, endsMs, value } of found) {
      const text = 'bytes' in value ? value.bytes.toString('hex') : `sha256 ${value.digest.toString('hex')}`;
      told.push({ db, code, key: key.toString('latin1'), endsMs, value: text });
    }
  };
  for (const chunk of chunks) {
    const pushed = Buffer.from(chunk);
    take(entries.push(pushed));
    pushed.fill(0xee);
  }
  take(entries.finish());
  return told;
}

const large = string('x'.repeat(heldMax + 1));
const longKey = 'k'.repeat(300);
const made = rdb(
  'REDIS0014',
  opcode(250, strings('redis-ver', '8.8.0')),
  opcode(245, string('#!lua name=lib')),
  opcode(254, length(0)),
  opcode(251, length(30), length(2)),
  Buffer.concat([opcode(252, ms(1_800_000_000_000)), opcode(248, length(100)), entry(0, 'expires', string('value'))]),
  entry(0, 'plain', bytes(0xc1, 5, 1)),
  Buffer.concat([opcode(253, bytes(0, 0x5e, 0xd0, 0x5a)), entry(1, 'seconds', length(2), strings('a', 'b'))]),
  Buffer.concat([
    opcode(249, bytes(200)),
    opcode(243, length(2), bytes(1, 2, 3, 4), moduleValue, bytes(1, 2, 3, 4), bytes(0)),
    entry(16, 'with metadata', string('packed')),
  ]),
  opcode(254, length(300)),
  entry(0, longKey, large),
  entry(21, 'stream', stream(3)),
  Buffer.concat([bytes(0, 0xc0, 7), string('of a number')]),
);
const expected: Told[] = [
  { db: 0, code: 0, key: 'expires', endsMs: 1_800_000_000_000, value: string('value').toString('hex') },
  { db: 0, code: 0, key: 'plain', endsMs: 0, value: 'c10501' },
  {
    db: 0,
    code: 1,
    key: 'seconds',
    endsMs: 0x5ad05e00 * 1000,
    value: Buffer.concat([length(2), strings('a', 'b')]).toString('hex'),
  },
  { db: 0, code: 16, key: 'with metadata', endsMs: 0, value: string('packed').toString('hex') },
  { db: 300, code: 0, key: longKey, endsMs: 0, value: `sha256 ${createHash('sha256').update(large).digest('hex')}` },
  { db: 300, code: 21, key: 'stream', endsMs: 0, value: stream(3).toString('hex') },
  { db: 300, code: 0, key: '7', endsMs: 0, value: string('of a number').toString('hex') },
];

test('are told with db, expiry and value, a large one by its digest, wherever the RDB was cut', () => {
  for (const chunks of [singleBytes(made), pieces(made, [7, 100, 33]), pieces(made, [1000]), ...splitsInTwo(made)]) {
    expect(entriesOf(chunks)).toEqual(expected);
  }
});

test.each<[string, WantsKey, string[]]>([
  ['of a db', ({ db }) => db === 300, [longKey, 'stream', '7']],
  ['that expire', ({ endsMs }) => endsMs > 0, ['expires', 'seconds']],
  ['of a type', ({ code }) => code === 16, ['with metadata']],
  ['none', () => false, []],
])('only those are told that are wanted: %s', (_name, wants, keys) => {
  for (const chunks of [[made], singleBytes(made), pieces(made, [50])]) {
    expect(entriesOf(chunks, wants).map(({ key }) => key)).toEqual(keys);
  }
});

test('an RDB that ends too early is refused', () => {
  for (const end of [made.length - 9, made.length - 40, 60]) {
    expect(() => entriesOf([made.subarray(0, end)])).toThrow(expect.objectContaining({ code: 'rdb-broken' }));
  }
});

test('what this program does not know is refused', () => {
  expect(() =>
    entriesOf([rdb('REDIS0014', entry(99, 'new', string('x')), bytes(...Array<number>(40).fill(0)))]),
  ).toThrow(expect.objectContaining({ code: 'rdb-unknown', exitCode: 1 }));
});
