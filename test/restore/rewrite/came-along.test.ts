// What removes keys that only came along: by examples, and compared with a model of dbs that are exchanged, emptied and
// written to.
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { CommandReader } from '../../../src/redis/command-reader.ts';
import type { StreamCommand } from '../../../src/redis/command-reader.ts';
import { KeySelection } from '../../../src/redis/key-selection.ts';
import type { SelectionText } from '../../../src/redis/key-selection.ts';
import { CameAlong } from '../../../src/restore/rewrite/came-along.ts';
import { command } from '../../redis-protocol/bytes.ts';

vi.mock('../../../src/core/limits.ts', async (original) => ({ ...(await original<object>()), cameAlongBytesMax: 300 }));

type Words = readonly string[];

function commandsIn(bytes: Buffer): StreamCommand[] {
  const reader = new CommandReader({ offset: 0, db: 0 });
  reader.push(bytes);
  const commands: StreamCommand[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) commands.push(next);
  return commands;
}

function selected(text: Partial<SelectionText>): KeySelection {
  return new KeySelection({ keys: [], exclude: [], db: [], type: [], rename: [], ...text });
}

/** `base` are its keys, by db. */
function after(along: CameAlong, base: readonly (readonly [number, string])[], stream: readonly Words[]): Words[] {
  for (const [db, key] of base) along.note(db, Buffer.from(key));
  const left = commandsIn(Buffer.concat(stream.map((words) => command(...words)))).filter((one) => !along.take(one));
  expect(left.every(({ args }) => String(args[0]) === 'FUNCTION')).toBe(true);
  const tail = Buffer.concat([...along.back(), ...along.noted(), ...along.forth()]);
  return commandsIn(tail).map(({ args }) => args.map(String));
}

const wanted = selected({ keys: ['w*'] });

describe('behind all else', () => {
  test('is nothing where nothing came along', () => {
    expect(after(new CameAlong(wanted), [[0, 'w1']], [['SET', 'w2', '1'], ['FLUSHALL'], ['SWAPDB', '0', '1']])).toEqual(
      [],
    );
  });

  test('keys of base and stream are removed that are not wanted, each once, in the dbs that they came to', () => {
    const stream = [
      ['RENAME', 'b', 'w1'],
      ['MSET', 'w2', '1', 'c', '2'],
      ['COPY', 'c', 'd', 'DB', '7'],
      ['SELECT', '3'],
      ['MOVE', 'e', '4'],
    ];
    expect(
      after(
        new CameAlong(wanted),
        [
          [0, 'a'],
          [0, 'b'],
        ],
        stream,
      ),
    ).toEqual([
      ['SELECT', '0'],
      ...['a', 'b', 'c'].map((key) => ['UNLINK', key]),
      ['SELECT', '7'],
      ['UNLINK', 'd'],
      ['SELECT', '3'],
      ['UNLINK', 'e'],
      ['SELECT', '4'],
      ['UNLINK', 'e'],
    ]);
  });

  test('dbs that were exchanged are put back for it, and then where they belong', () => {
    const stream = [
      ['SWAPDB', '0', '1'],
      ['SWAPDB', '1', '2'],
    ];
    const tail = after(new CameAlong(wanted), [[0, 'a']], stream);
    expect(tail.slice(2, 4)).toEqual([
      ['SELECT', '0'],
      ['UNLINK', 'a'],
    ]);
    expect(tail.map(([name]) => name)).toEqual(['SWAPDB', 'SWAPDB', 'SELECT', 'UNLINK', 'SWAPDB', 'SWAPDB']);
  });

  test('dbs that are not wanted are emptied where they are by then', () => {
    const along = new CameAlong(selected({ db: ['0'] }));
    expect(
      after(
        along,
        [[0, 'a']],
        [
          ['SELECT', '1'],
          ['SET', 'b', '1'],
          ['SWAPDB', '0', '5'],
        ],
      ),
    ).toEqual([['SELECT', '5'], ['FLUSHDB'], ['SELECT', '1'], ['FLUSHDB']]);
  });

  test('functions are emptied where one may have come, and wanted ones stay', () => {
    const load = ['FUNCTION', 'LOAD', 'REPLACE', '#!lua name=lib'];
    expect(after(new CameAlong(wanted), [], [load])).toEqual([['FUNCTION', 'FLUSH']]);
    const along = new CameAlong(selected({ exclude: ['w*'] }));
    expect(commandsIn(command(...load)).every((one) => along.take(one))).toBe(true);
    expect(along.forth()).toEqual([]);
  });

  test('a name is removed again when many others were seen since: what is remembered has a bound', () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'a'].map((key) => [0, key] as const);
    const names = after(new CameAlong(wanted), keys, []).flatMap(([, key = '']) => key);
    expect(names).toEqual(['0', 'a', 'b', 'c', 'd', 'e', 'a']);
  });
});

test('whether a wanted key was ever named is known', () => {
  const along = new CameAlong(wanted);
  after(along, [[0, 'a']], [['SET', 'b', '1']]);
  expect(along.hasWanted).toBe(false);
  after(along, [], [['UNLINK', 'b', 'w']]);
  expect(along.hasWanted).toBe(true);
});

/** Names in dbs: all that removing keys is about. */
class Model {
  readonly #dbs = new Map<number, Set<string>>();
  #db = 0;

  apply([name = '', a = '', b = '']: Words): void {
    const here = this.#at(this.#db);
    if (name === 'SELECT') this.#db = Number(a);
    if (name === 'SET') here.add(a);
    if (name === 'UNLINK') here.delete(a);
    if (name === 'FLUSHDB') here.clear();
    if (name === 'MOVE' && here.has(a) && !this.#at(Number(b)).has(a)) {
      here.delete(a);
      this.#at(Number(b)).add(a);
    }
    if (name === 'SWAPDB') {
      const [one, other] = [this.#at(Number(a)), this.#at(Number(b))];
      this.#dbs.set(Number(a), other).set(Number(b), one);
    }
  }

  keys(isWanted: (db: number, key: string) => boolean): string[] {
    const all = [...this.#dbs].flatMap(([db, keys]) => [...keys].map((key) => [db, key] as const));
    return all.flatMap(([db, key]) => (isWanted(db, key) ? [`${db} ${key}`] : [])).sort();
  }

  #at(db: number): Set<string> {
    const keys = this.#dbs.get(db) ?? new Set();
    this.#dbs.set(db, keys);
    return keys;
  }
}

test('whatever happened, the wanted keys are left, and no others', () => {
  const db = fc.constantFrom('0', '1', '2', '3');
  const key = fc.constantFrom('w1', 'w2', 'a', 'b', 'c');
  const words = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant('SET'), key, fc.constant('1')) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('SELECT'), db) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('MOVE'), key, db) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('SWAPDB'), db, db) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('FLUSHDB')) },
  );
  const base = fc.array(fc.tuple(fc.nat(3), key), { maxLength: 6 });
  const texts = fc.constantFrom<Partial<SelectionText>>(
    { keys: ['w*'] },
    { keys: ['w*'], db: ['1'] },
    { db: ['1', '3'] },
  );
  fc.assert(
    fc.property(texts, base, fc.array(words, { maxLength: 25 }), (text, there, stream) => {
      const selection = selected(text);
      const [whole, part] = [new Model(), new Model()];
      const loads = there.flatMap(([at, name]) => [
        ['SELECT', String(at)],
        ['SET', name],
      ]);
      const all = [...loads, ['SELECT', '0'], ...stream];
      for (const one of all) whole.apply(one);
      for (const one of [...all, ...after(new CameAlong(selection), there, stream)]) part.apply(one);
      const wants = (at: number, name: string): boolean =>
        selection.takesDb(at) && selection.takesName(Buffer.from(name));
      expect(part.keys(() => true)).toEqual(whole.keys(wants));
    }),
    { numRuns: 1000 },
  );
});
