// Marks, stops, and how a timeline begins.
import { describe, expect, test } from 'vitest';
import { decodeStop } from '../../journal-format/stop.ts';
import { beginTimeline, readMarks, writeMark, writeStop } from '../../src/log/timeline-store.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { directory, diskOf, idA, preparedDisk, tree } from './log-rig.ts';

const mark = { name: 'before the release', timeline: 1, id: idA, offset: 1000, stamp: 5, created: 6 };

describe('a mark', () => {
  test('is read back, the oldest position first', async () => {
    const disk = await preparedDisk();
    const later = { ...mark, name: 'später ✓', stamp: 9, note: 'why' };
    await writeMark(disk, tree, later);
    await writeMark(disk, tree, mark);
    expect(await readMarks(disk, tree)).toEqual([mark, later]);
  });

  test('of a name that exists is refused, and the first one stays', async () => {
    const disk = await preparedDisk();
    await writeMark(disk, tree, mark);
    const again = writeMark(disk, tree, { ...mark, offset: 2000 });
    await expect(again).rejects.toMatchObject({ code: 'mark-exists', exitCode: 2 });
    expect(await readMarks(disk, tree)).toEqual([mark]);
    expect(await disk.list(tree.marks)).toHaveLength(1);
  });

  test('is there after a power loss once it was told to be', async () => {
    const disk = await preparedDisk();
    await writeMark(disk, tree, mark);
    for (let seed = 0; seed < 30; seed += 1) expect(await readMarks(disk.afterPowerLoss(seed), tree)).toEqual([mark]);
  });

  test('that is damaged is an error, and a file that is none is not read', async () => {
    const disk = await preparedDisk();
    await writeMark(disk, tree, mark);
    const files = new Map(disk.files()).set(`${tree.marks}/readme.mark`, Buffer.from('hello'));
    expect(await readMarks(diskOf(files), tree)).toEqual([mark]);
    const [path = ''] = [...files.keys()].filter((name) => name.endsWith('.mark'));
    files.set(path, Buffer.from('hello'));
    await expect(readMarks(diskOf(files), tree)).rejects.toMatchObject({ exitCode: 6 });
  });

  test('needs no folder to be looked for', async () => {
    expect(await readMarks(new SimulatedDisk(), tree)).toEqual([]);
  });
});

test('a stop says how far the timeline was durable, in its name and inside', async () => {
  const disk = await preparedDisk();
  await writeStop(disk, directory, { timeline: 1, offset: 0x1234, stamp: 7 });
  const names = (await disk.list(directory)).filter((name) => name.endsWith('.stop'));
  expect(names).toEqual([expect.stringMatching(/^0000000000001234-[0-9a-f]{8}\.stop$/)]);
  const bytes = disk.files().get(`${directory}/${names[0] ?? ''}`) ?? Buffer.alloc(0);
  expect(decodeStop(bytes).record).toEqual({ timeline: 1, offset: 0x1234, stamp: 7 });
});

test('a timeline begins with its gap, then its document, and both are durable', async () => {
  const disk = await preparedDisk();
  const side = { timeline: 1, id: idA, offset: 1000, stamp: 1 };
  const to = { timeline: 2, id: idA, offset: 5000, stamp: 2 };
  const record = { ...to, source: 'cache', address: 'h:1', server: { kind: 'redis', version: '8.0.0' }, writer: 'w' };
  disk.operations.length = 0;
  const gap = { from: side, to, cause: 'backlog-overrun' as const, detail: '' };
  expect(await beginTimeline(disk, tree, record, gap)).toBe('/journal/cache/timelines/00000002');
  const renamed = disk.operations.filter(({ kind }) => kind === 'rename').map(({ path }) => path);
  expect(renamed.map((path) => path.slice(path.lastIndexOf('/') + 1))).toEqual(['gap', 'timeline']);
  for (let seed = 0; seed < 30; seed += 1) {
    const names = await disk.afterPowerLoss(seed).list('/journal/cache/timelines/00000002');
    expect(names.sort()).toEqual(['gap', 'timeline']);
  }
});
