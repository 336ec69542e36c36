// Relative TTLs made absolute: each form, wherever reads and frames are cut, and everything else untouched.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addToSum, noData } from '../../../journal-format/data-sum.ts';
import { decodeFrameHeader, encodeFrame } from '../../../journal-format/frame.ts';
import { ReadsEncoder } from '../../../journal-format/reads.ts';
import type { RangeChunk } from '../../../src/log/read-range.ts';
import { LeftOut, type Stretch } from '../../../src/restore/rewrite/left-out.ts';
import { RelativeTtl } from '../../../src/restore/rewrite/relative-ttl.ts';
import { command, pieces } from '../../redis-protocol/bytes.ts';

/** 500 µs past a millisecond, which are left out. */
const stamp = 1_795_185_005_123_500;
const nowMs = 1_795_185_005_123;
const start = 1001;

/** A frame of one or more reads. */
function chunk(from: number, reads: readonly { readonly bytes: Buffer; readonly stamp: number }[]): RangeChunk {
  const encoder = new ReadsEncoder();
  for (const read of reads) encoder.add(read.stamp, read.bytes.length);
  const { meta, firstStamp, lastStamp } = encoder.finish();
  const bytes = Buffer.concat(reads.map((read) => read.bytes));
  const fields = { start: from, boundary: 0, durable: 0, firstStamp, lastStamp, wall: 0, db: 0 };
  const sum = addToSum(noData, bytes);
  const { header } = encodeFrame('stream', fields, meta, sum, 1, 2);
  const frame = { header: decodeFrameHeader(header, 0, 1), bytes, meta, data: bytes, dataCrc: sum.crc };
  return { start: from, bytes, frame };
}

/** The stream as one frame a piece, all received at the same time; each is gone when the next one comes. */
function convert(
  frames: readonly Buffer[],
  leftOut: readonly Stretch[] = [],
): { out: Buffer; warnings: string[]; heldMost: number } {
  const transform = new RelativeTtl({ offset: start - 1, db: 0 }, new LeftOut(leftOut));
  const out: Buffer[] = [];
  let [from, passed, heldMost] = [start, 0, 0];
  for (const frame of frames.filter(({ length }) => length > 0)) {
    const bytes = Buffer.from(frame);
    const parts = transform.push(chunk(from, [{ bytes, stamp }]));
    out.push(...parts.map((part) => Buffer.from(part)));
    transform.letGo();
    bytes.fill(0);
    from += bytes.length;
    passed += parts.reduce((sum, part) => sum + part.length, 0);
    heldMost = Math.max(heldMost, from - start - passed);
  }
  return { out: Buffer.concat(out), warnings: transform.warnings(), heldMost };
}

type Words = readonly string[];
const all = (...commands: Words[]): Buffer => Buffer.concat(commands.map((words) => command(...words)));
const multi = ['MULTI'];
const exec = ['EXEC'];
const at = (ms: number): string => String(nowMs + ms);

const cases: readonly (readonly [given: Words, ...written: Words[]])[] = [
  [
    ['EXPIRE', 'k', '60'],
    ['PEXPIREAT', 'k', at(60_000)],
  ],
  [
    ['expire', 'k', '-1'],
    ['PEXPIREAT', 'k', at(-1000)],
  ],
  [
    ['PEXPIRE', 'k', '1500'],
    ['PEXPIREAT', 'k', at(1500)],
  ],
  [
    ['EXPIRE', 'k', '60', 'GT'],
    ['PEXPIREAT', 'k', at(60_000), 'GT'],
  ],
  [['SETEX', 'k', '10', 'v'], multi, ['SET', 'k', 'v'], ['PEXPIREAT', 'k', at(10_000)], exec],
  [['psetex', 'k', '10', ''], multi, ['SET', 'k', ''], ['PEXPIREAT', 'k', at(10)], exec],
  [['SET', 'k', 'v', 'EX', '10'], multi, ['SET', 'k', 'v'], ['PEXPIREAT', 'k', at(10_000)], exec],
  [['set', 'k', 'EX', 'px', '7', 'NX'], multi, ['SET', 'k', 'EX', 'NX'], ['PEXPIREAT', 'k', at(7)], exec],
  [['SET', 'k', 'v', 'XX', 'PX', '7'], multi, ['SET', 'k', 'v', 'XX'], ['PEXPIREAT', 'k', at(7)], exec],
  [
    ['GETEX', 'k', 'EX', '10'],
    ['PEXPIREAT', 'k', at(10_000)],
  ],
  [
    ['GETEX', 'k', 'px', '10'],
    ['PEXPIREAT', 'k', at(10)],
  ],
  [
    ['RESTORE', 'k', '500', 'p\r\n'],
    ['RESTORE', 'k', at(500), 'p\r\n', 'ABSTTL'],
  ],
  [
    ['restore', 'k', '500', 'p', 'REPLACE'],
    ['restore', 'k', at(500), 'p', 'REPLACE', 'ABSTTL'],
  ],
  [
    ['RESTORE-ASKING', 'k', '5', 'p'],
    ['RESTORE-ASKING', 'k', at(5), 'p', 'ABSTTL'],
  ],
];

/** Nothing relative, however much it looks so. */
const untouched: readonly Words[] = [
  ['SET', 'k', 'v'],
  ['SET', 'EX', '10'],
  ['SET', 'k', 'v', 'KEEPTTL'],
  ['SET', 'k', 'v', 'PXAT', '99'],
  ['SET', 'k', 'v', 'NX', 'GET'],
  ['SET', 'k', 'v', 'EX', 'ten'],
  ['EXPIREAT', 'k', '60'],
  ['PEXPIREAT', 'k', '60'],
  ['EXPIRE', 'k', 'soon'],
  ['PERSIST', 'k'],
  ['GETEX', 'k', 'PERSIST'],
  ['GETEX', 'k', 'PXAT', '5'],
  ['GETEX', 'k'],
  ['RESTORE', 'k', '0', 'p'],
  ['RESTORE', 'k', '500', 'p', 'REPLACE', 'absttl'],
  ['RPUSH', 'EXPIRE', 'k', '60'],
  ['SETRANGE', 'k', '10', 'v'],
  ['SELECT', '3'],
  ['ping'],
];

describe('written with an absolute time is', () => {
  test.each(cases)('%j', (given, ...written) => {
    expect(convert([command(...given)]).out.toString()).toBe(all(...written).toString());
  });
});

describe('left as it is', () => {
  test.each(untouched.map((words) => [words] as const))('%j', (words) => {
    expect(convert([command(...words)]).out.toString()).toBe(command(...words).toString());
  });
});

test('inside a MULTI none is put around', () => {
  const given = all(multi, ['SET', 'k', 'v', 'EX', '10'], ['EXPIRE', 'l', '5'], exec, ['SETEX', 'k', '1', 'v']);
  const written = all(
    ...[multi, ['SET', 'k', 'v'], ['PEXPIREAT', 'k', at(10_000)], ['PEXPIREAT', 'l', at(5000)], exec],
    ...[multi, ['SET', 'k', 'v'], ['PEXPIREAT', 'k', at(1000)], exec],
  );
  expect(convert([given]).out.toString()).toBe(written.toString());
});

test('the time counts from the read that held the last byte', () => {
  const [first, second] = [command('EXPIRE', 'k', '60'), command('EXPIRE', 'l', '60')];
  const both = Buffer.concat([first, second]);
  const cut = first.length + 5;
  const transform = new RelativeTtl({ offset: start - 1, db: 0 }, new LeftOut());
  const reads = [
    { bytes: both.subarray(0, 4), stamp },
    { bytes: both.subarray(4, cut), stamp: stamp + 1_000_000 },
    { bytes: both.subarray(cut), stamp: stamp + 5_000_000 },
  ];
  const out = Buffer.concat(transform.push(chunk(start, reads)));
  expect(out.toString()).toBe(all(['PEXPIREAT', 'k', at(61_000)], ['PEXPIREAT', 'l', at(65_000)]).toString());
});

test('the result is the same wherever frames are cut', () => {
  const words = [...cases.map(([given]) => given), ...untouched, multi, ['SETEX', 'k', '1', 'v'], exec];
  const arbitrary = fc.array(fc.constantFrom(...words.filter((one) => one.length > 1)), { maxLength: 12 });
  fc.assert(
    fc.property(arbitrary, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (chosen, sizes) => {
      const stream = all(...chosen);
      expect(convert(pieces(stream, sizes)).out.equals(convert([stream]).out)).toBe(true);
    }),
  );
});

test('what is left out is passed over, wherever frames are cut, and all else is converted', () => {
  const words = [...cases.map(([given]) => given), ...untouched, multi, exec, ['EVAL', 'script', '0']];
  const chosen = fc.array(fc.tuple(fc.constantFrom(...words.filter((one) => one.length > 1)), fc.boolean()), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(chosen, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (commands, sizes) => {
      const stretches: Stretch[] = [];
      let next = start;
      for (const [each, isLeftOut] of commands) {
        const { length } = command(...each);
        if (isLeftOut) stretches.push({ from: next, to: next + length - 1 });
        next += length;
      }
      const { out, warnings } = convert(pieces(all(...commands.map(([each]) => each)), sizes), stretches);
      const kept = convert([all(...commands.filter(([, isLeftOut]) => !isLeftOut).map(([each]) => each))]);
      expect(out.toString()).toBe(kept.out.toString());
      expect(warnings.length).toBe(kept.warnings.length);
    }),
  );
});

test('large commands that say nothing of time are not held back', () => {
  const value = 'x'.repeat(1_000_000);
  const stream = all(
    ['RPUSH', 'k', value],
    ['SET', 'k', value],
    ['SET', 'k', 'v', 'EX', '10'],
    ['SETEX', 'k', '1', 'y'],
  );
  const { out, heldMost } = convert(pieces(stream, [10_000]));
  expect(out.equals(convert([stream]).out)).toBe(true);
  expect(heldMost).toBeLessThan(1000);
});

test('a large value goes through a change unharmed', () => {
  const value = Buffer.alloc(300_000, '\r\n$5\r\nEX\r\n').toString('latin1');
  const stream = all(['SET', value, value, 'EX', '10'], ['RESTORE', 'k', '5', value, 'REPLACE']);
  const written = all(...[multi, ['SET', value, value], ['PEXPIREAT', value, at(10_000)], exec], [
    'RESTORE',
    'k',
    at(5),
    value,
    'REPLACE',
    'ABSTTL',
  ]);
  const { out } = convert(pieces(stream, [7000]));
  expect([out.length, out.equals(written)]).toEqual([written.length, true]);
});

test('replicated scripts are told of', () => {
  const script = ['eval', "redis.call('setex', 'k', 1, 'v')", '0'];
  const { out, warnings } = convert([all(['SET', 'k', 'v'], script, script)]);
  expect(out.equals(all(['SET', 'k', 'v'], script, script))).toBe(true);
  const first = start - 1 + all(['SET', 'k', 'v'], script).length;
  expect(warnings).toEqual([
    expect.stringContaining(`2 scripts were replicated as they are, the first at offset ${first}`),
  ]);
});
