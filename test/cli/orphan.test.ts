// An orphan, as the command line tells of it: the end of a timeline that the promoted replica did not have.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/leash.ts';
import { firstId, MadeJournal, secondId } from '../support/made-journal.ts';
import { cli, json } from './cli.ts';

/** The promoted replica had `shared`, the journal `lost` as well. */
async function failedOver(): Promise<{ journal: MadeJournal; shared: number; lost: number }> {
  const journal = await MadeJournal.open();
  await journal.fullSync(firstId, 1000);
  const shared = await journal.write(['SET', 'both', 'have it']);
  journal.clock.advance(2000);
  const lost = await journal.write(['SET', 'ours', 'only']);
  journal.clock.advance(2000);
  const before = { id: firstId, offset: shared };
  const lineage = {
    role: 'master',
    id: secondId,
    offset: 2000,
    before,
    primary: undefined,
    isFailingOver: false,
  } as const;
  await journal.fullSync(secondId, 2000, lineage);
  await journal.write(['SET', 'new', 'history']);
  await journal.stop();
  journal.clock.advance(60_000);
  return { journal, shared, lost };
}

test('status, ls and verify show it, in text and in JSON', async () => {
  const { journal, shared, lost } = await failedOver();
  const { root, clock } = journal;
  const orphan = { timeline: 1, fromPosition: `${firstId}:${shared + 1}`, toPosition: `${firstId}:${lost}` };
  expect(json(await cli(['status', '--dir', root, '--json'], { clock })).orphans).toEqual([orphan]);
  expect(json(await cli(['ls', 'orphans', '--dir', root, '--json'])).orphans).toEqual([orphan]);
  const verified = await cli(['verify', '--dir', root, '--json']);
  expect(verified.exitCode).toBe(3);
  expect(json(verified)).toMatchObject({
    orphans: [{ timeline: 1, from: `${firstId}:${shared + 1}`, to: `${firstId}:${lost}` }],
    gaps: [{ detail: expect.stringContaining(`up to offset ${shared} only`) }],
  });
  expect((await cli(['status', '--dir', root], { clock })).stdout).toContain('timeline 1: in no surviving history');
  expect((await cli(['ls', '--dir', root])).stdout).toMatch(/^orphans\n.*\n +1 +aaaaaaaa:\d+ +aaaaaaaa:\d+$/m);
  expect((await cli(['verify', '--dir', root])).stdout).toMatch(
    /^orphan: offsets .* of timeline 1 are in no surviving/m,
  );
});

test('restoring into it works, says so, and exits 3', async () => {
  const { journal, shared, lost } = await failedOver();
  const { root, clock } = journal;
  const to = path.join(temporaryDirectory('orphan'), 'out');
  const target = `${firstId.slice(0, 8)}:${lost}`;
  const plan = await cli(['restore', '--at', target, '--dry-run', '--dir', root], { clock });
  expect(plan.exitCode).toBe(3);
  expect(plan.stdout).toMatch(/^warning .*acknowledged by the old primary, and is not in the surviving history/m);
  const restored = await cli(['restore', '--at', target, '--to', to, '--dir', root], { clock });
  expect(restored.exitCode).toBe(3);
  const record = JSON.parse(readFileSync(path.join(to, 'restore.json'), 'utf8')) as Record<string, unknown>;
  expect(record).toMatchObject({
    orphan: { from: `${firstId}:${shared + 1}`, to: `${firstId}:${lost}` },
    warnings: [expect.stringContaining('is not in the surviving history')],
  });
});

test.each([
  ['before it', 'at', (shared: number) => `${firstId}:${shared}`],
  ['as its warning proposes', 'before', (shared: number) => `${firstId}:${shared + 1}`],
  ['at the latest', 'at', () => 'latest'],
])('restoring %s is as ever', async (_title, mode, target) => {
  const { journal, shared } = await failedOver();
  const { root, clock } = journal;
  const argv = ['restore', `--${mode}`, target(shared), '--dry-run', '--json', '--dir', root];
  const result = await cli(argv, { clock });
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  expect(json(result)).toMatchObject({ orphan: null });
});
