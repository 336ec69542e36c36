// What is told of each command while it is sealed is what the command reader and the key table say of it: over all commands
// of the table, however the stream is cut, and though the memory of what was pushed is used again at once.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashKey } from '../../journal-format/key-hash.ts';
import { collectedArgumentBytesMax, collectedBytesMax } from '../../src/core/limits.ts';
import { keysOf } from '../../src/redis/command-keys.ts';
import { CommandReader } from '../../src/redis/command-reader.ts';
import { CommandScan } from '../../src/redis/command-scan.ts';
import { commandTable } from '../../src/redis/command-table.ts';
import { command, pieces, singleBytes } from './bytes.ts';

interface Told {
  readonly name: string | undefined;
  readonly end: number;
  readonly db: number;
  readonly inMulti: boolean;
  readonly keys: readonly string[];
  readonly any: boolean;
}

const begin = { offset: 1000, db: 3 };

/** Each piece is gone when the next one comes. */
function scan(parts: readonly Buffer[]): Told[] {
  const told: Told[] = [];
  let keys: string[] = [];
  let any = false;
  const scanner = new CommandScan(begin, {
    key: (high, low) => void keys.push(`${high >>> 0} ${low >>> 0}`),
    anyKey: () => (any = true),
    command: (name, end, db, inMulti) => {
      told.push({ name, end, db, inMulti, keys, any });
      keys = [];
      any = false;
    },
  });
  const memory = Buffer.alloc(Math.max(0, ...parts.map(({ length }) => length)));
  for (const part of parts) {
    memory.fill('*1\r\n$4\r\nPING\r\n');
    part.copy(memory);
    scanner.push(memory.subarray(0, part.length));
  }
  return told;
}

function read(stream: Buffer): Told[] {
  const reader = new CommandReader(begin, { keepBytes: Infinity });
  reader.push(stream);
  const told: Told[] = [];
  let inMulti = false;
  for (let one = reader.next(); one !== undefined; one = reader.next()) {
    const name = one.args[0]!.toString('latin1').toUpperCase();
    if (name === 'MULTI') inMulti = true;
    if (name === 'EXEC' || name === 'DISCARD') inMulti = false;
    const { keys, others } = keysOf(one);
    const hashes = keys.map(({ key }) => hashKey(key)).map(({ high, low }) => `${high} ${low}`);
    told.push({ name, end: one.end, db: one.db, inMulti, keys: hashes, any: others !== 'none' });
  }
  return told;
}

/** The same key may be told of once or twice; where any may be touched, which ones are named makes no difference. */
function plain(told: readonly Told[]): unknown[] {
  return told.map(({ keys, ...rest }) => ({ ...rest, keys: rest.any ? [] : [...new Set(keys)].sort() }));
}

const control = new Set(['SELECT', 'MULTI', 'EXEC', 'DISCARD', 'REPLCONF']);
const names = commandTable
  .trim()
  .split('\n')
  .map((line) => line.split(' ', 1)[0]!.split('|'))
  .filter(([name]) => !control.has(name!));

const word = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', '1', '2', 'STORE', 'KEYS', 'STREAMS', '', 'BY', 'w_*') },
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.nat({ max: 900 }).map((length) => 'v'.repeat(length)) },
);
const ordinary = fc
  .tuple(
    fc.constantFrom(
      ...names,
      ['NEVER.HEARD'],
      ['x'],
      ['a name that is far too long for a command of any server, and more'],
    ),
    fc.boolean(),
  )
  .chain(([name, isLower]) =>
    fc
      .array(word, { maxLength: 9 })
      .map((args) => command(...name.map((one) => (isLower ? one.toLowerCase() : one)), ...args)),
  );
const select = fc.nat({ max: 15 }).map((db) => command('select', String(db)));
const group = fc
  .tuple(fc.array(fc.oneof(ordinary, select), { maxLength: 4 }), fc.constantFrom('EXEC', 'discard'))
  .map(([members, end]) => Buffer.concat([command('Multi'), ...members, command(end)]));
const streams = fc
  .array(fc.oneof({ weight: 6, arbitrary: ordinary }, select, group), { maxLength: 30 })
  .map((commands) => Buffer.concat(commands));

describe('a scan', () => {
  test('tells of every command what the reader and the table say, wherever the stream is cut', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat({ max: 400 }), { minLength: 1, maxLength: 5 }), (stream, lengths) => {
        const expected = plain(read(stream)).map((one) => withoutLongName(one as Told));
        expect(plain(scan([stream])), 'whole').toEqual(expected);
        expect(plain(scan(pieces(stream, lengths))), 'in pieces').toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test('tells the same of a stream that comes byte by byte', () => {
    const stream = Buffer.concat([
      command('SET', 'user', 'x'.repeat(3000)),
      command('select', '12'),
      command('multi'),
      command('DEL', 'a', '', 'b'),
      command('EXEC'),
      command('FLUSHALL'),
    ]);
    expect(plain(scan(singleBytes(stream)))).toEqual(plain(read(stream)));
  });

  test('takes commands with more arguments than are looked at in place', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `key:${i}`);
    const stream = Buffer.concat([command('PING'), command('DEL', ...keys), command('SET', 'a', 'b')]);
    expect(plain(scan([stream]))).toEqual(plain(read(stream)));
    expect(plain(scan(pieces(stream, [5000])))).toEqual(plain(read(stream)));
  });

  test('says that any key may be touched where it cannot keep what it would need', () => {
    const long = 'k'.repeat(collectedArgumentBytesMax + 1);
    const anyOf = (stream: Buffer): boolean[] => scan(pieces(stream, [1000])).map(({ any }) => any);
    expect(anyOf(command('SET', long, 'v'))).toEqual([true]);
    expect(anyOf(command('SET', 'k', long))).toEqual([false]);
    const many = Array.from({ length: collectedBytesMax / 1000 }, (_, i) => String(i).padEnd(1000, 'k'));
    expect(anyOf(command('DEL', ...many))).toEqual([true]);
    expect(scan([command('SET', long, 'v'), command('PING')]).map(({ any }) => any)).toEqual([false, false]);
  });

  test.each([
    ['no command', 'PING\r\n'],
    ['no argument', '*1\r\nPING\r\n'],
    ['a command without arguments', '*0\r\n'],
    ['a length that is none', '*1\r\n$x\r\n'],
    ['an argument that is longer than it says', '*1\r\n$4\r\nPINGS\r\n'],
    ['more arguments than there can be', '*999999999999\r\n'],
  ])('refuses %s', (_what, text) => {
    const stream = Buffer.concat([command('PING'), Buffer.from(text), command('PING')]);
    expect(() => scan([stream])).toThrow('the journaled stream is broken');
    expect(() => scan(singleBytes(stream))).toThrow('the journaled stream is broken');
  });
});

function withoutLongName(one: Told): Told {
  return { ...one, name: one.name !== undefined && one.name.length > 64 ? undefined : one.name };
}
