// The link between journals: what one side encodes the other decodes, however it is cut on the way; what is altered on the
// way, or made to hurt, is refused; and the bytes are those of the page that defines them.
import { crc32, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { encodeAttach } from '../../journal-format/attach.ts';
import { ReadsEncoder } from '../../journal-format/reads.ts';
import { encodeSamples } from '../../journal-format/samples.ts';
import { linkBodyBytesMax } from '../../src/core/limits.ts';
import { LinkFrameReader, LinkFrameWriter, linkHeaderBytes, packBody } from '../../src/redis/link-frame.ts';
import type { LinkFrame, LinkFrameKind } from '../../src/redis/link-frame.ts';
import { entryPart, logItems, LogPacker } from '../../src/redis/link-log.ts';
import type { LogEntry, LogItem } from '../../src/redis/link-log.ts';
import { baseIdentity, decodeLinkState, encodeLinkState } from '../../src/redis/link-state.ts';

const id = 'a'.repeat(40);
const none = Buffer.alloc(0);
const stamp = 1_700_000_000_000_000;

function streamEntry(start: number, reads: readonly (readonly [stamp: number, text: string])[]): LogEntry {
  const encoder = new ReadsEncoder();
  for (const [at, text] of reads) encoder.add(at, text.length);
  return { kind: 'stream', start, ...encoder.finish(), data: Buffer.from(reads.map(([, text]) => text).join('')) };
}

function note(kind: 'tick' | 'sample' | 'attach', start: number, at: number, meta: Buffer = none): LogEntry {
  return { kind, start, firstStamp: at, lastStamp: at, meta, data: none };
}

const sample = { stamp: stamp + 40, primaryTime: stamp + 39, primaryOffset: 110, roundTripMicros: 2 };
const entries: readonly LogEntry[] = [
  note('attach', 101, stamp, encodeAttach({ id, lostStamp: 0, stamp })),
  streamEntry(101, [
    [stamp, 'PING\r\n'],
    [stamp + 30, 'PONG'],
  ]),
  note('tick', 111, stamp + 35),
  note('sample', 111, stamp + 35, encodeSamples([sample])),
  streamEntry(111, [[stamp + 50, 'x']]),
];

function pack(list: readonly LogEntry[]): { readonly place: number; readonly body: Buffer } {
  const packer = new LogPacker();
  for (const entry of list) packer.add(entry);
  const taken = packer.take();
  if (taken === undefined) throw new Error('nothing was packed');
  return taken;
}

/** Without what a test cannot compare. */
function plain(item: LogItem): unknown {
  return item.kind === 'stream' ? { ...item, data: item.data.toString(), reads: item.reads.toArray() } : item;
}

interface Raw {
  readonly kind: LinkFrameKind;
  readonly place: number;
  readonly body: Buffer;
}

async function encode(frames: readonly Raw[], level = 1): Promise<Buffer> {
  const writer = new LinkFrameWriter();
  const parts: Uint8Array[] = [];
  for (const { kind, place, body } of frames) {
    const packed = await packBody(body, level);
    parts.push(writer.header(kind, place, packed), packed.bytes);
  }
  return Buffer.concat(parts);
}

function read(...pieces: readonly Buffer[]): LinkFrame[] {
  const reader = new LinkFrameReader();
  const frames: LinkFrame[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

const state = { isUp: true, hops: 1, stamp, durable: 111, head: 120 };
const frames: readonly Raw[] = [
  { kind: 'piece', place: 0, body: Buffer.alloc(5000, 'compresses') },
  { kind: 'log', ...pack(entries) },
  { kind: 'state', place: 0, body: encodeLinkState(state) },
  { kind: 'log', place: 112, body: pack([note('tick', 112, stamp + 60)]).body },
];

/** A header that is right but for what is asked for. */
function header(change: (bytes: Buffer) => void, body: Buffer = none): Buffer {
  const bytes = Buffer.concat([new LinkFrameWriter().header('log', 1, { bytes: body, meantLength: undefined }), body]);
  change(bytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(linkHeaderBytes)), 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

describe('frames', () => {
  test('come out as they went in, cut at every byte', async () => {
    const bytes = await encode(frames);
    expect(bytes.length).toBeLessThan(1000);
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(frames);
    }
    expect(read(...Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(frames);
  });

  test('are refused when any byte of them is another', async () => {
    const bytes = await encode(frames);
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes);
      altered[at]! ^= 1 + (at % 255);
      expect(() => read(altered), `byte ${at}`).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^link-(broken|unsupported)$/) as string }),
      );
    }
  });

  test('are refused when one is missing, doubled, or of another connection', async () => {
    const parts = await Promise.all(frames.map((_, i) => encode(frames.slice(0, i + 1))));
    const of = (i: number): Buffer => parts[i]!.subarray(parts[i - 1]?.length ?? 0);
    expect(() => read(of(0), of(2))).toThrow('one is missing');
    expect(() => read(of(0), of(1), of(1))).toThrow('one is missing');
    expect(() => read(of(0), parts[0]!)).toThrow('one is missing');
  });

  test('of a later kind are passed over unless they are required', async () => {
    const later = header((bytes) => {
      bytes[4] = 9;
      bytes[5] = 0;
    }, Buffer.from('later'));
    expect(read(later)).toEqual([]);
    expect(() => read(header((bytes) => (bytes[4] = 9)))).toThrow(
      expect.objectContaining({ code: 'link-unsupported', hint: expect.stringContaining('later') as string }),
    );
  });

  test('claim no more than the limit, before anything is held for them', () => {
    const claims = (length: number, meant: number, flags = 1): Buffer =>
      header((bytes) => {
        bytes[5] = flags;
        bytes.writeUInt32LE(length, 8);
        bytes.writeUInt32LE(meant, 12);
      });
    expect(() => read(claims(linkBodyBytesMax + 1, linkBodyBytesMax + 1))).toThrow('a frame of 10485761 bytes');
    expect(() => read(claims(100, 0xffff_ffff, 3))).toThrow('that stand for 4294967295');
    expect(() => read(claims(100, 101))).toThrow('a frame of 100 bytes that stand for 101');
    expect(() => read(claims(100, 100, 3))).toThrow('a frame of 100 bytes that stand for 100');
    expect(() => read(header((bytes) => (bytes[4] = 0)))).toThrow('kind 0');
    expect(() => read(header((bytes) => (bytes[6] = 1)))).toThrow('kind 3');
    expect(() => read(header((bytes) => (bytes[5] = 0)))).toThrow('wrong flags');
    expect(() => read(header((bytes) => bytes.fill(0xff, 16, 24)))).toThrow('above 2^53');
  });

  test('that are bombs end at the length that they claim', () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    const claiming = (meant: number): Buffer =>
      header((bytes) => {
        bytes[5] = 3;
        bytes.writeUInt32LE(meant, 12);
      }, bomb);
    expect(() => read(claiming(linkBodyBytesMax))).toThrow('cannot be decompressed');
    expect(() => read(header((bytes) => (bytes[5] = 3), Buffer.alloc(300, 'no zstd')))).toThrow();
  });

  test('that ask for a window larger than any body are refused before memory is taken for it', () => {
    // One block of the same byte a hundred thousand times, behind a header that asks for so large a window.
    const asking = (windowBits: number): Buffer =>
      header(
        (bytes) => {
          bytes[5] = 3;
          bytes.writeUInt32LE(100_000, 12);
        },
        Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowBits - 10) << 3, 0x03, 0x35, 0x0c, 0x61]),
      );
    expect(read(asking(24))[0]?.body).toEqual(Buffer.alloc(100_000, 'a'));
    expect(() => read(asking(25))).toThrow('cannot be decompressed');
  });

  test('that come byte by byte take the memory of their bytes', () => {
    const reader = new LinkFrameReader();
    const body = Buffer.alloc(1_500_000);
    const bytes = Buffer.concat([
      new LinkFrameWriter().header('log', 1, { bytes: body, meantLength: undefined }),
      body,
    ]);
    const held = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const before = held();
    for (let at = 0; at < bytes.length - 1; at += 1) reader.push(bytes.subarray(at, at + 1));
    expect(reader.next()).toBeUndefined();
    expect(held() - before).toBeLessThan(60_000_000);
    reader.push(bytes.subarray(-1));
    expect(reader.next()?.body.equals(body)).toBe(true);
  });

  test('are not compressed where that would make them longer', async () => {
    const noise = Buffer.from(Array.from({ length: 4000 }, (_, i) => (Math.imul(i + 1, 2_654_435_761) >>> 24) & 0xff));
    const packed = await packBody(zstdCompressSync(noise), 1);
    expect(packed.meantLength).toBeUndefined();
  });
});

describe('a log body', () => {
  test('gives back what the frames of a journal hold', () => {
    const { place, body } = pack(entries);
    expect([...logItems(place, body)].map(plain)).toEqual([
      { kind: 'attach', start: 101, attach: { id, lostStamp: 0, stamp } },
      {
        kind: 'stream',
        start: 101,
        data: 'PING\r\nPONG',
        reads: [
          { stamp, end: 106 },
          { stamp: stamp + 30, end: 110 },
        ],
      },
      { kind: 'tick', start: 111, stamp: stamp + 35 },
      { kind: 'sample', start: 111, samples: [sample] },
      { kind: 'stream', start: 111, data: 'x', reads: [{ stamp: stamp + 50, end: 111 }] },
    ]);
  });

  test('is refused wherever it is cut', () => {
    const { place, body } = pack(entries);
    const whole: number[] = [];
    for (let at = 0; at < body.length; at += 1) {
      try {
        expect([...logItems(place, body.subarray(0, at))].length).toBeGreaterThan(0);
        whole.push(at);
      } catch (error) {
        expect(error).toMatchObject({ code: 'link-broken' });
      }
    }
    // Between entries it is whole, and its frame says that there is more.
    expect(whole).toHaveLength(entries.length - 1);
  });

  test('with any byte altered is read or refused, and never fails otherwise', () => {
    const { place, body } = pack(entries);
    for (let at = 0; at < body.length; at += 1) {
      for (const mask of [1, 0x80, 0xff]) {
        const altered = Buffer.from(body);
        altered[at]! ^= mask;
        try {
          expect([...logItems(place, altered)]).not.toEqual([]);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^link-(broken|unsupported)$/) as string });
        }
      }
    }
  });

  test('is cut where its receiver has the beginning, in the middle of a read too', () => {
    const whole = streamEntry(101, [
      [stamp, 'abc'],
      [stamp + 5, 'defg'],
      [stamp + 9, 'h'],
    ]);
    for (let from = 101; from <= 108; from += 1) {
      const { place, body } = pack([entryPart(whole, from, 108)]);
      const [item] = [...logItems(place, body)];
      if (item?.kind !== 'stream') throw new Error('no stream');
      expect(item.data.toString()).toBe('abcdefgh'.slice(from - 101));
      const left = [
        { stamp, end: 103 },
        { stamp: stamp + 5, end: 107 },
        { stamp: stamp + 9, end: 108 },
      ].filter(({ end }) => end >= from);
      expect(item.reads.toArray()).toEqual(left);
    }
  });

  test('is cut where its source’s segment ends', () => {
    const whole = streamEntry(101, [
      [stamp, 'abc'],
      [stamp + 5, 'defg'],
    ]);
    const { place, body } = pack([entryPart(whole, 102, 105)]);
    const [item] = [...logItems(place, body)].map(plain);
    const reads = [
      { stamp, end: 103 },
      { stamp: stamp + 5, end: 105 },
    ];
    expect(item).toEqual({ kind: 'stream', start: 102, data: 'bcde', reads });
  });

  test('that is large holds no memory for a few bytes of it', () => {
    const few = streamEntry(101, [[stamp, 'x']]);
    const samples = Array.from({ length: 20_000 }, () => sample);
    const { place, body } = pack([few, note('sample', 102, stamp, encodeSamples(samples))]);
    const [item] = [...logItems(place, body)];
    if (item?.kind !== 'stream') throw new Error('no stream');
    expect(item.data.buffer.byteLength).toBeLessThan(65_537);
  });

  test('without entries, or at no offset, is refused', () => {
    expect(() => [...logItems(1, none)]).toThrow('without entries');
    expect(() => [...logItems(0, pack([note('tick', 1, 1)]).body)]).toThrow('begins at 0');
  });
});

describe('a state', () => {
  test('comes out as it went in, and may be longer than is known', () => {
    const bytes = encodeLinkState(state);
    expect(decodeLinkState(bytes)).toEqual(state);
    expect(decodeLinkState(Buffer.concat([bytes, Buffer.from('later')]))).toEqual(state);
    expect(decodeLinkState(encodeLinkState({ ...state, isUp: false, hops: 1000 }))).toMatchObject({
      isUp: false,
      hops: 255,
    });
  });

  test('is refused when it is too short or contradicts itself', () => {
    expect(() => decodeLinkState(encodeLinkState(state).subarray(1))).toThrow('a state of 25 bytes');
    expect(() => decodeLinkState(encodeLinkState({ ...state, head: 110 }))).toThrow('before 111');
  });
});

describe('the bytes', () => {
  test('are those that LINK.md defines', async () => {
    const bytes = await encode([{ kind: 'log', ...pack([note('tick', 112, stamp)]) }]);
    expect(bytes.toString('hex')).toBe(golden);
    expect(read(Buffer.from(golden, 'hex'))).toHaveLength(1);
    expect(read(Buffer.from(goldenCompressed, 'hex'))[0]?.body).toEqual(Buffer.alloc(1000, 'a'));
  });

  test('name a base by what is in it', () => {
    const base = { id, offset: 100, size: 2_000_000, chunks: Uint32Array.of(1, 2) };
    expect(baseIdentity(base)).toBe('6c765eba5c871559e38481d25134dfc19b528cbcd4d1f372d78c86ca3dc735be');
    expect(baseIdentity({ ...base, chunks: Uint32Array.of(1, 3) })).not.toBe(baseIdentity(base));
  });
});

const golden = '4a4c4e4b030100000d0000000d00000070000000000000002079bf877bc3e25d02008080f9c0c1c48203000000';
const goldenCompressed =
  '4a4c4e4b0203000013000000e80300000500000000000000d3b9d7f38ccf2e8528b52ffd60e8024d00001061610100e32b8005';
