// A journal that keeps only so much, and a delayed copy of it, in processes of their own: what the copy needs is left to it
// until it needs it no more, also over kill -9, and is taken from it only for want of room.
import path from 'node:path';
import { expect, test } from 'vitest';
import type { DelayedStatus } from '../../src/daemon/delayed-control.ts';
import type { Status } from '../../src/daemon/status.ts';
import { cli, json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { JournalProcess } from '../support/journal-process.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { CaptureRig } from './capture-rig.ts';
import { password } from './feed-rig.ts';

/** The rule asks for all but the newest timeline. */
const keepLittle = ['--keep-local', '0.001MB'];
const patient = { timeoutMs: 60_000, everyMs: 100 };

async function serveDelayed(rig: CaptureRig): Promise<JournalProcess> {
  const { directory } = rig.journal.tree;
  const process = JournalProcess.serve({
    dir: path.dirname(directory),
    args: ['--delay', '2s', '--listen', '127.0.0.1:0'],
    env: { JOURNAL_LISTEN_PASSWORD: password },
  });
  await process.waitFor('listening');
  return process;
}

async function asked<T>(rig: CaptureRig, ...words: readonly string[]): Promise<T> {
  const result = await cli([...words, '--json', '--dir', path.dirname(rig.journal.tree.directory), '--name', 'source']);
  expect(result.stderr).toBe('');
  return json(result) as unknown as T;
}

/** Follows, and is paused on the first timeline; the journal has another one by then. */
async function pauseBefore(rig: CaptureRig): Promise<void> {
  await eventually(
    'something to be due',
    async () => (await asked<DelayedStatus>(rig, 'serve', 'status')).state === 'following',
    patient,
  );
  await asked(rig, 'serve', 'pause');
  await rig.client.call('DEBUG', 'CHANGE-REPL-ID');
  rig.tap.cut();
  await eventually('another timeline', () => rig.journal.of('full-sync').length === 2, patient);
  await rig.client.call('SET', 'new', 'x');
  await rig.journaled();
}

describeServers('a delayed copy of a journal that keeps little', (binary) => {
  test('is left what it needs, over kill -9 of both, until it has gone on', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.client.call('SET', 'old', 'x');
    const first = await rig.attach({ args: keepLittle });
    const copy = await serveDelayed(rig);
    await pauseBefore(rig);
    expect(await first.waitFor('delayed-copy-holds')).toMatchObject({ copy: 'delayed', rule: '--keep-local 0.001MB' });
    const status = await asked<Status>(rig, 'status');
    expect(status.copies).toMatchObject([
      { name: 'delayed', isRunning: true, state: 'paused', timeline: 1, isLost: false },
    ]);
    const warning = expect.stringContaining('are kept for the delayed copy delayed') as string;
    await eventually('a warning', async () => (await asked<Status>(rig, 'status')).copies[0]?.heldBytes !== 0, patient);
    expect((await asked<Status>(rig, 'status')).warnings).toContainEqual(warning);
    expect((await asked<DelayedStatus>(rig, 'serve', 'status')).warnings).toContainEqual(warning);

    await copy.kill9();
    await first.kill9();
    const second = await rig.attach({ args: keepLittle });
    expect(await second.waitFor('delayed-copy-holds')).toMatchObject({ copy: 'delayed' });
    const asleep = await asked<Status>(rig, 'status');
    expect(asleep.copies).toMatchObject([{ isRunning: false, state: 'paused' }]);
    expect(asleep.intervals.map(({ timeline }) => timeline)).toEqual([1, 2]);

    await using again = await serveDelayed(rig);
    expect(again.of('delayed')).toMatchObject([{ state: 'paused' }]);
    expect((await asked<Status>(rig, 'status')).copies).toMatchObject([{ isRunning: true, timeline: 1 }]);
    await asked(rig, 'serve', 'resume');
    await second.waitFor('removed', { timeoutMs: 60_000 });
    const after = await eventually(
      'nothing to be kept for it',
      async () => {
        const status = await asked<Status>(rig, 'status');
        return status.copies[0]?.heldBytes === 0 && status.copies[0].timeline === 2 && status;
      },
      patient,
    );
    expect(after.intervals.map(({ timeline }) => timeline)).toEqual([2]);
    expect(after.copies).toMatchObject([{ state: 'following', isLost: false }]);
    expect(second.of('delayed-copy-lost')).toEqual([]);
  }, 180_000);

  test.skipIf(SmallDisk.refusal('tmpfs') !== undefined)(
    'loses it for want of room, and that is told wherever one looks',
    async () => {
      using disk = SmallDisk.mount('tmpfs', 256);
      await using rig = await CaptureRig.start(binary);
      await rig.client.call('SET', 'old', 'x');
      const journal = await rig.attach({ args: keepLittle, dir: path.join(disk.path, 'journal-data') });
      await using copy = await serveDelayed(rig);
      await pauseBefore(rig);
      expect(await journal.waitFor('delayed-copy-lost')).toMatchObject({ level: 'error', copy: 'delayed' });
      expect(journal.of('removed')).toMatchObject([{ timeline: 1 }]);
      expect(await copy.waitFor('delayed-stuck')).toMatchObject({ code: 'position-removed' });
      const { copies, warnings } = await asked<Status>(rig, 'status');
      expect(copies).toMatchObject([{ state: 'paused', timeline: 1, isLost: true }]);
      expect(warnings.join()).toContain('was removed from the journal');
      await asked(rig, 'serve', 'resume');
      await eventually(
        'it to go on in what is left',
        async () => (await asked<DelayedStatus>(rig, 'serve', 'status')).timeline === 2,
        patient,
      );
      await rig.journal.stop();
    },
    120_000,
  );
});
