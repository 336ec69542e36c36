// What a journal that another process writes, or nobody, tells those that follow it of where it stands.
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { formatInstant } from '../../src/core/instant.ts';
import { KeptHistory } from '../../src/daemon/kept-history.ts';
import { StateWriter } from '../../src/daemon/state-file.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { eventually } from '../support/eventually.ts';
import { JournalBuilder } from '../support/journal-builder.ts';

test('how a served journal stands is what its writer says, and that nothing comes in once there is none', async () => {
  await using journal = await JournalBuilder.create();
  await journal.timeline({ id: 'a'.repeat(40), offset: 1000, completed: 1_000_000 });
  const { tree } = journal;
  const startedAt = formatInstant(systemClock.wall());
  const failed = (error: unknown): never => {
    throw error;
  };
  using history = await KeptHistory.open({ disk: localDisk, clock: systemClock, tree, failed });
  expect(history.linkStanding()).toMatchObject({ isUp: false, hops: 0, head: 0 });
  expect(history.now()?.durable).toBe(1000);
  {
    using _lock = WriterLock.acquire(tree.directory, startedAt);
    const [disk, clock, path] = [localDisk, systemClock, tree.state];
    await using words = new StateWriter({ disk, clock, path, source: '10.0.0.5:6379', startedAt, failed });
    const lag = { bytes: 0, seconds: 0 };
    words.update({
      state: 'streaming',
      head: '1234',
      server: { kind: 'valkey', version: '9.1.2' },
      clock: { skew: 3600, sampledAt: null, wallError: 0 },
      link: { hops: 1, isUp: true, hop: lag, total: lag },
    });
    await eventually('it to be heard', () => history.linkStanding().isUp);
    const standing = history.linkStanding();
    expect(standing).toMatchObject({ isUp: true, hops: 2, head: 1234 });
    // The stamps are those of another site, whose clock is an hour behind.
    expect(Math.abs(systemClock.wall() - standing.stamp - 3_600_000_000)).toBeLessThan(60_000_000);
    expect(history.upstream()).toMatchObject({ host: '10.0.0.5', server: { kind: 'valkey', major: 9 } });
    words.update({ state: 'streaming', link: { hops: 1, isUp: false, hop: lag, total: lag }, lastError: null });
    words.update({ state: 'disconnected' });
    words.update({ state: 'streaming' });
    await eventually('that the other journal hears nothing', () => !history.linkStanding().isUp);
  }
  await eventually('that nobody writes', () => !history.upstream().isUp);
  expect(history.linkStanding()).toMatchObject({ isUp: false, hops: 2, head: 1234 });
});
