// What is due of a timeline by some instant: never a byte before its time, never inside a command or MULTI, and not later
// than the commit that it came with.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockCache } from '../../src/log/block-cache.ts';
import { DueBoundary } from '../../src/log/due-boundary.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';

const start = 1000;
const id = 'a'.repeat(40);
const completed = 1_000_000;

/** A command, or a MULTI, in reads of any sizes; each read comes some µs later, and some are committed. */
const script = fc.array(
  fc.record({
    isGroup: fc.boolean(),
    cuts: fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 3 }),
    later: fc.integer({ min: 0, max: 5 }),
    isCommitted: fc.boolean(),
  }),
  { minLength: 1, maxLength: 30 },
);

interface Boundary {
  readonly offset: number;
  readonly stamp: number;
}

/** Writes it, and returns the boundaries, each with the last stamp that its commit can have. */
async function write(timeline: TimelineBuilder, steps: readonly Step[]): Promise<Boundary[]> {
  const boundaries: Boundary[] = [{ offset: start, stamp: completed }];
  let open: number[] = [];
  let stamp = completed;
  for (const [i, { isGroup, cuts, later, isCommitted }] of steps.entries()) {
    const set = encodeCommand('SET', `key:${i}`, 'value');
    const bytes = isGroup ? Buffer.concat([encodeCommand('MULTI'), set, set, encodeCommand('EXEC')]) : set;
    const ends = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((a, b) => a - b);
    for (const [n, end] of [...ends, bytes.length].entries()) {
      const part = bytes.subarray(n === 0 ? 0 : ends[n - 1], end);
      if (part.length === 0) continue;
      stamp += later;
      timeline.read(part, stamp);
    }
    open.push(timeline.end);
    if (!isCommitted) continue;
    await timeline.commit();
    boundaries.push(...open.map((offset) => ({ offset, stamp })));
    open = [];
  }
  await timeline.commit();
  return [...boundaries, ...open.map((offset) => ({ offset, stamp }))];
}

interface Step {
  readonly isGroup: boolean;
  readonly cuts: readonly number[];
  readonly later: number;
  readonly isCommitted: boolean;
}

test('it is the last boundary that had come by then, commit by commit, and never goes back', async () => {
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      await using journal = await JournalBuilder.create();
      const timeline = await journal.timeline({ id, offset: start, completed, segmentBytes: 200 });
      const boundaries = await write(timeline, steps);
      await timeline.seal(1);
      const from = { offset: start, stamp: completed };
      await using due = new DueBoundary(localDisk, timeline.directory, from, new BlockCache());
      for (let horizon = completed; horizon <= timeline.lastStamp + 1; horizon += 2) {
        const { offset } = await due.at(horizon, timeline.end);
        const latest = boundaries.findLast(({ stamp }) => stamp <= horizon)?.offset;
        expect(offset).toBeGreaterThanOrEqual(latest ?? 0);
        expect(timeline.stampOf(offset)).toBeLessThanOrEqual(horizon);
        expect(boundaries.map((boundary) => boundary.offset)).toContain(offset);
      }
    }),
    { numRuns: 60 },
  );
});

test('what is not durable is not due, however old it is', async () => {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: start, completed });
  for (let i = 0; i < 3; i += 1) {
    timeline.read(encodeCommand('SET', `key:${i}`, 'value'), completed + i);
    await timeline.commit();
  }
  const [first, second] = timeline.reads.map(({ end }) => end);
  const from = { offset: start, stamp: completed };
  await using due = new DueBoundary(localDisk, timeline.directory, from, new BlockCache());
  expect((await due.at(Infinity, start)).offset).toBe(start);
  expect((await due.at(Infinity, first ?? 0)).offset).toBe(first);
  expect((await due.at(Infinity, (second ?? 0) - 1)).offset).toBe(first);
  expect((await due.at(Infinity, timeline.end)).offset).toBe(timeline.end);
});
