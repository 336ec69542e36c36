// What is encoded is decoded as it was, for whatever the format can hold.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addToSum, noData } from '../../journal-format/data-sum.ts';
import { decodeAttach, encodeAttach } from '../../journal-format/attach.ts';
import { decodeBase, encodeBase } from '../../journal-format/base.ts';
import { Leb128Reader, leb128Bytes, writeLeb128 } from '../../journal-format/bytes.ts';
import { decodeFilters, encodeFilters } from '../../journal-format/filters.ts';
import { decodeFooter, encodeFooter } from '../../journal-format/footer.ts';
import {
  checkFollows,
  checkFrameBody,
  decodeFrameHeader,
  encodeFrame,
  placeAfter,
} from '../../journal-format/frame.ts';
import { decodeGap, encodeGap } from '../../journal-format/gap.ts';
import { decodeMark, encodeMark } from '../../journal-format/mark.ts';
import { ReadsEncoder, decodeReads } from '../../journal-format/reads.ts';
import type { Decoded, Encoded } from '../../journal-format/record.ts';
import { decodeSamples, encodeSamples } from '../../journal-format/samples.ts';
import { decodeBlock, decodeTrailer, encodeBlock, encodeTrailer } from '../../journal-format/sealed.ts';
import {
  decodeSealedHeader,
  decodeSegmentHeader,
  encodeSealedHeader,
  encodeSegmentHeader,
} from '../../journal-format/segment-header.ts';
import { decodeRemoved, encodeRemoved } from '../../journal-format/removed.ts';
import { decodeStop, encodeStop } from '../../journal-format/stop.ts';
import { decodeTimeline, encodeTimeline } from '../../journal-format/timeline.ts';
import * as any from './arbitraries.ts';

describe('a record', () => {
  const cases: readonly (readonly [string, () => void])[] = [
    ['segment header', () => roundTrip(any.segmentHeader, encodeSegmentHeader, decodeSegmentHeader)],
    ['sealed header', () => roundTrip(any.sealedHeader, encodeSealedHeader, decodeSealedHeader)],
    ['footer', () => roundTrip(any.footer, encodeFooter, decodeFooter)],
    ['filters', () => roundTrip(any.filters, encodeFilters, decodeFilters)],
    ['base', () => roundTrip(any.base, encodeBase, decodeBase)],
    ['timeline', () => roundTrip(any.timelineRecord, encodeTimeline, decodeTimeline)],
    ['gap', () => roundTrip(any.gap, encodeGap, decodeGap)],
    ['mark', () => roundTrip(any.mark, encodeMark, decodeMark)],
    ['removed', () => roundTrip(any.removed, encodeRemoved, decodeRemoved)],
    ['stop', () => roundTrip(any.stop, encodeStop, decodeStop)],
  ];

  test.each(cases)('of a %s comes back as it was, in the same bytes', (_name, check) => check());

  test('is copied out of the bytes it was decoded from', () => {
    const [record] = fc.sample(any.footer, 1);
    const { bytes } = encodeFooter(record!);
    const decoded = decodeFooter(bytes);
    bytes.fill(0);
    expect(Buffer.from(decoded.record.sha256)).toEqual(Buffer.from(record!.sha256));
  });
});

describe('a number in LEB128', () => {
  test('comes back as it was, in as many bytes as were foretold', () => {
    fc.assert(
      fc.property(any.uint53, (value) => {
        const bytes = Buffer.alloc(16);
        const length = writeLeb128(bytes, value, 0);
        const reader = new Leb128Reader(bytes.subarray(0, length));
        expect([reader.next(), reader.left, leb128Bytes(value)]).toEqual([value, 0, length]);
      }),
    );
  });

  test('is refused in any but its shortest form, and beyond 2^53 − 1', () => {
    for (const bytes of [
      [0x80, 0],
      [0x81, 0x80, 0],
      [0x80],
      [],
      Array<number>(8).fill(0xff),
      Array<number>(9).fill(0x80),
    ]) {
      expect(() => new Leb128Reader(Buffer.from(bytes)).next(), bytes.join()).toThrow(/number/);
    }
    expect(new Leb128Reader(Buffer.from([...Array<number>(7).fill(0xff), 0x0f])).next()).toBe(2 ** 53 - 1);
  });
});

const reads = fc.array(
  fc.record({ wait: fc.oneof(fc.nat(200), fc.nat(2 ** 31 - 1)), size: fc.integer({ min: 1, max: 70_000 }) }),
  {
    minLength: 1,
    maxLength: 60,
  },
);

describe('the reads of a frame', () => {
  test('come back with the stamp and the last offset of each', () => {
    const encoder = new ReadsEncoder();
    fc.assert(
      fc.property(reads, any.uint32, (list, begin) => {
        const expected: { stamp: number; end: number }[] = [];
        let stamp = begin;
        let end = 1000;
        for (const { wait, size } of list) {
          stamp += wait;
          end += size;
          encoder.add(stamp, size);
          expected.push({ stamp, end });
        }
        expect([encoder.count, encoder.dataLength]).toEqual([list.length, end - 1000]);
        const { meta, firstStamp, lastStamp } = encoder.finish();
        const decoded = decodeReads(meta, { start: 1001, dataLength: end - 1000, firstStamp, lastStamp });
        expect(decoded.toArray()).toEqual(expected);
        const visited: { stamp: number; end: number }[] = [];
        decoded.forEach((one, last) => visited.push({ stamp: one, end: last }));
        expect(visited).toEqual(expected);
      }),
    );
  });

  test('give each byte the stamp of the read that held it', () => {
    const encoder = new ReadsEncoder();
    for (const [stamp, size] of [
      [10, 3],
      [10, 1],
      [25, 2],
    ] as const)
      encoder.add(stamp, size);
    const { meta } = encoder.finish();
    const decoded = decodeReads(meta, { start: 101, dataLength: 6, firstStamp: 10, lastStamp: 25 });
    const stamps = [100, 101, 103, 104, 105, 106, 107].map((offset) => decoded.stampAt(offset));
    expect(stamps).toEqual([undefined, 10, 10, 10, 25, 25, undefined]);
  });

  test('stay as they were handed out while the next frame is collected', () => {
    const encoder = new ReadsEncoder();
    encoder.add(5, 7);
    const { meta } = encoder.finish();
    const before = Buffer.from(meta);
    for (let i = 0; i < 10_000; i += 1) encoder.add(2 ** 40 + i, 65_536);
    expect(meta).toEqual(before);
    encoder.reset();
    encoder.add(1, 1);
    expect(encoder.finish().meta).toEqual(Buffer.from([1, 0, 1]));
  });
});

describe('a frame', () => {
  test('comes back with its fields, body and place in the chain', () => {
    const parts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1, maxLength: 4 });
    const fields = fc.record({
      start: any.uint53,
      durable: any.uint53,
      wall: any.uint53,
      db: any.uint32,
      back: fc.nat(99),
    });
    fc.assert(
      fc.property(fields, any.uint53, parts, any.uint32, any.uint32, (given, stamp, data, salt, chain) => {
        const sum = data.reduce(addToSum, noData);
        const dataLength = sum.length;
        const start = Math.min(Math.max(1, given.start), Number.MAX_SAFE_INTEGER - dataLength);
        const encoder = new ReadsEncoder();
        for (const part of data) encoder.add(stamp, part.length);
        const { meta, firstStamp, lastStamp } = encoder.finish();
        const end = start + dataLength - 1;
        const { durable, wall, db } = given;
        const expected = { start, boundary: Math.max(0, end - given.back), durable, firstStamp, lastStamp, wall, db };
        const { header, crc } = encodeFrame('stream', expected, meta, sum, salt, chain);
        const bytes = Buffer.concat([Buffer.from('before'), header, meta, ...data, Buffer.from('behind')]);
        const decoded = decodeFrameHeader(bytes, 6, salt);
        expect(decoded).toMatchObject({
          ...expected,
          kind: 'stream',
          end,
          crc,
          chain,
          dataLength,
          metaLength: meta.length,
        });
        expect(checkFrameBody(decoded, bytes.subarray(86), salt)).toBe(sum.crc);
        checkFollows(decoded, { crc: chain, nextOffset: start, lastStamp: stamp });
        expect(placeAfter(decoded)).toEqual({ crc, nextOffset: end + 1, lastStamp });
      }),
    );
  });

  test('is out of place with another chain, start, or an earlier stamp', () => {
    const fields = { start: 11, boundary: 10, durable: 0, firstStamp: 50, lastStamp: 60, wall: 1, db: 0 };
    const { header } = encodeFrame('tick', fields, Buffer.alloc(0), noData, 1, 7);
    const frame = decodeFrameHeader(header, 0, 1);
    expect(() => checkFollows(frame, { crc: 7, nextOffset: 11, lastStamp: 50 })).not.toThrow();
    expect(() => checkFollows(frame, { crc: 8, nextOffset: 11, lastStamp: 50 })).toThrow('not chained');
    expect(() => checkFollows(frame, { crc: 7, nextOffset: 12, lastStamp: 50 })).toThrow('expected 12');
    expect(() => checkFollows(frame, { crc: 7, nextOffset: 11, lastStamp: 51 })).toThrow('stamps go back');
  });

  test('of samples or of an attachment comes back as it was', () => {
    const sample = fc.record({
      stamp: any.uint53,
      primaryTime: any.uint53,
      primaryOffset: any.uint53,
      roundTripMicros: any.uint32,
    });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 300 }), (samples) => {
        expect(decodeSamples(encodeSamples(samples))).toEqual(samples);
      }),
    );
    fc.assert(
      fc.property(fc.record({ id: any.id, lostStamp: any.uint53, stamp: any.uint53 }), (attach) => {
        expect(decodeAttach(encodeAttach(attach))).toEqual(attach);
      }),
    );
  });
});

describe('a sealed segment', () => {
  test('gives back what went into a block', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 5_000 }), (raw) => {
        const { stored, crc } = encodeBlock(raw);
        expect(decodeBlock({ storedLength: stored.length, rawLength: raw.length, crc }, stored)).toEqual(
          Buffer.from(raw),
        );
      }),
    );
  });

  test('gives back its trailer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), fc.integer({ min: 16, max: 2 ** 26 }), (position, length) => {
        expect(decodeTrailer(encodeTrailer({ position, length }), position + length + 24)).toEqual({
          position,
          length,
        });
      }),
    );
  });
});

function roundTrip<T>(
  records: fc.Arbitrary<T>,
  encode: (record: T) => Encoded,
  decode: (bytes: Uint8Array) => Decoded<T>,
): void {
  fc.assert(
    fc.property(records, (record) => {
      const { bytes, crc } = encode(record);
      const decoded = decode(bytes);
      expect(decoded).toEqual({ record, length: bytes.length, crc });
      expect(encode(decoded.record).bytes).toEqual(bytes);
    }),
  );
}
