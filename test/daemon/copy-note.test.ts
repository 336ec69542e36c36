// What delayed copies leave word of: who counts, who does not any more, and what retention leaves to them.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { clearCopies, CopyNote, holderOf, readCopies } from '../../src/daemon/copy-note.ts';
import type { DelayedCopy } from '../../src/daemon/copy-note.ts';
import type { Standing } from '../../src/daemon/delayed-history.ts';
import { copyWarnings, statusCopies } from '../../src/daemon/status-copies.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { StorageError } from '../../src/core/errors.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { ManualClock } from '../support/manual-clock.ts';

const delay = 900_000_000;
const id = 'a'.repeat(40);
const hour = 3_600_000;

function standing(state: Standing['state'], timeline?: number): Standing {
  const instant = new ManualClock().wall() - delay;
  const reached = timeline === undefined ? undefined : { offset: 500, stamp: 1, timeline, position: `${id}:500` };
  return { state, since: state === 'paused' ? instant : undefined, instant, reached, trouble: undefined };
}

class Rig {
  readonly clock = new ManualClock();
  readonly tree = sourceTree(temporaryDirectory('copies'), 'shop');
  readonly failures: unknown[] = [];

  constructor() {
    mkdirSync(this.tree.directory, { recursive: true });
  }

  open(name = 'delayed', disk: Disk = localDisk): Promise<CopyNote> {
    const failed = (error: unknown): void => void this.failures.push(error);
    return CopyNote.open({ disk, clock: this.clock, tree: this.tree, name, delay, failed });
  }

  copies(): Promise<DelayedCopy[]> {
    return readCopies(localDisk, this.tree, this.clock.wall());
  }

  async needs(): Promise<number[]> {
    return (await this.copies()).map((copy) => holderOf(copy).from);
  }
}

test('a copy needs everything until it says what, then the timeline that it serves, and nothing once that is gone', async () => {
  const rig = new Rig();
  await using note = await rig.open();
  expect(await rig.needs()).toEqual([0]);
  let now = standing('waiting');
  await note.follow(() => now);
  for (const [state, timeline, from] of [
    ['waiting', undefined, 0],
    ['following', 3, 3],
    ['paused', 3, 3],
    ['paused', undefined, Infinity],
  ] as const) {
    now = standing(state, timeline);
    await note.refresh();
    expect(await rig.needs(), state).toEqual([from]);
  }
  expect(rig.failures).toEqual([]);
});

test('what it says is brought up to date each second', async () => {
  const rig = new Rig();
  await using note = await rig.open();
  await note.follow(() => standing('following', 2));
  rig.clock.advance(1000);
  await note.refresh();
  expect(await rig.copies()).toMatchObject([
    { name: 'delayed', isRunning: true, state: 'following', timeline: 2, position: `${id}:500`, delaySeconds: 900 },
  ]);
});

test('one that has ended counts for an hour, in which it may come back, and a paused one until it is resumed', async () => {
  const rig = new Rig();
  for (const [name, state] of [
    ['gone', 'following'],
    ['asleep', 'paused'],
  ] as const) {
    await using note = await rig.open(name);
    await note.follow(() => standing(state, 2));
  }
  const names = async (): Promise<string[]> => (await rig.copies()).map(({ name }) => name).sort();
  expect(await names()).toEqual(['asleep', 'gone']);
  expect((await rig.copies()).map(({ isRunning }) => isRunning)).toEqual([false, false]);
  rig.clock.skip(hour + 1000);
  expect(await names()).toEqual(['asleep']);
  rig.clock.skip(1000 * hour);
  await clearCopies(localDisk, rig.tree, rig.clock.wall());
  expect(await names()).toEqual(['asleep']);
  expect(readdirSync(rig.tree.copies)).toHaveLength(1);
});

test('one that comes back takes the place of its predecessor, and of no other', async () => {
  const rig = new Rig();
  for (const name of ['one', 'other']) {
    await using note = await rig.open(name);
    await note.follow(() => standing('paused', 2));
  }
  await using back = await rig.open('one');
  await back.follow(() => standing('waiting'));
  expect((await rig.copies()).map(({ name, isRunning, state }) => [name, isRunning, state]).sort()).toEqual([
    ['one', true, 'waiting'],
    ['other', false, 'paused'],
  ]);
});

test('a note that cannot be understood needs everything, and is told of; a folder without one is nobody’s', async () => {
  const rig = new Rig();
  {
    await using _note = await rig.open();
  }
  const [name = ''] = readdirSync(rig.tree.copies);
  writeFileSync(path.join(rig.tree.copies, name, 'note.json'), '{"version": 2}');
  mkdirSync(path.join(rig.tree.copies, 'empty'));
  const found = await rig.copies();
  expect(found.map((copy) => [copy.state, holderOf(copy).from])).toEqual([['unknown', 0]]);
  const place = { now: rig.clock.wall(), timeline: 1, durable: '1', removed: [], retention: null };
  expect(copyWarnings(statusCopies(found, place), undefined).join()).toContain('cannot be told');
});

test('one that cannot leave word goes on, says so once, and tries again', async () => {
  const rig = new Rig();
  let isRefused = true;
  const refused = new StorageError('io', 'cannot create directory: EROFS');
  const makeHeld: Disk['makeHeld'] = (...it) => (isRefused ? Promise.reject(refused) : localDisk.makeHeld(...it));
  await using note = await rig.open('delayed', { ...localDisk, makeHeld });
  await note.follow(() => standing('following', 2));
  expect(note.trouble).toBe(refused);
  expect(rig.failures).toEqual([refused]);
  isRefused = false;
  await note.refresh();
  expect(note.trouble).toBeUndefined();
  expect(await rig.needs()).toEqual([2]);
});

test('status tells how far a copy is behind, what is kept for it, and that it has lost what it stands on', async () => {
  const rig = new Rig();
  await using note = await rig.open();
  await note.follow(() => standing('paused', 2));
  const retention = { rule: '--keep-local 7d', heldBytes: 0, copies: [{ name: 'delayed', bytes: 3_000_000 }] };
  const place = { now: rig.clock.wall(), timeline: 2, durable: '620', removed: [], retention };
  const kept = statusCopies(await rig.copies(), place);
  expect(kept).toMatchObject([{ behindSeconds: 900, lagBytes: 120, heldBytes: 3_000_000, isLost: false }]);
  expect(copyWarnings(kept, retention.rule)).toEqual([expect.stringContaining('3 MiB that --keep-local 7d asks for')]);
  const lost = statusCopies(await rig.copies(), { ...place, timeline: 3, removed: [{ timeline: 2 }] });
  expect(lost).toMatchObject([{ lagBytes: null, isLost: true }]);
  expect(copyWarnings(lost, retention.rule)).toEqual([expect.stringContaining('was removed from the journal')]);
});
