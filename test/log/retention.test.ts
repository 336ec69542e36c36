// What goes when only so much is to be kept, and what a removal leaves behind, however far it came.
import { describe, expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { recover } from '../../src/log/recovery.ts';
import { applyRetention } from '../../src/log/removal.ts';
import { planRetention } from '../../src/log/retention.ts';
import type { Holder, KeepRule, KeptTimeline, RetentionPlan } from '../../src/log/retention.ts';
import { writeMark } from '../../src/log/timeline-store.ts';
import { verifySource } from '../../src/log/verify.ts';
import { explainRemoved } from '../../src/restore/locate/locate-removed.ts';
import { locate } from '../../src/restore/locate/locate.ts';
import type { Target } from '../../src/restore/locate/target.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import { addTimeline, baseOffset, idA, idB, LogRig, preparedDisk, tree } from './log-rig.ts';

describe('the plan', () => {
  const timeline = (number: number, last: number, bytes: number): KeptTimeline => ({
    number,
    last,
    baseBytes: bytes,
    segments: [
      { last: last - 5, bytes },
      { last, bytes },
    ],
  });
  const three = [timeline(1, 100, 10), timeline(2, 200, 10), timeline(3, 300, 10)];
  const size = (bytes: number): { kind: 'size'; bytes: number } => ({ kind: 'size', bytes });
  const age = (micros: number): { kind: 'age'; micros: number } => ({ kind: 'age', micros });

  test('removes timelines of which the last instant is too old, the oldest first', () => {
    expect(planRetention(three, age(100), 350)).toMatchObject({ remove: [1, 2], heldBytes: 0 });
    expect(planRetention(three, age(150), 350)).toMatchObject({ remove: [1], heldBytes: 0 });
    expect(planRetention(three, age(250), 350)).toMatchObject({ remove: [], heldBytes: 0 });
  });

  test('never removes the newest, and says how much of it would go if there were a newer base', () => {
    expect(planRetention(three, age(53), 350)).toMatchObject({ remove: [1, 2], heldBytes: 10 });
    expect(planRetention(three, age(1), 10_000)).toMatchObject({ remove: [1, 2], heldBytes: 20 });
  });

  test('keeps what is younger even when a later timeline is older, as after a clock that was set back', () => {
    const [first, second, third] = [timeline(1, 500, 10), timeline(2, 200, 10), timeline(3, 300, 10)];
    expect(planRetention([first, second, third], age(100), 450)).toMatchObject({ remove: [], heldBytes: 0 });
  });

  test('removes the oldest until what is left is no larger than it may be', () => {
    expect(planRetention(three, size(90), 0)).toMatchObject({ remove: [], heldBytes: 0 });
    expect(planRetention(three, size(89), 0)).toMatchObject({ remove: [1], heldBytes: 0 });
    expect(planRetention(three, size(60), 0)).toMatchObject({ remove: [1], heldBytes: 0 });
    expect(planRetention(three, size(59), 0)).toMatchObject({ remove: [1, 2], heldBytes: 0 });
    expect(planRetention(three, size(20), 0)).toMatchObject({ remove: [1, 2], heldBytes: 10 });
  });

  test('of nothing is nothing', () => {
    expect(planRetention([], size(1), 0)).toEqual({ remove: [], heldBytes: 0, heldFor: [], lost: [] });
  });

  const copy = (from: number, name = 'copy'): Holder => ({ name, from });
  const plan = (rule: KeepRule, holders: readonly Holder[], shortBytes = 0): Omit<RetentionPlan, 'heldBytes'> => {
    const { heldBytes: _, ...rest } = planRetention(three, rule, 10_000, { holders, shortBytes });
    return rest;
  };

  test.each([
    ['age', age(1)],
    ['size', size(1)],
  ] as const)('by %s leaves a delayed copy what it needs, and all behind it, and says how much', (_, rule) => {
    expect(plan(rule, [copy(1)])).toEqual({ remove: [], heldFor: [{ name: 'copy', bytes: 60 }], lost: [] });
    expect(plan(rule, [copy(2)])).toEqual({ remove: [1], heldFor: [{ name: 'copy', bytes: 30 }], lost: [] });
    expect(plan(rule, [copy(3)])).toEqual({ remove: [1, 2], heldFor: [], lost: [] });
  });

  test('leaves everything to a copy for which nothing is due yet, and nothing to one that has lost its place', () => {
    expect(plan(size(1), [copy(0)]).remove).toEqual([]);
    expect(plan(size(1), [copy(Infinity)])).toEqual({ remove: [1, 2], heldFor: [], lost: [] });
  });

  test('says of a copy only what the rule asks for', () => {
    expect(plan(size(89), [copy(1)])).toEqual({ remove: [], heldFor: [{ name: 'copy', bytes: 30 }], lost: [] });
    expect(plan(size(90), [copy(1)])).toEqual({ remove: [], heldFor: [], lost: [] });
  });

  test('goes by the copy that is furthest back, and tells of each what is kept for it', () => {
    const heldFor = [
      { name: 'near', bytes: 30 },
      { name: 'far', bytes: 60 },
    ];
    expect(plan(size(1), [copy(2, 'near'), copy(1, 'far')])).toEqual({ remove: [], heldFor, lost: [] });
  });

  test('removes for want of room what a copy needs, the oldest, no more than makes room, and says whose it was', () => {
    expect(plan(size(1), [copy(1)], 1)).toEqual({
      remove: [1],
      heldFor: [{ name: 'copy', bytes: 30 }],
      lost: ['copy'],
    });
    expect(plan(size(1), [copy(2)], 30)).toMatchObject({ remove: [1], lost: [] });
    expect(plan(size(1), [copy(2), copy(1, 'far')], 31)).toEqual({
      remove: [1, 2],
      heldFor: [],
      lost: ['copy', 'far'],
    });
  });

  test('removes nothing for want of room that the rule does not ask for, and never the newest', () => {
    expect(plan(size(90), [copy(1)], 1000)).toEqual({ remove: [], heldFor: [], lost: [] });
    expect(plan(size(1), [copy(1)], 1000).remove).toEqual([1, 2]);
  });
});

const secondOffset = 50_000;
const stamp = 1_800_000_000_000_000;
const keep = { rule: { kind: 'size', bytes: 1 }, words: '--keep-local 1MB' } as const;
const now = stamp + 1_000_000;

/** Two timelines, each with some stream, a mark on the first. */
async function twoTimelines(): Promise<SimulatedDisk> {
  const disk = await preparedDisk();
  const first = new LogRig(disk, { segmentBytes: 100 });
  for (let i = 0; i < 10; i += 1) first.command();
  await first.writer.drain();
  await first.writer.close();
  const { durable: offset, lastStamp } = first.writer;
  const place = { timeline: 1, id: idA, offset, stamp: lastStamp };
  await writeMark(disk, tree, { ...place, name: 'a mark', created: lastStamp });
  await addTimeline(disk, 2, idB, secondOffset, { stamp, from: place });
  disk.operations.length = 0;
  return disk;
}

async function apply(disk: SimulatedDisk): Promise<void> {
  const { timelines } = await loadCatalog(disk, tree);
  await applyRetention(disk, tree, timelines, keep, now);
}

describe('a removal', () => {
  test('leaves a journal that is whole, and knows what was in it', async () => {
    const disk = await twoTimelines();
    const [gone] = (await loadCatalog(disk, tree)).timelines;
    await apply(disk);
    const { timelines, unfinished, removed } = await loadCatalog(disk, tree);
    expect([timelines.map(({ number }) => number), unfinished]).toEqual([[2], []]);
    expect(removed).toMatchObject([{ timeline: 1, offset: baseOffset, end: gone?.boundary, removed: now }]);
    expect(timelines[0]?.gap?.from.timeline).toBe(1);
    expect([...disk.files().keys()].filter((path) => path.includes('timelines/00000001'))).toEqual([]);
    const report = await verifySource(disk, tree);
    expect(report.problems).toEqual([]);
    expect(report.marks).toMatchObject([{ isRestorable: false }]);
    expect(report.notes.join()).toContain('which was removed');
  });

  test('by age counts from the last that was received: a clock that was set forward removes nothing', async () => {
    const disk = await twoTimelines();
    const { timelines } = await loadCatalog(disk, tree);
    const [gone, kept] = timelines;
    const age = (kept?.base.record.completed ?? 0) - (gone?.lastStamp ?? 0);
    const years = now + 20 * 365 * 86_400_000_000;
    for (const [micros, count] of [
      [age + 1, 0],
      [age - 1, 1],
    ] as const) {
      const byAge = { rule: { kind: 'age', micros }, words: '--keep-local 1d' } as const;
      expect((await applyRetention(disk, tree, timelines, byAge, years)).removed).toHaveLength(count);
    }
  });

  test('that was cut off at any operation, by the power or an error, is finished by the next writer or never began', async () => {
    const whole = await twoTimelines();
    await apply(whole);
    const count = whole.operations.length;
    expect(count).toBeGreaterThan(8);
    for (const fault of ['power', 'io'] as const) {
      for (let at = 0; at < count; at += 1) {
        const disk = await twoTimelines();
        disk.fault = ({ index }) => (index === at ? fault : undefined);
        await expect(apply(disk), `operation ${at}`).rejects.toMatchObject({ code: 'io' });
        for (let seed = 0; seed < 8; seed += 1)
          await expectTruth(disk.afterPowerLoss(seed), `${fault} at ${at}, ${seed}`);
      }
    }
  });

  /** Either all of the first timeline is there, or it is said to have been removed: before recovery and behind it. */
  async function expectTruth(disk: SimulatedDisk, message: string): Promise<void> {
    for (const step of ['as found', 'recovered']) {
      if (step === 'recovered') await recover(disk, tree);
      const { timelines, removed, unfinished } = await loadCatalog(disk, tree);
      const numbers = [...removed.map(({ timeline }) => timeline), ...timelines.map(({ number }) => number)];
      expect([numbers, unfinished], `${message}, ${step}`).toEqual([[1, 2], []]);
      expect((await verifySource(disk, tree)).problems, `${message}, ${step}`).toEqual([]);
    }
    const { removed } = await loadCatalog(disk, tree);
    const rest = [...disk.files().keys()].filter((path) => path.includes('timelines/00000001'));
    if (removed.length > 0) expect(rest, message).toEqual([]);
  }
});

describe('a target in what was removed', () => {
  const refused = async (target: Target): Promise<unknown> => {
    const disk = await twoTimelines();
    await apply(disk);
    return await locate(disk, await loadCatalog(disk, tree), target, 'at').catch((error: unknown) => error);
  };

  test('is refused as removed, with the oldest that is left, and not as never covered', async () => {
    const disk = await twoTimelines();
    const [first] = (await loadCatalog(disk, tree)).timelines;
    const at = first?.lastStamp ?? 0;
    const targets: Target[] = [
      { kind: 'time', at },
      { kind: 'position', idPrefix: idA.slice(0, 8), offset: baseOffset + 1 },
      { kind: 'mark', name: 'a mark' },
    ];
    for (const target of targets) {
      const error = await refused(target);
      expect(error).toMatchObject({ code: 'removed', exitCode: 4 });
      expect(error).toMatchObject({ message: expect.stringContaining('--keep-local 1MB') });
      expect(error).toMatchObject({ hint: expect.stringContaining(`${idB}:${secondOffset}`) });
    }
  });

  test('is told from one that never was covered', async () => {
    expect(await refused({ kind: 'time', at: 5 })).toMatchObject({ code: 'time-not-covered' });
    const position = { kind: 'position', idPrefix: idB, offset: 5 } as Target;
    expect(await refused(position)).toMatchObject({ code: 'position-not-covered' });
    const other = new Error('x');
    expect(explainRemoved(other, { tree, timelines: [], damaged: [], unfinished: [], removed: [] }, position)).toBe(
      other,
    );
  });
});
