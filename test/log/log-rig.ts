// A log on a simulated disk, written by the real code from a made-up primary. One rig is one life of the process: after
// a crash the next one begins on what is left of the disk.
// Neighbours: primary.ts makes the bytes; support/simulated-disk.ts loses them.
import { crc32 } from 'node:zlib';
import { expect } from 'vitest';
import { encodeBase } from '../../journal-format/base.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { baseName, rdbName } from '../../journal-format/names.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Timeline } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import { openSegmentReader } from '../../src/log/segment-reader.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { createSourceTree, sourceTree } from '../../src/log/source-tree.ts';
import { StreamWriter } from '../../src/log/stream-writer.ts';
import type { StreamTail } from '../../src/log/stream-writer.ts';
import { beginTimeline } from '../../src/log/timeline-store.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { publish, uniqueHex } from '../../src/storage/publish.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { Primary } from './primary.ts';

export const idA = 'a'.repeat(40);
export const idB = 'b'.repeat(40);
export const baseOffset = 1000;
export const tree = sourceTree('/journal', 'cache');
export const directory = '/journal/cache/timelines/00000001';
const writerName = 'journal/test';
const rdb = Buffer.from('REDIS0011 as far as the log cares');

/** A disk with a source and its first timeline, whose base is in place. */
export async function preparedDisk(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await createSourceTree(disk, '/journal', tree);
  await addTimeline(disk, 1, idA, baseOffset);
  disk.operations.length = 0;
  return disk;
}

/** A timeline with a base; `stamp` is that of everything about it. */
export async function addTimeline(
  disk: Disk,
  timeline: number,
  id: string,
  offset: number,
  options: {
    readonly stamp?: number;
    readonly from?: { timeline: number; id: string; offset: number; stamp: number };
  } = {},
): Promise<string> {
  const { stamp = 1_700_000_000_000_000, from } = options;
  const side = { timeline, id, offset, stamp };
  const record = { ...side, source: tree.source, address: 'h:6379', server: { kind: 'redis', version: '8.0.0' } };
  const gap = from && { from, to: side, cause: 'history-changed' as const, detail: 'as the test wanted it' };
  const folder = await beginTimeline(disk, tree, { ...record, writer: writerName }, gap);
  const unique = uniqueHex();
  await publish(disk, `${folder}/${rdbName(offset, unique)}`, rdb);
  const base = {
    ...side,
    origin: 'received' as const,
    db: 0,
    completed: stamp,
    size: rdb.length,
    magic: 'REDIS' as const,
    version: 11,
    aux: {},
    crc64: '0'.repeat(16),
    chunk: 16,
    chunks: Uint32Array.from({ length: Math.ceil(rdb.length / 16) }, (_, i) =>
      crc32(rdb.subarray(i * 16, i * 16 + 16)),
    ),
  };
  await publish(disk, `${folder}/${baseName(offset, unique)}`, encodeBase(base).bytes);
  return folder;
}

export function firstTail(offset = baseOffset, id = idA): StreamTail {
  return { offset, boundary: offset, db: 0, lastStamp: 0, ids: [{ id, offset: offset + 1 }], segment: undefined };
}

/** For a gate: an operation that never ends. */
export function never(): Promise<void> {
  return new Promise(() => {});
}

/** A disk with these files in the folders of a source. */
export function diskOf(files: ReadonlyMap<string, Buffer>): SimulatedDisk {
  return SimulatedDisk.holding(files, [tree.marks, tree.timelines]);
}

/** Lets everything that waits for nothing but the simulated disk run to its end. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export interface RigOptions {
  readonly tail?: StreamTail;
  readonly segmentBytes?: number;
  readonly clock?: ManualClock;
  readonly primary?: Primary;
  readonly directory?: string;
  readonly timeline?: number;
  readonly isAwaited?: () => boolean;
}

export class LogRig {
  readonly disk: SimulatedDisk;
  readonly clock: ManualClock;
  readonly primary: Primary;
  readonly writer: StreamWriter;
  /** What was told, in order. */
  readonly durable: number[] = [];
  readonly completed: { readonly path: string; readonly end: number }[] = [];
  readonly failures: unknown[] = [];

  constructor(disk: SimulatedDisk, options: RigOptions = {}) {
    const { tail = firstTail(), segmentBytes = 1000, timeline = 1 } = options;
    this.disk = disk;
    this.clock = options.clock ?? new ManualClock();
    this.primary = options.primary ?? new Primary(tail.offset, 1);
    this.writer = new StreamWriter(
      {
        disk,
        clock: this.clock,
        directory: options.directory ?? directory,
        source: tree.source,
        timeline,
        writer: writerName,
        segmentBytes,
        isAwaited: options.isAwaited,
        events: {
          durable: (offset) => this.durable.push(offset),
          completed: (path, end) => this.completed.push({ path, end }),
          failed: (error) => this.failures.push(error),
        },
      },
      tail,
    );
  }

  static async fresh(options: RigOptions = {}): Promise<LogRig> {
    return new LogRig(await preparedDisk(), options);
  }

  /** One socket read of the next `length` bytes. */
  read(length: number): void {
    const from = this.writer.received + 1;
    const to = from + length - 1;
    this.writer.append(this.primary.bytes(from, to), undefined, this.clock.wall(), this.primary.markAt(to));
  }

  /** A read that ends exactly at the next boundary. */
  command(): void {
    this.read(this.primary.nextBoundary(this.writer.received) - this.writer.received);
  }

  /** Reads of these lengths, each made durable before the next. */
  async commits(...lengths: number[]): Promise<void> {
    for (const length of lengths) {
      this.read(length);
      await this.writer.drain();
      this.clock.advance(10);
    }
  }

  async seal(): Promise<void> {
    for (const { path, end } of this.completed.splice(0)) await sealSegment(this.disk, path, end);
  }
}

export async function timelineOf(disk: Disk): Promise<Timeline> {
  const { timelines } = await loadCatalog(disk, tree);
  const [timeline] = timelines;
  if (timeline === undefined) throw new Error('there is no timeline');
  return timeline;
}

/** The stream bytes that a reader gets, from the base to the end. */
export async function streamOf(disk: Disk, timeline?: Timeline): Promise<Buffer> {
  const { base, end, segments } = timeline ?? (await timelineOf(disk));
  const parts: Buffer[] = [];
  let next = base.record.offset + 1;
  for await (const { start, bytes } of readRange(disk, segments, next, end)) {
    expect(start).toBe(next);
    parts.push(Buffer.from(bytes));
    next += bytes.length;
  }
  return Buffer.concat(parts);
}

/** The frames of a segment, in short. */
export async function framesOf(disk: Disk, path: string): Promise<FrameHeader[]> {
  await using reader = await openSegmentReader(disk, path, path.endsWith('.seg') ? 'sealed' : 'open');
  const headers: FrameHeader[] = [];
  for await (const { header } of reader.frames()) headers.push(header);
  return headers;
}
