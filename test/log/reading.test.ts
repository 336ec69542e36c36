// Readers need no lock: they see every byte that is whole, beside a writer and a sealer at work, and refuse the rest.
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sealedSegmentName } from '../../journal-format/names.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import { idAt, loadCatalog } from '../../src/log/catalog.ts';
import { FrameFile } from '../../src/log/frame-file.ts';
import { readRange } from '../../src/log/read-range.ts';
import { openSegmentReader } from '../../src/log/segment-reader.ts';
import type { Slab } from '../../src/core/slabs.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { fileWith } from '../support/wrapped-disk.ts';
import {
  LogRig,
  addTimeline,
  baseOffset,
  directory,
  diskOf,
  framesOf,
  idA,
  idB,
  preparedDisk,
  streamOf,
  timelineOf,
  tree,
} from './log-rig.ts';
import { Primary } from './primary.ts';

/** A timeline of several segments, sealed and open, without a hole. */
async function mixed(): Promise<LogRig> {
  const rig = await LogRig.fresh({ segmentBytes: 150, primary: new Primary(baseOffset, 1, 20) });
  for (let i = 0; i < 30; i += 1) await rig.commits(40);
  rig.completed.splice(2);
  await rig.seal();
  return rig;
}

async function lastPath(disk: Disk): Promise<string> {
  return (await timelineOf(disk)).segments.at(-1)?.path ?? '';
}

/** The same disk, one of whose methods does something else. */
function withMethod<K extends keyof Disk>(disk: Disk, name: K, method: Disk[K]): Disk {
  return new Proxy(disk, {
    get: (target, key) => {
      if (key === name) return method;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

describe('a range', () => {
  test('is read exactly, wherever it begins and ends', { timeout: 30_000 }, async () => {
    const rig = await mixed();
    const { segments, end } = await timelineOf(rig.disk);
    expect(new Set(segments.map(({ kind }) => kind)).size).toBe(2);
    const offset = fc.integer({ min: baseOffset + 1, max: end });
    await fc.assert(
      fc.asyncProperty(offset, offset, async (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const parts: Buffer[] = [];
        let next = from;
        for await (const { start, bytes, frame } of readRange(rig.disk, segments, from, to)) {
          expect(start).toBe(next);
          expect(frame.header.start).toBeLessThanOrEqual(start);
          parts.push(bytes);
          next += bytes.length;
        }
        expect(Buffer.concat(parts)).toEqual(rig.primary.bytes(from, to));
      }),
      { numRuns: 150 },
    );
  });

  test('comes in slabs, each good until the next piece is asked for unless it is retained', async () => {
    const rig = await mixed();
    const { segments, end } = await timelineOf(rig.disk);
    const read: { bytes: Buffer; copy: Buffer; crc: number; kept: Slab | undefined; isKept: boolean }[] = [];
    for await (const { bytes, frame } of readRange(rig.disk, segments, baseOffset + 1, end, 'slabs')) {
      const { slab, dataCrc } = frame;
      const kept = read.length < 2 ? slab?.retain() : undefined;
      read.push({
        bytes,
        copy: Buffer.from(bytes),
        crc: dataCrc,
        kept,
        isKept: slab === undefined || kept !== undefined,
      });
    }
    expect(Buffer.concat(read.map(({ copy }) => copy))).toEqual(rig.primary.bytes(baseOffset + 1, end));
    for (const { copy, crc } of read) expect(crc32(copy)).toBe(crc);
    for (const { bytes, copy, isKept } of read) if (isKept) expect(bytes).toEqual(copy);
    expect(read.filter(({ bytes }) => bytes.length === 0).length).toBeGreaterThan(0);
    for (const { kept } of read) kept?.release();
    expect(read.filter(({ bytes, kept }) => kept !== undefined && bytes.length > 0)).toEqual([]);
  });

  test('is refused where a byte of it is missing', async () => {
    const rig = await mixed();
    const { segments, end } = await timelineOf(rig.disk);
    const read = async (list: typeof segments, from: number, to: number): Promise<number> => {
      let bytes = 0;
      for await (const chunk of readRange(rig.disk, list, from, to)) bytes += chunk.bytes.length;
      return bytes;
    };
    const hole = segments.filter((_, i) => i !== 2);
    const missing = { code: 'bytes-missing', exitCode: 6 };
    await expect(read(segments, baseOffset + 1, end + 1)).rejects.toMatchObject(missing);
    await expect(read(segments, baseOffset, end)).rejects.toMatchObject(missing);
    await expect(read(hole, baseOffset + 1, end)).rejects.toMatchObject(missing);
    await expect(read([], 5, 6)).rejects.toMatchObject(missing);
    expect(await read([], 5, 4)).toBe(0);
    const { start = 0, end: last = 0 } = segments[1] ?? {};
    expect(await read(hole, start, last)).toBe(last - start + 1);
  });

  test('goes on in the sealed file when the open one is sealed meanwhile', async () => {
    const rig = await mixed();
    const before = await timelineOf(rig.disk);
    rig.completed.push(
      ...before.segments.slice(0, -1).flatMap(({ kind, path, end }) => (kind === 'open' ? [{ path, end }] : [])),
    );
    expect(rig.completed.length).toBeGreaterThan(0);
    await rig.seal();
    expect(await streamOf(rig.disk, before)).toEqual(rig.primary.bytes(baseOffset + 1, before.end));
  });

  test('over damage is refused, and what is before the damage is read', async () => {
    const rig = await mixed();
    const { segments } = await timelineOf(rig.disk);
    const { path = '', start = 0 } = segments[1] ?? {};
    const bytes = Buffer.from(rig.disk.files().get(path) ?? '');
    bytes.writeUInt8(bytes.readUInt8(250) ^ 1, 250);
    const disk = diskOf(new Map(rig.disk.files()).set(path, bytes));
    let next = baseOffset + 1;
    const reading = async (): Promise<void> => {
      for await (const chunk of readRange(disk, segments, next, start + 10)) next += chunk.bytes.length;
    };
    await expect(reading()).rejects.toMatchObject({ exitCode: 6 });
    expect(next).toBe(start);
  });
});

describe('an open segment', () => {
  test('ends with its last whole frame for a reader, and goes on when the writer does', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30, 40);
    const path = await lastPath(rig.disk);
    const whole = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const disk = diskOf(new Map(rig.disk.files()).set(path, whole.subarray(0, -50)));
    await using reader = await openSegmentReader(disk, path, 'open');
    const frames = reader.frames();
    const take = async (): Promise<number | undefined> => {
      const { value } = await frames.next();
      return value?.header.dataLength;
    };
    expect([await take(), await take(), await take()]).toEqual([10, 20, 30]);
    await using writer = await disk.open(path, 'write');
    await writer.write([whole.subarray(-50)], whole.length - 50);
    expect([await take(), await take()]).toEqual([40, undefined]);
  });

  /** The file as a reader finds it that looks while frames are being written: `late` arrive between two looks. */
  async function growing(bytes: Buffer, from: number, reads: number): Promise<DiskFile> {
    const rig = await LogRig.fresh();
    await rig.commits(1);
    const name = `${directory}/${(await lastPath(rig.disk)).slice(directory.length + 1)}`;
    const disk = diskOf(new Map(rig.disk.files()).set(name, bytes.subarray(0, from)));
    const file = await disk.open(name, 'write');
    let looks = 0;
    return fileWith(file, {
      read: async (target, position) => {
        if (position >= from - 200) looks += 1;
        if (looks === reads) await file.write([bytes.subarray(from)], from);
        return file.read(target, position);
      },
    });
  }

  test('is never taken for damaged while frames are being written to it', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30, 40);
    const path = await lastPath(rig.disk);
    const whole = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const frames = await framesOf(rig.disk, path);
    const [first = 0, second = 0] = frames.map(({ length }) => length);
    const from = decodeSegmentHeader(whole).length + first + second - 5;
    for (let reads = 1; reads < 8; reads += 1) {
      const file = { ...(await growing(whole, from, reads)), path };
      const walk = await FrameFile.open(file);
      let count = 0;
      do {
        while ((await walk.next()) !== undefined) count += 1;
      } while (await walk.hasMore());
      expect([1, 4], `${reads} reads`).toContain(count);
    }
  });

  test('with damage in its middle is refused', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30, 40);
    const path = await lastPath(rig.disk);
    const bytes = Buffer.from(rig.disk.files().get(path) ?? '');
    const { length } = decodeSegmentHeader(bytes);
    bytes.writeUInt8(bytes.readUInt8(length + 30) ^ 1, length + 30);
    const disk = diskOf(new Map(rig.disk.files()).set(path, bytes));
    await expect(framesOf(disk, path)).rejects.toMatchObject({ code: 'corrupt' });
    await expect(loadCatalog(disk, tree)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('a sealed segment', () => {
  test('that ends early, or whose parts do not fit, is refused when it is opened', async () => {
    const rig = await mixed();
    const { path = '' } = (await timelineOf(rig.disk)).segments[0] ?? {};
    const bytes = rig.disk.files().get(path) ?? Buffer.alloc(0);
    for (const given of [
      bytes.subarray(0, -1),
      bytes.subarray(0, 10),
      Buffer.alloc(0),
      Buffer.concat([bytes, bytes]),
    ]) {
      const disk = diskOf(new Map(rig.disk.files()).set(path, given));
      await expect(openSegmentReader(disk, path, 'sealed')).rejects.toMatchObject({ exitCode: 6 });
    }
  });

  test('under the name of another is refused', async () => {
    const rig = await mixed();
    const [first, second] = (await timelineOf(rig.disk)).segments;
    const { start = 0, end = 0, first: from = 0, last = 0, unique = '', path = '' } = first ?? {};
    const bytes = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const names = [
      sealedSegmentName({ start, end: end + 1, first: from, last }, unique),
      sealedSegmentName({ start, end, first: from, last: last + 1 }, unique),
      sealedSegmentName({ start: start + 1, end, first: from, last }, unique),
      sealedSegmentName({ start, end, first: from, last }, '00c0ffee'),
      second?.path.slice(directory.length + 1) ?? '',
    ];
    for (const name of names) {
      const disk = diskOf(new Map([[`${directory}/${name}`, bytes]]));
      await expect(openSegmentReader(disk, `${directory}/${name}`, 'sealed'), name).rejects.toMatchObject({
        exitCode: 6,
      });
    }
    const elsewhere = path.replace('00000001', '00000002');
    await expect(openSegmentReader(diskOf(new Map([[elsewhere, bytes]])), elsewhere, 'sealed')).rejects.toThrow(
      'timeline 1',
    );
  });
});

describe('the catalog', () => {
  test('shows timelines with what is in them, and full syncs that are not done', async () => {
    const rig = await mixed();
    await addTimeline(rig.disk, 2, idB, 9000, { from: { timeline: 1, id: idA, offset: 1500, stamp: 7 } });
    await rig.disk.makeDirectory(`${tree.timelines}/00000003`);
    await rig.disk.makeDirectory(`${tree.timelines}/foreign`);
    const { timelines, unfinished } = await loadCatalog(rig.disk, tree);
    expect(timelines.map(({ number, end }) => [number, end])).toEqual([
      [1, rig.writer.received],
      [2, 9000],
    ]);
    expect(unfinished).toEqual([3]);
    const [first, second] = timelines;
    expect(first?.boundary).toBe(rig.primary.markAt(first?.end ?? 0).boundary);
    expect(first?.lastStamp).toBe(rig.writer.lastStamp);
    expect(first?.segments.map(({ end }) => end + 1).slice(0, -1)).toEqual(
      first?.segments.map(({ start }) => start).slice(1),
    );
    expect(second?.gap?.from.offset).toBe(1500);
  });

  test('is made of names and small documents: no file of a segment but the last is looked at', async () => {
    const rig = await mixed();
    const seen: string[] = [];
    const measured = withMethod(rig.disk, 'size', (path) => {
      seen.push(path);
      return rig.disk.size(path);
    });
    const watched = withMethod(measured, 'open', (path, mode) => {
      seen.push(path);
      return rig.disk.open(path, mode);
    });
    const [timeline] = (await loadCatalog(watched, tree)).timelines;
    const sealed = timeline?.segments.filter(({ kind }) => kind === 'sealed').map(({ path }) => path) ?? [];
    expect(sealed.length).toBeGreaterThan(0);
    expect(seen.filter((path) => sealed.slice(0, -1).includes(path))).toEqual([]);
  });

  test('ends before a last frame whose body never reached the disk', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30);
    const path = await lastPath(rig.disk);
    const bytes = Buffer.from(rig.disk.files().get(path) ?? '');
    bytes.fill(0, bytes.length - 30);
    const timeline = await timelineOf(diskOf(new Map(rig.disk.files()).set(path, bytes)));
    expect(timeline.end).toBe(baseOffset + 30);
    expect(timeline.segments[0]?.end).toBe(baseOffset + 30);
  });

  test('passes over a segment that is only just being created', async () => {
    const rig = await mixed();
    const { end, segments } = await timelineOf(rig.disk);
    const name = `${directory}/${(end + 1).toString(16).padStart(16, '0')}-00c0ffee.open`;
    for (const bytes of [
      Buffer.alloc(0),
      rig.disk
        .files()
        .get(await lastPath(rig.disk))
        ?.subarray(0, 50) ?? '',
    ]) {
      const timeline = await timelineOf(diskOf(new Map(rig.disk.files()).set(name, Buffer.from(bytes))));
      expect([timeline.end, timeline.segments]).toEqual([end, segments]);
    }
  });

  test('refuses a hole, and a file that is there twice', async () => {
    const rig = await mixed();
    const { segments } = await timelineOf(rig.disk);
    const without = (path: string): Promise<unknown> => {
      const files = new Map(rig.disk.files());
      files.delete(path);
      return loadCatalog(diskOf(files), tree);
    };
    await expect(without(segments[0]?.path ?? '')).rejects.toMatchObject({ code: 'segment-missing', exitCode: 4 });
    await expect(without(segments[1]?.path ?? '')).rejects.toMatchObject({ code: 'segment-missing', exitCode: 4 });
    const open = segments.filter(({ kind }) => kind === 'open');
    await expect(without(open[1]?.path ?? '')).rejects.toMatchObject({ code: 'tail-missing' });
    const { path = '' } = segments[0] ?? {};
    const copy = path.replace(/-.{8}\.seg$/, '-00c0ffee.seg');
    const doubled = new Map(rig.disk.files()).set(copy, rig.disk.files().get(path) ?? Buffer.alloc(0));
    await expect(loadCatalog(diskOf(doubled), tree)).rejects.toMatchObject({ code: 'segment-doubled', exitCode: 6 });
  });

  test('looks again when a segment is sealed between listing and opening', async () => {
    const rig = await mixed();
    const stale = await rig.disk.list(directory);
    const end = (await timelineOf(rig.disk)).end;
    const { segments } = await timelineOf(rig.disk);
    rig.completed.push(
      ...segments.slice(0, -1).flatMap(({ kind, path, end: last }) => (kind === 'open' ? [{ path, end: last }] : [])),
    );
    await rig.seal();
    const fresh = await rig.disk.list(directory);
    // A listing is not taken at one instant: it may show a segment's open file, or neither of the two.
    for (const seen of [stale, stale.filter((name) => fresh.includes(name))]) {
      let lists = 0;
      const disk = withMethod(rig.disk, 'list', async (path) => {
        lists += path === directory ? 1 : 0;
        return path === directory && lists === 1 ? seen : rig.disk.list(path);
      });
      expect((await timelineOf(disk)).end).toBe(end);
      expect(lists).toBe(2);
    }
  });

  test('knows which id was in force at an offset', () => {
    const ids = [
      { id: idA, offset: 11 },
      { id: idB, offset: 20 },
    ];
    expect([5, 11, 19, 20, 99].map((offset) => idAt({ ids }, offset))).toEqual([idA, idA, idA, idB, idB]);
  });

  test('of a source that has never run is empty', async () => {
    const disk = await preparedDisk();
    await disk.removeTree(directory);
    expect(await loadCatalog(disk, tree)).toEqual({ tree, timelines: [], damaged: [], unfinished: [], removed: [] });
  });
});
