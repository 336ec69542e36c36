// Commands out of a range of the stream: what they are, where they lie, what is kept of them, and damage.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IntegrityError } from '../../src/core/errors.ts';
import type { CommandGlance } from '../../src/redis/command-glance.ts';
import { CommandReader, nameOf } from '../../src/redis/command-reader.ts';
import type { CommandReaderOptions, StreamCommand } from '../../src/redis/command-reader.ts';
import { command, pieces, singleBytes, splitsInTwo } from './bytes.ts';

function readAll(chunks: readonly Buffer[], options: CommandReaderOptions = {}): StreamCommand[] {
  const reader = new CommandReader({ offset: 1000, db: 2 }, options);
  const commands: StreamCommand[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let next = reader.next(); next !== undefined; next = reader.next()) commands.push(next);
  }
  return commands;
}

test('what was pushed may go once all commands of it were read, wherever it is cut', () => {
  const stream = Buffer.concat([
    ...[command('SET', 'key', 'value'), command('SELECT', '11'), command('MULTI'), command('DEL', 'a', 'b')],
    ...[command('EXEC'), command('SET', 'large', 'x'.repeat(300)), command('PING')],
  ]);
  const whole = readAll([stream], { keepBytes: 100 });
  const isMatch = (): boolean => true;
  const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(lengths, fc.boolean(), (sizes, looks) => {
      const reader = new CommandReader({ offset: 1000, db: 2 }, { keepBytes: 100, ...(looks && { isMatch }) });
      const found: StreamCommand[] = [];
      for (const piece of pieces(stream, sizes)) {
        const lent = Buffer.from(piece);
        reader.push(lent);
        for (let next = reader.next(); next !== undefined; next = reader.next()) {
          found.push({ ...next, args: next.args.map((arg) => Buffer.from(arg)) });
        }
        reader.letGo();
        lent.fill('-');
      }
      expect(found).toEqual(whole);
    }),
  );
});

test('what is not wanted is passed over, unless it is cut or says where commands run; what is wanted is as ever', () => {
  const some = fc.constantFrom('SET', 'hset', 'Del', 'SELECT', 'MULTI', 'EXEC', 'x'.repeat(300));
  const lines = fc.array(fc.tuple(some, fc.array(fc.string({ maxLength: 100 }), { maxLength: 12 })), { maxLength: 30 });
  const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });
  const isWanted = (bytes: Buffer, at: number, length: number): boolean => length === 3 && bytes[at] === 0x44;
  const wanted = ({ args: [name] }: StreamCommand): boolean => name?.toString() === 'Del';
  fc.assert(
    fc.property(lines, lengths, (drawn, sizes) => {
      let inMulti = false;
      const commands = drawn.map(([name, args]) => {
        const isGroup = name === 'MULTI' || name === 'EXEC';
        if (isGroup) inMulti = !inMulti;
        if (isGroup) return command(inMulti ? 'MULTI' : 'EXEC');
        return name === 'SELECT' ? command(name, String(args.length)) : command(name, ...args);
      });
      const stream = Buffer.concat(commands);
      const passed = readAll(pieces(stream, sizes), { isWanted });
      expect(passed.filter(wanted)).toEqual(readAll([stream]).filter(wanted));
      const controls = readAll([stream], { isWanted }).filter((one) => !wanted(one));
      expect(controls.every((one) => /^(SELECT|MULTI|EXEC)$/.test(nameOf(one)))).toBe(true);
    }),
  );
});

test('what is looked at in place is each whole command once, where it lies and with its db, and goes by unless it matches', () => {
  const name = fc.constantFrom('SET', 'hset', 'SELECT');
  const lines = fc.array(fc.tuple(name, fc.array(fc.string({ maxLength: 100 }), { maxLength: 12 })), { maxLength: 30 });
  const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(lines, lengths, (drawn, sizes) => {
      const words = drawn.map(([one, args]) => (one === 'SELECT' ? [one, String(args.length)] : [one, ...args]));
      const stream = Buffer.concat(words.map((one) => command(...one)));
      const seen: unknown[] = [];
      const isMatch = ({ bytes, at, length, count, db }: CommandGlance): boolean => {
        seen.push([db, ...Array.from({ length: count }, (_, i) => bytes.toString('utf8', at[i], at[i]! + length[i]!))]);
        return seen.length % 2 === 0;
      };
      const found = readAll([stream], { isMatch }).filter((one) => nameOf(one) !== 'SELECT');
      const all = readAll([stream]).filter((one) => nameOf(one) !== 'SELECT');
      expect(seen).toEqual(all.map(({ db, args }) => [db, ...args.map(String)]));
      expect(found).toEqual(all.filter((_, i) => i % 2 === 1));
      const every = readAll(pieces(stream, sizes), { isMatch: () => true });
      expect(every).toEqual(readAll([stream]));
    }),
  );
});

test('a command of more arguments than are looked at in place is handed out', () => {
  const many = command('DEL', ...Array.from({ length: 5000 }, (_, i) => `key:${i}`));
  const [one] = readAll([many], { isMatch: () => false });
  expect(one?.args).toHaveLength(5001);
});

test('the end of the last complete command is known, handed out or not', () => {
  const [first, second, third] = [command('SET', 'a', '1'), command('DEL', 'a'), command('SET', 'b', '2')];
  const reader = new CommandReader({ offset: 1000, db: 0 }, { isWanted: () => false });
  const end = (bytes: Buffer): number => {
    reader.push(bytes);
    while (reader.next() !== undefined);
    return reader.end - 1000;
  };
  expect(end(Buffer.concat([first, second, third.subarray(0, 1)]))).toBe(first.length + second.length);
  expect(end(third.subarray(1, 20))).toBe(first.length + second.length);
  expect(end(third.subarray(20))).toBe(first.length + second.length + third.length);
});

describe('a known stream', () => {
  const parts = [
    command('set', 'a', '1'),
    command('SELECT', '7'),
    command('MULTI'),
    command('select', '8'),
    command('DEL', ''),
    command('EXEC'),
    command('ping'),
    command('MULTI'),
    command('SELECT', '9'),
    command('DISCARD'),
    command('SET', 'b', '\r\n*1\r\n$4\r\nEXEC\r\n'),
  ];
  const stream = Buffer.concat(parts);
  const summary = (commands: readonly StreamCommand[]): unknown[] =>
    commands.map((one) => [nameOf(one), one.args.slice(1).map(String), one.db, one.inMulti]);

  test('is read as its commands, with the db they run in and whether they are in a group', () => {
    expect(summary(readAll([stream]))).toEqual([
      ['SET', ['a', '1'], 2, false],
      ['SELECT', ['7'], 7, false],
      ['MULTI', [], 7, true],
      ['SELECT', ['8'], 8, true],
      ['DEL', [''], 8, true],
      ['EXEC', [], 8, true],
      ['PING', [], 8, false],
      ['MULTI', [], 8, true],
      ['SELECT', ['9'], 9, true],
      ['DISCARD', [], 8, true],
      ['SET', ['b', '\r\n*1\r\n$4\r\nEXEC\r\n'], 8, false],
    ]);
  });

  test('is read on behind an EXEC without MULTI, as Redis 6.0 sends it behind a PFCOUNT', () => {
    const bare = Buffer.concat([command('PFCOUNT', 'key'), command('EXEC'), command('SET', 'a', '1')]);
    expect(summary(readAll([bare]))).toEqual([
      ['PFCOUNT', ['key'], 2, false],
      ['EXEC', [], 2, false],
      ['SET', ['a', '1'], 2, false],
    ]);
  });

  test('has each command where its bytes are', () => {
    let offset = 1000;
    for (const [i, one] of readAll([stream]).entries()) {
      expect([one.start, one.end]).toEqual([offset + 1, offset + parts[i]!.length]);
      offset = one.end;
    }
  });

  test('may come in single bytes, be cut anywhere, or be pushed all before it is read', () => {
    const whole = readAll([stream]);
    expect(readAll(singleBytes(stream))).toEqual(whole);
    for (const halves of splitsInTwo(stream)) expect(readAll(halves)).toEqual(whole);
    const reader = new CommandReader({ offset: 1000, db: 2 });
    for (const piece of pieces(stream, [5, 1, 30])) reader.push(piece);
    expect(whole.map(() => reader.next())).toEqual(whole);
    expect(reader.next()).toBeUndefined();
  });

  test('gives views where it can', () => {
    expect(readAll([stream])[0]?.args[0]?.buffer).toBe(stream.buffer);
  });
});

test('any commands, in any pieces, come out as they went in', () => {
  const argument = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom('\r\n', '*1\r\n', '$0\r\n\r\n').map((text) => Buffer.from(text)),
    fc.integer({ min: 0, max: 400 }).map((size) => Buffer.alloc(size, 0x0a)),
  );
  const oneCommand = fc.tuple(
    fc.constantFrom('SET', 'x', '').map((name) => Buffer.from(name)),
    fc.array(argument, { maxLength: 8 }),
  );
  const lengths = fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      fc.array(oneCommand, { maxLength: 10 }),
      lengths,
      fc.integer({ min: 64, max: 200 }),
      (commands, cut, keepBytes) => {
        const expected = commands.map(([name, args]) => [name, ...args]);
        const stream = Buffer.concat(expected.map((args) => command(...args)));
        const all = readAll(pieces(stream, cut), { keepBytes: Infinity });
        expect(all.map(({ args }) => args)).toEqual(expected);
        expect(all.every(({ shortened }) => shortened === undefined)).toBe(true);
        const short = readAll(pieces(stream, cut), { keepBytes });
        expect(short.map(({ args }) => args)).toEqual(
          expected.map((args) => args.map((arg) => arg.subarray(0, keepBytes))),
        );
        for (const [i, one] of short.entries()) {
          const long = expected[i]!.flatMap((arg, index) =>
            arg.length > keepBytes ? [[index, arg.length] as const] : [],
          );
          expect([...(one.shortened ?? [])]).toEqual(long);
          expect(one.argumentCount).toBe(expected[i]!.length);
        }
      },
    ),
    { numRuns: 300 },
  );
});

describe('what is kept is bounded', () => {
  test('of a large argument only the beginning is here, and its length', () => {
    const large = command('SET', 'k', Buffer.alloc(1_000_000, 0x61));
    for (const chunks of [[large], pieces(large, [10_000])]) {
      const [set] = readAll(chunks);
      expect(set?.args[2]).toEqual(Buffer.alloc(64 * 1024, 0x61));
      expect([...(set?.shortened ?? [])]).toEqual([[2, 1_000_000]]);
      expect(set?.end).toBe(1000 + large.length);
    }
  });

  test('of too many arguments only the first are here, and their number', () => {
    const count = 1_000_000;
    const many = Buffer.concat([Buffer.from(`*${count}\r\n`), Buffer.from('$1\r\nx\r\n'.repeat(count))]);
    const [one] = readAll(pieces(many, [65_536]));
    expect(one?.argumentCount).toBe(count);
    expect(one?.args.length).toBeLessThan(35_000);
    expect(one?.end).toBe(1000 + many.length);
  });

  test('even when everything is asked for, a command keeps some 8 MiB', () => {
    const length = 4 * 2 ** 30;
    const reader = new CommandReader({ offset: 0, db: 0 }, { keepBytes: Infinity });
    reader.push(Buffer.from(`*2\r\n$3\r\nSET\r\n$${length}\r\n`));
    const zeros = Buffer.alloc(2 ** 24);
    for (let sent = 0; sent < length; sent += zeros.length) {
      reader.push(zeros);
      expect(reader.next()).toBeUndefined();
    }
    reader.push(Buffer.from('\r\n'));
    const set = reader.next();
    expect(set?.args[1]?.length).toBeLessThanOrEqual(24 * 2 ** 20);
    expect(set?.shortened?.get(1)).toBe(length);
  });

  test('a name and a db number are kept whatever is asked for', () => {
    expect(readAll([command('SELECT', '12')], { keepBytes: 0 })[0]).toMatchObject({ db: 12 });
  });
});

describe('damage is refused', () => {
  test.each([
    ['a bare newline', '\n'],
    ['an inline command', 'PING\r\n'],
    ['an empty command', '*0\r\n'],
    ['a null command', '*-1\r\n'],
    ['a null argument', '*1\r\n$-1\r\n'],
    ['a missing number', '*\r\n'],
    ['a leading zero', '*01\r\n$1\r\na\r\n'],
    ['a wrong length', '*1\r\n$3\r\nPING\r\n'],
    ['an argument that is none', '*1\r\n:5\r\n'],
    ['a count above the limit', '*67108865\r\n'],
    ['a length above the limit', '*1\r\n$4294967297\r\n'],
    ['a line without end', `*${'1'.repeat(10_000)}`],
    ['a newline without carriage return', '*1\n$1\na\n'],
    ['SELECT of no number', '*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n'],
    ['MULTI in MULTI', '*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nmulti\r\n'],
    ['DISCARD alone', '*1\r\n$7\r\nDISCARD\r\n'],
  ])('%s', (_what, text) => {
    const bytes = Buffer.from(text);
    expect(() => readAll([bytes])).toThrow(IntegrityError);
    expect(() => readAll(singleBytes(bytes))).toThrow(IntegrityError);
  });
});
