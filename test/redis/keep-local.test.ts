// A journal that keeps only so much, behind a real primary whose history breaks: the old goes, and is told to have gone.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { verifySource } from '../../src/log/verify.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { CaptureRig, fullSyncs } from './capture-rig.ts';

describeServers('--keep-local', (binary) => {
  test('removes the timeline before the newest, and says so wherever it is asked for', async () => {
    await using rig = await CaptureRig.start(binary);
    const args = ['--keep-local', '1s'];
    await rig.attach({ args });
    await rig.client.call('SET', 'old', 'value');
    await rig.journaled();
    const [first] = (await loadCatalog(localDisk, rig.journal.tree)).timelines;
    expect(await rig.journal.stop()).toBe(0);
    // Another history: the primary cannot go on with ours.
    await rig.client.call('DEBUG', 'CHANGE-REPL-ID');
    await rig.attach({ args });
    await eventually('a new timeline', async () => (await fullSyncs(rig.client)) === 2);
    // Age counts from the last thing that was received, so that must be a second younger. What was not as old when the new
    // base came is removed at the next start.
    await eventually('an old first timeline', () => systemClock.wall() - (first?.lastStamp ?? 0) > 1_500_000);
    await rig.client.call('SET', 'new', 'value');
    await rig.journaled();
    expect(await rig.journal.stop()).toBe(0);
    const { tree } = await rig.attach({ args });
    await eventually('the removal', async () => (await loadCatalog(localDisk, tree)).removed.length === 1);

    const status = await readStatus(localDisk, tree, systemClock);
    expect(status.removed).toMatchObject([{ timeline: 1, rule: '--keep-local 1s' }]);
    expect(status.intervals).toMatchObject([{ timeline: 2 }]);
    const command = builtFile('src/cli/main.ts') ?? '';
    const at = `@${((first?.lastStamp ?? 0) / 1e6).toFixed(6)}`;
    const words = [command, 'restore', '--dir', rig.dir, '--at', at, '--dry-run'];
    const { status: exitCode, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining('removed by --keep-local 1s')]);
    await rig.journal.stop();
    const report = await verifySource(localDisk, tree, { known: knownCommands });
    expect(report.problems).toEqual([]);
    expect((await loadCatalog(localDisk, tree)).timelines.map(({ number }) => number)).toEqual([2]);
  });
});
