// Segments are sealed, and so get another name, behind a journal that runs. Whoever has listed the old name must find the
// new one: here a segment is sealed just before a file is opened, at each opening in turn.
import { expect, test } from 'vitest';
import { setMark } from '../../src/daemon/mark.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { withCatalog } from '../../src/log/catalog.ts';
import { locate } from '../../src/restore/locate/locate.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Target } from '../../src/restore/locate/target.ts';
import { uncertainSpans } from '../../src/restore/locate/uncertain.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { command } from '../redis-protocol/bytes.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { ManualClock } from '../support/manual-clock.ts';

const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const set = command('SET', 'key', 'value');

type Reader = (disk: Disk, journal: JournalBuilder) => Promise<unknown>;

const readers: Readonly<Record<string, Reader>> = {
  status: (disk, { tree }) => readStatus(disk, tree, new ManualClock()),
  'ls uncertain': (disk, { tree }) =>
    withCatalog(disk, tree, ({ timelines }) => uncertainSpans(disk, timelines, Infinity)),
  restore: (disk, { tree }) =>
    planRestore(disk, tree, {
      ...{ target: { kind: 'time', at: t0 + 3_500_000 }, text: 'then', mode: 'at', now: t0, relativeTtl: 'refuse' },
    }),
  mark: (disk, { tree }) =>
    setMark({
      disk,
      tree,
      clock: new ManualClock(),
      name: 'then',
      note: undefined,
      primaryOffset: undefined,
      signal: never,
    }),
};

const never = new AbortController().signal;

/** Whether a segment was sealed: there were as many openings. */
async function sealedAtOpening(number: number, read: Reader): Promise<boolean> {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id: 'ab'.repeat(20), offset: 1000, completed: t0, segmentBytes: 100 });
  for (let i = 1; i <= 6; i += 1) {
    timeline.read(set, t0 + i * 1_000_000);
    await timeline.commit();
  }
  let openings = 0;
  const disk: Disk = {
    ...localDisk,
    open: async (path, mode) => {
      openings += 1;
      if (openings === number) await timeline.seal(1);
      return localDisk.open(path, mode);
    },
  };
  await read(disk, journal);
  return openings >= number;
}

test.each(Object.entries(readers))('%s does not mind a segment that is sealed meanwhile', async (_name, read) => {
  let number = 1;
  while (await sealedAtOpening(number, read)) number += 1;
  expect(number).toBeGreaterThan(4);
});

test('a cut is found in segments that were listed before they were sealed, however many', async () => {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id: 'ab'.repeat(20), offset: 1000, completed: t0, segmentBytes: 100 });
  for (let i = 1; i <= 12; i += 1) {
    timeline.read(set, t0 + i * 1_000_000);
    await timeline.commit();
  }
  const listed = await journal.catalog();
  const targets = [1_500_000, 7_500_000, 11_500_000].map((later): Target => ({ kind: 'time', at: t0 + later }));
  const cuts = async (): Promise<unknown[]> => {
    const found = [];
    for (const target of targets) found.push(await locate(localDisk, listed, target, 'at'));
    return found;
  };
  const before = await cuts();
  await timeline.seal();
  expect((await journal.catalog()).timelines[0]?.segments.filter(({ kind }) => kind === 'open')).toHaveLength(1);
  expect(await cuts()).toEqual(before);
});
