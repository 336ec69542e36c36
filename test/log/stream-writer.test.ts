// Group commit: what becomes a frame, when it is durable, where segments begin, and what a failure leaves.
import { describe, expect, test } from 'vitest';
import { queueBytesMax } from '../../src/core/limits.ts';
import { decodeAttach } from '../../journal-format/attach.ts';
import { decodeReads } from '../../journal-format/reads.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import { openSegmentReader } from '../../src/log/segment-reader.ts';
import { Random } from '../support/random.ts';
import type { Operation } from '../support/simulated-disk.ts';
import {
  LogRig,
  baseOffset,
  directory,
  firstTail,
  framesOf,
  idA,
  idB,
  settle,
  streamOf,
  timelineOf,
} from './log-rig.ts';
import { Primary } from './primary.ts';

/** Holds up the operations of a kind until they are let go, one by one or all. */
class Gate {
  readonly #waiting: (() => void)[] = [];
  isOpen = false;

  constructor(rig: LogRig, isMeant: (operation: Operation) => boolean) {
    const { gate } = rig.disk;
    rig.disk.gate = (operation) => {
      if (this.isOpen || !isMeant(operation)) return gate(operation);
      return new Promise((resolve) => {
        this.#waiting.push(resolve);
      });
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  async next(): Promise<void> {
    this.#waiting.shift()?.();
    await settle();
  }

  async open(): Promise<void> {
    this.isOpen = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
    await settle();
  }
}

const isKind = (kind: Operation['kind']) => (operation: Operation) => operation.kind === kind;

async function onlyPath(rig: LogRig): Promise<string> {
  const { segments } = await timelineOf(rig.disk);
  expect(segments).toHaveLength(1);
  return segments[0]?.path ?? '';
}

describe('a frame', () => {
  test('holds what arrived within a few milliseconds, with each read and its stamp', async () => {
    const rig = await LogRig.fresh();
    rig.read(10);
    rig.clock.advance(2);
    rig.read(20);
    expect(rig.disk.operations).toEqual([]);
    rig.clock.advance(3);
    await settle();
    expect(rig.durable).toEqual([baseOffset + 30]);
    await using reader = await openSegmentReader(rig.disk, await onlyPath(rig), 'open');
    for await (const { header, meta } of reader.frames()) {
      const [first, second] = decodeReads(meta, header).toArray();
      expect([first?.end, second?.end]).toEqual([baseOffset + 10, baseOffset + 30]);
      expect((second?.stamp ?? 0) - (first?.stamp ?? 0)).toBe(2000);
    }
  });

  test('holds what arrived while the one before was being written', async () => {
    const rig = await LogRig.fresh();
    const writes = new Gate(rig, isKind('write'));
    rig.read(10);
    rig.writer.hurry();
    await settle();
    rig.read(1);
    rig.read(2);
    rig.writer.hurry();
    await settle();
    expect(writes.waiting).toBe(1);
    await writes.open();
    const frames = await framesOf(rig.disk, await onlyPath(rig));
    expect(frames.map(({ start, dataLength }) => [start - baseOffset, dataLength])).toEqual([
      [1, 10],
      [11, 3],
    ]);
    expect(rig.writer.durable).toBe(baseOffset + 13);
  });

  test('is written at once when somebody waits', async () => {
    const rig = await LogRig.fresh();
    rig.read(10);
    rig.writer.hurry();
    await settle();
    expect(rig.durable).toEqual([baseOffset + 10]);
    expect(rig.clock.pending).toBe(0);
    rig.writer.hurry();
    await settle();
    expect(rig.durable).toEqual([baseOffset + 10]);
  });

  test('is written at once when much has arrived', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 30 });
    rig.writer.append(Buffer.alloc(1 << 20), undefined, 1, { boundary: baseOffset, boundaryDb: 0 });
    await settle();
    expect(rig.durable).toEqual([baseOffset + (1 << 20)]);
  });

  test('never exceeds what the format allows, however much is waiting', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 30 });
    const writes = new Gate(rig, isKind('write'));
    const slab = Buffer.alloc(4 * 1024 * 1024);
    for (let i = 0; i < 9; i += 1) {
      rig.writer.append(slab, undefined, 1, { boundary: baseOffset, boundaryDb: 0 });
    }
    await writes.open();
    await rig.writer.drain();
    const frames = await framesOf(rig.disk, await onlyPath(rig));
    expect(frames.reduce((sum, { dataLength }) => sum + dataLength, 0)).toBe(9 * slab.length);
    expect(Math.max(...frames.map(({ dataLength }) => dataLength))).toBeLessThanOrEqual(8 * 1024 * 1024);
  });

  test('says what was durable when it was formed', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30);
    const frames = await framesOf(rig.disk, await onlyPath(rig));
    expect(frames.map(({ durable }) => durable - baseOffset)).toEqual([0, 10, 30]);
  });
});

describe('durable', () => {
  test('is told only when the file and its name are synced', async () => {
    const rig = await LogRig.fresh();
    const syncs = new Gate(rig, isKind('sync'));
    const folders = new Gate(rig, isKind('syncDirectory'));
    rig.read(10);
    rig.writer.hurry();
    await settle();
    expect([syncs.waiting, rig.durable.length]).toEqual([1, 0]);
    await syncs.open();
    expect([folders.waiting, rig.durable.length]).toEqual([1, 0]);
    await folders.open();
    expect(rig.durable).toEqual([baseOffset + 10]);
  });

  test('covers what was written before the sync began, and nothing that came later', async () => {
    const rig = await LogRig.fresh();
    const syncs = new Gate(rig, isKind('sync'));
    rig.read(10);
    rig.writer.hurry();
    await settle();
    rig.read(5);
    rig.writer.hurry();
    await settle();
    rig.read(6);
    rig.writer.hurry();
    await settle();
    await syncs.next();
    expect(rig.durable).toEqual([baseOffset + 10]);
    await syncs.next();
    expect(rig.durable).toEqual([baseOffset + 10, baseOffset + 21]);
  });

  test('comes of one sync at a time', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    let running = 0;
    const { gate } = rig.disk;
    rig.disk.gate = async (operation) => {
      await gate(operation);
      if (operation.kind !== 'sync') return;
      running += 1;
      expect(running).toBe(1);
      await settle();
      running -= 1;
    };
    for (let i = 0; i < 30; i += 1) {
      rig.read(7);
      rig.writer.hurry();
      if (i % 3 === 0) await settle();
    }
    await rig.writer.drain();
    expect(rig.writer.durable).toBe(baseOffset + 210);
  });

  test('waits, at a rotation, for the old file, the new one, and the name of that', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 10 });
    rig.command();
    rig.writer.hurry();
    await settle();
    const syncs = new Gate(rig, isKind('sync'));
    rig.command();
    rig.command();
    rig.command();
    rig.writer.hurry();
    await settle();
    const before = rig.durable.length;
    while (syncs.waiting > 0) await syncs.next();
    await rig.writer.drain();
    expect(rig.durable.length).toBeGreaterThan(before);
    const synced = rig.disk.operations.filter(({ kind }) => kind === 'syncDirectory');
    expect(synced.length).toBeGreaterThanOrEqual(2);
    expect(await streamOf(rig.disk)).toEqual(rig.primary.bytes(baseOffset + 1, rig.writer.durable));
  });
});

describe('a segment', () => {
  /** Starts of all segments, after reads of given lengths. */
  async function starts(rig: LogRig, feed: () => void, times: number): Promise<number[]> {
    for (let i = 0; i < times; i += 1) {
      feed();
      rig.clock.advance(6);
      await settle();
    }
    await rig.writer.drain();
    const { segments, end } = await timelineOf(rig.disk);
    expect(await streamOf(rig.disk)).toEqual(rig.primary.bytes(baseOffset + 1, end));
    expect(end).toBe(rig.writer.received);
    return segments.map(({ start }) => start);
  }

  test('begins at a boundary, whatever the reads are', async () => {
    const random = new Random(3);
    const rig = await LogRig.fresh({ segmentBytes: 200 });
    const found = await starts(rig, () => rig.read(random.between(1, 90)), 300);
    expect(found.length).toBeGreaterThan(20);
    for (const start of found) expect(rig.primary.isBoundary(start - 1), `offset ${start}`).toBe(true);
  });

  test('begins at a boundary when every read ends at one', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 200 });
    const found = await starts(rig, () => rig.command(), 300);
    expect(found.length).toBeGreaterThan(20);
    for (const start of found) expect(rig.primary.isBoundary(start - 1), `offset ${start}`).toBe(true);
  });

  test('is as long as the command in it that is larger than a segment', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 100, primary: new Primary(baseOffset, 5, 400) });
    const found = await starts(rig, () => rig.read(30), 400);
    expect(found.length).toBeGreaterThan(5);
    for (const start of found) expect(rig.primary.isBoundary(start - 1), `offset ${start}`).toBe(true);
  });

  test('ends after a minute of content, and not of silence', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    rig.command();
    await rig.writer.drain();
    rig.clock.advance(3_600_000);
    await settle();
    expect((await timelineOf(rig.disk)).segments).toHaveLength(1);
    rig.command();
    await rig.writer.drain();
    rig.clock.advance(59_000);
    rig.command();
    await rig.writer.drain();
    expect((await timelineOf(rig.disk)).segments).toHaveLength(2);
  });

  test('carries in its header what a replay from there must know', async () => {
    const random = new Random(4);
    const rig = await LogRig.fresh({ segmentBytes: 150 });
    await starts(rig, () => rig.read(random.between(1, 60)), 100);
    for (const { path, start } of (await timelineOf(rig.disk)).segments) {
      await using reader = await openSegmentReader(rig.disk, path, 'open');
      expect(reader.header.db).toBe(rig.primary.markAt(start - 1).boundaryDb);
      expect(reader.header.ids).toEqual([{ id: idA, offset: baseOffset + 1 }]);
    }
  });

  test('is told to be complete when it has a successor and both are durable', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 50 });
    const write = async (): Promise<void> => {
      rig.read(20);
      rig.writer.hurry();
      await settle();
    };
    await write();
    const syncs = new Gate(rig, isKind('sync'));
    await write();
    await write();
    const creates = new Gate(rig, isKind('create'));
    while (creates.waiting === 0) await write();
    await syncs.open();
    expect(rig.writer.durable).toBeGreaterThan(baseOffset + 20);
    expect(rig.completed, 'its successor is still being created').toEqual([]);
    await creates.open();
    await rig.writer.drain();
    expect(rig.completed.length).toBeGreaterThan(0);
    const names = await rig.disk.list(directory);
    for (const { end } of rig.completed) {
      expect(names.some((name) => name.startsWith((end + 1).toString(16).padStart(16, '0')))).toBe(true);
    }
    for (let seed = 0; seed < 20; seed += 1) {
      expect(
        rig.disk
          .afterPowerLoss(seed)
          .files()
          .has(rig.completed[0]?.path ?? ''),
      ).toBe(true);
    }
  });
});

describe('an attachment', () => {
  test('is a frame, and a switch where the id is another', async () => {
    const rig = await LogRig.fresh();
    await rig.commits(10);
    const lost = rig.writer.lastStamp;
    rig.clock.advance(5000);
    rig.writer.attach(idB, rig.clock.wall());
    await rig.commits(10);
    const path = await onlyPath(rig);
    const frames = await framesOf(rig.disk, path);
    expect(frames.map(({ kind }) => kind)).toEqual(['stream', 'attach', 'stream']);
    await using reader = await openSegmentReader(rig.disk, path, 'open');
    for await (const { header, meta } of reader.frames()) {
      if (header.kind !== 'attach') continue;
      expect(decodeAttach(meta)).toEqual({ id: idB, lostStamp: lost, stamp: lost + 5_010_000 });
    }
    expect(rig.writer.id).toBe(idB);
    expect((await timelineOf(rig.disk)).ids).toEqual([
      { id: idA, offset: baseOffset + 1 },
      { id: idB, offset: baseOffset + 11 },
    ]);
  });

  test('before the first byte begins the first segment, and is durable like any other', async () => {
    const rig = await LogRig.fresh();
    rig.writer.attach(idB, rig.clock.wall());
    await rig.writer.drain();
    expect(rig.disk.operations.map(({ kind }) => kind)).toEqual(['create', 'write', 'sync', 'syncDirectory']);
    await rig.commits(10);
    await using reader = await openSegmentReader(rig.disk, await onlyPath(rig), 'open');
    expect(reader.header.ids).toEqual([
      { id: idA, offset: baseOffset + 1 },
      { id: idB, offset: baseOffset + 1 },
    ]);
  });

  test('is durable when drain() says so, also without a byte behind it', async () => {
    const rig = await LogRig.fresh();
    await rig.commits(10);
    const syncs = new Gate(rig, isKind('sync'));
    rig.writer.attach(idB, rig.clock.wall());
    let isDrained = false;
    const draining = rig.writer.drain().then(() => (isDrained = true));
    await settle();
    expect([syncs.waiting, isDrained]).toEqual([1, false]);
    await syncs.open();
    await draining;
    for (let seed = 0; seed < 20; seed += 1) {
      const timeline = await timelineOf(rig.disk.afterPowerLoss(seed));
      expect(timeline.ids.at(-1)?.id).toBe(idB);
    }
  });

  test('without a switch adds no id', async () => {
    const rig = await LogRig.fresh();
    await rig.commits(10);
    rig.writer.attach(idA, rig.clock.wall());
    await rig.commits(10);
    expect((await timelineOf(rig.disk)).ids).toHaveLength(1);
  });
});

describe('when the disk is slower than the link', () => {
  test('the writer is congested until half of what waits is written', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 30 });
    const writes = new Gate(rig, isKind('write'));
    // Each of them fills a batch.
    const large = Buffer.alloc(queueBytesMax / 2);
    const read = (): void => {
      rig.writer.append(large, undefined, 1, { boundary: baseOffset, boundaryDb: 0 });
    };
    for (let i = 0; i < 2; i += 1) read();
    expect(rig.writer.congested).toBe(false);
    read();
    expect(rig.writer.congested).toBe(true);
    let isRelieved = false;
    const relief = rig.writer.relieved().then(() => (isRelieved = true));
    await settle();
    await writes.next();
    expect([rig.writer.congested, isRelieved]).toEqual([false, false]);
    await writes.next();
    expect(isRelieved).toBe(true);
    await relief;
    await writes.open();
    await rig.writer.drain();
  });

  test('receive buffers are let go as soon as they are written', async () => {
    const rig = await LogRig.fresh();
    const pool = new SlabPool(100, 8);
    const slab = pool.take();
    rig.primary.bytes(baseOffset + 1, baseOffset + 20).copy(slab.bytes);
    for (const [from, to] of [
      [0, 10],
      [10, 20],
    ] as const) {
      const mark = rig.primary.markAt(baseOffset + to);
      rig.writer.append(slab.bytes.subarray(from, to), slab, rig.clock.wall(), mark);
    }
    slab.release();
    expect(pool.take().bytes).not.toBe(slab.bytes);
    rig.clock.advance(5);
    await settle();
    expect(pool.take().bytes).toBe(slab.bytes);
  });
});

describe('in a flood', () => {
  /** Every read fills a batch; the writes are held up, to be let go by number. */
  async function flood(reads: number): Promise<{ readonly rig: LogRig; readonly writes: (() => void)[] }> {
    const rig = await LogRig.fresh({ segmentBytes: 64 * 100 });
    const writes: (() => void)[] = [];
    const { gate } = rig.disk;
    rig.disk.gate = (operation) =>
      operation.kind === 'write' ? new Promise((resolve) => void writes.push(resolve)) : gate(operation);
    for (let i = 0; i < reads; i += 1) rig.read(100);
    rig.writer.hurry();
    await settle();
    return { rig, writes };
  }

  const letGo = async (write: (() => void) | undefined): Promise<void> => {
    write?.();
    await settle();
  };

  test('the next batch is written beside the one before, and no third', async () => {
    const { rig, writes } = await flood(4);
    expect(writes).toHaveLength(2);
    await letGo(writes[0]);
    expect(writes).toHaveLength(3);
    expect(rig.durable).toEqual([baseOffset + 100]);
    for (let i = 1; i < 4; i += 1) await letGo(writes[i]);
    expect(rig.writer.durable).toBe(baseOffset + 400);
    expect(await streamOf(rig.disk)).toEqual(rig.primary.bytes(baseOffset + 1, baseOffset + 400));
  });

  test('nothing waits for company while somebody waits for whatever becomes durable', async () => {
    let isAwaited = false;
    const rig = await LogRig.fresh({ isAwaited: () => isAwaited });
    rig.read(10);
    await settle();
    expect(rig.writer.durable).toBe(baseOffset);
    isAwaited = true;
    rig.read(10);
    await settle();
    expect(rig.writer.durable).toBe(baseOffset + 20);
  });

  test('a batch that is not full waits for company while another is written', async () => {
    const { rig, writes } = await flood(1);
    rig.read(10);
    rig.writer.hurry();
    await settle();
    expect(writes).toHaveLength(1);
    await letGo(writes[0]);
    expect(writes).toHaveLength(2);
  });

  test('nothing is durable that has a hole before it', async () => {
    const { rig, writes } = await flood(2);
    await letGo(writes[1]);
    expect(rig.disk.operations.filter(({ kind }) => kind === 'sync')).toEqual([]);
    for (let seed = 0; seed < 50; seed += 1) {
      const { end } = await timelineOf(rig.disk.afterPowerLoss(seed));
      expect(end).toBe(baseOffset);
    }
    await letGo(writes[0]);
    expect(rig.writer.durable).toBe(baseOffset + 200);
  });

  test('a write that fails leaves nothing durable of the one beside it, whose memory is kept until it returns', async () => {
    const { rig, writes } = await flood(0);
    const pool = new SlabPool(100, 8);
    const slabs = [pool.take(), pool.take()];
    for (const slab of slabs) {
      rig.writer.append(slab.bytes, slab, 1, { boundary: baseOffset, boundaryDb: 0 });
      slab.release();
    }
    rig.writer.hurry();
    await settle();
    expect(writes).toHaveLength(2);
    rig.disk.fault = ({ kind }) => (kind === 'write' ? 'io' : undefined);
    await letGo(writes[0]);
    rig.disk.fault = () => undefined;
    expect(pool.take().bytes, 'that of the failed write').toBe(slabs[0]?.bytes);
    expect(pool.take().bytes, 'that of the other').not.toBe(slabs[1]?.bytes);
    await letGo(writes[1]);
    expect(pool.take().bytes).toBe(slabs[1]?.bytes);
    expect(rig.failures).toHaveLength(1);
    expect([rig.writer.durable, rig.durable]).toEqual([baseOffset, []]);
  });

  test('a segment is begun when all before it is written', async () => {
    const { rig, writes } = await flood(200);
    const { gate } = rig.disk;
    let ended = 0;
    const unwritten: number[] = [];
    rig.disk.gate = (operation) => {
      if (operation.kind === 'create') unwritten.push(writes.length - ended);
      return gate(operation);
    };
    for (const write of writes) {
      ended += 1;
      await letGo(write);
    }
    expect(rig.writer.durable).toBe(baseOffset + 20_000);
    expect(unwritten.length).toBeGreaterThan(1);
    expect(Math.max(...unwritten)).toBe(0);
  });
});

describe('after a failure', () => {
  const isSegment = (operation: Operation): boolean => operation.path.endsWith('.open');

  test.each(['create', 'write', 'sync', 'syncDirectory'] as const)(
    'of %s nothing is durable any more, and it is told once',
    async (kind) => {
      const rig = await LogRig.fresh({ segmentBytes: 40 });
      for (let i = 0; i < 6; i += 1) rig.command();
      await rig.writer.drain();
      rig.disk.fault = (operation) => (operation.kind === kind ? 'io' : undefined);
      for (let i = 0; i < 30; i += 1) rig.command();
      await expect(rig.writer.drain()).rejects.toMatchObject({ code: 'io' });
      rig.disk.fault = () => undefined;
      const { durable } = rig.writer;
      const operations = rig.disk.operations.length;
      for (let i = 0; i < 30; i += 1) rig.command();
      rig.writer.attach(idB, rig.clock.wall());
      rig.writer.hurry();
      rig.clock.advance(1000);
      await settle();
      expect(rig.failures).toHaveLength(1);
      expect(rig.writer.durable).toBe(durable);
      expect(rig.disk.operations).toHaveLength(operations);
      await expect(rig.writer.drain()).rejects.toMatchObject({ code: 'io' });
      await expect(rig.writer.relieved()).rejects.toMatchObject({ code: 'io' });
      await rig.writer.close();
    },
  );

  test('of a sync, a write that returns later brings no second sync about', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10);
    const writes = new Gate(rig, isKind('write'));
    const syncs = new Gate(rig, isKind('sync'));
    rig.read(10);
    rig.writer.hurry();
    await settle();
    await writes.next();
    rig.read(10);
    rig.writer.hurry();
    await settle();
    expect([writes.waiting, syncs.waiting]).toEqual([1, 1]);
    rig.disk.fault = ({ kind }) => (kind === 'sync' ? 'io' : undefined);
    await syncs.open();
    expect(rig.failures).toHaveLength(1);
    rig.disk.fault = () => undefined;
    await writes.open();
    rig.clock.advance(1000);
    await settle();
    expect(rig.writer.durable).toBe(baseOffset + 10);
    expect(rig.durable).toEqual([baseOffset + 10]);
    expect(rig.disk.operations.filter((operation) => operation.kind === 'sync' && isSegment(operation))).toHaveLength(
      2,
    );
  });

  test('of a write, a sync that returns later does not move what is durable', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    const syncs = new Gate(rig, isKind('sync'));
    rig.read(10);
    rig.writer.hurry();
    await settle();
    rig.disk.fault = ({ kind }) => (kind === 'write' ? 'no-space' : undefined);
    rig.read(10);
    rig.writer.hurry();
    await settle();
    expect(rig.failures).toMatchObject([{ code: 'no-space' }]);
    await syncs.open();
    expect([rig.writer.durable, rig.durable]).toEqual([baseOffset, []]);
  });

  test('of a write does not send the stamps back to before what is whole in the abandoned file', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    const lastStamp = 1_000_000;
    rig.writer.append(Buffer.alloc(10), undefined, lastStamp, { boundary: baseOffset + 10, boundaryDb: 0 });
    await rig.writer.drain();
    rig.writer.tick(lastStamp + 5_000_000);
    rig.clock.advance(1000);
    await settle();
    expect(rig.writer.durableTail.lastStamp).toBe(lastStamp + 5_000_000);
    rig.disk.fault = ({ kind }) => (kind === 'write' ? 'io' : undefined);
    rig.writer.tick(lastStamp + 6_000_000);
    rig.writer.append(Buffer.alloc(10), undefined, lastStamp + 7_000_000, {
      boundary: baseOffset + 20,
      boundaryDb: 0,
    });
    rig.writer.hurry();
    await settle();
    expect(rig.failures).toHaveLength(1);
    expect(rig.writer.durableTail).toMatchObject({ offset: baseOffset + 10, lastStamp: lastStamp + 6_000_000 });
  });

  test('of a write its receive buffers are let go', async () => {
    const rig = await LogRig.fresh();
    const pool = new SlabPool(10, 8);
    const slabs = [pool.take(), pool.take()];
    rig.disk.fault = ({ kind }) => (kind === 'write' ? 'io' : undefined);
    for (const slab of slabs) {
      rig.writer.append(slab.bytes, slab, 1, { boundary: baseOffset, boundaryDb: 0 });
      slab.release();
      rig.writer.hurry();
    }
    await settle();
    const again = [pool.take().bytes, pool.take().bytes];
    for (const { bytes } of slabs) expect(again).toContain(bytes);
  });
});

describe('closing', () => {
  test('waits for what is under way, and leaves nothing open', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 30 });
    const writes = new Gate(rig, isKind('write'));
    for (let i = 0; i < 5; i += 1) rig.command();
    rig.writer.hurry();
    await settle();
    let isClosed = false;
    const closing = rig.writer.close().then(() => (isClosed = true));
    await settle();
    expect([writes.waiting, isClosed]).toEqual([1, false]);
    await writes.open();
    await closing;
    expect(rig.failures, 'closing is no failure').toEqual([]);
    rig.clock.advance(1000);
    await settle();
    expect(rig.durable).toEqual([]);
  });

  test('rejects who still waits', async () => {
    const rig = await LogRig.fresh();
    rig.read(10);
    const draining = expect(rig.writer.drain()).rejects.toThrow('the writer is closed');
    await rig.writer.close();
    await draining;
  });
});

test('a writer goes on where another one stopped, in the same file', async () => {
  const first = await LogRig.fresh({ segmentBytes: 1 << 20 });
  await first.commits(10, 20);
  const { lastStamp } = first.writer;
  await first.writer.close();
  const path = await onlyPath(first);
  const frames = await framesOf(first.disk, path);
  const last = frames.at(-1);
  await using reader = await openSegmentReader(first.disk, path, 'open');
  const segment = {
    path,
    start: reader.header.start,
    position: (await first.disk.size(path)) ?? 0,
    chain: last?.crc ?? 0,
    salt: reader.header.salt,
    firstStamp: frames[0]?.firstStamp ?? 0,
  };
  const { boundary, boundaryDb: db } = first.primary.markAt(baseOffset + 30);
  const tail = { ...firstTail(), offset: baseOffset + 30, boundary, db, lastStamp, segment };
  const second = new LogRig(first.disk, { primary: first.primary, tail, segmentBytes: 1 << 20, clock: first.clock });
  expect(second.writer.tail).toEqual({ boundary, db, path });
  await second.commits(5, 6);
  expect(await framesOf(second.disk, path)).toHaveLength(4);
  expect(await streamOf(second.disk)).toEqual(first.primary.bytes(baseOffset + 1, baseOffset + 41));
});
