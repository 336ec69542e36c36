// The boundary scanner: known streams, a naive reference over random and damaged ones, and hostile input.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import { command, pieces, singleBytes, splitsInTwo } from './bytes.ts';
import { naiveScan } from './naive-scanner.ts';
import type { NaiveResult } from './naive-scanner.ts';

const start = { offset: 1000, db: 3 };

function scanAll(chunks: Buffer[]): NaiveResult {
  const scanner = new BoundaryScanner(start);
  let brokenAt: number | undefined;
  try {
    for (const chunk of chunks) scanner.scan(chunk);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    brokenAt = Number(/at offset (\d+)/.exec(error.message)?.[1]);
    expect(scanner.offset).toBe(brokenAt - 1);
  }
  const { boundary, boundaryDb, acksWanted } = scanner;
  return { boundary, boundaryDb, acksWanted, brokenAt };
}

function brokenBy(...parts: (string | Buffer)[]): LinkError {
  const scanner = new BoundaryScanner({ offset: 0, db: 0 });
  try {
    scanner.scan(Buffer.concat(parts.map((part) => Buffer.from(part as string))));
  } catch (error) {
    return error as LinkError;
  }
  throw new Error('the stream was accepted');
}

describe('known streams', () => {
  const set = command('SET', 'key', 'value');
  const sample = Buffer.concat([
    command('SELECT', '12'),
    set,
    command('multi'),
    command('SET', 'a', '*3\r\n$5\r\n'),
    command('select', '7'),
    command('DEL', ''),
    command('Exec'),
    command('ping'),
    command('REPLCONF', 'GETACK', '*'),
    command('SET', 'b', Buffer.alloc(300, 0x0d)),
    command('MULTI'),
    command('SELECT', '1'),
    set,
  ]);
  const boundary =
    start.offset + sample.length - [command('MULTI'), command('SELECT', '1'), set].flatMap((b) => [...b]).length;

  test('a whole stream is read at once', () => {
    expect(scanAll([sample])).toEqual({ boundary, boundaryDb: 7, acksWanted: 1, brokenAt: undefined });
  });

  test('single bytes give the same', () => {
    expect(scanAll(singleBytes(sample))).toEqual(scanAll([sample]));
  });

  test('a cut at any byte gives the same', () => {
    for (const halves of splitsInTwo(sample)) expect(scanAll(halves)).toEqual(scanAll([sample]));
  });

  test('after every byte, boundary and db are those of the last complete command outside MULTI', () => {
    const scanner = new BoundaryScanner(start);
    for (let length = 1; length <= sample.length; length++) {
      scanner.scan(sample, length - 1, length);
      const { boundary: expected, boundaryDb, acksWanted } = naiveScan(sample.subarray(0, length), start);
      expect([scanner.offset, scanner.boundary, scanner.boundaryDb, scanner.acksWanted]).toEqual([
        start.offset + length,
        expected,
        boundaryDb,
        acksWanted,
      ]);
    }
  });

  test('only the given range of a larger buffer is read', () => {
    const scanner = new BoundaryScanner({ offset: 0, db: 0 });
    const surrounded = Buffer.concat([Buffer.alloc(100, 0x2a), set, Buffer.alloc(100, 0x24)]);
    scanner.scan(surrounded, 100, 100 + set.length);
    expect(scanner.boundary).toBe(set.length);
    expect(scanner.offset).toBe(set.length);
  });

  test('DISCARD ends a group and takes its SELECT back', () => {
    const group = Buffer.concat([command('MULTI'), command('SELECT', '9'), command('DISCARD')]);
    expect(scanAll([group])).toMatchObject({ boundary: start.offset + group.length, boundaryDb: 3 });
  });

  test('an EXEC without MULTI, as Redis 6.0 sends it behind a PFCOUNT, is a command like any other', () => {
    const bare = Buffer.concat([command('PFCOUNT', 'key'), command('EXEC')]);
    expect(scanAll([bare])).toMatchObject({ boundary: start.offset + bare.length, boundaryDb: start.db });
    const group = Buffer.concat([command('MULTI'), set]);
    expect(scanAll([bare, group])).toMatchObject({ boundary: start.offset + bare.length });
  });

  test('a REPLCONF that is no GETACK wants no ack', () => {
    const others = Buffer.concat([
      command('REPLCONF', 'ACK', '1'),
      command('REPLCONF'),
      command('REPLCONF', 'GETACKS'),
    ]);
    expect(scanAll([others]).acksWanted).toBe(0);
  });

  test('offsets beyond 32 bits are exact', () => {
    const scanner = new BoundaryScanner({ offset: 2 ** 52, db: 0 });
    scanner.scan(set);
    expect(scanner.boundary).toBe(2 ** 52 + set.length);
  });

  test('an argument of 4 GiB is skipped without being held', () => {
    const scanner = new BoundaryScanner({ offset: 0, db: 0 });
    const length = 4 * 1024 * 1024 * 1024;
    const head = Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${length}\r\n`);
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    scanner.scan(head);
    for (let sent = 0; sent < length; sent += zeros.length) scanner.scan(zeros);
    scanner.scan(Buffer.from('\r\n'));
    expect(scanner.boundary).toBe(head.length + length + 2);
  });
});

describe('any stream', () => {
  const letterCase = (name: string): fc.Arbitrary<string> => fc.mixedCase(fc.constant(name));
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom('', '\r\n', '*3\r\n', '$5\r\n', '*1\r\n$4\r\nEXEC\r\n', 'MULTI', 'SELECT', 'x'.repeat(500)),
  );
  const ordinary = fc
    .tuple(
      fc.constantFrom('SET', 'GETSET', 'del', 'EVAL', 'HSETEX', 'PUBLISH', 'MSET', 'EXPIRES', 'RESTORED', ''),
      fc.array(value, { maxLength: 12 }),
    )
    .map(([name, values]) => command(name, ...values));
  const select = fc.tuple(letterCase('select'), fc.nat({ max: 20_000 })).map(([name, db]) => command(name, String(db)));
  const getAck = fc.tuple(letterCase('replconf'), letterCase('getack')).map(([a, b]) => command(a, b, '*'));
  const plain = fc.oneof({ weight: 6, arbitrary: ordinary }, select, getAck, fc.constant(command('ping')));
  const group = fc
    .tuple(letterCase('multi'), fc.array(plain, { maxLength: 5 }), fc.oneof(letterCase('exec'), letterCase('discard')))
    .map(([multi, inside, end]) => Buffer.concat([command(multi), ...inside, command(end)]));
  const stream = fc
    .array(fc.oneof({ weight: 3, arbitrary: plain }, group), { maxLength: 12 })
    .map((parts) => Buffer.concat(parts));
  const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 });

  test('cut anywhere, a stream gives what a naive reading of it gives', () => {
    fc.assert(
      fc.property(stream, lengths, fc.nat({ max: 3000 }), (whole, cut, end) => {
        const bytes = whole.subarray(0, end);
        const found = scanAll(pieces(bytes, cut));
        expect(found).toEqual(naiveScan(bytes, start));
        expect(found).toEqual(scanAll([bytes]));
      }),
      { numRuns: 400 },
    );
  });

  test('a damaged stream breaks at the byte where a naive reading breaks, or is as valid to both', () => {
    const damage = fc.tuple(fc.nat(), fc.constantFrom(0, 10, 13, 36, 42, 43, 45, 48, 49, 57, 58, 69, 255));
    fc.assert(
      fc.property(stream, lengths, fc.array(damage, { minLength: 1, maxLength: 3 }), (whole, cut, damages) => {
        if (whole.length === 0) return;
        for (const [at, byte] of damages) whole[at % whole.length] = byte;
        const expected = naiveScan(whole, start);
        expect(scanAll(pieces(whole, cut))).toEqual(expected);
        expect(scanAll([whole])).toEqual(expected);
      }),
      { numRuns: 1500 },
    );
  });
});

describe('what no primary sends', () => {
  test.each([
    ['a bare newline between commands', '\n', 1],
    ['an inline command', 'PING\r\n', 1],
    ['an empty command', '*0\r\n', 4],
    ['a null command', '*-1\r\n', 2],
    ['a null argument', '*1\r\n$-1\r\n', 6],
    ['a missing count', '*\r\n', 2],
    ['a missing length', '*1\r\n$\r\n', 6],
    ['a leading zero in a count', '*01\r\n', 3],
    ['a leading zero in a length', '*1\r\n$04\r\nping\r\n', 7],
    ['a sign', '*+1\r\n', 2],
    ['a newline without carriage return', '*1\n', 3],
    ['an argument longer than it said', '*1\r\n$3\r\nPING\r\n', 12],
    ['an argument shorter than it said', '*2\r\n$5\r\nPING\r\n$1\r\nx\r\n', 14],
    ['a count above the limit', '*67108865\r\n', 9],
    ['a length above the limit', '*1\r\n$4294967297\r\n', 15],
    ['a length that never ends', `*1\r\n$1${'0'.repeat(100_000)}`, 16],
    ['a RESP3 reply', '%1\r\n', 1],
  ])('%s is a violation at its offset', (_what, bytes, offset) => {
    const error = brokenBy(bytes);
    expect(error.message).toContain(`at offset ${offset}:`);
    expect(error).toMatchObject({ code: 'protocol-broken', retry: 'soon' });
    const start40 = Buffer.from(bytes).subarray(0, 40);
    for (const chunks of [singleBytes(start40), ...splitsInTwo(start40)]) {
      expect(scanAll(chunks).brokenAt).toBe(start.offset + offset);
    }
  });

  test.each([
    ['MULTI inside MULTI', [command('MULTI'), command('MULTI')]],
    ['EXEC with an argument', [command('EXEC', 'x')]],
    ['DISCARD without MULTI', [command('DISCARD')]],
    ['SELECT without a number', [command('SELECT', 'x')]],
    ['SELECT of nothing', [command('SELECT', '')]],
    ['SELECT of a number beyond any', [command('SELECT', '12345678901')]],
    ['SELECT alone', [command('SELECT')]],
    ['MULTI with an argument', [command('MULTI', 'x')]],
  ])('%s is refused', (_what, commands) => {
    expect(brokenBy(...commands).code).toBe('protocol-broken');
  });

  test('a broken scanner stays broken and keeps its last boundary', () => {
    const scanner = new BoundaryScanner({ offset: 0, db: 0 });
    const ping = command('PING');
    expect(() => {
      scanner.scan(Buffer.concat([ping, Buffer.from('\n')]));
    }).toThrow('at offset 15');
    expect(() => {
      scanner.scan(ping);
    }).toThrow('at offset 15');
    expect([scanner.offset, scanner.boundary]).toEqual([14, 14]);
  });
});
