// A journal of a week, made within a minute: a segment for each minute of a clock of its own, through the real capture
// and the real sealing, on a disk that does not sync. Most minutes hold a few commands; every so often one holds a whole
// segment of 64 MiB, with as many blocks and frames as a busy primary makes.
// Neighbours: locate.ts and find.ts measure on it.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock, Micros } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Capture } from '../../src/daemon/capture.ts';
import { WorkerBaseChecker } from '../../src/daemon/base-checker.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import type { StreamSink } from '../../src/upstream/sink.ts';
import { unsyncedDisk } from '../../test/support/wrapped-disk.ts';

export const sourceName = 'bench';
const id = 'f1e40c5e00000000000000000000000000000002';
const baseOffset = 1000;
const begun: Micros = Date.UTC(2026, 0, 1) * 1000;
const minute: Micros = 60_000_000;

const readsPerMinute = 10;
const readsPerFullSegment = 1024;
export const commandsPerFullRead = 450;
export const commandsPerSmallRead = 3;
/** More than a block holds, so that none compresses better than life. */
const differentReads = 31;
/** Written once in the first of so many full segments. */
export const rareKey = 'rare:00000000017';
export const fullSegmentsPerRare = 16;
/** A frame of a full segment: several reads, as one write takes them. */
const readsPerFrame = 8;

/** A read of the stream: whole commands, so that its last byte is a boundary. */
export interface Read {
  readonly stamp: Micros;
  readonly end: number;
}

export interface LongJournal {
  readonly id: string;
  readonly segments: number;
  /** Every read, in order. */
  readonly reads: readonly Read[];
  /** Indexes of the reads that lie in full segments. */
  readonly inFullSegments: readonly number[];
}

/** `segments` sealed segments in `root`, of which every `fullEvery`-th is full, and an open one behind them. */
export async function makeLongJournal(root: string, segments: number, fullEvery: number): Promise<LongJournal> {
  const clock = new MinuteClock();
  const errors: unknown[] = [];
  const noteError = (error: unknown): void => void errors.push(error);
  await using capture = await Capture.open({
    disk: unsyncedDisk,
    clock,
    root,
    tree: sourceTree(root, sourceName),
    address: '127.0.0.1:6379',
    relativeTtl: 'refuse',
    seal: (path, end) => sealSegment(unsyncedDisk, path, end, knownCommands),
    check: (path) => new WorkerBaseChecker(path),
    events: {
      recovered: () => undefined,
      progressed: () => undefined,
      gap: () => undefined,
      sealed: () => undefined,
      failed: noteError,
      sealFailed: (_path, error) => noteError(error),
    },
  });
  const sink = await beginTimeline(capture);
  const script = new Script(sink, clock);
  for (let i = 0; i < segments; i += 1) await script.writeMinute(i % fullEvery === fullEvery - 1);
  await script.writeMinute(false);
  while ((capture.progress?.sealing ?? 0) > 0 && errors.length === 0) {
    // The burst is over.
    clock.beginMinute();
    await sleep(20);
  }
  await capture.stop();
  if (errors.length > 0) throw errors[0];
  return { id, segments, reads: script.reads, inFullSegments: script.inFullSegments };
}

async function beginTimeline(capture: Capture): Promise<StreamSink> {
  const head = { magic: 'REDIS', version: 10, aux: new Map<string, string>() } as const;
  const stamp = capture.stamp();
  const full = await capture.beginFullSync({ position: { id, offset: baseOffset }, stamp, server: undefined });
  // An empty RDB, without a checksum.
  full.append([Buffer.concat([Buffer.from('REDIS0010\xff', 'latin1'), Buffer.alloc(8)])], undefined);
  const sink = full.beginStream(head);
  await full.publish(head);
  return sink;
}

/** Writes minute after minute, and remembers what it wrote. */
class Script {
  readonly reads: Read[] = [];
  readonly inFullSegments: number[] = [];
  readonly #sink: StreamSink;
  readonly #clock: MinuteClock;
  readonly #small = commands(commandsPerSmallRead);
  readonly #large = Array.from({ length: differentReads }, () => commands(commandsPerFullRead));
  /** The key of its first command is the rare one. */
  readonly #rare = Buffer.from(this.#large[0] ?? []);
  #fullSegments = 0;
  #end = baseOffset;

  constructor(sink: StreamSink, clock: MinuteClock) {
    this.#sink = sink;
    this.#clock = clock;
    this.#rare.write(rareKey, this.#rare.indexOf('key:'), 'latin1');
  }

  async writeMinute(isFull: boolean): Promise<void> {
    if (isFull) this.#fullSegments += 1;
    const hasRare = isFull && this.#fullSegments % fullSegmentsPerRare === 1;
    const count = isFull ? readsPerFullSegment : readsPerMinute;
    this.#clock.beginMinute();
    for (let i = 0; i < count; i += 1) {
      // The first read of a minute comes at its very beginning: 60 s after the segment was begun, one is due.
      const stamp = this.#clock.wall() + Math.floor((i * minute) / count);
      const large = hasRare && i === 0 ? this.#rare : this.#large[i % differentReads];
      const bytes = isFull ? (large ?? this.#small) : this.#small;
      this.#end += bytes.length;
      if (isFull) this.inFullSegments.push(this.reads.length);
      this.reads.push({ stamp, end: this.#end });
      this.#sink.append(bytes, undefined, stamp, { boundary: this.#end, boundaryDb: 0 });
      if (i % readsPerFrame === readsPerFrame - 1) await this.#sink.drain();
    }
    await this.#sink.drain();
  }
}

/** 144 bytes each, with values that hardly compress. */
function commands(count: number): Buffer {
  const values = Array.from({ length: count }, () => randomBytes(75).toString('base64'));
  const lines = values.map((value, key) => {
    return `*3\r\n$3\r\nSET\r\n$16\r\nkey:${String(key).padStart(12, '0')}\r\n$100\r\n${value}\r\n`;
  });
  return Buffer.from(lines.join(''));
}

/** Stands still until the next minute is begun. Timers are real. */
class MinuteClock implements Clock {
  #now: Micros = begun;

  readonly sleep: Clock['sleep'] = (ms, signal) => systemClock.sleep(ms, signal);
  readonly after: Clock['after'] = (ms, fn) => systemClock.after(ms, fn);
  readonly wall = (): Micros => this.#now;
  readonly monotonic = (): Micros => this.#now;

  beginMinute(): void {
    this.#now += minute;
  }
}
