// The promise of the log, under a disk that loses power at any operation: what was told to be durable is there, a tail
// may vanish, a hole never appears, and the next process goes on. The scenarios are random; a failing one prints its
// seed, and is repeated by giving it to fc.assert.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IdEntry } from '../../journal-format/fields.ts';
import { StorageError } from '../../src/core/errors.ts';
import { recover } from '../../src/log/recovery.ts';
import { moveAsideFrom, writeMark, writeStop } from '../../src/log/timeline-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { Fault, SimulatedDisk } from '../support/simulated-disk.ts';
import {
  LogRig,
  baseOffset,
  directory,
  idA,
  idB,
  preparedDisk,
  settle,
  streamOf,
  timelineOf,
  tree,
} from './log-rig.ts';
import { Primary } from './primary.ts';

type Step =
  | { readonly do: 'read'; readonly bytes: number }
  | { readonly do: 'hurry' | 'drain' | 'attach' | 'switch' | 'seal' | 'mark' | 'stop' | 'settle' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'ticks'; readonly count: number };

/** One life of the process: what it does, and the operations that fail, or end it. */
interface Life {
  readonly steps: readonly Step[];
  readonly faults: readonly { readonly at: number; readonly fault: Fault }[];
  /** A killed process leaves the page cache behind, a power loss does not. */
  readonly end: 'killed' | 'power';
  readonly seed: number;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('read' as const), bytes: fc.integer({ min: 1, max: 150 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ticks' as const), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 50, 61_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('hurry', 'hurry', 'drain', 'settle', 'attach', 'switch', 'seal', 'mark', 'stop'),
    }),
  },
);

const life: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 60 }),
  faults: fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 120 }),
      fault: fc.constantFrom('power', 'power', 'io', 'io', 'no-space'),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  end: fc.constantFrom('power', 'power', 'killed'),
  seed: fc.integer({ min: 0, max: 1_000_000 }),
});

/** What outlives the processes: the disk, the primary, the time, and what was promised. */
class World {
  disk: SimulatedDisk;
  readonly primary: Primary;
  readonly clock = new ManualClock();
  /** The highest offset ever told to be durable. */
  promised = baseOffset;
  /** Ids that were durable with all behind them. */
  promisedIds: readonly IdEntry[] = [];
  #marks = 0;

  private constructor(disk: SimulatedDisk, seed: number) {
    this.disk = disk;
    this.primary = new Primary(baseOffset, seed);
  }

  static async create(seed: number): Promise<World> {
    return new World(await preparedDisk(), seed);
  }

  /** Recovers, checks what is found, lives, dies. */
  async live({ steps, faults, end, seed }: Life, segmentBytes: number): Promise<void> {
    let rig = await this.begin(segmentBytes);
    const first = this.disk.operations.length;
    this.disk.fault = ({ index }) => faults.find(({ at }) => index === first + at)?.fault;
    for (const one of steps) {
      if (rig.failures.length > 0) rig = await this.#renew(rig, segmentBytes);
      if (this.disk.isDead) break;
      await this.#do(rig, one).catch(() => undefined);
    }
    await this.#close(rig);
    this.disk = end === 'power' || this.disk.isDead ? this.disk.crash(seed) : this.disk.kill();
  }

  async #close(rig: LogRig): Promise<void> {
    this.promised = Math.max(this.promised, ...rig.durable);
    await rig.writer.close().catch(() => undefined);
    this.promised = Math.max(this.promised, ...rig.durable);
  }

  /** After a failed write or sync: the same process goes on in another file, or tries again when that fails, too. */
  async #renew(rig: LogRig, segmentBytes: number): Promise<LogRig> {
    await this.#close(rig);
    const { disk, clock, primary } = this;
    const tail = rig.writer.durableTail;
    expect(tail.offset, 'whole commands that were promised').toBeGreaterThanOrEqual(
      primary.markAt(this.promised).boundary,
    );
    // The beginning of a command may have been durable; it will be fetched again.
    this.promised = tail.offset;
    this.promisedIds = this.promisedIds.filter(({ offset }) => offset <= tail.offset);
    while (!disk.isDead) {
      try {
        await moveAsideFrom(disk, tree, directory, tail.offset + 1);
        break;
      } catch (error) {
        expect(error).toBeInstanceOf(StorageError);
      }
    }
    return new LogRig(disk, { tail, segmentBytes, clock, primary });
  }

  /** A process that starts on what is left; everything it finds is right. */
  async begin(segmentBytes: number): Promise<LogRig> {
    const { newest, unsealed } = await recover(this.disk, tree);
    if (newest === undefined) throw new Error('the timeline is gone');
    const { tail } = newest;
    expect(tail.offset).toBeGreaterThanOrEqual(this.promised);
    const timeline = await timelineOf(this.disk);
    expect(timeline.end).toBe(tail.offset);
    expect((await streamOf(this.disk, timeline)).equals(this.primary.bytes(baseOffset + 1, tail.offset))).toBe(true);
    expect({ boundary: tail.boundary, boundaryDb: tail.db }).toEqual(this.primary.markAt(tail.offset));
    expect(tail.ids.slice(0, this.promisedIds.length)).toEqual(this.promisedIds);
    expect(timeline.ids).toEqual(tail.ids);
    this.promisedIds = tail.ids;
    const { clock, primary, disk } = this;
    const rig = new LogRig(disk, { tail, segmentBytes, clock, primary });
    rig.completed.push(...unsealed);
    return rig;
  }

  async #do(rig: LogRig, one: Step): Promise<void> {
    const { writer } = rig;
    switch (one.do) {
      case 'read':
        rig.read(one.bytes);
        break;
      case 'hurry':
        writer.hurry();
        break;
      case 'drain':
        await writer.drain();
        break;
      case 'attach':
        writer.attach(writer.id, this.clock.wall());
        break;
      case 'switch':
        writer.attach(writer.id === idA ? idB : idA, this.clock.wall());
        break;
      case 'seal':
        await rig.seal();
        break;
      case 'mark':
        await this.#mark(rig);
        break;
      case 'stop':
        await writer.drain();
        await writeStop(rig.disk, directory, { timeline: 1, offset: writer.durable, stamp: writer.lastStamp });
        break;
      case 'settle':
        await settle();
        break;
      case 'wait':
        this.clock.advance(one.ms);
        break;
      case 'ticks':
        for (let i = 0; i < one.count; i += 1) await Promise.resolve();
        break;
    }
  }

  async #mark({ writer, disk, primary }: LogRig): Promise<void> {
    const { boundary: offset } = primary.markAt(writer.durable);
    const stamp = this.clock.wall();
    this.#marks += 1;
    await writeMark(disk, tree, {
      name: `mark ${this.#marks}`,
      timeline: 1,
      id: writer.id,
      offset,
      stamp,
      created: stamp,
    });
  }
}

const runs = 400;

test(`whatever is lost with the power was not promised, in ${runs} histories`, { timeout: 60_000 }, async () => {
  const history = fc.record({
    lives: fc.array(life, { minLength: 1, maxLength: 4 }),
    segmentBytes: fc.constantFrom(1, 60, 300, 2000),
    seed: fc.integer({ min: 0, max: 1000 }),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ lives, segmentBytes, seed }) => {
      const world = await World.create(seed);
      for (const one of lives) await world.live(one, segmentBytes);
      const rig = await world.begin(segmentBytes);
      for (let i = 0; i < 5; i += 1) {
        rig.read(37);
        await rig.writer.drain();
      }
      await rig.seal();
      const { end } = await timelineOf(world.disk);
      expect(end).toBe(rig.writer.received);
      expect((await streamOf(world.disk)).equals(world.primary.bytes(baseOffset + 1, end))).toBe(true);
      await rig.writer.close();
    }),
    { numRuns: runs },
  );
});
