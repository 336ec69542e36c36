// A journal of three timelines of which the middle one, or the last, cannot be listed: what is elsewhere is found as if
// nothing had happened, and what may be in there is refused, never taken for a place on another timeline or for a gap.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { StorageError } from '../../../src/core/errors.ts';
import { formatPosition } from '../../../src/core/position.ts';
import { loadCatalogLeft } from '../../../src/log/catalog.ts';
import type { Catalog } from '../../../src/log/catalog.ts';
import { readStatus } from '../../../src/daemon/status.ts';
import { readMarksLeft } from '../../../src/log/timeline-store.ts';
import { planRestore } from '../../../src/restore/plan/plan-restore.ts';
import { locate } from '../../../src/restore/locate/locate.ts';
import type { Cut } from '../../../src/restore/locate/locate.ts';
import { parseTarget } from '../../../src/restore/locate/target.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';
import { watchedDisk } from '../disks.ts';

const second = 1_000_000;
const day = Date.UTC(2026, 10, 20, 14, 0, 0) * 1000;
const ids = ['a', 'b', 'c'].map((digit) => digit.repeat(40));
const set = command('SET', 'key', 'value');

/** Three timelines a minute apart, of ten commands each, one a second. */
async function threeTimelines(): Promise<JournalBuilder> {
  const journal = await JournalBuilder.create();
  for (const [i, id] of ids.entries()) {
    const completed = day + i * 60 * second;
    const timeline = await journal.timeline({ id, offset: 1000 * (i + 1), completed });
    for (let n = 1; n <= 10; n++) {
      timeline.read(set, completed + n * second);
      await timeline.commit();
    }
    await journal.mark(`mark ${i + 1}`, timeline, timeline.end);
  }
  return journal;
}

function damage(journal: JournalBuilder, timeline: number, ...names: string[]): void {
  const folder = path.join(journal.tree.timelines, `0000000${timeline}`);
  for (const name of readdirSync(folder)) {
    if (!names.includes(name) && !names.includes(path.extname(name))) continue;
    const bytes = readFileSync(path.join(folder, name));
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    writeFileSync(path.join(folder, name), bytes);
  }
}

/** The cut, as a place; or the refusal. */
async function at(catalog: Catalog, text: string): Promise<unknown> {
  const target = parseTarget(text, { now: day + 3600 * second, zone: undefined });
  return await locate(localDisk, catalog, target, 'at').then(
    ({ timeline, offset }: Cut) => ({ timeline, offset }),
    (error: unknown) => error,
  );
}

const time = (timeline: number, seconds: number): string => `@${day / second + 60 * (timeline - 1) + seconds}`;
const offsetOf = (timeline: number, commands: number): number => 1000 * timeline + commands * set.length;
const positionOf = (timeline: number, commands: number): string =>
  formatPosition({ id: ids[timeline - 1] ?? '', offset: offsetOf(timeline, commands) });
const isDamaged = { name: 'IntegrityError', exitCode: 6 };

describe('with a damaged timeline in the middle', () => {
  test.each([['.open'], ['.base'], ['timeline'], ['gap']])('(%s), the others are as they were', async (name) => {
    await using journal = await threeTimelines();
    damage(journal, 2, name);
    const catalog = await loadCatalogLeft(localDisk, journal.tree);
    expect(catalog.timelines.map(({ number }) => number)).toEqual([1, 3]);
    expect(catalog.damaged).toMatchObject([{ number: 2, error: isDamaged }]);
    // A server with that history is known all the same.
    expect(catalog.damaged[0]?.ids).toContain(ids[1]);
    expect(await at(catalog, 'latest')).toEqual({ timeline: 3, offset: offsetOf(3, 10) });
    for (const whole of [1, 3]) {
      expect(await at(catalog, time(whole, 5))).toEqual({ timeline: whole, offset: offsetOf(whole, 5) });
      expect(await at(catalog, positionOf(whole, 5))).toEqual({ timeline: whole, offset: offsetOf(whole, 5) });
      expect(await at(catalog, `mark:mark ${whole}`)).toEqual({ timeline: whole, offset: offsetOf(whole, 10) });
    }
  });

  test.each([
    ['read', /00000002.*\.open$/],
    ['open', /00000002.*\.base$/],
    ['open', /00000002.timeline$/],
    ['read', /00000002.gap$/],
    ['list', /00000002$/],
  ])('(the medium fails to %s %s), the others are as they were, and path and error are told', async (failing, at) => {
    await using journal = await threeTimelines();
    const disk = watchedDisk((operation, file) => {
      if (operation === failing && at.test(file))
        throw new StorageError('unreadable', `cannot ${failing} ${file}: EIO`);
    });
    const catalog = await loadCatalogLeft(disk, journal.tree);
    expect(catalog.timelines.map(({ number }) => number)).toEqual([1, 3]);
    const told = expect.stringMatching(new RegExp(`cannot ${failing} .*00000002.*: EIO`)) as string;
    expect(catalog.damaged).toMatchObject([{ number: 2, error: { ...isDamaged, code: 'unreadable', message: told } }]);
    const { state, healthy, damaged, warnings, intervals } = await readStatus(disk, journal.tree, systemClock);
    expect({ state, healthy }).toEqual({ state: 'stopped', healthy: false });
    expect(damaged).toEqual([{ timeline: 2, code: 'unreadable', message: told }]);
    expect(warnings).toContainEqual(told);
    expect(intervals.map(({ timeline }) => timeline)).toEqual([1, 3]);
  });

  test.each(['io', 'not-found'])('another failure of the disk (%s) may pass: it is no damage', async (code) => {
    await using journal = await threeTimelines();
    const disk = watchedDisk((operation, file) => {
      if (operation === 'open' && file.endsWith('.base')) throw new StorageError(code, `cannot open ${file}`);
    });
    await expect(loadCatalogLeft(disk, journal.tree)).rejects.toMatchObject({ code });
  });

  test('a mark that the medium does not give back is damaged as one with a flipped bit is', async () => {
    await using journal = await threeTimelines();
    const disk = watchedDisk((operation, file) => {
      if (operation === 'read' && file.endsWith('.mark'))
        throw new StorageError('unreadable', `cannot read ${file}: EIO`);
    });
    const { marks, damage: lost } = await readMarksLeft(disk, journal.tree);
    expect(marks).toEqual([]);
    expect(lost).toMatchObject([isDamaged, isDamaged, isDamaged]);
  });

  test('what is on it, and what is nowhere else, is refused with its damage', async () => {
    await using journal = await threeTimelines();
    damage(journal, 2, '.open');
    const catalog = await loadCatalogLeft(localDisk, journal.tree);
    for (const target of [time(2, 5), time(1, 30), positionOf(2, 5), 'mark:mark 2', positionOf(1, 20)]) {
      const refusal = await at(catalog, target);
      expect(refusal, target).toMatchObject(isDamaged);
      expect(String(refusal), target).toMatch(/timeline 2(,| is).*damaged/);
    }
  });

  test('an instant on another one is refused where it cannot be told what the damaged one covers', async () => {
    await using journal = await threeTimelines();
    // Nothing says when it began.
    damage(journal, 2, '.base', 'timeline', 'gap');
    const catalog = await loadCatalogLeft(localDisk, journal.tree);
    expect(await at(catalog, time(1, 5))).toMatchObject(isDamaged);
    expect(String(await at(catalog, time(1, 5)))).toContain('may be on timeline 2, too');
    expect(await at(catalog, time(3, 5))).toEqual({ timeline: 3, offset: offsetOf(3, 5) });
    expect(await at(catalog, positionOf(1, 5))).toEqual({ timeline: 1, offset: offsetOf(1, 5) });
    // And nothing when it ended.
    rmSync(path.join(journal.tree.timelines, '00000003', 'gap'));
    const blind = await loadCatalogLeft(localDisk, journal.tree);
    expect(await at(blind, time(3, 5))).toMatchObject(isDamaged);
  });

  test('an id of a few digits may be one of its own, and is refused', async () => {
    await using journal = await threeTimelines();
    damage(journal, 2, '.open');
    const catalog = await loadCatalogLeft(localDisk, journal.tree);
    expect(await at(catalog, `aaaa:${offsetOf(1, 5)}`)).toMatchObject(isDamaged);
    expect(await at(catalog, `aaaaaaaa:${offsetOf(1, 5)}`)).toEqual({ timeline: 1, offset: offsetOf(1, 5) });
  });

  test('a plan on another one warns of it', async () => {
    await using journal = await threeTimelines();
    damage(journal, 2, 'gap');
    const planned = async (text: string): Promise<readonly string[]> => {
      const now = day + 3600 * second;
      const target = parseTarget(text, { now, zone: undefined });
      const request = { target, text, mode: 'at', now, relativeTtl: 'refuse' } as const;
      return (await planRestore(localDisk, journal.tree, request)).warnings;
    };
    expect(await planned('latest')).toEqual([expect.stringMatching(/^timeline 2 is damaged.*corrupt: .*$/)]);
    expect(await planned(positionOf(1, 5))).toEqual([expect.stringContaining('orphaned what is restored here')]);
  });
});

describe('with a damaged timeline at the end', () => {
  test('the one before it is not the latest, and its instants are found', async () => {
    await using journal = await threeTimelines();
    damage(journal, 3, '.open');
    const catalog = await loadCatalogLeft(localDisk, journal.tree);
    expect(await at(catalog, 'latest')).toMatchObject(isDamaged);
    expect(await at(catalog, time(2, 5))).toEqual({ timeline: 2, offset: offsetOf(2, 5) });
    expect(await at(catalog, time(3, 5))).toMatchObject(isDamaged);
    expect(await at(catalog, time(3, 5000))).toMatchObject(isDamaged);
  });
});

test('with nothing but damaged timelines every target is refused with the damage', async () => {
  await using journal = await threeTimelines();
  for (const timeline of [1, 2, 3]) damage(journal, timeline, '.base');
  const catalog = await loadCatalogLeft(localDisk, journal.tree);
  expect(catalog.timelines).toEqual([]);
  for (const target of ['latest', time(1, 5), positionOf(1, 5), 'mark:mark 1']) {
    expect(await at(catalog, target), target).toMatchObject(isDamaged);
  }
});
