// Times that are later in a stream of which no byte gets another number: each form of a command that has one, wherever the
// bytes are cut; what would be longer stays.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { laterTimes } from '../../../src/restore/rewrite/later-times.ts';
import { command, pieces } from '../../redis-protocol/bytes.ts';

type Words = readonly string[];
const laterByMs = 900_000;

function rewritten(parts: readonly Buffer[]): string {
  const rewriter = laterTimes({ offset: 1000, db: 0 }, laterByMs);
  const out: Buffer[] = [];
  for (const part of parts) {
    // What was pushed may be used again.
    const given = Buffer.from(part);
    out.push(...rewriter.push(given).map((each) => Buffer.from(each)));
    rewriter.letGo();
    given.fill(0);
  }
  expect(rewriter.isSettled).toBe(true);
  return Buffer.concat(out).toString('latin1');
}

const [now, then] = ['1795271405250', '1795272305250'];
const [seconds, secondsThen] = ['1795271405', '1795272305'];
const cases: readonly (readonly [given: Words, later: Words])[] = [
  [
    ['PEXPIREAT', 'k', now],
    ['PEXPIREAT', 'k', then],
  ],
  [
    ['pexpireat', 'k', now, 'GT'],
    ['pexpireat', 'k', then, 'GT'],
  ],
  [
    ['EXPIREAT', 'k', seconds, 'NX'],
    ['EXPIREAT', 'k', secondsThen, 'NX'],
  ],
  [
    ['SET', 'k', 'v', 'PXAT', now],
    ['SET', 'k', 'v', 'PXAT', then],
  ],
  [
    ['SET', 'k', 'v'.repeat(300), 'NX', 'PXAT', now],
    ['SET', 'k', 'v'.repeat(300), 'NX', 'PXAT', then],
  ],
  [
    ['SET', 'k', 'v', 'EXAT', seconds],
    ['SET', 'k', 'v', 'EXAT', secondsThen],
  ],
  [
    ['HPEXPIREAT', 'h', now, 'FIELDS', '1', 'f'],
    ['HPEXPIREAT', 'h', then, 'FIELDS', '1', 'f'],
  ],
  [
    ['HSETEX', 'h', 'PXAT', now, 'FIELDS', '1', 'f', now],
    ['HSETEX', 'h', 'PXAT', then, 'FIELDS', '1', 'f', now],
  ],
  [
    ['MSETEX', '1', 'k', now, 'PXAT', now],
    ['MSETEX', '1', 'k', now, 'PXAT', then],
  ],
  [
    ['RESTORE', 'k', now, 'payload', 'ABSTTL'],
    ['RESTORE', 'k', then, 'payload', 'ABSTTL'],
  ],
  ...[
    ['SET', 'k', now],
    ['SET', 'PXAT', now, 'KEEPTTL'],
    ['PEXPIREAT', 'k', '1'],
    ['PEXPIREAT', 'k', '9999999999999'],
    ['EXPIREAT', 'k', '999999999'],
    ['SET', 'k', 'v', 'PXAT', '99999'],
    ['EXPIRE', 'k', '60'],
    ['SET', 'k', 'v', 'EX', '60'],
    ['RESTORE', 'k', now, '\u0018 a hash with times in it', 'ABSTTL'],
    ['SELECT', '3'],
    ['DEL', 'k'],
  ].map((words) => [words, words] as const),
];

test('each is later, and nothing is longer or shorter, however many there are and wherever they are cut', () => {
  const arbitrary = fc.array(fc.constantFrom(...cases), { maxLength: 12 });
  fc.assert(
    fc.property(arbitrary, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (chosen, sizes) => {
      const given = Buffer.concat(chosen.map(([words]) => command(...words)));
      const later = Buffer.concat(chosen.map(([, words]) => command(...words)));
      expect(later.length).toBe(given.length);
      expect(rewritten(pieces(given, sizes))).toBe(later.toString('latin1'));
    }),
    { numRuns: 500 },
  );
});

test.each(cases.map(([given, later]) => ({ given, later })))('$given is $later', ({ given, later }) => {
  expect(rewritten([command(...given)])).toBe(command(...later).toString('latin1'));
});
