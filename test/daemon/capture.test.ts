// Capture, the joint between link and log, with a real disk and without a link: what each event of a session leaves
// behind, in order and out of order, and after a restart.
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { GapRecord } from '../../journal-format/gap.ts';
import { systemClock } from '../../src/core/clock.ts';
import { formatInstant } from '../../src/core/instant.ts';
import { formatPosition } from '../../src/core/position.ts';
import { IntegrityError, LinkError, StorageError } from '../../src/core/errors.ts';
import { BaseCheck, chunkBytes } from '../../src/daemon/base-check.ts';
import { Capture } from '../../src/daemon/capture.ts';
import { gapsIn, intervalOf } from '../../src/daemon/status-lists.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Catalog } from '../../src/log/catalog.ts';
import type { BaseChecker } from '../../src/log/base-receiver.ts';
import { readRange } from '../../src/log/read-range.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { verifySource } from '../../src/log/verify.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { RdbHeadReader } from '../../src/redis/rdb-head.ts';
import type { RdbHead } from '../../src/redis/rdb-head.ts';
import { formatInstantShort } from '../../src/restore/locate/instant.ts';
import { timeNotCovered } from '../../src/restore/locate/locate-coverage.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import type { StreamSink } from '../../src/upstream/sink.ts';
import { fakeId, smallRdb, streamCommand } from '../support/fake-primary.ts';
import { faultyDisk } from '../support/faulty-disk.ts';
import type { DiskOperation } from '../support/faulty-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';

const otherId = 'b'.repeat(40);
const start = 1000;
const one = streamCommand('SET', 'key', 'value');

/** Reads the whole file at the end; what a thread does behind the writer in the daemon. */
class ImmediateChecker implements BaseChecker {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  available(): void {}

  async finish(): ReturnType<BaseChecker['finish']> {
    const bytes = await readFile(this.#path);
    const check = new BaseCheck(this.#path);
    for (let at = 0; at < bytes.length; at += chunkBytes) check.push(bytes.subarray(at, at + chunkBytes));
    return check.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class Rig implements AsyncDisposable {
  readonly root: string;
  readonly disk: Disk;
  readonly gaps: GapRecord[] = [];
  readonly recovered: string[] = [];
  readonly failures: unknown[] = [];
  capture!: Capture;

  private constructor(root: string, disk: Disk) {
    this.root = root;
    this.disk = disk;
  }

  static async open(
    options: { readonly root?: string; readonly disk?: Disk; readonly segmentBytes?: number } = {},
  ): Promise<Rig> {
    const rig = new Rig(options.root ?? temporaryDirectory('capture'), options.disk ?? localDisk);
    rig.capture = await Capture.open({
      disk: rig.disk,
      clock: systemClock,
      root: rig.root,
      tree: rig.tree,
      address: 'fake:1',
      relativeTtl: 'refuse',
      seal: (path, end) => sealSegment(rig.disk, path, end, knownCommands),
      check: (path) => new ImmediateChecker(path),
      segmentBytes: options.segmentBytes,
      events: {
        recovered: (actions) => void rig.recovered.push(...actions),
        progressed: () => undefined,
        failed: (error) => void rig.failures.push(error),
        gap: (gap) => void rig.gaps.push(gap),
        sealed: () => undefined,
        sealFailed: (_path, error) => void rig.failures.push(error),
      },
    });
    return rig;
  }

  get tree(): ReturnType<typeof sourceTree> {
    return sourceTree(this.root, 'source');
  }

  catalog(): Promise<Catalog> {
    return loadCatalog(localDisk, this.tree);
  }

  /** A full sync, published; the stream is at `offset`. */
  async sync(id: string, offset: number, rdb: Buffer = smallRdb(id, offset)): Promise<StreamSink> {
    const position = { id, offset };
    const sink = await this.capture.beginFullSync({ position, stamp: this.capture.stamp(), server: undefined });
    sink.append([rdb], undefined);
    const stream = sink.beginStream(headOf(rdb));
    await sink.publish(headOf(rdb));
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture[Symbol.asyncDispose]();
  }
}

function headOf(rdb: Buffer): RdbHead {
  const head = new RdbHeadReader().push(rdb);
  if (head === undefined) throw new Error('the RDB has no head');
  return head;
}

/** As the session does it. */
function write(rig: Rig, sink: StreamSink, scanner: BoundaryScanner, bytes: Buffer): void {
  scanner.scan(bytes);
  sink.append(bytes, undefined, rig.capture.stamp(), scanner);
}

/** The next operations of this kind on such files fail, until `mend`. */
function faulty(kind: DiskOperation, at: RegExp): { disk: Disk; mend: () => void; break: () => void } {
  let isBroken = false;
  const disk = faultyDisk(localDisk, (operation, path) =>
    isBroken && operation === kind && at.test(path) ? new StorageError('io', `cannot ${kind} ${path}: EIO`) : undefined,
  );
  return { disk, mend: () => (isBroken = false), break: () => (isBroken = true) };
}

async function streamOf(catalog: Catalog, timeline = catalog.timelines.at(-1)): Promise<Buffer> {
  if (timeline === undefined) throw new Error('no timeline');
  const parts: Buffer[] = [];
  for await (const { bytes } of readRange(
    localDisk,
    timeline.segments,
    timeline.base.record.offset + 1,
    timeline.end,
  )) {
    parts.push(Buffer.from(bytes));
  }
  return Buffer.concat(parts);
}

describe('a full sync', () => {
  test('becomes a timeline whose base is the RDB and whose first byte is the one behind it', async () => {
    await using rig = await Rig.open();
    const stream = await rig.sync(fakeId, start);
    const scanner = new BoundaryScanner({ offset: start, db: 0 });
    const written = Buffer.concat([streamCommand('SELECT', '4'), streamCommand('SET', 'key', 'value')]);
    write(rig, stream, scanner, written);
    await stream.drain();

    const catalog = await rig.catalog();
    expect(catalog.unfinished).toEqual([]);
    const [timeline] = catalog.timelines;
    expect(timeline).toMatchObject({
      number: 1,
      end: start + written.length,
      boundary: start + written.length,
      gap: undefined,
    });
    expect(timeline?.base.record).toMatchObject({ id: fakeId, offset: start, origin: 'received', db: 0 });
    expect(await readFile(timeline?.base.rdbPath ?? '')).toEqual(smallRdb(fakeId, start));
    expect(await streamOf(catalog)).toEqual(written);
  });

  test('that is broken off leaves nothing behind, and history goes on where it was', async () => {
    await using rig = await Rig.open();
    await rig.sync(fakeId, start);
    const broken = await rig.capture.beginFullSync({
      position: { id: otherId, offset: 77 },
      stamp: rig.capture.stamp(),
      server: undefined,
    });
    broken.append([smallRdb(otherId, 77).subarray(0, 30)], undefined);
    expect((await rig.capture.resumePoint())?.position).toEqual({ id: fakeId, offset: start });
    const catalog = await rig.catalog();
    expect(catalog.timelines.map(({ number }) => number)).toEqual([1]);
    expect(catalog.unfinished).toEqual([]);
    expect(rig.gaps).toEqual([]);
    expect(rig.failures).toEqual([]);
  });

  test('whose session ends while its files are being made leaves nothing behind either', async () => {
    const slow = Promise.withResolvers<undefined>();
    let isSlow = false;
    const disk: Disk = {
      ...localDisk,
      makeDirectory: async (path) => {
        if (isSlow) await slow.promise;
        await localDisk.makeDirectory(path);
      },
    };
    await using rig = await Rig.open({ disk });
    isSlow = true;
    const position = { id: fakeId, offset: start };
    const beginning = rig.capture.beginFullSync({ position, stamp: rig.capture.stamp(), server: undefined });
    const resumed = rig.capture.resumePoint();
    slow.resolve(undefined);
    await beginning;
    expect(await resumed).toBeUndefined();
    expect(await rig.catalog()).toMatchObject({ timelines: [], unfinished: [] });
    await rig.sync(fakeId, start);
    expect((await rig.catalog()).timelines.map(({ number }) => number)).toEqual([2]);
    expect(rig.failures).toEqual([]);
  });

  test('whose RDB turns out to be damaged is not published, and the next one is another timeline', async () => {
    await using rig = await Rig.open();
    const damaged = smallRdb(fakeId, start);
    damaged[damaged.length - 1] = 1;
    await expect(rig.sync(fakeId, start, damaged)).rejects.toThrow(IntegrityError);
    expect(rig.capture.progress?.isEstablished).toBe(false);
    expect(await rig.capture.resumePoint()).toBeUndefined();
    expect(rig.capture.progress).toBeUndefined();
    await rig.sync(fakeId, start);
    const catalog = await rig.catalog();
    expect(catalog.timelines.map(({ number }) => number)).toEqual([2]);
    expect(catalog.unfinished).toEqual([]);
  });

  test('that was whole when its session ended is still published, with the stream that had come', async () => {
    await using rig = await Rig.open();
    const rdb = smallRdb(fakeId, start);
    const position = { id: fakeId, offset: start };
    const sink = await rig.capture.beginFullSync({ position, stamp: rig.capture.stamp(), server: undefined });
    sink.append([rdb], undefined);
    const stream = sink.beginStream(headOf(rdb));
    const scanner = new BoundaryScanner({ offset: start, db: 0 });
    const written = streamCommand('SET', 'key', 'value');
    write(rig, stream, scanner, written.subarray(0, 10));
    void sink.publish(headOf(rdb));
    const resume = await rig.capture.resumePoint();
    expect(resume?.position).toEqual({ id: fakeId, offset: start + 10 });
    expect(resume?.scanner).toMatchObject({ offset: start + 10, boundary: start });
  });
});

describe('a history that cannot go on', () => {
  test.each([
    ['the primary no longer has the bytes in between', fakeId, start + 5000, 'backlog-overrun'],
    ['the primary has another history', otherId, start + 5000, 'history-changed'],
    ['the primary has gone back in its history', fakeId, start, 'history-changed'],
  ])('is recorded as a gap, with its interval and cause: %s', async (_title, id, offset, cause) => {
    await using rig = await Rig.open();
    const stream = await rig.sync(fakeId, start);
    const written = streamCommand('SET', 'key', 'value');
    write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), written);
    const resume = await rig.capture.resumePoint();
    const from = { timeline: 1, id: fakeId, offset: start + written.length };
    expect(resume?.position.offset).toBe(from.offset);
    await rig.sync(id, offset);
    const to = { timeline: 2, id, offset };
    expect(rig.gaps).toMatchObject([{ from, to, cause }]);
    const catalog = await rig.catalog();
    expect(catalog.timelines.map(({ number }) => number)).toEqual([1, 2]);
    expect(catalog.timelines[1]?.gap).toMatchObject({ from, to, cause });
    const [before, after] = catalog.timelines;
    expect(catalog.timelines[1]?.gap?.from.stamp).toBe(before?.lastStamp);
    expect(catalog.timelines[1]?.gap?.to.stamp).toBe(after?.base.record.stamp);
  });
});

describe('a gap', () => {
  /** As status and verify tell them; ls tells what status does. */
  const told = async (rig: Rig): Promise<{ readonly status: unknown[]; readonly verify: unknown[] }> => {
    const { timelines, damaged } = await rig.catalog();
    const { gaps } = await verifySource(localDisk, rig.tree);
    return {
      status: gapsIn(timelines, damaged).map(({ fromPosition, from }) => ({ fromPosition, from })),
      verify: gaps.map(({ from }) => ({ fromPosition: formatPosition(from), from: formatInstant(from.stamp) })),
    };
  };

  test('behind a sync that failed begins behind all that is there', async () => {
    const fault = faulty('sync', /\.open$/);
    await using rig = await Rig.open({ disk: fault.disk });
    const stream = await rig.sync(fakeId, start);
    const scanner = new BoundaryScanner({ offset: start, db: 0 });
    write(rig, stream, scanner, one);
    await stream.drain();
    fault.break();
    write(rig, stream, scanner, one);
    await expect(stream.drain()).rejects.toMatchObject({ code: 'io' });
    fault.mend();
    expect((await rig.capture.resumePoint())?.position.offset).toBe(start + one.length);
    await rig.sync(otherId, 77);
    const catalog = await rig.catalog();
    const [before] = catalog.timelines;
    if (before === undefined) throw new Error('no timeline');
    expect(before.end).toBe(start + 2 * one.length);
    const { from, to, toPosition } = intervalOf(before);
    const gap = { fromPosition: toPosition, from: to };
    expect(await told(rig)).toEqual({ status: [gap], verify: [gap] });
    expect(() => {
      throw timeNotCovered(catalog.timelines, before.lastStamp + 1, 'then');
    }).toThrow(`lies in a gap from ${formatInstantShort(before.lastStamp)} to`);
    expect(from < to).toBe(true);
  });

  test('begins under the id that its first position was received under, not under one that brought no byte', async () => {
    const fault = faulty('write', /\.open$/);
    await using rig = await Rig.open({ disk: fault.disk });
    const stream = await rig.sync(fakeId, start);
    write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), one);
    await rig.capture.resumePoint();
    fault.break();
    await expect((await rig.capture.attach(otherId)).drain()).rejects.toMatchObject({ code: 'io' });
    fault.mend();
    await rig.capture.resumePoint();
    await rig.sync('c'.repeat(40), 77);
    const fromPosition = formatPosition({ id: fakeId, offset: start + one.length });
    expect(rig.gaps).toMatchObject([{ from: { id: fakeId, offset: start + one.length } }]);
    expect(await told(rig)).toMatchObject({ status: [{ fromPosition }], verify: [{ fromPosition }] });
  });

  test('is none for anybody while the full sync behind it is under way', async () => {
    await using rig = await Rig.open();
    const stream = await rig.sync(fakeId, start);
    write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), one);
    await rig.capture.resumePoint();
    const position = { id: otherId, offset: start + 3 };
    const before = { id: fakeId, offset: start + 3 };
    const lineage = { role: 'master', ...position, before, primary: undefined, isFailingOver: false } as const;
    await rig.capture.beginFullSync({ position, stamp: rig.capture.stamp(), server: undefined, lineage });
    expect(await told(rig)).toEqual({ status: [], verify: [] });
    expect(await verifySource(localDisk, rig.tree, { known: knownCommands })).toMatchObject({
      orphans: [],
      problems: [],
      exitCode: 0,
    });
  });

  test('is recorded when all that the timeline before it holds is on the medium, samples and ticks too', async () => {
    const operations: string[] = [];
    const disk = faultyDisk(localDisk, (kind, path) => {
      operations.push(`${kind} ${path.split('/').at(-1)?.split('.').at(-1) ?? ''}`);
      return undefined;
    });
    await using rig = await Rig.open({ disk });
    const stream = await rig.sync(fakeId, start);
    write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), one);
    await rig.capture.resumePoint();
    const { lastStamp = 0 } = rig.capture.progress ?? {};
    for (const ahead of [10, 20, 30]) {
      rig.capture.sampled({ sentAt: 0, receivedAt: 100, time: lastStamp + ahead, offset: start + one.length + ahead });
    }
    operations.length = 0;
    await rig.sync(otherId, 77);
    const upToGap = operations.slice(0, operations.indexOf('rename gap'));
    const segments = upToGap.filter((operation) => operation.endsWith(' open'));
    expect(segments[0]).toBe('write open');
    expect(segments.at(-1)).toBe('sync open');
    await rig.capture.stop();
    const [before, after] = (await rig.catalog()).timelines;
    expect(after?.gap?.from.stamp).toBe(before?.lastStamp);
  });
});

describe('after a restart', () => {
  test.each([0, 1, 9, 30, 64, 100])('the stream goes on behind byte %i of it, wherever that is', async (cut) => {
    const root = temporaryDirectory('capture');
    const written = Buffer.concat([
      streamCommand('SELECT', '11'),
      streamCommand('MULTI'),
      streamCommand('SET', 'key', 'value'),
      streamCommand('EXEC'),
      streamCommand('SET', 'other', 'value'),
    ]);
    {
      await using rig = await Rig.open({ root });
      const stream = await rig.sync(fakeId, start);
      write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), written.subarray(0, cut));
      await rig.capture.stop();
    }
    await using rig = await Rig.open({ root });
    const resume = await rig.capture.resumePoint();
    expect(resume?.position).toEqual({ id: fakeId, offset: start + cut });
    const fresh = new BoundaryScanner({ offset: start, db: 0 });
    fresh.scan(written.subarray(0, cut));
    expect(resume?.scanner).toMatchObject({ boundary: fresh.boundary, boundaryDb: fresh.boundaryDb });
    const stream = await rig.capture.attach(fakeId);
    if (resume !== undefined) write(rig, stream, resume.scanner, written.subarray(cut));
    await stream.drain();
    const catalog = await rig.catalog();
    expect(await streamOf(catalog)).toEqual(written);
    expect(catalog.timelines[0]?.boundary).toBe(start + written.length);
    expect(rig.recovered).toEqual([]);
  });

  test('a switch of the replication id before it is what the primary is asked with', async () => {
    const root = temporaryDirectory('capture');
    const written = streamCommand('SET', 'key', 'value');
    {
      await using rig = await Rig.open({ root });
      const stream = await rig.sync(fakeId, start);
      const scanner = new BoundaryScanner({ offset: start, db: 0 });
      write(rig, stream, scanner, written);
      await rig.capture.resumePoint();
      write(rig, await rig.capture.attach(otherId), scanner, written);
      await rig.capture.stop();
    }
    await using rig = await Rig.open({ root });
    expect((await rig.capture.resumePoint())?.position).toEqual({ id: otherId, offset: start + 2 * written.length });
    const [timeline] = (await rig.catalog()).timelines;
    expect(timeline?.ids).toEqual([
      { id: fakeId, offset: start + 1 },
      { id: otherId, offset: start + written.length + 1 },
    ]);
    expect(timeline?.gap).toBeUndefined();
  });

  test('stamps do not go back, also when the clock of the machine did', async () => {
    const root = temporaryDirectory('capture');
    let last: number | undefined;
    {
      await using rig = await Rig.open({ root });
      const stream = await rig.sync(fakeId, start);
      write(rig, stream, new BoundaryScanner({ offset: start, db: 0 }), streamCommand('PING'));
      await rig.capture.stop();
      last = rig.capture.progress?.lastStamp;
    }
    await using rig = await Rig.open({ root });
    expect(rig.capture.progress?.lastStamp).toBe(last);
    expect(rig.capture.stamp()).toBeGreaterThanOrEqual(last ?? Infinity);
  });
});

describe('when the disk fails', () => {
  test.each(['write', 'sync'] as const)(
    'a failed %s ends the session, and the next goes on in a new file behind the last durable command',
    async (kind) => {
      const fault = faulty(kind, /\.open$/);
      await using rig = await Rig.open({ disk: fault.disk });
      const stream = await rig.sync(fakeId, start);
      const scanner = new BoundaryScanner({ offset: start, db: 0 });
      const written = Buffer.concat([streamCommand('SELECT', '7'), one, one.subarray(0, 9)]);
      write(rig, stream, scanner, written);
      await stream.drain();
      fault.break();
      write(rig, stream, scanner, Buffer.concat([one.subarray(9), one]));
      await expect(stream.drain()).rejects.toMatchObject({ code: 'io' });
      expect(rig.failures).toHaveLength(1);
      const [abandoned] = (await rig.catalog()).timelines[0]?.segments ?? [];
      fault.mend();

      const durable = start + written.length - 9;
      const resume = await rig.capture.resumePoint();
      expect(resume?.position).toEqual({ id: fakeId, offset: durable });
      expect(resume?.scanner).toMatchObject({ boundary: durable, boundaryDb: 7 });
      const again = await rig.capture.attach(fakeId);
      expect(again.durable).toBe(durable);
      if (resume !== undefined) write(rig, again, resume.scanner, Buffer.concat([one, one, one]));
      await again.drain();
      expect(await streamOf(await rig.catalog())).toEqual(Buffer.concat([written.subarray(0, -9), one, one, one]));
      const segments = (await rig.catalog()).timelines[0]?.segments ?? [];
      expect(segments.map(({ start: from, end }) => [from, end])).toEqual([
        [start + 1, durable],
        [durable + 1, durable + 3 * one.length],
      ]);
      expect(segments[0]?.path).toBe(abandoned?.path);
      await rig.capture.stop();
      await using next = await Rig.open({ root: rig.root });
      expect(await next.capture.resumePoint()).toMatchObject({ position: { offset: durable + 3 * one.length } });
    },
  );

  test('again and again, each time the session ends, and nothing but the last file counts', async () => {
    const fault = faulty('sync', /\.open$/);
    await using rig = await Rig.open({ disk: fault.disk });
    await rig.sync(fakeId, start);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      fault.break();
      const resume = await rig.capture.resumePoint();
      expect(resume?.position.offset).toBe(start);
      const stream = await rig.capture.attach(fakeId);
      if (resume !== undefined) write(rig, stream, resume.scanner, one);
      await expect(stream.drain()).rejects.toMatchObject({ code: 'io' });
      fault.mend();
    }
    const resume = await rig.capture.resumePoint();
    const stream = await rig.capture.attach(fakeId);
    if (resume !== undefined) write(rig, stream, resume.scanner, one);
    await stream.drain();
    const catalog = await rig.catalog();
    expect(await streamOf(catalog)).toEqual(one);
    expect(catalog.timelines[0]?.segments).toHaveLength(1);
    expect(rig.recovered.filter((action) => action.includes('aside'))).toHaveLength(3);
  });

  test('between two sessions, by a sample, the next session does not go on in a log that cannot be written', async () => {
    const fault = faulty('write', /\.open$/);
    await using rig = await Rig.open({ disk: fault.disk });
    await rig.sync(fakeId, start);
    const resume = await rig.capture.resumePoint();
    fault.break();
    const now = rig.capture.stamp();
    for (const offset of [start, start + 10, start + 20]) {
      rig.capture.sampled({ sentAt: 0, receivedAt: 100, time: now + offset, offset });
    }
    await expect.poll(() => rig.failures).toHaveLength(1);
    fault.mend();
    await expect(rig.capture.attach(fakeId)).rejects.toMatchObject({ code: 'io' });
    expect((await rig.capture.resumePoint())?.position).toEqual(resume?.position);
    const stream = await rig.capture.attach(fakeId);
    if (resume !== undefined) write(rig, stream, resume.scanner, one);
    await stream.drain();
    expect(await streamOf(await rig.catalog())).toEqual(one);
  });

  test('while a segment is rotated, the half-made one does not count', async () => {
    const fault = faulty('create', /\.open$/);
    await using rig = await Rig.open({ disk: fault.disk, segmentBytes: 1 });
    const stream = await rig.sync(fakeId, start);
    const scanner = new BoundaryScanner({ offset: start, db: 0 });
    write(rig, stream, scanner, one);
    await stream.drain();
    fault.break();
    write(rig, stream, scanner, one);
    await expect(stream.drain()).rejects.toMatchObject({ code: 'io' });
    fault.mend();
    const resume = await rig.capture.resumePoint();
    expect(resume?.position.offset).toBe(start + one.length);
    const again = await rig.capture.attach(fakeId);
    if (resume !== undefined) write(rig, again, resume.scanner, one);
    await again.drain();
    expect(await streamOf(await rig.catalog())).toEqual(Buffer.concat([one, one]));
  });

  test.each([
    ['making the folder', 'makeDirectory', /timelines.0/],
    ['publishing the gap', 'rename', /gap$/],
    ['publishing the timeline', 'rename', /timeline$/],
    ['receiving the RDB', 'write', /tmp/],
    ['syncing the RDB', 'sync', /tmp/],
    ['naming the RDB', 'rename', /rdb$/],
    ['publishing the base', 'rename', /base$/],
    ['syncing the folder behind it', 'syncDirectory', /timelines.0/],
  ] as const)('while %s, the full sync leaves nothing behind and history goes on', async (_title, kind, at) => {
    const fault = faulty(kind, at);
    await using rig = await Rig.open({ disk: fault.disk });
    await rig.sync(fakeId, start);
    fault.break();
    await expect(rig.sync(otherId, 77)).rejects.toMatchObject({ code: 'io' });
    fault.mend();
    expect((await rig.capture.resumePoint())?.position).toEqual({ id: fakeId, offset: start });
    expect(await rig.catalog()).toMatchObject({ timelines: [{ number: 1 }], unfinished: [] });
    await rig.sync(otherId, 77);
    expect(rig.gaps).toMatchObject([{ from: { timeline: 1 }, cause: 'history-changed' }]);
    await rig.capture[Symbol.asyncDispose]();
    await using next = await Rig.open({ root: rig.root });
    expect((await next.capture.resumePoint())?.position).toEqual({ id: otherId, offset: 77 });
  });

  test('so that the rest of a full sync cannot be removed, nothing else begins before it is', async () => {
    const fault = faulty('removeTree', /./);
    await using rig = await Rig.open({ disk: fault.disk });
    await rig.sync(fakeId, start);
    const position = { id: otherId, offset: 77 };
    await rig.capture.beginFullSync({ position, stamp: rig.capture.stamp(), server: undefined });
    fault.break();
    await expect(rig.capture.resumePoint()).rejects.toMatchObject({ code: 'io' });
    await expect(rig.capture.resumePoint()).rejects.toMatchObject({ code: 'io' });
    fault.mend();
    expect((await rig.capture.resumePoint())?.position).toEqual({ id: fakeId, offset: start });
    expect(await rig.catalog()).toMatchObject({ timelines: [{ number: 1 }], unfinished: [] });
  });
});

test('a primary that replicates relative TTLs is refused, and what to do is said', async () => {
  await using rig = await Rig.open();
  const admit = (major: number, minor: number): void =>
    rig.capture.admit({ kind: 'redis', version: `${major}.${minor}.1`, major, minor });
  expect(() => admit(7, 0)).not.toThrow();
  expect(() => admit(6, 2)).toThrow(LinkError);
  expect(() => admit(6, 2)).toThrow(expect.objectContaining({ code: 'relative-ttl', exitCode: 2, retry: 'never' }));
  expect(() => admit(6, 2)).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('--relative-ttl convert') }),
  );
});
