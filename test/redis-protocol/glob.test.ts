// Globs as Redis reads them: by example, and against a transcription of its recursive matcher. test/redis/glob.test.ts asks
// real servers.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { glob, globOf, onlyKeyOf, parseGlobBytes } from '../../src/redis/glob.ts';

const matching: readonly (readonly [pattern: string, keys: readonly string[], others: readonly string[]])[] = [
  ['user:*', ['user:', 'user:1', 'user:*'], ['user', 'xuser:1', 'User:1']],
  ['*', ['', 'a', '\n'], []],
  ['**', ['a', 'ab'], ['']],
  ['', [''], ['a']],
  ['a*', ['a', 'ab', 'a\n'], ['', 'ba']],
  ['*a*b', ['ab', 'xaxb', 'aabb'], ['ba', 'abx']],
  ['h?llo', ['hello', 'h\nllo'], ['hllo', 'heello']],
  ['h[ae]llo', ['hello', 'hallo'], ['hillo', 'hllo']],
  ['h[^e]llo', ['hallo', 'h^llo'], ['hello', 'hllo']],
  ['h[a-c]llo', ['hbllo'], ['hdllo', 'h-llo']],
  ['h[c-a]llo', ['hbllo'], ['hdllo']],
  ['a[]', [], ['a', 'a]', 'a[]']],
  ['a[^]', ['ab', 'a]'], ['a', 'a^]']],
  ['a[bc', ['ab', 'ac'], ['a', 'a[bc', 'abc']],
  ['a[', [], ['a', 'a[']],
  ['[a-]', ['a', ']', '_'], ['b', '-']],
  ['[\\]]', [']'], ['\\', '\\]']],
  ['a\\*', ['a*'], ['ab', 'a\\*', 'a\\']],
  ['a\\', ['a\\'], ['a']],
  ['\\a', ['a'], ['\\a']],
  ['caf?', ['cafe'], ['café']],
  ['caf??', ['café'], ['cafe']],
];

describe('a glob', () => {
  test.each(matching)('%j', (pattern, keys, others) => {
    const { matches } = glob(pattern);
    for (const key of keys) expect([key, matches(Buffer.from(key))]).toEqual([key, true]);
    for (const key of others) expect([key, matches(Buffer.from(key))]).toEqual([key, false]);
  });

  test('compares the bytes of a range as signed, as servers on x86 do', () => {
    const { matches } = glob(Buffer.from([0x5b, 0x7f, 0x2d, 0x80, 0x5d]));
    expect([0x00, 0x61, 0x7f, 0x80, 0xff].map((byte) => matches(Buffer.from([byte])))).toEqual(Array(5).fill(true));
    const { matches: high } = glob(Buffer.from([0x5b, 0x61, 0x2d, 0xff, 0x5d]));
    expect([0x00, 0x61, 0x62, 0xfe, 0xff].map((byte) => high(Buffer.from([byte])))).toEqual([
      ...[true, true, false, false, true],
    ]);
  });

  test('of many stars and classes is what the recursive matcher says, for any bytes', () => {
    const byte = fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...Buffer.from('ab*?[]^-\\')) },
      fc.integer({ min: 0, max: 255 }),
    );
    const text = (max: number): fc.Arbitrary<Buffer> =>
      fc.array(byte, { maxLength: max }).map((all) => Buffer.from(all));
    fc.assert(
      fc.property(text(10), text(8), (pattern, key) => {
        const isAll = pattern.toString('latin1') === '*';
        const { matches, matchesAt } = glob(pattern);
        expect(matches(key)).toBe(isAll || reference(pattern, key));
        expect(matchesAt(Buffer.concat([pattern, key, pattern]), pattern.length, key.length)).toBe(matches(key));
      }),
      { numRuns: 20_000 },
    );
  });

  test('of a thousand stars takes no longer than pattern times key', () => {
    const { matches } = glob('*a'.repeat(1000));
    expect(matches(Buffer.alloc(10_000, 'a'))).toBe(true);
    expect(matches(Buffer.alloc(10_000, 'ab'))).toBe(false);
    expect(matches(Buffer.alloc(900, 'a'))).toBe(false);
  });
});

describe('a glob of one key', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.array(fc.constantFrom(...Buffer.from('ab*?[]^-\\x4')), { maxLength: 8 }).map((all) => Uint8Array.from(all)),
  );

  test('is made of any key, and matches it and no other', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, other) => {
        const { matches } = glob(globOf(key));
        expect(matches(key)).toBe(true);
        expect(matches(other)).toBe(Buffer.compare(key, other) === 0);
        expect(onlyKeyOf(globOf(key))).toEqual(Buffer.from(key));
      }),
      { numRuns: 2000 },
    );
  });

  test('is told from others by what it matches', () => {
    fc.assert(
      fc.property(bytes, bytes, (pattern, key) => {
        const only = onlyKeyOf(pattern);
        if (only !== undefined) expect(glob(pattern).matches(key)).toBe(only.equals(key));
        if (only !== undefined) expect(glob(pattern).matches(only)).toBe(true);
      }),
      { numRuns: 5000 },
    );
    expect(['a*', 'a?', '[a]', '*', 'a['].map((pattern) => onlyKeyOf(pattern))).toEqual(Array(5).fill(undefined));
  });

  test('may be written with bytes as they are printed', () => {
    expect(parseGlobBytes(String.raw`a\xff\x2A*\\x41\*`)).toEqual(Buffer.from('a\xff\\**\\\\x41\\*', 'latin1'));
  });
});

/** stringmatchlen of Redis' util.c, as it is written there, but for its limit to the nesting. */
function reference(pattern: Buffer, string: Buffer): boolean {
  return stringMatch(pattern, 0, string, 0);
}

function stringMatch(p: Buffer, pAt: number, s: Buffer, sAt: number): boolean {
  let [i, j] = [pAt, sAt];
  while (i < p.length && j < s.length) {
    const c = s[j]!;
    switch (p[i]!) {
      case 0x2a:
        while (p[i + 1] === 0x2a) i++;
        if (p.length - i === 1) return true;
        for (; j < s.length; j++) if (stringMatch(p, i + 1, s, j)) return true;
        return false;
      case 0x3f:
        j++;
        break;
      case 0x5b: {
        i++;
        const not = p[i] === 0x5e;
        if (not) i++;
        let match = false;
        for (;;) {
          const left = p.length - i;
          if (left >= 2 && p[i] === 0x5c) {
            i++;
            if (p[i] === c) match = true;
          } else if (left === 0) {
            i--;
            break;
          } else if (p[i] === 0x5d) break;
          else if (left >= 3 && p[i + 1] === 0x2d) {
            const [a, b] = [p.readInt8(i), p.readInt8(i + 2)];
            const value = s.readInt8(j);
            i += 2;
            if (value >= Math.min(a, b) && value <= Math.max(a, b)) match = true;
          } else if (p[i] === c) match = true;
          i++;
        }
        if (match === not) return false;
        j++;
        break;
      }
      default:
        if (p[i] === 0x5c && p.length - i >= 2) i++;
        if (p[i] !== c) return false;
        j++;
    }
    i++;
    if (j === s.length) {
      while (p[i] === 0x2a) i++;
      break;
    }
  }
  return i === p.length && j === s.length;
}
