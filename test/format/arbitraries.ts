// Generators of what the format can hold, for the round trips of this folder. Numbers favour the edges: halves of a
// 64-bit field, and the largest that is allowed.
import fc from 'fast-check';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Filters } from '../../journal-format/filters.ts';
import type { BlockEntry, Footer } from '../../journal-format/footer.ts';
import type { GapRecord, GapSide } from '../../journal-format/gap.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import type { SealedHeader, SegmentHeader } from '../../journal-format/segment-header.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import type { StopRecord } from '../../journal-format/stop.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';

export const uint32: fc.Arbitrary<number> = fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 0xffff_ffff }));
export const uint53: fc.Arbitrary<number> = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
);
const positive = uint53.map((value) => Math.max(1, value));

function hex(length: number): fc.Arbitrary<string> {
  return fc.string({
    unit: fc.constantFrom(...Array.from({ length: 16 }, (_, digit) => digit.toString(16))),
    minLength: length,
    maxLength: length,
  });
}

export const id: fc.Arbitrary<string> = hex(40);
export const unique: fc.Arbitrary<string> = hex(8);
export const timeline: fc.Arbitrary<number> = uint32.map((value) => Math.max(1, value));
const text = fc.string({ unit: 'binary' }).filter((candidate) => candidate.isWellFormed());
const source = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/);

const ids: fc.Arbitrary<IdEntry[]> = fc
  .array(fc.record({ id, offset: uint53 }), { minLength: 1, maxLength: 5 })
  .map((entries) => entries.sort((a, b) => a.offset - b.offset));

const segmentFields = {
  source,
  timeline,
  segment: unique,
  start: positive,
  db: uint32,
  ids,
  stamp: uint53,
  salt: uint32,
  writer: text,
};
export const segmentHeader: fc.Arbitrary<SegmentHeader> = fc.record(segmentFields);
export const sealedHeader: fc.Arbitrary<SealedHeader> = fc.record({
  ...segmentFields,
  codec: fc.constant('zstd' as const),
  chain: uint32,
});

/** Two numbers, the first not the larger. */
const ordered = fc.tuple(uint53, uint53).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

const block: fc.Arbitrary<BlockEntry> = fc
  .record({
    position: uint53,
    storedLength: fc.integer({ min: 1, max: 17 * 1024 * 1024 }),
    rawLength: fc.integer({ min: 1, max: 16 * 1024 * 1024 }),
    crc: uint32,
    offsets: ordered,
    back: fc.nat(),
    db: uint32,
    stamps: ordered,
  })
  .map(({ offsets: [first, end], back, stamps: [firstStamp, lastStamp], ...rest }) => {
    const start = Math.max(1, first);
    return { ...rest, start, end, boundary: Math.max(0, start - 1 - back), firstStamp, lastStamp };
  });

export const footer: fc.Arbitrary<Footer> = fc
  .record({
    offsets: ordered,
    stamps: ordered,
    db: uint32,
    ids,
    durable: uint53,
    frames: positive,
    raw: positive,
    blocks: fc.array(block, { maxLength: 4 }),
    evidence: fc.option(
      fc.record({
        attaches: fc.array(fc.record({ offset: uint53, lostStamp: uint53, stamp: uint53 }), { maxLength: 3 }),
        samples: fc.array(
          fc.record({ stamp: uint53, primaryTime: uint53, primaryOffset: uint53, roundTripMicros: uint32 }),
          { maxLength: 3 },
        ),
      }),
      { nil: undefined },
    ),
    filters: fc.option(
      fc.record({ position: uint53, length: fc.integer({ min: 16, max: 16 + 64 * 1024 * 1024 }), crc: uint32 }),
      { nil: undefined },
    ),
    sha256: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  })
  .map(({ offsets: [start, end], stamps: [first, last], evidence, filters, ...rest }) => ({
    start: Math.max(1, start),
    end,
    first,
    last,
    ...rest,
    ...evidence,
    ...(filters !== undefined && { filters }),
  }));

const keyFilter: fc.Arbitrary<Buffer> = fc
  .record({ seed: uint32, windows: fc.integer({ min: 1, max: 20 }), windowBits: fc.integer({ min: 0, max: 6 }) })
  .map(({ seed, windows, windowBits }) => {
    const filter = Buffer.alloc(9 + (windows + 2) * 2 ** windowBits, seed);
    filter.writeUInt32LE(seed, 0);
    filter.writeUInt32LE(windows, 4);
    filter.writeUInt8(windowBits, 8);
    return filter;
  });

export const filters: fc.Arbitrary<Filters> = fc
  .uniqueArray(
    fc
      .uint8Array({ minLength: 1, maxLength: 64 })
      .map((bytes) => Buffer.from(bytes).toString('latin1').replace(/[a-z]/g, '-')),
    { maxLength: 8 },
  )
  .chain((names) =>
    fc.record({
      rule: positive,
      names: fc.constant(names),
      blocks: fc.array(
        fc.record({
          first: uint53,
          db: uint32,
          inMulti: fc.boolean(),
          names: fc.option(fc.subarray(names.map((_, i) => i)), { nil: undefined }),
          keys: fc.oneof(fc.constant(undefined), fc.constant(Buffer.alloc(0)), keyFilter),
        }),
        { maxLength: 4 },
      ),
    }),
  );

export const base: fc.Arbitrary<BaseRecord> = fc
  .record(
    {
      timeline,
      offset: uint53,
      id,
      origin: fc.constantFrom('received' as const, 'synthetic' as const),
      db: uint32,
      stamp: uint53,
      completed: uint53,
      magic: fc.constantFrom('REDIS' as const, 'VALKEY' as const),
      version: uint32,
      // A key of this name cannot be an own property of what MessagePack decodes into.
      aux: fc.dictionary(
        text.filter((key) => key !== '__proto__'),
        text,
        { noNullPrototype: true },
      ),
      crc64: hex(16),
      chunk: fc.integer({ min: 1, max: 2 ** 20 }),
      chunks: fc.uint32Array({ minLength: 1, maxLength: 5 }),
      contents: fc.record({ keys: uint53, expires: uint53, hashFieldExpires: uint53, minHashFieldExpireMs: uint53 }),
    },
    {
      requiredKeys: [
        ...(['timeline', 'offset', 'id', 'origin', 'db', 'stamp', 'completed', 'magic', 'version'] as const),
        ...(['aux', 'crc64', 'chunk', 'chunks'] as const),
      ],
    },
  )
  .map((record) => ({ ...record, size: record.chunk * record.chunks.length }));

export const timelineRecord: fc.Arbitrary<TimelineRecord> = fc.record({
  source,
  timeline,
  id,
  offset: uint53,
  stamp: uint53,
  address: text,
  server: fc.record({ kind: text, version: text }),
  writer: text,
});

const side: fc.Arbitrary<GapSide> = fc.record({ timeline, id, offset: uint53, stamp: uint53 });
export const gap: fc.Arbitrary<GapRecord> = fc.record(
  {
    from: side,
    to: side,
    cause: fc.constantFrom(
      'backlog-overrun' as const,
      'history-changed' as const,
      'stream-broken' as const,
      'operator' as const,
    ),
    detail: text,
    orphan: fc.record({ timeline, id, offset: uint53 }),
  },
  { requiredKeys: ['from', 'to', 'cause', 'detail'] },
);

export const mark: fc.Arbitrary<MarkRecord> = fc.record(
  {
    name: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((name) => !/\p{Cc}/u.test(name) && name.isWellFormed()),
    timeline,
    id,
    offset: uint53,
    stamp: uint53,
    created: uint53,
    note: text,
  },
  { requiredKeys: ['name', 'timeline', 'id', 'offset', 'stamp', 'created'] },
);

export const removed: fc.Arbitrary<RemovedRecord> = fc.record({
  timeline,
  ids,
  offset: uint53,
  end: uint53,
  first: uint53,
  last: uint53,
  removed: uint53,
  rule: text,
});

export const stop: fc.Arbitrary<StopRecord> = fc.record({ timeline, offset: uint53, stamp: uint53 });
