// Which keys had elapsed, told by commands alone: what each command does to what is known, in its db, however it is looked at.
import { describe, expect, test } from 'vitest';
import { CommandReader } from '../../../src/redis/command-reader.ts';
import { ElapsedKeys } from '../../../src/restore/rewrite/elapsed-keys.ts';
import { command } from '../../redis-protocol/bytes.ts';

const asOfMs = 1_795_000_000_000;
const before = String(asOfMs - 1);
const at = String(asOfMs);

type Words = readonly string[];

interface Told {
  readonly certain: readonly string[];
  readonly inDoubt: readonly string[];
  readonly why: string | undefined;
}

function told(commands: readonly Words[], base: readonly { key: string; field?: string; atMs: number }[] = []): Told {
  const whole = follow(commands, base, Infinity);
  // Cut, all commands are handed out; whole, most are looked at in place.
  expect(follow(commands, base, 7)).toEqual(whole);
  return whole;
}

function follow(
  commands: readonly Words[],
  base: readonly { key: string; field?: string; atMs: number }[],
  size: number,
): Told {
  const keys = new ElapsedKeys(asOfMs);
  for (const { key, field, atMs } of base) {
    const named = { key: Buffer.from(key), field: field === undefined ? undefined : Buffer.from(field) };
    expect(keys.begin({ db: 0, type: 0, atMs, ...named })).toBe(true);
  }
  const bytes = Buffer.concat(commands.map((words) => command(...words)));
  const reader = new CommandReader({ offset: 0, db: 0 }, { isMatch: (glance) => keys.mayMatter(glance) });
  let why: string | undefined;
  for (let from = 0; from < bytes.length; from += size) {
    reader.push(bytes.subarray(from, Math.min(bytes.length, from + size)));
    for (let each = reader.next(); each !== undefined; each = reader.next()) why ??= keys.take(each);
  }
  const names = (found: ReturnType<ElapsedKeys['certain']>): string[] =>
    found.map(({ db, key }) => `${db}:${key.toString()}`).sort();
  return { certain: names(keys.certain()), inDoubt: names(keys.inDoubt()), why };
}

const none = { certain: [], inDoubt: [], why: undefined };
const gone = { ...none, certain: ['0:k'] };
const doubted = { ...none, inDoubt: ['0:k'] };
const given: Words = ['SET', 'k', 'v', 'PXAT', before];

describe('a key whose time has passed', () => {
  test.each<[Told, ...Words[]]>([
    [gone, given],
    [gone, ['SET', 'k', 'v'], ['PEXPIREAT', 'k', before]],
    [gone, ['SADD', 'k', 'v'], ['EXPIREAT', 'k', String(asOfMs / 1000 - 1)]],
    [gone, ['MSETEX', '1', 'k', 'v', 'PXAT', before]],
    [gone, ['RESTORE', 'k', before, 'payload', 'ABSTTL']],
    [gone, given, ['INCR', 'k'], ['SET', 'k', 'w', 'KEEPTTL'], ['APPEND', 'k', 'x']],
    [gone, ['SET', 'k', 'v', 'PXAT', at], ['PEXPIREAT', 'k', before]],
    [none, ['SET', 'k', 'v', 'PXAT', at]],
    [none, given, ['SET', 'k', 'v', 'PXAT', at]],
    [none, given, ['PEXPIREAT', 'k', at]],
    [none, given, ['PERSIST', 'k']],
    [none, given, ['GETEX', 'k', 'PERSIST']],
    [none, given, ['DEL', 'a', 'k', 'b']],
    [none, given, ['unlink', 'k']],
    [none, given, ['SET', 'k', 'v']],
    [none, given, ['GETSET', 'k', 'v']],
    [none, given, ['MSET', 'a', '1', 'k', '2']],
    [none, given, ['SUNIONSTORE', 'k', 'a', 'b']],
    [none, given, ['SORT', 'a', 'STORE', 'k']],
    [none, given, ['FLUSHALL']],
    [none, given, ['FLUSHDB']],
    [gone, given, ['SELECT', '1'], ['FLUSHDB'], ['SET', 'k', 'v'], ['DEL', 'k']],
    [gone, given, ['FLUSHDB'], given],
    [{ ...none, certain: ['0:l'] }, given, ['RENAME', 'k', 'l']],
    [none, given, ['RENAME', 'l', 'k']],
    [gone, given, ['RENAME', 'k', 'k']],
    [{ ...none, certain: ['0:k', '0:l'] }, given, ['COPY', 'k', 'l']],
    [{ ...none, certain: ['0:k', '3:k'] }, given, ['COPY', 'k', 'k', 'DB', '3']],
    [none, given, ['COPY', 'l', 'k', 'REPLACE']],
    [{ ...none, certain: ['2:k'] }, given, ['MOVE', 'k', '2']],
    [{ ...none, certain: ['1:k'] }, given, ['SWAPDB', '0', '1']],
    [none, given, ['SWAPDB', '0', '1'], ['SELECT', '1'], ['DEL', 'k']],
    [{ ...none, certain: ['1:k'] }, given, ['SWAPDB', '0', '1'], ['DEL', 'k']],
    [none, given, ['SWAPDB', '0', '1'], ['SELECT', '1'], ['FLUSHDB']],
    [gone, given, ['SWAPDB', '0', '1'], ['FLUSHDB'], ['SWAPDB', '1', '0']],
    [gone, given, ['SUNIONSTORE', 'd', 'k', 'b'], ['GET', 'k']],
  ])('%j', (expected, ...commands) => {
    expect(told(commands)).toEqual(expected);
  });
});

describe('in doubt is a key that may have become empty and come anew, until it is written anew or given a time', () => {
  const popped: readonly Words[] = [
    ['RPUSH', 'k', 'v'],
    ['PEXPIREAT', 'k', before],
    ['LPOP', 'k'],
  ];
  test.each<[Told, ...Words[]]>([
    [doubted, ['RPUSH', 'k', 'w']],
    [none, ['DEL', 'k']],
    [none, ['SET', 'k', 'v']],
    [none, ['PERSIST', 'k']],
    [none, ['PEXPIREAT', 'k', at]],
    [gone, ['PEXPIREAT', 'k', before]],
    [{ ...none, inDoubt: ['0:l'] }, ['RENAME', 'k', 'l']],
  ])('%j', (expected, ...commands) => {
    expect(told([...popped, ...commands])).toEqual(expected);
  });

  test('a command that may remove it without saying so is enough', () => {
    for (const one of [
      ['SREM', 'k', 'v'],
      ['HDEL', 'k', 'f'],
      ['LMOVE', 'k', 'l', 'LEFT', 'LEFT'],
      ['ZREM', 'k', 'v'],
    ]) {
      expect(told([['PEXPIREAT', 'k', before], one])).toEqual(doubted);
    }
  });
});

describe('in doubt is a hash of which fields had a time that passed', () => {
  const timed: Words = ['HPEXPIREAT', 'k', before, 'FIELDS', '1', 'f'];
  test.each<[Told, ...Words[]]>([
    [doubted, timed],
    [doubted, ['HSETEX', 'k', 'PXAT', before, 'FIELDS', '1', 'f', 'v']],
    [none, ['HPEXPIREAT', 'k', at, 'FIELDS', '1', 'f']],
    [doubted, timed, ['PERSIST', 'k']],
    [doubted, timed, ['PEXPIREAT', 'k', before]],
    [doubted, timed, ['HPERSIST', 'k', 'FIELDS', '1', 'f']],
    [none, timed, ['UNLINK', 'k']],
  ])('%j', (expected, ...commands) => {
    expect(told(commands)).toEqual(expected);
  });
});

test('what the base holds counts, until a command says otherwise', () => {
  const base = [
    { key: 'k', atMs: asOfMs - 1 },
    { key: 'l', atMs: asOfMs },
    { key: 'h', field: 'f', atMs: asOfMs - 1 },
    { key: 'm', atMs: 5 },
  ];
  expect(told([['SET', 'm', '1']], base)).toEqual({ certain: ['0:k'], inDoubt: ['0:h'], why: undefined });
});

test.each([
  [['EVAL', 'return 1', '0'], 'EVAL at offset 49 may let any key expire'],
  [['FCALL', 'f', '0'], 'FCALL at offset 43 may let any key expire'],
  [['MODULE.SET', 'k'], 'MODULE.SET at offset 42 may let any key expire'],
  [['EXPIRE', 'k', '60'], 'the time that EXPIRE gives cannot be told, at offset 45'],
  [['SET', 'k', 'v', 'EX', '60'], 'the time that SET gives cannot be told, at offset 57'],
])('%j cannot be followed', (words, why) => {
  expect(told([['PING'], words, ['PUBLISH', 'a', 'b']])).toMatchObject({ why });
});
