// Undo: which commands a position or a name leaves out, what is replayed then, what may differ, and what is refused.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CoverageError, UsageError } from '../../../src/core/errors.ts';
import { LeftOut, type Stretch } from '../../../src/restore/rewrite/left-out.ts';
import { planToJson, planToText } from '../../../src/restore/plan/plan-print.ts';
import { planRestore } from '../../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../../src/restore/plan/plan.ts';
import { PlannedBytes } from '../../../src/restore/replay/planned-bytes.ts';
import { parseUndo } from '../../../src/restore/plan/undo.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command, pieces } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';

const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const id = 'ab'.repeat(20);
const base = 1000;

interface Wish {
  readonly positions?: readonly string[];
  readonly names?: readonly string[];
  /** How reads are cut. */
  readonly sizes?: readonly number[];
}

/** The plan for a stream of these lines, and what it replays, as lines. */
async function undone(
  lines: readonly string[],
  { positions = [], names = [], sizes = [1000] }: Wish,
): Promise<{ plan: Plan; replayed: string }> {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: base, completed: t0, db: 2, segmentBytes: 200 });
  for (const bytes of pieces(bytesOf(lines), sizes)) {
    timeline.read(bytes, t0 + 1_000_000);
    await timeline.commit();
  }
  const plan = await planRestore(localDisk, journal.tree, {
    ...{ target: { kind: 'latest' }, text: 'latest', mode: 'at', now: t0, relativeTtl: 'refuse' },
    undo: parseUndo(positions, names),
  });
  const replayed: Buffer[] = [];
  for await (const bytes of new PlannedBytes(localDisk, plan, () => undefined).stream()) replayed.push(bytes);
  return { plan, replayed: Buffer.concat(replayed).toString() };
}

function bytesOf(lines: readonly string[]): Buffer {
  return Buffer.concat(lines.map((line) => command(...line.split(' '))));
}

/** First and last offset of the line at this index. */
function place(lines: readonly string[], index: number): { first: string; last: string } {
  const from = base + bytesOf(lines.slice(0, index)).length;
  return { first: `${id}:${from + 1}`, last: `${id}:${from + bytesOf([lines[index] ?? '']).length}` };
}

function without(lines: readonly string[], ...indexes: number[]): string {
  return bytesOf(lines.filter((_, index) => !indexes.includes(index))).toString();
}

const day = [
  ...['SET a 1', 'FLUSHALL', 'SET b 1', 'MULTI', 'SELECT 5', 'DEL c', 'SET d 1', 'EXEC'],
  ...['SELECT 2', 'RENAME b c', 'APPEND c x', 'SET e 1', 'flushall async', 'INCR a'],
];

describe('a position leaves out', () => {
  test.each([0, 1, 2, 5, 6, 9, 13])('the command it lies in, by its first and by its last byte: %i', async (index) => {
    const { first, last } = place(day, index);
    for (const position of [first, last, `abab${last.slice(40)}`]) {
      const { plan, replayed } = await undone(day, { positions: [position] });
      expect(replayed).toBe(without(day, index));
      expect(plan.undo).toMatchObject({ commands: 1, told: [{ position: { offset: Number(last.slice(41)) } }] });
    }
  });

  test('on MULTI or EXEC the transaction, of which MULTI, SELECT and EXEC stay', async () => {
    for (const position of [place(day, 3).first, place(day, 3).last, place(day, 7).first, place(day, 7).last]) {
      const { plan, replayed } = await undone(day, { positions: [position] });
      expect(replayed).toBe(without(day, 5, 6));
      expect(plan.undo?.commands).toBe(2);
    }
  });

  test('several, in any order, one of them twice', async () => {
    const positions = [place(day, 13).last, place(day, 1).last, place(day, 1).first, place(day, 6).last];
    const { plan, replayed } = await undone(day, { positions });
    expect(replayed).toBe(without(day, 1, 6, 13));
    expect(plan.undo?.commands).toBe(3);
  });

  test('no SELECT, and nothing that is not replayed', async () => {
    const wish = (...positions: string[]) => undone(day, { positions });
    await expect(wish(place(day, 4).last)).rejects.toThrow(UsageError);
    await expect(wish(place(day, 8).first)).rejects.toThrow(/^SELECT at offset \d+ cannot be left out/);
    await expect(wish(`${id}:${base}`)).rejects.toThrow(CoverageError);
    await expect(wish(`${id}:${base + bytesOf(day).length + 1}`)).rejects.toMatchObject({ exitCode: 4 });
    await expect(wish(`cdcd${place(day, 0).last.slice(40)}`)).rejects.toMatchObject({ code: 'undo-not-in-stream' });
  });
});

describe('a name leaves out', () => {
  test('all commands of it, in either case, with whatever arguments', async () => {
    const { plan, replayed } = await undone(day, { names: ['FlushAll'] });
    expect(replayed).toBe(without(day, 1, 12));
    expect(plan.undo).toMatchObject({ commands: 2, bytes: bytesOf(day).length - replayed.length });
  });

  test('members of a transaction, which stays', async () => {
    expect((await undone(day, { names: ['DEL', 'set'] })).replayed).toBe(without(day, 0, 2, 5, 6, 11));
  });

  test('nothing that is not there, and none that others depend on', async () => {
    await expect(undone(day, { names: ['FLUSHALL', 'FLUSHDB'] })).rejects.toMatchObject({
      message: expect.stringMatching(/^there is no FLUSHDB among/) as string,
      exitCode: 4,
    });
    for (const name of ['select', 'MULTI', 'EXEC', 'discard', 'FLUSHALL ASYNC', '']) {
      expect(() => parseUndo([], [name]), name).toThrow(UsageError);
    }
    for (const text of ['latest', '-5m', 'abab', '2026-11-20T14:30:05Z', 'zz:1']) {
      expect(() => parseUndo([text], []), text).toThrow(UsageError);
    }
    expect(parseUndo([], [])).toBeUndefined();
  });
});

test('the same is left out wherever reads and frames are cut', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(sizes, async (given) => {
      const wish = { positions: [place(day, 7).last], names: ['FLUSHALL'], sizes: given };
      expect((await undone(day, wish)).replayed).toBe(without(day, 1, 5, 6, 12));
    }),
    { numRuns: 20 },
  );
});

describe('later commands that may differ', () => {
  const later = async (lines: readonly string[], wish: Wish): Promise<unknown> => {
    const found = (await undone(lines, wish)).plan.undo?.later;
    return { ...found, told: found?.told.map(({ name, key, db }) => `${db} ${name} ${key ?? ''}`.trim()) };
  };

  test('are those that touch the same keys, and keys that were made of these', async () => {
    expect(await later(day, { positions: [place(day, 2).last] })).toEqual({
      ...{ isAnyKey: false, commands: 2 },
      told: ['2 RENAME b', '2 APPEND c'],
    });
    const lines = [
      'DEL a',
      'SELECT 3',
      'SET a 1',
      'SELECT 2',
      'GET a',
      'INCR b',
      'COPY a b DB 3',
      'INCR b',
      'MOVE b 3',
    ];
    expect(await later(lines, { positions: [place(lines, 0).last] })).toEqual({
      ...{ isAnyKey: false, commands: 2 },
      told: ['2 COPY a', '2 MOVE b'],
    });
  });

  test('are all that write, where any key could have been touched, up to a FLUSHALL that is replayed', async () => {
    expect(await later(day, { names: ['FLUSHALL'] })).toMatchObject({ isAnyKey: true, commands: 7 });
    expect(await later(day, { positions: [place(day, 1).last] })).toMatchObject({ isAnyKey: true, commands: 6 });
    const unknown = ['SET a 1', 'JSON.SET a b', 'SET c 1', 'FLUSHALL', 'SET a 1'];
    expect(await later(unknown, { positions: [place(unknown, 0).last] })).toEqual({
      ...{ isAnyKey: true, commands: 2 },
      told: ['2 JSON.SET', '2 SET c'],
    });
  });

  test('are counted, and the first ones told', async () => {
    const lines = ['DEL a', ...Array.from({ length: 30 }, () => 'INCR a')];
    const { plan } = await undone(lines, { positions: [place(lines, 0).last] });
    expect(plan.undo?.later).toMatchObject({ commands: 30, told: { length: 20 } });
    expect(planToText(plan, { zone: undefined, now: t0 }).join('\n')).toMatch(/ and 10 more\n/);
  });
});

test('the plan says what is left out, as lines and as a document', async () => {
  const { plan } = await undone(day, { positions: [place(day, 2).last], names: ['FLUSHALL'] });
  const text = planToText(plan, { zone: undefined, now: t0 }).join('\n');
  expect(text).toContain('left out       3 commands, ');
  expect(text).toContain(`2026-11-20T14:30:01.000Z  ${place(day, 1).last}  db 2  FLUSHALL\n`);
  expect(text).toContain(`${place(day, 2).last}  db 2  SET 'b'\n`);
  expect(text).toMatch(/may differ {5}6 commands, every later one that may write/);
  expect(planToJson(plan).undo).toMatchObject({
    ...{ without: [place(day, 2).last], withoutCommand: ['FLUSHALL'] },
    leftOut: { commands: 3, first: [{ position: place(day, 1).last, command: 'FLUSHALL', key: null }, {}, {}] },
    mayDiffer: { keys: 'any', commands: 6 },
  });
});

test('of what was replicated as a script it is said that nothing is left out of it', async () => {
  const lines = ['SET a 1', 'EVAL script 1 a', 'DEL a'];
  const { plan } = await undone(lines, { names: ['DEL'] });
  expect(plan.warnings).toEqual([expect.stringMatching(/^1 scripts were replicated as they are/)]);
});

test('what lies before the first position that is left out is not looked at', async () => {
  const lines = [
    'EVAL script 1 a',
    ...Array.from({ length: 20 }, () => 'SET a 1'),
    'SELECT 7',
    'DEL a',
    'EVAL script 1 a',
  ];
  const { plan, replayed } = await undone(lines, { positions: [place(lines, 22).last] });
  expect(replayed).toBe(without(lines, 22));
  expect(plan.undo?.told).toMatchObject([{ name: 'DEL', db: 7 }]);
  expect(plan.warnings).toEqual([expect.stringMatching(/^1 scripts were replicated as they are/)]);
});

test('what stays of a range is all that is in no stretch', () => {
  const lengths = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 5 })), { maxLength: 20 });
  fc.assert(
    fc.property(lengths, fc.nat(120), fc.nat(120), (gaps, from, length) => {
      const stretches: Stretch[] = [];
      let next = 10;
      for (const [gap, taken] of gaps) {
        stretches.push({ from: next + gap, to: next + gap + taken - 1 });
        next += gap + taken;
      }
      const leftOut = new LeftOut(stretches);
      const isOut = (offset: number): boolean => stretches.some((one) => one.from <= offset && offset <= one.to);
      const range = Array.from({ length }, (_, i) => from + i);
      const kept = leftOut.kept(from, from + length - 1);
      const all = kept.flatMap((one) => Array.from({ length: one.to + 1 - one.from }, (_, i) => one.from + i));
      expect(all).toEqual(range.filter((offset) => !isOut(offset)));
      expect(range.filter((offset) => leftOut.has(offset))).toEqual(range.filter(isOut));
    }),
  );
});
