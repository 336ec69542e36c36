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
}

function found(steps: readonly Step[], meant = everything): Destruction[] {
  const reader = new CommandReader({ offset: 0, db: 0 });
  const finder = new DestructionFinder(meant);
  const all: Destruction[] = [];
  for (const { line, at, writes = 0 } of steps) {
    reader.push(command(...line.split(' ')));
    for (let one = reader.next(); one !== undefined; one = reader.next()) {
      all.push(...finder.take(one, at * second, writes));
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

  test('by an expiry in the past are removed as well', () => {
    const past = ['EXPIRE', 'PEXPIRE'].flatMap((name) => Array.from({ length: 5 }, (_, i) => `${name} k${i} -1`));
    const until = ['EXPIREAT k 99', 'PEXPIREAT k 99999', 'EXPIREAT k 100'];
    const lines = [...past, ...until, 'EXPIREAT k 101', 'PEXPIREAT k 100001', 'PEXPIRE k 1'];
    expect(summary(lines.map((line) => ({ line, at: 100 })))).toMatchObject([{ commands: 13, keys: 13 }]);
  });

  test('count only where they are meant', () => {
    const meant = { ...everything, takesKey: (key: Buffer) => key.toString().startsWith('a') };
    const line = `DEL ${keys(10, 'a')} ${keys(10, 'b')}`;
    expect(summary([{ line, at: 0 }], meant)).toMatchObject([{ keys: 10, prefix: 'a' }]);
    expect(summary([{ line: `DEL ${keys(9, 'a')} ${keys(10, 'b')}`, at: 0 }], meant)).toEqual([]);
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
