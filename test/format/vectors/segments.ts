/**
 * Segments for the vectors: a frame of each kind behind its header, a whole open segment with its sealed form, and the
 * ways in which a tail can end.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { addToSum, noData } from '../../../journal-format/data-sum.ts';
import { encodeAttach } from '../../../journal-format/attach.ts';
import { encodeFilters } from '../../../journal-format/filters.ts';
import type { Filters } from '../../../journal-format/filters.ts';
import { encodeFooter } from '../../../journal-format/footer.ts';
import type { BlockEntry, Footer } from '../../../journal-format/footer.ts';
import { decodeFrameHeader, encodeFrame, frameHeaderBytes } from '../../../journal-format/frame.ts';
import type { FrameKind } from '../../../journal-format/frame.ts';
import { ReadsEncoder } from '../../../journal-format/reads.ts';
import { encodeSamples } from '../../../journal-format/samples.ts';
import { encodeBlock, encodeTrailer } from '../../../journal-format/sealed.ts';
import { encodeSealedHeader, encodeSegmentHeader } from '../../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../../journal-format/segment-header.ts';
import { firstId, header, keyFilter, noon, secondId } from './documents.ts';

const none: Buffer = Buffer.alloc(0);

/** Builds one open segment frame by frame. */
export class SegmentBuilder {
  readonly header: SegmentHeader;
  readonly document: Buffer;
  readonly documentCrc: number;
  readonly frames: Buffer[] = [];
  boundary: number;
  durable = 0;
  db: number;
  next: number;
  chain: number;
  stamp: number;

  constructor(record: SegmentHeader) {
    const { bytes, crc } = encodeSegmentHeader(record);
    this.header = record;
    this.document = bytes;
    this.documentCrc = this.chain = crc;
    this.next = record.start;
    this.boundary = record.start - 1;
    this.db = record.db;
    this.stamp = record.stamp;
  }

  /** Each part is one socket read, 250 µs after the one before. `open` bytes at the end belong to a cut command. */
  stream(parts: readonly string[], open = 0): this {
    const reads = new ReadsEncoder();
    for (const part of parts) reads.add((this.stamp += 250), Buffer.byteLength(part));
    const end = this.next + reads.dataLength - 1;
    this.boundary = Math.max(this.boundary, end - open);
    const { meta, firstStamp, lastStamp } = reads.finish();
    return this.frame(
      'stream',
      meta,
      parts.map((part) => Buffer.from(part)),
      firstStamp,
      lastStamp,
    );
  }

  frame(kind: FrameKind, meta = none, data: readonly Buffer[] = [], first = this.stamp, last = this.stamp): this {
    const { next: start, boundary, durable, db } = this;
    const fields = { start, boundary, durable, db, firstStamp: first, lastStamp: last, wall: last - 1_500_000 };
    const sum = data.reduce(addToSum, noData);
    const { header: head, crc } = encodeFrame(kind, fields, meta, sum, this.header.salt, this.chain);
    this.frames.push(Buffer.concat([head, meta, ...data]));
    this.next += sum.length;
    this.chain = crc;
    return this;
  }

  /** A frame of kind 200, as a version to come might write it. */
  newerFrame(required: boolean): this {
    this.frame('sample', Buffer.from('what may come'));
    const frame = this.frames.at(-1)!;
    frame[4] = 200;
    frame[5] = required ? 1 : 0;
    this.chain = crc32(frame.subarray(0, 76), this.header.salt);
    frame.writeUInt32LE(this.chain, 76);
    return this;
  }

  bytes(): Buffer {
    return Buffer.concat([this.document, ...this.frames]);
  }
}

export function segmentVectors(): Record<string, Buffer> {
  return { ...frameVectors(), ...tailVectors(), ...sealedVectors() };
}

function begin(): SegmentBuilder {
  return new SegmentBuilder(header);
}

const ping = '*1\r\n$4\r\nPING\r\n';
const set = '*3\r\n$3\r\nSET\r\n$4\r\nuser\r\n$5\r\nalice\r\n';

/** Commands, a transaction, a cut command, samples, a tick, a switch. */
export function typicalSegment(): SegmentBuilder {
  const segment = begin().stream([ping, `*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n`]);
  segment.db = 7;
  segment.stream([set, `*1\r\n$5\r\nMULTI\r\n${set}`], 15 + set.length);
  segment.durable = 1040;
  segment.stream([`*1\r\n$4\r\nEXEC\r\n`]).frame('sample', encodeSamples([sample(0), sample(1)]));
  segment.stamp += 1_000_000;
  segment.frame('tick');
  segment.durable = segment.next - 1;
  segment.stamp += 2_000_000;
  segment.frame('attach', encodeAttach({ id: secondId, lostStamp: segment.stamp - 2_500_000, stamp: segment.stamp }));
  return segment.stream([set.slice(0, 20)], 20).stream([set.slice(20), ping]);
}

function sample(i: number): { stamp: number; primaryTime: number; primaryOffset: number; roundTripMicros: number } {
  return { stamp: noon + i * 100_000, primaryTime: noon + i * 100_003, primaryOffset: 1040 + i, roundTripMicros: 61 };
}

function frameVectors(): Record<string, Buffer> {
  const attach = encodeAttach({ id: firstId, lostStamp: 0, stamp: noon });
  const edge = new SegmentBuilder({ ...header, start: Number.MAX_SAFE_INTEGER - ping.length, salt: 0 });
  return {
    'frame-stream': begin().stream([ping, set]).bytes(),
    'frame-stream-cut': begin()
      .stream([set.slice(0, 11)], 11)
      .bytes(),
    'frame-tick': begin().frame('tick').bytes(),
    'frame-sample': begin()
      .frame('sample', encodeSamples([sample(0), sample(1), sample(2)]))
      .bytes(),
    'frame-attach': begin().frame('attach', attach).bytes(),
    'frame-unknown-optional': begin().newerFrame(false).stream([ping]).bytes(),
    'frame-unknown-required': begin().stream([ping]).newerFrame(true).bytes(),
    'frame-largest-offsets': edge.stream([ping]).frame('tick').bytes(),
  };
}

function tailVectors(): Record<string, Buffer> {
  const whole = typicalSegment();
  const bytes = whole.bytes();
  const last = whole.frames.at(-1)!.length;
  const flipped = Buffer.from(bytes);
  flipped[whole.document.length + frameHeaderBytes + 20]! ^= 1;
  const lost = begin().stream([ping]);
  lost.durable = 1014;
  lost.stream([set]);
  lost.durable = 9_999;
  return {
    open: bytes,
    'open-preallocated': Buffer.concat([bytes, Buffer.alloc(300)]),
    'open-torn': bytes.subarray(0, bytes.length - 7),
    'open-torn-into-zeros': Buffer.concat([bytes.subarray(0, bytes.length - last + 33), Buffer.alloc(300)]),
    'open-stale-bytes-behind': Buffer.concat([
      bytes,
      new SegmentBuilder({ ...header, salt: 1 }).stream([ping]).frames[0]!,
    ]),
    'open-garbage-behind': Buffer.concat([bytes, Buffer.from('JFRM, but not of this file')]),
    'open-corrupt-middle': flipped,
    'open-missing-frame': Buffer.concat([whole.document, ...whole.frames.slice(0, 2), ...whole.frames.slice(3)]),
    'open-missing-frame-before-last': Buffer.concat([
      whole.document,
      ...whole.frames.slice(0, -2),
      whole.frames.at(-1)!,
    ]),
    'open-doubled-frame': Buffer.concat([bytes, whole.frames.at(-1)!]),
    'open-below-durable': lost.frame('tick').bytes(),
  };
}

function sealedVectors(): Record<string, Buffer> {
  const sealed = seal(typicalSegment(), [3, 4]);
  const rotten = Buffer.from(sealed.bytes);
  rotten[sealed.footer.blocks[1]!.position + 5]! ^= 0x10;
  return {
    sealed: sealed.bytes,
    'sealed-evidence': seal(typicalSegment(), [3, 4], typicalEvidence).bytes,
    'sealed-filters': seal(typicalSegment(), [3, 4], typicalEvidence, typicalFilters).bytes,
    'sealed-one-block': seal(begin().stream([ping]), []).bytes,
    'sealed-rotten-block': rotten,
    'sealed-truncated': sealed.bytes.subarray(0, sealed.bytes.length - 1),
  };
}

/** What the frames of the typical segment say of time. */
const typicalEvidence: Pick<Footer, 'attaches' | 'samples'> = {
  attaches: [{ offset: 1134, lostStamp: 1_772_366_400_501_250, stamp: 1_772_366_403_001_250 }],
  samples: [sample(0), sample(1)],
};

/** What is in the blocks of the typical segment: the second one holds nothing of the stream, MULTI reaches into none. */
const typicalFilters: Filters = {
  rule: 1,
  names: ['PING', 'SELECT', 'SET', 'MULTI', 'EXEC'],
  blocks: [
    { first: 1001, db: 0, inMulti: false, names: [0, 1, 2, 3, 4], keys: keyFilter(['user']) },
    { first: 1135, db: 0, inMulti: false, names: [], keys: Buffer.alloc(0) },
    { first: 1135, db: 7, inMulti: false, names: [0, 2], keys: keyFilter(['user']) },
  ],
};

/** A sealed segment whose blocks end before the frames numbered in `cuts`. */
export function seal(
  segment: SegmentBuilder,
  cuts: readonly number[],
  evidence: Pick<Footer, 'attaches' | 'samples'> = {},
  filters?: Filters,
): { bytes: Buffer; footer: Footer } {
  const { header: record, frames, documentCrc } = segment;
  const head = encodeSealedHeader({ ...record, codec: 'zstd', chain: documentCrc }).bytes;
  const blocks: BlockEntry[] = [];
  const parts = [head];
  let position = head.length;
  let before = { boundary: record.start - 1, db: record.db };
  for (const [i, from] of [0, ...cuts].entries()) {
    const group = frames.slice(from, cuts[i]);
    const headers = group.map((frame) => decodeFrameHeader(frame, 0, record.salt));
    const { start, firstStamp } = headers[0]!;
    const { end, lastStamp, boundary, db } = headers.at(-1)!;
    const raw = Buffer.concat(group);
    const { stored, crc } = encodeBlock(raw);
    const lengths = { position, storedLength: stored.length, rawLength: raw.length, crc };
    blocks.push({ ...lengths, start, end, ...before, firstStamp, lastStamp });
    parts.push(stored);
    position += stored.length;
    before = { boundary, db };
  }
  const body = Buffer.concat(parts);
  const { bytes: filterBytes = none, crc: filterCrc = 0 } = filters === undefined ? {} : encodeFilters(filters);
  const footer: Footer = {
    start: record.start,
    end: segment.next - 1,
    first: blocks[0]!.firstStamp,
    last: blocks.at(-1)!.lastStamp,
    db: segment.db,
    ids: segmentIds(segment),
    durable: segment.durable,
    frames: frames.length,
    raw: frames.reduce((sum, frame) => sum + frame.length, 0),
    blocks,
    ...evidence,
    ...(filters !== undefined && { filters: { position, length: filterBytes.length, crc: filterCrc } }),
    sha256: createHash('sha256').update(body).digest(),
  };
  const tail = encodeFooter(footer).bytes;
  const trailer = encodeTrailer({ position: position + filterBytes.length, length: tail.length });
  return { bytes: Buffer.concat([body, filterBytes, tail, trailer]), footer };
}

function segmentIds({ header: { ids, salt }, frames }: SegmentBuilder): Footer['ids'] {
  const attached = frames
    .map((frame) => ({ frame, head: decodeFrameHeader(frame, 0, salt) }))
    .filter(({ head }) => head.kind === 'attach')
    .map(({ frame, head }) => ({
      id: frame.toString('latin1', frameHeaderBytes, frameHeaderBytes + 40),
      offset: head.start,
    }));
  return [...ids, ...attached];
}
