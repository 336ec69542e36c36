// Which keys a stretch of the stream may have changed: none that it did is missed.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TouchedKeys } from '../../src/inspect/touched-keys.ts';
import { keysOf, mayWrite } from '../../src/redis/command-keys.ts';
import { CommandReader } from '../../src/redis/command-reader.ts';
import { commandTable } from '../../src/redis/command-table.ts';
import { command, pieces } from '../redis-protocol/bytes.ts';

function touchedBy(stream: readonly (readonly string[])[], size = Infinity): TouchedKeys {
  const touched = new TouchedKeys();
  const bytes = Buffer.concat(stream.map((words) => command(...words)));
  const { isMatch } = touched;
  const reader = new CommandReader({ offset: 0, db: 0 }, { isMatch });
  for (const piece of pieces(bytes, [Math.min(size, bytes.length)])) {
    reader.push(piece);
    for (let next = reader.next(); next !== undefined; next = reader.next()) touched.take(next);
  }
  return touched;
}

test('keys that were written are touched, others are not', () => {
  const touched = touchedBy([
    ['SET', 'a', '1'],
    ['MSET', 'b', '1', 'c', '2'],
    ['SELECT', '3'],
    ['MULTI'],
    ['RENAME', 'd', 'e'],
    ['EXEC'],
    ['GET', 'read'],
    ['PUBLISH', 'channel', 'x'],
    ['SORT', 'read', 'STORE', 'f'],
  ]);
  expect(touched.isEveryKey).toBe(false);
  const of = (keys: string): string =>
    Array.from(keys)
      .filter((key) => touched.has(Buffer.from(key)))
      .join('');
  expect(of('abcdefgh12')).toBe('abcdef');
  expect(touched.has(Buffer.from('channel'))).toBe(false);
});

test.each([
  [['FLUSHALL']],
  [['FLUSHDB']],
  [['SWAPDB', '0', '1']],
  [['EVAL', 'return 1', '0']],
  [['JSON.SET', 'a', '$', '1']],
])('%j may have touched every key', (words) => {
  const touched = touchedBy([['SET', 'a', '1'], words, ['SET', 'b', '1']]);
  expect(touched.isEveryKey).toBe(true);
  expect(touched.has(Buffer.from('never heard of'))).toBe(true);
});

test('no key is missed, whatever the commands and however they arrive', () => {
  const names = commandTable
    .trim()
    .split('\n')
    .map((line) => line.split(' ', 1)[0]!.split('|'));
  const word = fc.constantFrom('a', 'b', 'c', '1', '2', 'STORE', 'KEYS', 'STREAMS', '');
  const one = fc
    .tuple(fc.constantFrom(...names), fc.array(word, { minLength: 1, maxLength: 6 }))
    .map(([name, args]) => [...name, ...args]);
  const stream = fc.array(
    one.filter(([name = '']) => !/^(SELECT|MULTI|EXEC|DISCARD|REPLCONF)$/.test(name)),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(
    fc.property(stream, fc.constantFrom(1, 7, Infinity), (commands, size) => {
      const touched = touchedBy(commands, size);
      const reader = new CommandReader({ offset: 0, db: 0 });
      reader.push(Buffer.concat(commands.map((words) => command(...words))));
      for (let next = reader.next(); next !== undefined; next = reader.next()) {
        if (!mayWrite(next)) continue;
        const { keys, others } = keysOf(next);
        for (const { key } of keys) expect(touched.has(key)).toBe(true);
        if (others === 'db' || others === 'all') expect(touched.isEveryKey).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
}, 60_000);
