// What some keys depend on, and what of a stream a replay for them must contain: by examples, and compared with a model
// that follows every command over a dataset of its own.
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { neededCommandBytesMax } from '../../../src/core/limits.ts';
import type { IsKey } from '../../../src/redis/command-keys.ts';
import { CommandReader } from '../../../src/redis/command-reader.ts';
import type { StreamCommand } from '../../../src/redis/command-reader.ts';
import { linkingOf, NeededKeys } from '../../../src/restore/rewrite/needed-keys.ts';
import { neededStream } from '../../../src/restore/rewrite/needed-stream.ts';
import { command } from '../../redis-protocol/bytes.ts';

const linksMax = 1000;
const isWanted: IsKey = (bytes, at, length) => length > 0 && bytes[at] === 'w'.charCodeAt(0);

vi.mock('../../../src/core/limits.ts', async (original) => ({ ...(await original<object>()), neededLinksMax: 1000 }));

type Words = readonly string[];

function commandsOf(stream: readonly Words[]): StreamCommand[] {
  const reader = new CommandReader({ offset: 0, db: 0 });
  reader.push(Buffer.concat(stream.map((words) => command(...words))));
  const commands: StreamCommand[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) commands.push(next);
  return commands;
}

/** Those of `stream`, of which keys that begin with `w` are wanted. */
function neededOf(stream: readonly Words[]): NeededKeys {
  const keys = new NeededKeys(isWanted);
  for (const one of commandsOf(stream)) {
    const linking = linkingOf(one);
    if (linking === 'unknown') throw new Error(`${one.args.join(' ')} is not known`);
    if (linking.kind === 'together') expect(keys.link(linking.keys)).toBe(true);
  }
  return keys;
}

const has = (keys: NeededKeys, key: string): boolean => keys.has(Buffer.from(key));

describe('of keys', () => {
  test('those that were ever touched together with a wanted one are needed, and so on, before and behind', () => {
    const keys = neededOf([
      ['RENAME', 'a', 'b'],
      ['COPY', 'b', 'w1'],
      ['SUNIONSTORE', 'w2', 'c', 'd'],
      ['LMOVE', 'e', 'f', 'LEFT', 'LEFT'],
      ['SMOVE', 'w2', 'g', 'm'],
      ['ZUNIONSTORE', 'x', '2', 'y', 'z'],
      ['SORT', 'h', 'STORE', 'w3'],
    ]);
    for (const key of ['w1', 'w2', 'w9', 'a', 'b', 'c', 'd', 'g', 'h']) expect(has(keys, key), key).toBe(true);
    for (const key of ['e', 'f', 'x', 'y', 'z', 'other']) expect(has(keys, key), key).toBe(false);
  });

  test('those are not needed that a command treats each by itself', () => {
    const keys = neededOf([
      ['MSET', 'a', '1', 'w1', '2'],
      ['DEL', 'b', 'w1'],
      ['UNLINK', 'c', 'w1'],
      ['SWAPDB', '0', '1'],
      ['FLUSHALL'],
      ['FLUSHDB'],
    ]);
    for (const key of ['a', 'b', 'c']) expect(has(keys, key), key).toBe(false);
    expect(has(neededOf([['MSETNX', 'a', '1', 'w1', '2']]), 'a')).toBe(true);
  });

  test.each([
    [['EVAL', 'return 1', '0']],
    [['SORT', 'w1', 'BY', 'weight_*', 'STORE', 'w2']],
    [['MODULE.COMMAND', 'w1', 'a']],
  ])('nothing can be told after %s', (words) => {
    expect(linkingOf(commandsOf([words])[0]!)).toBe('unknown');
  });

  test('nothing can be told after a command larger than what is looked at', () => {
    expect(linkingOf(commandsOf([['SET', 'k'.repeat(70_000), 'v']])[0]!)).toBe('unknown');
  });

  test('too many that are connected are refused', () => {
    const keys = new NeededKeys(() => false);
    const pair = (i: number): readonly { index: number; key: Buffer; db: number; access: 'rw' }[] =>
      [`a${i}`, `b${i}`].map((key, index) => ({ index, key: Buffer.from(key), db: 0, access: 'rw' }));
    let count = 0;
    while (keys.link(pair(count))) count += 1;
    expect(count).toBe(linksMax);
  });
});

describe('of a stream', () => {
  const stream: readonly Words[] = [
    ['SELECT', '1'],
    ['SET', 'a', '1'],
    ['SET', 'w1', '1'],
    ['MULTI'],
    ['RPUSH', 'b', '1'],
    ['INCR', 'w1'],
    ['EXEC'],
    ['LMOVE', 'c', 'w2', 'LEFT', 'LEFT'],
    ['RPUSH', 'c', 'x'.repeat(3000)],
    ['RPUSH', 'd', 'y'.repeat(3000)],
    ['PUBLISH', 'a', 'hello'],
    ['FLUSHALL'],
  ];
  const kept = stream.filter(([, key]) => !['a', 'b', 'd'].includes(key ?? '') || key === undefined);
  const bytes = Buffer.concat(stream.map((words) => command(...words)));

  test.each([[1], [3], [17], [1000], [bytes.length]])(
    'only commands of needed keys are kept, and those without keys, in pieces of %d bytes',
    (size) => {
      const filter = neededStream({ offset: 77, db: 0 }, neededOf(stream));
      const out: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        const piece = Buffer.from(bytes.subarray(at, at + size));
        out.push(...filter.push(piece).map((part) => Buffer.from(part)));
        filter.letGo();
        piece.fill(0);
      }
      const expected = stream.filter((words) => kept.includes(words) || words[0] === 'PUBLISH');
      expect(Buffer.concat(out).toString('latin1')).toBe(
        Buffer.concat(expected.map((words) => command(...words))).toString('latin1'),
      );
    },
  );

  test('a long command is passed on as it comes, and those around it are judged as ever', () => {
    const long = command('APPEND', 'a', 'z'.repeat(2 * neededCommandBytesMax));
    const all = Buffer.concat([command('SET', 'a', '1'), long, command('SET', 'b', '1'), command('SET', 'w', '1')]);
    const filter = neededStream({ offset: 0, db: 0 }, new NeededKeys(isWanted));
    const out: Buffer[] = [];
    let most = 0;
    for (let at = 0, passed = 0; at < all.length; at += 100_000) {
      const bytes = Buffer.from(all.subarray(at, at + 100_000));
      const pieces = filter.push(bytes);
      passed += pieces.reduce((sum, { length }) => sum + length, 0);
      most = Math.max(most, at + 100_000 - passed);
      out.push(...pieces.map((piece) => Buffer.from(piece)));
      filter.letGo();
      bytes.fill(0);
    }
    expect(Buffer.concat(out).equals(Buffer.concat([long, command('SET', 'w', '1')]))).toBe(true);
    expect(most).toBeLessThan(neededCommandBytesMax + 200_000);
  });
});

/** Lists, moved about and renamed: enough for every way in which keys depend on each other. */
class Model {
  readonly #lists = new Map<string, string[]>();

  apply([name = '', a = '', b = '', ...rest]: Words): void {
    const list = this.#lists.get(a);
    if (name === 'RPUSH') this.#lists.set(a, [...(list ?? []), b, ...rest]);
    if (name === 'DEL') for (const key of [a, b]) this.#lists.delete(key);
    if (list === undefined) return;
    if (name === 'RENAME') {
      this.#lists.delete(a);
      this.#lists.set(b, list);
    }
    if (name === 'COPY') this.#lists.set(b, [...(rest[0] === 'REPLACE' ? list : (this.#lists.get(b) ?? list))]);
    if (name === 'RPOPLPUSH') {
      const [moved, left] = [list.at(-1) ?? '', list.slice(0, -1)];
      if (left.length === 0) this.#lists.delete(a);
      else this.#lists.set(a, left);
      this.#lists.set(b, [moved, ...(this.#lists.get(b) ?? [])]);
    }
  }

  wanted(): [string, string[]][] {
    return [...this.#lists].filter(([key]) => key.startsWith('w')).sort();
  }
}

test('whatever is done to keys, a replay of what is kept comes to the same for the wanted ones', () => {
  const key = fc.constantFrom('w1', 'w2', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
  const words = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('RPUSH'), key, fc.constantFrom('1', '2', '3')) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('DEL'), key, key) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('RENAME', 'COPY', 'RPOPLPUSH'), key, key) },
  );
  let dropped = 0;
  fc.assert(
    fc.property(fc.array(words, { maxLength: 25 }), (stream) => {
      const filter = neededStream({ offset: 0, db: 0 }, neededOf(stream));
      const bytes = Buffer.concat(filter.push(Buffer.concat(stream.map((one) => command(...one)))));
      const reader = new CommandReader({ offset: 0, db: 0 });
      reader.push(bytes);
      const [whole, part] = [new Model(), new Model()];
      for (const one of stream) whole.apply(one);
      let count = 0;
      for (let next = reader.next(); next !== undefined; next = reader.next(), count += 1) {
        part.apply(next.args.map(String));
      }
      dropped += stream.length - count;
      expect(part.wanted()).toEqual(whole.wanted());
    }),
    { numRuns: 1000 },
  );
  expect(dropped).toBeGreaterThan(1000);
});
