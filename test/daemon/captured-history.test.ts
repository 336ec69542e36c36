// What is fed while it is captured: nothing before its base can be read, and a base that cannot be is not told of at each
// commit.
import { expect, test } from 'vitest';
import { StorageError } from '../../src/core/errors.ts';
import { CapturedHistory } from '../../src/daemon/captured-history.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { turns } from '../upstream/turning-clock.ts';

test('a base that cannot be read is tried again every ten seconds, however much is committed, and served then', async () => {
  await using journal = await JournalBuilder.create();
  const id = 'a'.repeat(40);
  const { number, directory } = await journal.timeline({ id, offset: 1000, completed: 1_000_000 });
  const clock = new ManualClock();
  let isBroken = true;
  const list: Disk['list'] = async (path) => {
    if (isBroken) throw new StorageError('io', 'the disk failed');
    return localDisk.list(path);
  };
  const failures: unknown[] = [];
  const served = { number, directory, ids: [{ id, offset: 1001 }], durable: 1000 };
  const failed = (error: unknown): void => void failures.push(error);
  const options = {
    disk: { ...localDisk, list },
    clock,
    capture: { served },
    standing: () => ({ isUp: true, hops: 0, stamp: 0, head: 0 }),
    failed,
  };
  const history = new CapturedHistory(options, { host: 'h', port: 1, sources: [] });
  const commitFor = async (seconds: number): Promise<void> => {
    for (let tenth = 0; tenth < seconds * 10; tenth += 1) {
      clock.advance(100);
      history.moved();
      await turns(3);
    }
  };
  await commitFor(25);
  expect(failures).toHaveLength(3);
  expect(history.now()).toBeUndefined();
  isBroken = false;
  await commitFor(10);
  await eventually('it to be served', () => history.now()?.base.record.offset === 1000);
});
