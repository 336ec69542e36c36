// Lengths are refused before anything is allocated for them, by readers and by writers alike.
import { crc32, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { addToSum, noData } from '../../journal-format/data-sum.ts';
import { decodeDocument, documentLength, encodeDocument } from '../../journal-format/document.ts';
import type { FrameFields } from '../../journal-format/frame.ts';
import { decodeFrameHeader, encodeFrame, frameHeaderBytes } from '../../journal-format/frame.ts';
import { encodeMark } from '../../journal-format/mark.ts';
import { ReadsEncoder, decodeReads } from '../../journal-format/reads.ts';
import { decodeSamples, encodeSamples } from '../../journal-format/samples.ts';
import { decodeBlock, encodeBlock, encodeTrailer } from '../../journal-format/sealed.ts';
import { vector } from './golden.ts';

const salt = 99;
const mebibyte = 1024 * 1024;
const none = Buffer.alloc(0);
const fields: FrameFields = { start: 11, boundary: 10, durable: 10, firstStamp: 5, lastStamp: 6, wall: 7, db: 0 };

/** A tick header with fields overwritten and its checksum made right again. */
function headerWith(change: (header: Buffer) => void): Buffer {
  const { header } = encodeFrame('tick', fields, none, noData, salt, 1);
  change(header);
  header.writeUInt32LE(crc32(header.subarray(0, 76), salt), 76);
  return header;
}

describe('a frame header whose checksum is right', () => {
  test.each<[string, (header: Buffer) => void]>([
    ['of kind 0', (header) => header.writeUInt8(0, 4)],
    ['with an unknown flag', (header) => header.writeUInt8(2, 5)],
    ['with the required flag on an optional kind', (header) => header.writeUInt8(1, 5)],
    ['with something where zeros belong', (header) => header.writeUInt8(1, 7)],
    ['with 4 GiB of meta', (header) => header.writeUInt32LE(0xffff_ffff, 8)],
    ['with meta on a tick', (header) => header.writeUInt32LE(1, 8)],
    ['with data on a tick', (header) => header.writeUInt32LE(1, 12)],
    ['with an offset of 2^53', (header) => header.writeBigUInt64LE(2n ** 53n, 16)],
    ['with start 0', (header) => header.writeBigUInt64LE(0n, 16)],
    ['with a boundary behind its end', (header) => header.writeBigUInt64LE(11n, 24)],
    ['with a durable offset of 2^64 − 1', (header) => header.writeBigUInt64LE(2n ** 64n - 1n, 32)],
    ['with stamps that go back', (header) => header.writeBigUInt64LE(7n, 40)],
    ['with a wall clock of 2^53', (header) => header.writeBigUInt64LE(2n ** 53n, 56)],
  ])('is corrupt %s', (_what, change) => {
    const header = headerWith(change);
    expect(() => decodeFrameHeader(header, 0, salt)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });

  test.each<[string, (header: Buffer) => void]>([
    ['meta above 1 MiB', (header) => header.writeUInt32LE(mebibyte + 1, 8)],
    ['data above 8 MiB', (header) => header.writeUInt32LE(8 * mebibyte + 1, 12)],
    ['no data', (header) => header.writeUInt32LE(0, 12)],
    ['no meta', (header) => header.writeUInt32LE(0, 8)],
  ])('is corrupt on a stream frame with %s', (_what, change) => {
    const header = headerWith((bytes) => {
      bytes.writeUInt16LE(0x101, 4);
      bytes.writeUInt32LE(3, 8);
      bytes.writeUInt32LE(1, 12);
      change(bytes);
    });
    expect(() => decodeFrameHeader(header, 0, salt)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });
});

describe('a writer', () => {
  test('is refused a frame that no reader would accept', () => {
    const meta = Buffer.from([1, 0, 1]);
    const data = addToSum(noData, Buffer.alloc(1));
    const refused = (change: Partial<FrameFields>): void => {
      expect(() => encodeFrame('stream', { ...fields, ...change }, meta, data, salt, 1)).toThrow(RangeError);
    };
    refused({ start: 0 });
    refused({ start: 2 ** 53 });
    refused({ start: Number.NaN });
    refused({ start: 1.5 });
    refused({ boundary: 12 });
    refused({ boundary: -1 });
    refused({ durable: -1 });
    refused({ firstStamp: 7 });
    refused({ wall: Number.POSITIVE_INFINITY });
    refused({ db: -1 });
    refused({ db: 2 ** 32 });
    expect(() => encodeFrame('tick', fields, meta, noData, salt, 1)).toThrow(RangeError);
    expect(() => encodeFrame('attach', fields, meta, data, salt, 1)).toThrow(RangeError);
    expect(() => encodeFrame('stream', fields, meta, noData, salt, 1)).toThrow(RangeError);
    expect(() => encodeFrame('stream', fields, Buffer.alloc(mebibyte + 1), data, salt, 1)).toThrow(RangeError);
    const tooLarge = { length: 8 * mebibyte + 1, crc: 0 };
    expect(() => encodeFrame('stream', fields, meta, tooLarge, salt, 1)).toThrow(RangeError);
  });

  test('is refused reads that go back, are empty, or are too many for a frame', () => {
    const encoder = new ReadsEncoder();
    expect(() => encoder.finish()).toThrow(RangeError);
    encoder.add(100, 1);
    expect(() => encoder.add(99, 1)).toThrow(RangeError);
    expect(() => encoder.add(100, 0)).toThrow(RangeError);
    expect(() => encoder.add(Number.NaN, 1)).toThrow(RangeError);
    expect(() => encoder.add(2 ** 53, 1)).toThrow(RangeError);
    while (!encoder.isFull) encoder.add(100, 1);
    expect(() => encoder.add(100, 1)).toThrow(RangeError);
    const { count, dataLength } = encoder;
    const { meta, firstStamp, lastStamp } = encoder.finish();
    expect(meta.length).toBeLessThanOrEqual(mebibyte);
    expect(decodeReads(meta, { start: 1, dataLength, firstStamp, lastStamp }).count).toBe(count);
  });

  test('is refused a document of values that do not come back', () => {
    for (const value of [0.5, 2 ** 53, Number.NaN, new Date(0), 1n]) {
      expect(() => encodeDocument('stop', { value }), String(value)).toThrow();
    }
    expect(() => encodeDocument('stop', { text: 'x'.repeat(64 * mebibyte) })).toThrow(RangeError);
    const mark = { name: '', timeline: 1, id: 'a'.repeat(40), offset: 1, stamp: 1, created: 1 };
    expect(() => encodeMark(mark)).toThrow(RangeError);
    expect(() => encodeMark({ ...mark, name: 'x', timeline: 0 })).toThrow(RangeError);
    expect(() => encodeMark({ ...mark, name: 'x', offset: -1 })).toThrow(RangeError);
  });

  test('is refused blocks and trailers beyond their limits', () => {
    expect(() => encodeBlock(none)).toThrow(RangeError);
    expect(() => encodeBlock(Buffer.alloc(16 * mebibyte + 1))).toThrow(RangeError);
    expect(() => encodeTrailer({ position: 2 ** 53, length: 16 })).toThrow(RangeError);
    expect(() => encodeSamples([])).toThrow(RangeError);
  });
});

describe('a length that cannot be true', () => {
  test('is refused from the first 16 bytes of a document', () => {
    const head = vector('document-stop').subarray(0, 16);
    head.writeUInt32LE(64 * mebibyte + 1, 8);
    expect(() => documentLength(head)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
    head.writeUInt32LE(64 * mebibyte, 8);
    expect(documentLength(head)).toBe(64 * mebibyte + 16);
    expect(() => decodeDocument(head)).toThrow(expect.objectContaining({ kind: 'torn' }));
  });

  test.each(['huge-array', 'huge-text', 'deep'])('is refused inside of a document: %s', (name) => {
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decodeDocument(vector(`refused-${name}`))).toThrow(expect.objectContaining({ kind: 'corrupt' }));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(mebibyte);
  });

  test('is refused in the meta of a frame', () => {
    const reach = { start: 1, dataLength: 1, firstStamp: 0, lastStamp: 0 };
    const huge = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    for (const meta of [none, huge, Buffer.from([0]), Buffer.from([2, 0, 1]), Buffer.from([1, 0, 1, 0])]) {
      expect(() => decodeReads(meta, reach)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
      expect(() => decodeSamples(meta)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
    }
  });

  test('is refused before a block is decompressed, and again when it turns out larger than it said', () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * mebibyte));
    const crc = crc32(bomb);
    const entry = { storedLength: bomb.length, crc };
    for (const rawLength of [64 * mebibyte, 0, 1, mebibyte]) {
      expect(() => decodeBlock({ ...entry, rawLength }, bomb)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
    }
    const short = encodeBlock(Buffer.alloc(100));
    const claim = { storedLength: short.stored.length, crc: short.crc, rawLength: 101 };
    expect(() => decodeBlock(claim, short.stored)).toThrow('expected 101');
  });

  test('is refused for a header that is not whole', () => {
    expect(() => decodeFrameHeader(Buffer.alloc(frameHeaderBytes - 1), 0, salt)).toThrow(
      expect.objectContaining({ kind: 'torn' }),
    );
  });
});
