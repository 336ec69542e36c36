// Other times in a stream: each form of a command that has one, wherever the bytes are cut, and everything else untouched.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { timeOf } from '../../../src/redis/command-times.ts';
import type { TtlRule } from '../../../src/redis/ttl-rule.ts';
import { otherTimes } from '../../../src/restore/rewrite/other-times.ts';
import { command, pieces, splitsInTwo } from '../../redis-protocol/bytes.ts';

type Words = readonly string[];
const all = (commands: readonly Words[]): Buffer => Buffer.concat(commands.map((words) => command(...words)));
const later = { laterByMs: 60_001 };

function rewritten(parts: readonly Buffer[], others: TtlRule['others']): string {
  const rewriter = otherTimes({ offset: 1000, db: 0 }, others);
  const out = parts.flatMap((bytes) => rewriter.push(bytes).map((each) => Buffer.from(each)));
  expect(rewriter.isSettled).toBe(true);
  return Buffer.concat(out).toString('latin1');
}

const long = 'v'.repeat(300);
/** As it is, a minute and a millisecond later, and without; undefined: nothing of it is left. */
const cases: readonly (readonly [given: Words, moved: Words, lasting: Words | undefined])[] = [
  [['PEXPIREAT', 'k', '1000'], ['PEXPIREAT', 'k', '61001'], undefined],
  [['pexpireat', long, '1000', 'GT'], ['pexpireat', long, '61001', 'GT'], undefined],
  [['PEXPIREAT', 'k', '-70000'], ['PEXPIREAT', 'k', '-9999'], undefined],
  [['EXPIREAT', 'k', '5', 'NX'], ['PEXPIREAT', 'k', '65001', 'NX'], undefined],
  [
    ['SET', 'k', 'v', 'PXAT', '1000'],
    ['SET', 'k', 'v', 'PXAT', '61001'],
    ['SET', 'k', 'v'],
  ],
  [
    ['set', 'PXAT', 'PXAT', 'NX', 'pxat', '99999', 'GET'],
    ['set', 'PXAT', 'PXAT', 'NX', 'pxat', '160000', 'GET'],
    ['set', 'PXAT', 'PXAT', 'NX', 'GET'],
  ],
  [
    ['SET', 'k', long, 'EXAT', '5'],
    ['SET', 'k', long, 'PXAT', '65001'],
    ['SET', 'k', long],
  ],
  [
    ['SET', 'k', 'v', 'IFEQ', 'PXAT', 'PXAT', '1'],
    ['SET', 'k', 'v', 'IFEQ', 'PXAT', 'PXAT', '60002'],
    ['SET', 'k', 'v', 'IFEQ', 'PXAT'],
  ],
  [['GETEX', 'k', 'PXAT', '7'], ['GETEX', 'k', 'PXAT', '60008'], undefined],
  [['GETEX', 'k', 'EXAT', '7'], ['GETEX', 'k', 'PXAT', '67001'], undefined],
  [['HPEXPIREAT', 'h', '9', 'FIELDS', '1', 'f'], ['HPEXPIREAT', 'h', '60010', 'FIELDS', '1', 'f'], undefined],
  [
    ['HEXPIREAT', 'h', '9', 'LT', 'FIELDS', '1', long],
    ['HPEXPIREAT', 'h', '69001', 'LT', 'FIELDS', '1', long],
    undefined,
  ],
  [
    ['HSETEX', 'h', 'FNX', 'PXAT', '9', 'FIELDS', '1', 'PXAT', '3'],
    ['HSETEX', 'h', 'FNX', 'PXAT', '60010', 'FIELDS', '1', 'PXAT', '3'],
    ['HSETEX', 'h', 'FNX', 'FIELDS', '1', 'PXAT', '3'],
  ],
  [['HGETEX', 'h', 'EXAT', '9', 'FIELDS', '1', 'f'], ['HGETEX', 'h', 'PXAT', '69001', 'FIELDS', '1', 'f'], undefined],
  [
    ['MSETEX', '2', 'EXAT', '1', 'PXAT', '2', 'EXAT', '9'],
    ['MSETEX', '2', 'EXAT', '1', 'PXAT', '2', 'PXAT', '69001'],
    ['MSETEX', '2', 'EXAT', '1', 'PXAT', '2'],
  ],
  [
    ['RESTORE', 'k', '9', long, 'REPLACE', 'absttl'],
    ['RESTORE', 'k', '60010', long, 'REPLACE', 'absttl'],
    ['RESTORE', 'k', '0', long, 'REPLACE', 'absttl'],
  ],
  [
    ['RESTORE-ASKING', 'k', '9', 'p', 'ABSTTL'],
    ['RESTORE-ASKING', 'k', '60010', 'p', 'ABSTTL'],
    ['RESTORE-ASKING', 'k', '0', 'p', 'ABSTTL'],
  ],
];

const untouched: readonly Words[] = [
  ['SET', 'k', 'v'],
  ['SET', 'k', 'PXAT', 'KEEPTTL'],
  ['SET', 'PXAT', '10'],
  ['SETRANGE', 'k', '5', 'PXAT'],
  ['RPUSH', 'l', 'PXAT', '1000'],
  ['PERSIST', 'k'],
  ['GETEX', 'k', 'PERSIST'],
  ['HSETEX', 'h', 'FIELDS', '2', 'PXAT', '3', 'EXAT', '4'],
  ['HPERSIST', 'h', 'FIELDS', '1', 'f'],
  ['RESTORE', 'k', '0', long, 'ABSTTL'],
  ['RESTORE', 'k', '0', 'p'],
  ['XCLAIM', 's', 'g', 'c', '0', '1-1', 'TIME', '1000', 'RETRYCOUNT', '1'],
  ['MULTI'],
  ['EXEC'],
  ['SELECT', '3'],
  ['ping'],
];

describe('of a command, the time', () => {
  test.each(cases.map(([given, moved, lasting]) => ({ given, moved, lasting })))(
    '$given is later, or gone',
    ({ given, moved, lasting }) => {
      const bytes = command(...given);
      for (const parts of [...splitsInTwo(bytes), [bytes]]) {
        expect(rewritten(parts, later)).toBe(command(...moved).toString('latin1'));
        expect(rewritten(parts, 'persist')).toBe(lasting === undefined ? '' : command(...lasting).toString('latin1'));
        expect(rewritten(parts, 'stay')).toBe(bytes.toString('latin1'));
      }
    },
  );
});

test('of all others, nothing is', () => {
  const bytes = all([...untouched.filter(([name]) => name !== 'EXEC'), ['EXEC']]);
  for (const parts of splitsInTwo(bytes)) {
    expect(rewritten(parts, later)).toBe(bytes.toString('latin1'));
    expect(rewritten(parts, 'persist')).toBe(bytes.toString('latin1'));
  }
});

test('a time so far ahead that none can be later stays', () => {
  const far = all([
    ['PEXPIREAT', 'k', '9007199254740000'],
    ['SET', 'k', 'v', 'PXAT', '9223372036854775807'],
    ['HPEXPIREAT', 'h', '70368744177663', 'FIELDS', '1', 'f'],
  ]);
  expect(rewritten([far], later)).toBe(far.toString('latin1'));
});

test.each([
  ['EXPIRE', 'k', '60'],
  ['PEXPIRE', 'k', '60'],
  ['SETEX', 'k', '60', 'v'],
  ['PSETEX', 'k', '60', 'v'],
  ['SET', 'k', 'v', 'EX', '60'],
  ['SET', 'k', 'v', 'LATER', '60'],
  ['SET', 'k', 'v', 'PXAT', 'soon'],
  ['GETEX', 'k', 'PX', '60'],
  ['PEXPIREAT', 'k', 'soon'],
  ['HEXPIRE', 'h', '60', 'FIELDS', '1', 'f'],
  ['HPEXPIRE', 'h', '60', 'FIELDS', '1', 'f'],
  ['HSETEX', 'h', 'PX', '60', 'FIELDS', '1', 'f', 'v'],
  ['MSETEX', 'two', 'k', 'v', 'PXAT', '60'],
  ['MSETEX', '9', 'k', 'v', 'PXAT', '60'],
  ['RESTORE', 'k', '60', 'p'],
  ['RESTORE', 'k', '0', '\u0018hash with expiring fields'],
])('%s %s %s %s: when that is cannot be told', (...words) => {
  const args = words.map((word) => Buffer.from(word));
  expect(timeOf({ args, argumentCount: args.length })).toBe('untold');
});

test('however many commands and wherever they are cut, each becomes what it becomes alone', () => {
  const arbitrary = fc.array(
    fc.constantFrom(...cases, ...untouched.slice(0, 12).map((one) => [one, one, one] as const)),
  );
  fc.assert(
    fc.property(arbitrary, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (chosen, sizes) => {
      const parts = pieces(all(chosen.map(([given]) => given)), sizes);
      expect(rewritten(parts, later)).toBe(all(chosen.map(([, moved]) => moved)).toString('latin1'));
      const lasting = chosen.flatMap(([, , words]) => (words === undefined ? [] : [words]));
      expect(rewritten(parts, 'persist')).toBe(all(lasting).toString('latin1'));
    }),
  );
});
