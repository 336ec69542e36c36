// What destroyed much at once, and what did not: the decider alone.
import { describe, expect, test } from 'vitest';
import { DestructionFinder } from '../../src/inspect/destruction.ts';
import type { Destruction, KeysMeant } from '../../src/inspect/destruction.ts';
import { CommandReader } from '../../src/redis/command-reader.ts';
import { command } from '../redis-protocol/bytes.ts';

const second = 1_000_000;
const everything: KeysMeant = { takesDb: () => true, takesKey: () => true };

interface Step {
  readonly line: string;
  /** In seconds. */
  readonly at: number;
  /** Other writes just before it. */
  readonly writes?: number;
  /** Its key was just written. */
  readonly isOfNew?: boolean;
}

function found(steps: readonly Step[], meant = everything): Destruction[] {
  const reader = new CommandReader({ offset: 0, db: 0 });
  const finder = new DestructionFinder(meant);
  const all: Destruction[] = [];
  for (const { line, at, writes = 0, isOfNew = false } of steps) {
    reader.push(command(...line.split(' ')));
    for (let one = reader.next(); one !== undefined; one = reader.next()) {
      all.push(...finder.take(one, at * second, { writes, isOfNew }));
    }
  }
  return [...all, ...finder.finish()];
}

function summary(steps: readonly Step[], meant?: KeysMeant): unknown[] {
  return found(steps, meant).map(({ kind, extent, isOne }) => {
    const { first, last, commands, keys, prefix } = extent;
    const times = [first.stamp / second, last.stamp / second];
    return { kind, commands, keys, prefix: prefix.toString(), times, isOne };
  });
}

/** `count` removals of one key, evenly over some seconds. */
function removals(count: number, from: number, seconds: number, prefix = 'k:', writes = 0): Step[] {
  return Array.from({ length: count }, (_, i) => {
    return { line: `DEL ${prefix}${i}`, at: from + (seconds * i) / count, writes };
  });
}

const keys = (count: number, prefix = 'cart:'): string =>
  Array.from({ length: count }, (_, i) => prefix + String(i)).join(' ');

describe('a flush', () => {
  test('is told, each by itself', () => {
    const steps = ['FLUSHALL', 'flushdb ASYNC', 'SWAPDB 0 1'].map((line, at) => ({ line, at }));
    expect(found(steps).map(({ kind, extent }) => [kind, extent.names])).toEqual([
      ['flush', ['FLUSHALL']],
      ['flush', ['FLUSHDB']],
      ['swap', ['SWAPDB']],
    ]);
  });

  test('of another db than those that are meant is not, but for that of all', () => {
    const steps = ['FLUSHALL', 'FLUSHDB', 'SWAPDB 0 1', 'SWAPDB 3 0', 'SELECT 3', 'FLUSHDB'].map((line, at) => ({
      line,
      at,
    }));
    const told = found(steps, { ...everything, takesDb: (db) => db === 3 });
    expect(told.map(({ extent }) => [extent.names, extent.first.stamp / second])).toEqual([
      [['FLUSHALL'], 0],
      [['SWAPDB'], 3],
      [['FLUSHDB'], 5],
    ]);
  });
});

describe('keys that are removed', () => {
  test('by one command, ten or more, are a burst', () => {
    expect(summary([{ line: `DEL ${keys(10)}`, at: 1 }])).toEqual([
      { kind: 'removal', commands: 1, keys: 10, prefix: 'cart:', times: [1, 1], isOne: true },
    ]);
    expect(summary([{ line: `UNLINK ${keys(9)}`, at: 1 }])).toEqual([]);
  });

  test('in one MULTI, as by a script, are a burst, however much else is written', () => {
    const inside = removals(10, 1, 0.001, 'user:1', 1000);
    const steps = [{ line: 'MULTI', at: 1 }, ...inside, { line: 'EXEC', at: 1 }];
    expect(summary(steps)).toMatchObject([{ commands: 10, keys: 10, prefix: 'user:1', isOne: true }]);
  });

  test('one after the other within a second, with little written in between, are a burst', () => {
    expect(summary(removals(10, 5, 0.9))).toMatchObject([{ commands: 10, keys: 10, isOne: false }]);
    expect(summary(removals(9, 5, 0.9))).toEqual([]);
    expect(summary(removals(100, 5, 50))).toEqual([]);
  });

  test('among as many writes are none, as of a queue', () => {
    expect(summary(removals(1000, 0, 10, 'job:', 1))).toEqual([]);
  });

  test('among many writes are one nonetheless, where so many are not usual', () => {
    const usual = removals(100, 0, 100, 'old:', 100);
    const sudden = removals(200, 100, 2, 'cart:', 100);
    expect(summary([...usual, ...sudden])).toMatchObject([{ prefix: 'cart:', commands: 200 }]);
    const often = removals(10_000, 0, 100, 'old:', 100);
    expect(summary([...often, ...removals(200, 100, 2, 'cart:', 100)])).toEqual([]);
  });

  test('are one burst as long as it does not pause for more than two seconds', () => {
    const parts = [...removals(50, 0, 1), ...removals(50, 2.5, 1), ...removals(50, 10, 1)];
    expect(summary(parts)).toMatchObject([{ commands: 100 }, { commands: 50 }]);
  });

  test('are counted as a fall of the key count, however long it takes', () => {
    expect(summary(removals(3600 * 20, 0, 3600))).toMatchObject([{ keys: 3600 * 20 }]);
  });

  test('count only where they are meant', () => {
    const meant = { ...everything, takesKey: (key: Buffer) => key.toString().startsWith('a') };
    const line = `DEL ${keys(10, 'a')} ${keys(10, 'b')}`;
    expect(summary([{ line, at: 0 }], meant)).toMatchObject([{ keys: 10, prefix: 'a' }]);
    expect(summary([{ line: `DEL ${keys(9, 'a')} ${keys(10, 'b')}`, at: 0 }], meant)).toEqual([]);
  });
});

/** Of each of `count` keys, that it is to end `ttl` seconds later; evenly over some seconds. */
function dooms(
  count: number,
  from: number,
  { seconds = 0.5, ttl = 1, prefix = 'cart:', writes = 0, isOfNew = false } = {},
): Step[] {
  return Array.from({ length: count }, (_, i) => {
    const at = from + (seconds * i) / count;
    return { line: `PEXPIREAT ${prefix}${i} ${Math.round((at + ttl) * 1000)}`, at, writes, isOfNew };
  });
}

describe('keys that are given little time to live', () => {
  test('by one command each, one after the other, are a burst, with when the last one ends', () => {
    const [only, ...others] = found(dooms(1204, 100));
    expect(others).toEqual([]);
    expect(only).toMatchObject({ kind: 'expiry', isOne: false, ends: 101.5 * second });
    expect(only?.extent).toMatchObject({ keys: 1204, commands: 1204, first: { stamp: 100 * second } });
    expect(only?.extent.prefix.toString()).toBe('cart:');
  });

  test('are told as soon as they cannot be put off any more', () => {
    const steps = [...dooms(20, 100, { ttl: 5 }), { line: 'DEL other', at: 106 }];
    const finder = new DestructionFinder(everything);
    const reader = new CommandReader({ offset: 0, db: 0 });
    const told = steps.map(({ line, at }) => {
      reader.push(command(...line.split(' ')));
      const one = reader.next();
      return one === undefined ? 0 : finder.take(one, at * second, { writes: 0, isOfNew: false }).length;
    });
    expect(told).toEqual([...Array<number>(20).fill(0), 1]);
  });

  test('none at all, as times in the past say, in any of the commands, are a burst as well', () => {
    const lines = [
      ...Array.from({ length: 3 }, (_, i) => [`EXPIRE a${i} -1`, `PEXPIRE b${i} -1`]).flat(),
      ...['EXPIREAT c 99', 'PEXPIREAT d 99999', 'EXPIREAT e 100', 'EXPIRE f 60', 'PEXPIRE g 60000'],
    ];
    const long = ['EXPIRE h 61', 'PEXPIREAT i 160001', 'EXPIREAT j nonsense'];
    expect(summary([...lines, ...long].map((line) => ({ line, at: 100 })))).toMatchObject([{ commands: 11, keys: 11 }]);
  });

  test('in one MULTI, as by a script, are one', () => {
    const steps = [{ line: 'MULTI', at: 1 }, ...dooms(500, 1, { seconds: 0.001 }), { line: 'EXEC', at: 1.001 }];
    expect(summary(steps)).toMatchObject([{ kind: 'expiry', commands: 500, isOne: true }]);
  });

  test('among many writes are a burst, but not where these were just made, as of counters that expire', () => {
    expect(summary(dooms(50, 100, { writes: 1000 }))).toMatchObject([{ kind: 'expiry', keys: 50 }]);
    expect(summary(dooms(5000, 100, { writes: 1, isOfNew: true }))).toEqual([]);
  });

  test('fewer than ten in a second, or over a minute ahead, are none', () => {
    expect(summary(dooms(9, 100))).toEqual([]);
    expect(summary(dooms(1000, 100, { seconds: 500 }))).toEqual([]);
    expect(summary(dooms(1000, 100, { ttl: 61 }))).toEqual([]);
  });

  test('over and over again are kept alive, as sessions are', () => {
    const rounds = Array.from({ length: 60 }, (_, i) =>
      dooms(100, 100 + i * 10, { seconds: 10, ttl: 30, prefix: 's:' }),
    );
    expect(summary(rounds.flat())).toEqual([]);
    const bursts = Array.from({ length: 6 }, (_, i) => dooms(100, 100 + i * 10, { ttl: 30, prefix: 's:' }));
    expect(summary(bursts.flat())).toEqual([]);
  });

  test('among keys that are kept alive are a burst nonetheless, where so many are not usual', () => {
    const rounds = Array.from({ length: 60 }, (_, i) => dooms(100, 100 + i * 5, { seconds: 5, ttl: 30, prefix: 's:' }));
    const all = [...rounds.flat(), ...dooms(1000, 300.5, { prefix: 'cart:' })].sort((a, b) => a.at - b.at);
    const [only, ...others] = found(all);
    expect(others).toEqual([]);
    expect(only?.extent.keys).toBeGreaterThanOrEqual(1000);
    expect(only?.extent.first.stamp).toBeGreaterThan(299 * second);
  });

  test('twice, to be sure, are gone all the same', () => {
    expect(summary([...dooms(100, 100, { ttl: 30 }), ...dooms(100, 101, { ttl: 30 })])).toMatchObject([{ keys: 200 }]);
  });

  test('are not gone where they are given more in time', () => {
    const saved = Array.from({ length: 100 }, (_, i) => ({ line: `PERSIST cart:${i}`, at: 110 }));
    const longer = saved.map(({ at }, i) => ({ line: `PEXPIREAT cart:${i} 9999999`, at }));
    for (const help of [saved, longer]) expect(summary([...dooms(100, 100, { ttl: 30 }), ...help])).toEqual([]);
    expect(summary([...dooms(100, 100, { ttl: 5 }), ...saved])).toMatchObject([{ kind: 'expiry' }]);
  });

  test('are told once: that each of them then ends is no burst of removals, but that of others is', () => {
    const ends = removals(100, 103, 0.1, 'cart:');
    expect(summary([...dooms(100, 100), ...ends])).toMatchObject([{ kind: 'expiry', keys: 100 }]);
    expect(summary([...dooms(100, 100), ...ends, ...removals(100, 110, 0.1, 'cart:')])).toMatchObject([
      { kind: 'expiry' },
      { kind: 'removal', keys: 100 },
    ]);
    expect(summary([...dooms(100, 100), ...removals(100, 103, 0.1, 'user:')])).toMatchObject([
      { kind: 'expiry' },
      { kind: 'removal', prefix: 'user:' },
    ]);
  });

  test('from the beginning on, for long, is what is usual there', () => {
    expect(summary(dooms(70 * 50, 100, { seconds: 70, ttl: 5 }))).toEqual([]);
    const later = dooms(300 * 50, 150, { seconds: 300, ttl: 5 });
    expect(summary([{ line: 'DEL x', at: 100 }, ...later])).toMatchObject([{ keys: 300 * 50 }]);
  });
});

describe('a rename', () => {
  test('is told, with the keys that it may have replaced, those in a row as one', () => {
    const steps = [
      { line: 'RENAME tmp:1 live:1', at: 0 },
      { line: 'RENAME tmp:2 live:2', at: 1 },
      { line: 'RENAMENX tmp:2 live:3', at: 1 },
      { line: 'RENAME a b', at: 9 },
    ];
    expect(summary(steps)).toMatchObject([
      { kind: 'rename', commands: 2, keys: 2, prefix: 'live:', times: [0, 1] },
      { kind: 'rename', commands: 1, prefix: 'b' },
    ]);
  });
});

test('writing and reading of all kinds is no destruction', () => {
  const lines = [
    'SET a 1',
    'LPOP a',
    'PEXPIREAT a 99999999999999',
    'MOVE a 1',
    'SPOP a',
    'XDEL a 1',
    'HDEL a b',
    'EVAL x 0',
  ];
  expect(summary(lines.flatMap((line) => Array.from({ length: 50 }, () => ({ line, at: 1 }))))).toEqual([]);
});
