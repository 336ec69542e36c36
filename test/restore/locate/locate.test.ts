// From targets to cuts, on journals written by the log: against a model that looks at the script alone, and refusals that
// say what is covered in a form that is covered.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CoverageError } from '../../../src/core/errors.ts';
import { formatPosition } from '../../../src/core/position.ts';
import type { Offset } from '../../../src/core/position.ts';
import type { Catalog } from '../../../src/log/catalog.ts';
import { locate } from '../../../src/restore/locate/locate.ts';
import type { Cut, CutMode } from '../../../src/restore/locate/locate.ts';
import { parseTarget } from '../../../src/restore/locate/target.ts';
import type { Target } from '../../../src/restore/locate/target.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { writeMark } from '../../../src/log/timeline-store.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';
import type { TimelineBuilder } from '../../support/journal-builder.ts';
import { command } from '../../redis-protocol/bytes.ts';

const modes = ['at', 'before'] as const;
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const idA = 'a'.repeat(40);
const idB = `${'a'.repeat(8)}${'b'.repeat(32)}`;
const idC = 'c'.repeat(40);

/** What the stream consists of; a boundary is behind each. */
interface Unit {
  readonly kind: 'set' | 'multi' | 'ping' | 'select';
  readonly size: number;
}

interface Script {
  readonly units: readonly Unit[];
  /** Sizes of reads, over and over; the time between two, in µs; whether a frame ends behind it. */
  readonly readBytes: readonly number[];
  readonly pauses: readonly number[];
  readonly commits: readonly boolean[];
  readonly segmentBytes: number;
  readonly keepOpen: number;
  /** Bytes of a command that is not whole at the end. */
  readonly cutOff: boolean;
}

function bytesOf({ kind, size }: Unit): Buffer {
  const value = Buffer.alloc(size, '*1\r\n$4\r\nEXEC\r\n');
  switch (kind) {
    case 'set':
      return command('SET', 'key', value);
    case 'multi':
      return Buffer.concat([command('MULTI'), command('SET', 'key', value), command('SELECT', '3'), command('EXEC')]);
    case 'ping':
      return command('ping');
    case 'select':
      return command('SELECT', String(size % 16));
  }
}

/** A timeline written as the script says, and its boundaries, found by adding up lengths. */
async function write(timeline: TimelineBuilder, script: Script): Promise<Offset[]> {
  const boundaries = [timeline.script.offset];
  const parts: Buffer[] = [];
  for (const unit of script.units) {
    const bytes = bytesOf(unit);
    parts.push(bytes);
    boundaries.push(boundaries.at(-1)! + bytes.length);
  }
  if (script.cutOff) parts.push(Buffer.concat([command('MULTI'), command('SET', 'key', 'value')]));
  const stream = Buffer.concat(parts);
  let stamp = timeline.script.completed;
  for (let at = 0, i = 0; at < stream.length; i += 1) {
    const size = script.readBytes[i % script.readBytes.length]!;
    stamp += script.pauses[i % script.pauses.length]!;
    timeline.read(stream.subarray(at, at + size), stamp);
    at += size;
    if (script.commits[i % script.commits.length]!) await timeline.commit();
  }
  await timeline.seal(script.keepOpen);
  return boundaries;
}

/** The model: index of the boundary to cut at, among all; undefined when the target is not covered. */
function expectedByTime(
  timeline: TimelineBuilder,
  boundaries: readonly Offset[],
  time: number,
  mode: CutMode,
): number | undefined {
  const stamps = boundaries.map((offset) => timeline.stampOf(offset));
  const isApplied = (stamp: number): boolean => (mode === 'at' ? stamp <= time : stamp < time);
  const last = timeline.lastStamp;
  if (!isApplied(timeline.script.completed) || (mode === 'at' ? time > last : time > last + 1)) return undefined;
  return stamps.findLastIndex(isApplied);
}

function expectedByOffset(
  timeline: TimelineBuilder,
  boundaries: readonly Offset[],
  offset: Offset,
  mode: CutMode,
): number | undefined {
  if (offset > timeline.end) return undefined;
  const index =
    mode === 'at'
      ? boundaries.findIndex((boundary) => boundary >= offset)
      : boundaries.findLastIndex((boundary) => boundary < offset);
  return index === -1 || offset < timeline.script.offset ? undefined : index;
}

function cutAt(
  timeline: TimelineBuilder,
  boundaries: readonly Offset[],
  index: number,
): Omit<Cut, 'requested' | 'id' | 'time'> {
  const [offset, next] = [boundaries[index]!, boundaries[index + 1]];
  return {
    timeline: timeline.number,
    offset,
    lastApplied: { offset, stamp: timeline.stampOf(offset) },
    firstOmitted: next === undefined ? undefined : { offset: next, stamp: timeline.stampOf(next) },
    reached: timeline.stampOf(offset),
  };
}

async function tryLocate(catalog: Catalog, target: Target, mode: CutMode): Promise<Cut | CoverageError> {
  try {
    return await locate(localDisk, catalog, target, mode);
  } catch (error) {
    if (error instanceof CoverageError) return error;
    throw error;
  }
}

async function check(
  catalog: Catalog,
  target: Target,
  mode: CutMode,
  expected: Omit<Cut, 'requested' | 'id' | 'time'> | undefined,
): Promise<void> {
  const found = await tryLocate(catalog, target, mode);
  const label = `${mode} ${JSON.stringify(target)}`;
  if (expected === undefined) expect(found, label).toBeInstanceOf(CoverageError);
  else expect(found, label).toMatchObject(expected);
}

/** Around everything that matters, and nowhere twice. */
function around(values: readonly number[]): number[] {
  return [...new Set(values.flatMap((value) => [value - 1, value, value + 1]))];
}

async function checkAll(
  journal: JournalBuilder,
  timeline: TimelineBuilder,
  boundaries: readonly Offset[],
  inside: readonly Offset[],
): Promise<void> {
  const catalog = await journal.catalog();
  for (const mode of modes) {
    for (const time of around([timeline.script.completed, ...timeline.reads.map(({ stamp }) => stamp)])) {
      const index = expectedByTime(timeline, boundaries, time, mode);
      await check(
        catalog,
        { kind: 'time', at: time },
        mode,
        index === undefined ? undefined : cutAt(timeline, boundaries, index),
      );
    }
    for (const offset of [...around([...boundaries, timeline.end]), ...inside]) {
      const index = expectedByOffset(timeline, boundaries, offset, mode);
      const target = { kind: 'position', idPrefix: idA.slice(0, 6), offset } as const;
      await check(catalog, target, mode, index === undefined ? undefined : cutAt(timeline, boundaries, index));
    }
    const latest = boundaries.length - (mode === 'at' ? 1 : 2);
    await check(catalog, { kind: 'latest' }, mode, latest < 0 ? undefined : cutAt(timeline, boundaries, latest));
  }
}

const arbitraryUnit = (sizeMax: number): fc.Arbitrary<Unit> =>
  fc.record({ kind: fc.constantFrom('set', 'multi', 'ping', 'select'), size: fc.nat({ max: sizeMax }) });

function arbitraryScript(limits: {
  units: number;
  sizeMax: number;
  readMax: number;
  segmentMax: number;
}): fc.Arbitrary<Script> {
  const { units, sizeMax, readMax, segmentMax } = limits;
  return fc.record({
    units: fc.array(arbitraryUnit(sizeMax), { minLength: 1, maxLength: units }),
    readBytes: fc.array(fc.integer({ min: Math.ceil(readMax / 50), max: readMax }), { minLength: 1, maxLength: 8 }),
    pauses: fc.array(fc.constantFrom(0, 0, 1, 5, 1000), { minLength: 1, maxLength: 5 }),
    commits: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
    segmentBytes: fc.integer({ min: 1, max: segmentMax }),
    keepOpen: fc.nat({ max: 2 }),
    cutOff: fc.boolean(),
  });
}

describe('a cut', () => {
  test(
    'is where a plain search of the script finds it, for every time and position',
    { timeout: 120_000 },
    async () => {
      const scripts = arbitraryScript({ units: 12, sizeMax: 100, readMax: 60, segmentMax: 400 });
      await fc.assert(
        fc.asyncProperty(scripts, async (script) => {
          await using journal = await JournalBuilder.create();
          const { segmentBytes } = script;
          const timeline = await journal.timeline({ id: idA, offset: 1000, completed: t0, segmentBytes });
          const boundaries = await write(timeline, script);
          await checkAll(journal, timeline, boundaries, []);
        }),
        { numRuns: 12 },
      );
    },
  );

  test('is found within commands that are larger than frames and blocks', { timeout: 120_000 }, async () => {
    const scripts = arbitraryScript({ units: 5, sizeMax: 2_000_000, readMax: 900_000, segmentMax: 5_000_000 });
    await fc.assert(
      fc.asyncProperty(scripts, fc.array(fc.nat(), { maxLength: 4 }), async (script, picks) => {
        await using journal = await JournalBuilder.create();
        const { segmentBytes } = script;
        const timeline = await journal.timeline({ id: idA, offset: 0, completed: t0, segmentBytes });
        const boundaries = await write(timeline, script);
        await checkAll(
          journal,
          timeline,
          boundaries,
          picks.map((pick) => pick % (timeline.end + 1)),
        );
      }),
      { numRuns: 3 },
    );
  });
});

describe('a cut', () => {
  test('is found in every block of a long segment', { timeout: 60_000 }, async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 0, completed: t0, segmentBytes: 2_500_000 });
    const sizes = [150_000, 90_000, 10, 200_000, 1_500_000, 10, 10, 120_000];
    const kinds = ['set', 'multi', 'ping', 'set', 'multi', 'select', 'set'] as const;
    const units = Array.from({ length: 24 }, (_, i) => ({ kind: kinds[i % 7]!, size: sizes[i % 8]! }));
    const boundaries = await write(timeline, {
      ...{ units, readBytes: [90_000, 130_000, 7000], pauses: [0, 1, 3], commits: [false, false, true] },
      ...{ segmentBytes: 0, keepOpen: 0, cutOff: true },
    });
    expect((await journal.catalog()).timelines[0]!.segments.map(({ kind }) => kind)).toContain('sealed');
    await checkAll(journal, timeline, boundaries, [1_000_000, 1_500_000, 2_000_001]);
  });

  test('ignores what an abandoned file holds beyond its end', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 1000, completed: t0, db: 2 });
    const set = command('SET', 'key', 'value');
    for (let i = 1; i <= 9; i += 1) {
      timeline.read(set, t0 + 10 * i);
      await timeline.commit();
    }
    await timeline.abandon(1000 + 4 * set.length);
    for (let i = 1; i <= 7; i += 1) timeline.read(set, t0 + 90 + 10 * i);
    await timeline.commit();
    const boundaries = Array.from({ length: 12 }, (_, i) => 1000 + i * set.length);
    expect((await journal.catalog()).timelines[0]!.segments).toHaveLength(2);
    await checkAll(journal, timeline, boundaries, []);
  });

  test('does not go up to an attachment: that the stream goes on is no evidence of what was before', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 1000, completed: t0 });
    const set = command('SET', 'key', 'value');
    timeline.read(set, t0 + 10);
    await timeline.commit();
    timeline.attach(idA, t0 + 500);
    await timeline.commit();
    await checkAll(journal, timeline, [1000, 1000 + set.length], []);
    const catalog = await journal.catalog();
    expect(await tryLocate(catalog, { kind: 'time', at: t0 + 500 }, 'at')).toBeInstanceOf(CoverageError);
  });

  test('goes up to a tick: by then the primary had nothing more', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 1000, completed: t0 });
    const set = command('SET', 'key', 'value');
    timeline.read(set, t0 + 10);
    timeline.tick(t0 + 500);
    await timeline.commit();
    await checkAll(journal, timeline, [1000, 1000 + set.length], []);
    const catalog = await journal.catalog();
    expect(await tryLocate(catalog, { kind: 'time', at: t0 + 500 }, 'at')).toMatchObject({ reached: t0 + 10 });
    expect(await tryLocate(catalog, { kind: 'time', at: t0 + 501 }, 'at')).toBeInstanceOf(CoverageError);
  });
});

const second = 1_000_000;

/** Three timelines: the second after an outage (another history), the third after a longer one (the same history). */
async function threeTimelines(): Promise<{ journal: JournalBuilder; catalog: Catalog }> {
  const journal = await JournalBuilder.create();
  const first = await journal.timeline({ id: idA, offset: 100, completed: t0 });
  for (let i = 1; i <= 5; i += 1) first.read(command('SET', 'key', `value-${i}`), t0 + i * second);
  await first.commit();
  const second_ = await journal.timeline({ id: idB, offset: 50, completed: t0 + 60 * second });
  for (let i = 1; i <= 5; i += 1) second_.read(command('SET', 'key', `value-${i}`), t0 + (60 + i) * second);
  const third = await journal.timeline({
    id: idB,
    offset: 9000,
    completed: t0 + 120 * second,
    cause: 'backlog-overrun',
  });
  third.read(command('MULTI'), t0 + 121 * second);
  await third.commit();
  return { journal, catalog: await journal.catalog() };
}

/** Every target that a hint names with `--at`. */
function targetsIn(hint: string | undefined): Target[] {
  return [...(hint ?? '').matchAll(/--at (\S+?)(?=[;,]?(?:\s|$))/g)].map(([, text = '']) =>
    parseTarget(text, { now: 0, zone: undefined }),
  );
}

describe('a time that is not covered is refused', () => {
  const cases: readonly (readonly [string, number, CutMode, RegExp])[] = [
    ['before everything', t0 - second, 'at', /2026-11-20T14:29:59\.000Z is before the first base/],
    ['at the very beginning, exclusively', t0, 'before', /the moment before .*30:00\.000Z is before the first base/],
    [
      'in a gap',
      t0 + 30 * second,
      'at',
      /14:30:30\.000Z lies in a gap from .*30:05\.000Z to .*31:00\.000Z: .*another history/,
    ],
    ['at the base behind a gap, exclusively', t0 + 60 * second, 'before', /lies in a gap/],
    ['in a gap of the same history', t0 + 90 * second, 'at', /kept its backlog \(as the test wanted it\)/],
    ['behind the end', t0 + 200 * second, 'at', /33:20\.000Z is behind the end of the journal/],
  ];

  test.each(cases)('%s', async (_name, at, mode, message) => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const refused = await tryLocate(catalog, { kind: 'time', at }, mode);
    expect(refused).toBeInstanceOf(CoverageError);
    expect(refused).toMatchObject({ exitCode: 4, message: expect.stringMatching(message) });
    const named = targetsIn((refused as CoverageError).hint);
    expect(named.length).toBeGreaterThan(0);
    for (const target of named) expect(await tryLocate(catalog, target, 'at')).toHaveProperty('offset');
    const instants = named.flatMap((target) => (target.kind === 'time' ? [target.at] : []));
    const covered = [t0, t0 + 5 * second, t0 + 60 * second, t0 + 65 * second, t0 + 120 * second, t0 + 121 * second];
    const limit = mode === 'at' ? at : at - 1;
    const nearest = [covered.findLast((one) => one < limit), covered.find((one) => one > limit)];
    expect(instants).toEqual(nearest.filter((one) => one !== undefined));
  });

  test('on an empty journal', async () => {
    await using journal = await JournalBuilder.create();
    const refused = await tryLocate(await journal.catalog(), { kind: 'latest' }, 'at');
    expect(refused).toMatchObject({ exitCode: 4, code: 'nothing-covered' });
  });
});

describe('the end', () => {
  test('is the last whole group of the newest timeline', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const cut = await tryLocate(catalog, { kind: 'latest' }, 'at');
    expect(cut).toMatchObject({
      timeline: 3,
      id: idB,
      offset: 9000,
      reached: t0 + 120 * second,
      firstOmitted: undefined,
    });
  });
});

describe('a position', () => {
  const position = (idPrefix: string, offset: Offset): Target => ({ kind: 'position', idPrefix, offset });

  test('under a prefix of two ids is ambiguous, with both named', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const refused = await tryLocate(catalog, position('aaaa', 120), 'at');
    expect(refused).toMatchObject({
      exitCode: 5,
      code: 'id-ambiguous',
      hint: expect.stringContaining(`${idA}, ${idB}`),
    });
    expect(await tryLocate(catalog, position('aaaaaaaaa', 120), 'at')).toMatchObject({ timeline: 1, id: idA });
  });

  test('under an unknown id is refused, with the known ones named', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const refused = await tryLocate(catalog, position('dddd', 120), 'at');
    expect(refused).toMatchObject({ exitCode: 4, hint: expect.stringContaining(idB) });
  });

  test('between two timelines is refused, with the nearest on both sides named', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const refused = await tryLocate(catalog, position(idB, 5000), 'at');
    expect(refused).toMatchObject({
      exitCode: 4,
      message: expect.stringContaining(`${idB}:5000 is not in the journal`),
    });
    const [end] = journal.timelines.slice(1);
    const named = targetsIn((refused as CoverageError).hint);
    expect(named).toContainEqual({ kind: 'position', idPrefix: idB, offset: end!.end });
    for (const target of named) expect(await tryLocate(catalog, target, 'at')).toHaveProperty('offset');
  });

  test('at a base is the base alone; before it there is nothing', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    expect(await tryLocate(catalog, position(idB, 9000), 'at')).toMatchObject({ timeline: 3, offset: 9000 });
    const refused = await tryLocate(catalog, position(idA, 100), 'before');
    expect(refused).toMatchObject({ exitCode: 4 });
    for (const target of targetsIn((refused as CoverageError).hint)) {
      expect(await tryLocate(catalog, target, 'at')).toMatchObject({ offset: 100 });
    }
  });

  test('in a command that is not whole is refused; before it is the last whole one', async () => {
    const { journal, catalog } = await threeTimelines();
    await using _journal = journal;
    const refused = await tryLocate(catalog, position(idB, 9003), 'at');
    expect(refused).toMatchObject({ exitCode: 4, message: expect.stringContaining('whose end is not in the journal') });
    expect(await tryLocate(catalog, position(idB, 9003), 'before')).toMatchObject({ offset: 9000 });
  });

  test('holds under the id that was in force, and under a later one of the same history', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 100, completed: t0 });
    const set = command('SET', 'key', 'value');
    timeline.read(set, t0 + 1);
    await timeline.commit();
    timeline.attach(idC, t0 + 2);
    timeline.read(set, t0 + 3);
    timeline.read(set, t0 + 4);
    await timeline.commit();
    const catalog = await journal.catalog();
    const [first, last] = [100 + set.length, 100 + 3 * set.length];
    expect(await tryLocate(catalog, position(idA, first), 'at')).toMatchObject({ id: idA, offset: first });
    expect(await tryLocate(catalog, position(idC, first), 'at')).toMatchObject({ id: idA, offset: first });
    expect(await tryLocate(catalog, position(idC, last), 'at')).toMatchObject({ id: idC, offset: last });
    expect(await tryLocate(catalog, position(idA, last), 'at')).toMatchObject({
      exitCode: 4,
      hint: expect.stringContaining(`before it --at ${formatPosition({ id: idA, offset: first })}`),
    });
  });
});

describe('a mark', () => {
  test('is its position; before it is what is before its last command', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 100, completed: t0 });
    const set = command('SET', 'key', 'value');
    for (let i = 1; i <= 3; i += 1) timeline.read(set, t0 + i);
    await timeline.commit();
    const offset = 100 + 2 * set.length;
    await journal.mark('before the release', timeline, offset);
    const catalog = await journal.catalog();
    const mark = { kind: 'mark', name: 'before the release' } as const;
    expect(await tryLocate(catalog, mark, 'at')).toMatchObject({ offset, reached: t0 + 2 });
    expect(await tryLocate(catalog, mark, 'before')).toMatchObject({ offset: offset - set.length, reached: t0 + 1 });
  });

  test('that does not exist, or whose timeline is gone, is refused', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id: idA, offset: 100, completed: t0 });
    await journal.mark('known', timeline, 100);
    const lost = { name: 'lost', timeline: 7, id: idC, offset: 5, stamp: t0, created: t0 };
    await writeMark(localDisk, journal.tree, lost);
    const catalog = await journal.catalog();
    expect(await tryLocate(catalog, { kind: 'mark', name: 'unknown' }, 'at')).toMatchObject({
      exitCode: 4,
      hint: expect.stringContaining('"known"'),
    });
    expect(await tryLocate(catalog, { kind: 'mark', name: 'lost' }, 'at')).toMatchObject({ exitCode: 4 });
  });
});
