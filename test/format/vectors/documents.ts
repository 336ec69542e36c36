/**
 * Documents for the vectors: one of each kind, and the ways in which one can be refused. Those that no encoder of ours
 * would write are put together byte by byte.
 */
import { crc32 } from 'node:zlib';
import { encodeBase } from '../../../journal-format/base.ts';
import type { BaseRecord } from '../../../journal-format/base.ts';
import { encodeDocument } from '../../../journal-format/document.ts';
import { encodeFilters } from '../../../journal-format/filters.ts';
import { encodeFooter } from '../../../journal-format/footer.ts';
import { encodeGap } from '../../../journal-format/gap.ts';
import { KeyFilterMaker } from '../../../journal-format/key-filter.ts';
import { hashKey } from '../../../journal-format/key-hash.ts';
import { KeySet } from '../../../journal-format/key-set.ts';
import { encodeMark } from '../../../journal-format/mark.ts';
import { encodeRemoved } from '../../../journal-format/removed.ts';
import { encodeSealedHeader, encodeSegmentHeader } from '../../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../../journal-format/segment-header.ts';
import { encodeStop } from '../../../journal-format/stop.ts';
import { encodeTimeline } from '../../../journal-format/timeline.ts';

export const firstId = '8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb';
export const secondId = '000102030405060708090a0b0c0d0e0f10111213';
export const noon = 1_772_366_400_000_000;

export const header: SegmentHeader = {
  source: 'cache-1',
  timeline: 1,
  segment: '0badcafe',
  start: 1001,
  db: 0,
  ids: [{ id: firstId, offset: 1001 }],
  stamp: noon,
  salt: 0xfeed_beef,
  writer: 'journal 0.1.0',
};

export const base: BaseRecord = {
  timeline: 1,
  offset: 1000,
  id: firstId,
  origin: 'received',
  db: 3,
  stamp: noon - 2_000_000,
  completed: noon - 1_000_000,
  size: 175,
  magic: 'REDIS',
  version: 12,
  aux: { 'redis-ver': '7.4.2', 'repl-stream-db': '3', 'repl-id': firstId, 'repl-offset': '1000' },
  crc64: 'e9b2c5a701f3d846',
  chunk: 1_048_576,
  chunks: Uint32Array.of(0x89ab_cdef),
  contents: { keys: 3, expires: 1, hashFieldExpires: 0, minHashFieldExpireMs: 0 },
};

const mark = { name: 'x', timeline: 1, id: firstId, offset: 1, stamp: 1, created: 1 };

export function documentVectors(): Record<string, Buffer> {
  return { ...kinds(), ...refused(), ...accepted() };
}

function kinds(): Record<string, Buffer> {
  const { contents: _, ...unwalked } = base;
  const side = { timeline: 1, id: firstId, offset: 1_500, stamp: noon };
  const largest = Number.MAX_SAFE_INTEGER;
  const block = {
    position: 200,
    storedLength: 90,
    rawLength: 300,
    crc: 7,
    start: 1001,
    end: 1100,
    boundary: 1000,
    db: 0,
  };
  return {
    'document-open-header': encodeSegmentHeader(header).bytes,
    'document-sealed-header': encodeSealedHeader({ ...header, codec: 'zstd', chain: 0x0102_0304 }).bytes,
    'document-sealed-footer': encodeFooter({
      start: 1001,
      end: 1100,
      first: noon,
      last: noon + 5,
      db: 15,
      ids: header.ids,
      durable: 1050,
      frames: 2,
      raw: 300,
      blocks: [{ ...block, firstStamp: noon, lastStamp: noon + 5 }],
      sha256: Buffer.alloc(32, 0xa5),
    }).bytes,
    'document-filters': encodeFilters({
      rule: 1,
      names: ['SET', 'DEL', 'MODULE.\xc3\xa9'],
      blocks: [
        { first: 1001, db: 0, inMulti: false, names: [0, 2], keys: undefined },
        { first: 1100, db: 7, inMulti: true, names: undefined, keys: keyFilter(['user', 'user:2', '']) },
        { first: 1200, db: 0, inMulti: false, names: [], keys: Buffer.alloc(0) },
      ],
    }).bytes,
    'document-timeline': encodeTimeline({
      source: 'cache-1',
      timeline: 1,
      id: firstId,
      offset: 1000,
      stamp: noon,
      address: 'redis.example:6379',
      server: { kind: 'redis', version: '7.4.2' },
      writer: 'journal 0.1.0',
    }).bytes,
    'document-base': encodeBase(base).bytes,
    'document-base-unwalked': encodeBase({
      ...unwalked,
      origin: 'synthetic',
      magic: 'VALKEY',
      version: 80,
      crc64: '0000000000000000',
      size: 2_100_000,
      chunks: Uint32Array.of(1, 0xffff_ffff, 0x8000_0000),
      aux: {},
    }).bytes,
    'document-gap': encodeGap({
      from: side,
      to: { timeline: 2, id: secondId, offset: 90_000, stamp: noon + 60_000_000 },
      cause: 'history-changed',
      detail: 'the primary answered FULLRESYNC with another replication id',
    }).bytes,
    'document-gap-broken': encodeGap({
      from: side,
      to: { timeline: 2, id: firstId, offset: 90_000, stamp: noon + 60_000_000 },
      cause: 'stream-broken',
      detail: 'the stream broke 3 times behind offset 1500',
    }).bytes,
    'document-gap-orphan': encodeGap({
      from: side,
      to: { timeline: 2, id: secondId, offset: 90_000, stamp: noon + 60_000_000 },
      cause: 'history-changed',
      detail: 'a replica was promoted that did not have all of it',
      orphan: { timeline: 1, id: firstId, offset: 1_400 },
    }).bytes,
    'document-mark': encodeMark({ ...mark, name: 'vor dem Umzug → 7.4 🚚', note: 'Zeile 1\nZeile 2' }).bytes,
    'document-mark-largest': encodeMark({ ...mark, offset: largest, stamp: largest, created: largest }).bytes,
    'document-removed': encodeRemoved({
      timeline: 1,
      ids: header.ids,
      offset: 1000,
      end: 1_500,
      first: noon - 1_000_000,
      last: noon,
      removed: noon + 86_400_000_000,
      rule: '--keep-local 1d',
    }).bytes,
    'document-stop': encodeStop({ timeline: 1, offset: 1_500, stamp: noon }).bytes,
  };
}

/** Bodies as another writer may form them. */
/** As the sealer makes it. */
export function keyFilter(keys: readonly string[]): Buffer {
  const set = new KeySet(keys.length);
  for (const key of keys) {
    const { high, low } = hashKey(Buffer.from(key));
    set.add(high, low);
  }
  const filter = new KeyFilterMaker().make(set);
  if (filter === undefined) throw new RangeError('these keys collide');
  return filter;
}

function accepted(): Record<string, Buffer> {
  return {
    'accepted-unknown-key': encodeDocument('mark', { ...mark, colour: [true, null, { deep: -1 }] }).bytes,
    'accepted-required-known': encodeDocument('stop', { timeline: 1, offset: 1, stamp: 2, required: ['stamp'] }).bytes,
    'accepted-wide-encoding': envelope(8, 1, [
      ...[0xdf, 0, 0, 0, 3],
      ...[0xdb, 0, 0, 0, 8, ...text('timeline'), 0xcf, 0, 0, 0, 0, 0, 0, 0, 1],
      ...[0xda, 0, 6, ...text('offset'), 0xd3, 0, 0, 0, 0, 0, 0, 0, 7],
      ...[0xd9, 5, ...text('stamp'), 0xd1, 0, 9],
    ]),
  };
}

function filtersOf(names: readonly Buffer[], ...blocks: readonly unknown[][]): Buffer {
  return encodeDocument('filters', { rule: 1, names, blocks }).bytes;
}

function refused(): Record<string, Buffer> {
  const whole = encodeStop({ timeline: 1, offset: 1_500, stamp: noon }).bytes;
  const stop = [0xa8, ...text('timeline'), 1, 0xa6, ...text('offset'), 7];
  const required = { timeline: 1, offset: 1, stamp: 2, required: ['stamp', 'shadow'] };
  const key = [0xa5, ...text('stamp')];
  return {
    'refused-newer-version': envelope(8, 2, [...whole.subarray(16)]),
    'refused-newer-version-kind': envelope(4711, 2, [0xc1]),
    'refused-flipped-version': changed(whole, 6, 2),
    'refused-version-0': envelope(8, 0, [...whole.subarray(16)]),
    'refused-unknown-kind': envelope(99, 1, [...whole.subarray(16)]),
    'refused-required-key': encodeDocument('stop', required).bytes,
    'refused-unknown-codec': envelope(2, 1, [
      ...encodeDocument('sealed-header', {
        ...header,
        ids: header.ids.map(({ id, offset }) => [id, offset]),
        codec: 'lz5',
        chain: 1,
      }).bytes.subarray(16),
    ]),
    'refused-torn': whole.subarray(0, whole.length - 1),
    'refused-torn-envelope': whole.subarray(0, 15),
    'refused-foreign': Buffer.from('REDIS0012 is not a document of ours'),
    'refused-too-long': changed(changed(whole, 8, 1), 11, 4),
    'refused-flipped-body': changed(whole, 30, 0x55),
    'refused-missing-key': envelope(8, 1, [0x82, ...stop]),
    'refused-double-key': envelope(8, 1, [0x84, ...stop, ...key, 1, ...key, 1]),
    'refused-trailing-byte': envelope(8, 1, [0x83, ...stop, ...key, 1, 0xc0]),
    'refused-float': envelope(8, 1, [0x83, ...stop, ...key, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
    'refused-extension': envelope(8, 1, [0x83, ...stop, ...key, 0xd6, 0xff, 0, 0, 0, 1]),
    'refused-negative': envelope(8, 1, [0x83, ...stop, ...key, 0xff]),
    'refused-unsafe-integer': envelope(8, 1, [0x83, ...stop, ...key, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0]),
    'refused-huge-array': envelope(8, 1, [0x83, ...stop, ...key, 0xdd, 0xff, 0xff, 0xff, 0xff]),
    'refused-huge-text': envelope(8, 1, [0x83, ...stop, ...key, 0xdb, 0xff, 0xff, 0xff, 0xff]),
    'refused-number-key': envelope(8, 1, [0x84, ...stop, ...key, 1, 5, 5]),
    'refused-not-utf8': envelope(8, 1, [0x84, ...stop, ...key, 1, 0xa1, 0x78, 0xa1, 0xff]),
    'refused-deep': envelope(8, 1, [0x84, ...stop, ...key, 1, 0xa1, 0x78, ...Array<number>(8).fill(0x91), 1]),
    'refused-not-a-map': envelope(8, 1, [0x93, 1, 2, 3]),
    'refused-empty-body': envelope(8, 1, []),
    'refused-filters-name': filtersOf([Buffer.from('set')], [1001, 0, 0, [0], null]),
    'refused-filters-no-such-name': filtersOf([Buffer.from('SET')], [1001, 0, 0, [1], null]),
    'refused-filters-order': filtersOf([Buffer.from('SET'), Buffer.from('DEL')], [1001, 0, 0, [1, 0], null]),
    'refused-filters-keys': filtersOf([], [1001, 0, 0, [], keyFilter(['user', 'user:2']).subarray(1)]),
    'refused-mark-name': encodeDocument('mark', { ...mark, name: 'a\nb' }).bytes,
    'refused-id': encodeDocument('mark', { ...mark, id: firstId.toUpperCase() }).bytes,
  };
}

function envelope(kind: number, version: number, body: readonly number[]): Buffer {
  const bytes = Buffer.from([...text('JRNL'), ...Array<number>(12).fill(0), ...body]);
  bytes.writeUInt16LE(kind, 4);
  bytes.writeUInt16LE(version, 6);
  bytes.writeUInt32LE(body.length, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12))), 12);
  return bytes;
}

function text(characters: string): number[] {
  return [...Buffer.from(characters)];
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}
