// What is said to a delayed copy, and what it says, for people; and what is refused before anybody is asked.
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ControlDoor } from '../../src/downstream/control-door.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { cli, jsonError } from './cli.ts';

const position = `${'a'.repeat(40)}:1234`;
const replica = {
  address: '10.0.0.7:6390',
  peer: '',
  state: 'online',
  acknowledged: '1',
  lagBytes: 0,
  silentSeconds: 0.4,
};
const status = {
  ...{ source: 'cache', state: 'paused', delaySeconds: 900, ttl: 'shift', pausedSince: '2026-11-20T14:31:00.000000Z' },
  ...{ instant: '2026-11-20T14:16:00.000000Z', behindSeconds: 960, timeline: 2, position },
  ...{ lastByte: '2026-11-20T14:15:59.000000Z', replicas: [replica], warnings: ['mind \u001b[31m this'] },
};

describe('a delayed copy', () => {
  test('is asked by its socket, and tells where it stands', async () => {
    const control = path.join(temporaryDirectory('copy'), 'copy.sock');
    const asked: unknown[] = [];
    await using _door = await ControlDoor.open(control, localDisk, new ManualClock(), async (request) => {
      asked.push(request);
      return Promise.resolve({ status });
    });
    const { exitCode, stdout, stderr } = await cli(['serve', 'step', '--before', 'mark:deploy', '--control', control]);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(asked).toEqual([{ verb: 'step', target: 'mark:deploy', mode: 'before', acceptUncertainty: false }]);
    expect(stdout.split('\n')).toEqual([
      'cache  paused',
      '  delay       15 min, and so are TTLs',
      expect.stringContaining('since 2026-11-20 14:31:00'),
      expect.stringContaining('16 min ago'),
      expect.stringContaining('timeline 2'),
      `  position    ${position}`,
      '  feeds       10.0.0.7:6390  online, 0 B behind',
      expect.stringMatching(/warning +mind [^ ]*\[31m this/),
      '',
    ]);
    expect(stdout).not.toContain('\u001b');
    const json = await cli(['serve', 'status', '--json', '--control', control]);
    expect(JSON.parse(json.stdout)).toEqual(status);
  });

  test('refuses what it refuses with its own words and exit code', async () => {
    const control = path.join(temporaryDirectory('copy'), 'copy.sock');
    const error = { code: 'already-served', message: 'it lies behind', hint: 'do this', exitCode: 4 };
    await using _door = await ControlDoor.open(control, localDisk, new ManualClock(), () => Promise.resolve({ error }));
    const refused = await cli(['serve', 'step', '--at', '-1h', '--json', '--control', control]);
    expect(refused.exitCode).toBe(4);
    expect(jsonError(refused)).toEqual(error);
  });

  test('is not there to be asked when nobody serves it', async () => {
    await using journal = await JournalBuilder.create();
    await journal.timeline({ id: 'a'.repeat(40), offset: 1000, completed: 1_000_000 });
    const nobody = await cli(['serve', 'status', '--json', '--dir', journal.root]);
    expect([nobody.exitCode, jsonError(nobody).code]).toEqual([11, 'nobody-serves']);
  });

  test.each([
    [['serve', 'step'], 'no-target'],
    [['serve', 'pause', '--at', '-1h'], 'no-target-here'],
    [['serve', 'halt'], 'bad-argument'],
    [['serve', '--listen', '1', '--delay', 'soon'], 'bad-delay'],
    [['serve', '--listen', '1', '--delay', '20GB'], 'bad-delay'],
    [['serve', '--listen', '1', '--delay', '15m', '--at', '-1h'], 'moment-and-delay'],
  ])('%j is refused', async (words, code) => {
    await using journal = await JournalBuilder.create();
    await journal.timeline({ id: 'a'.repeat(40), offset: 1000, completed: 1_000_000 });
    const refused = await cli([...words, '--json', '--dir', journal.root], { env: { JOURNAL_LISTEN_PASSWORD: 'x' } });
    expect([refused.exitCode, jsonError(refused).code]).toEqual([2, code]);
  });
});
