// How much of the base a diff loads, seen by what its scratch server saves first: only what can have changed, where that can
// be told. And history says when it has to load everything for one key.
import { statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type CliResult, cli } from '../cli/cli.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';

const untouched = 2000;
const valueBytes = 100;

describeServers('of a base with many keys', (binary) => {
  async function told(disk: Disk, commands: readonly string[][], ...words: readonly string[]): Promise<CliResult> {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await client.callMany(Array.from({ length: untouched }, (_, i) => ['SET', `old:${i}`, 'v'.repeat(valueBytes)]));
    await client.callMany([
      ['SET', 'gone', 'x'],
      ['RPUSH', 'list', '2', '1'],
    ]);
    await using journal = await RunningJournal.attach({ port: primary.port });
    await client.call('SET', 'first', '1');
    await journaled(client);
    await cli(['mark', 'then', '--dir', journal.root]);
    await client.callMany(commands);
    await journaled(client);
    const where = ['--dir', journal.root, '--server-bin', binary.path, '--relative-ttl', 'convert'];
    return await cli([...words, ...where], { env: { PATH: process.env.PATH }, disk });
  }

  test.each([
    ['one key was deleted', [['DEL', 'gone']], '1 removed', false],
    ['a db was flushed', [['FLUSHALL']], '2,003 removed', true],
  ])('where %s, a diff loads what it must', { timeout: 60_000 }, async (_, commands, summary, isWhole) => {
    let bytes = 0;
    const disk: Disk = {
      ...localDisk,
      open: (file, mode) => {
        if (path.basename(file) === 'dump.rdb') bytes ||= statSync(file).size;
        return localDisk.open(file, mode);
      },
    };
    const { exitCode, stdout, stderr } = await told(disk, commands, 'diff', '--at', 'mark:then', '--at', 'latest');
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toContain(summary);
    if (isWhole) expect(bytes).toBeGreaterThan(untouched * valueBytes);
    else expect(bytes).toBeLessThan((untouched * valueBytes) / 10);
  });

  test(
    'history says that everything has to be loaded where one key may depend on any',
    { timeout: 60_000 },
    async () => {
      const sort = [['SORT', 'list', 'BY', 'old:*', 'ALPHA', 'STORE', 'sorted']];
      const { exitCode, stderr } = await told(localDisk, sort, 'history', 'sorted', '--values');
      expect(exitCode, stderr).toBe(0);

      expect(stderr).toContain('everything has to be loaded for this key: ');
    },
  );
});
