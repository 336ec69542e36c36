// What restores that were killed have left: removed by the next one there, and nothing else is.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { removeAbandoned, WorkDirectory } from '../../../src/restore/outputs/work-directory.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../../support/leash.ts';

const now = Date.UTC(2026, 10, 20) * 1000;

let home: string;

beforeEach(() => {
  home = temporaryDirectory('home');
});

/** As a process leaves it that is killed: with nobody to hold it. */
async function leave(name: string, files: readonly string[], appearing?: readonly string[]): Promise<string> {
  const work = path.join(home, name);
  using _hold = await localDisk.makeHeld(work, '2026-11-20T00:00:00Z');
  mkdirSync(path.join(work, 'data'));
  for (const file of files) writeFileSync(path.join(work, 'data', file), 'half');
  if (appearing !== undefined) writeFileSync(path.join(work, 'appearing'), JSON.stringify(appearing));
  return work;
}

const clean = (): Promise<void> => removeAbandoned(localDisk, home, now);

describe('what a killed restore has left', () => {
  test.each(['.out.restoring-0badcafe', '.restoring-0badcafe', '..two\nlines .restoring-12345678'])(
    '(%j) is removed',
    async (name) => {
      await leave(name, ['dump.rdb']);
      await clean();
      expect(readdirSync(home)).toEqual([]);
    },
  );

  test('is left alone as long as it is not left', async () => {
    await using work = await WorkDirectory.create(localDisk, home, 'out', now);
    await using other = await WorkDirectory.create(localDisk, home, undefined, now);
    await clean();
    expect([work.data, other.data].every((data) => existsSync(data))).toBe(true);
    expect(readdirSync(home)).toHaveLength(2);
  });

  test('half of which had appeared is taken back, and what others have put there is not', async () => {
    await leave('.restoring-0badcafe', ['appendonlydir'], ['restore.json', 'appendonlydir']);
    writeFileSync(path.join(home, 'restore.json'), '{}');
    writeFileSync(path.join(home, 'redis.conf'), 'precious');
    await clean();
    expect(readdirSync(home)).toEqual(['redis.conf']);
  });

  test('of which nothing had appeared takes nothing back of the same name', async () => {
    await leave('.out.restoring-0badcafe', ['out', 'out.restore.json'], ['out.restore.json', 'out']);
    writeFileSync(path.join(home, 'out.restore.json'), 'of an earlier one');
    await clean();
    expect(readdirSync(home)).toEqual(['out.restore.json']);
  });

  test('all of which had appeared stays, but for what made it', async () => {
    await leave('.restoring-0badcafe', [], ['restore.json', 'appendonlydir']);
    for (const name of ['restore.json', 'appendonlydir']) writeFileSync(path.join(home, name), name);
    await clean();
    expect(readdirSync(home).toSorted()).toEqual(['appendonlydir', 'restore.json']);
  });

  test.each(['../precious', '/precious', '', '.', '..', 7])('takes back no %j, whatever it says', async (name) => {
    const precious = path.join(home, 'precious');
    mkdirSync(path.join(home, 'in'));
    writeFileSync(precious, 'precious');
    home = path.join(home, 'in');
    await leave('.restoring-0badcafe', [], [name, 'appendonlydir'] as string[]);
    await clean();
    expect(readdirSync(home)).toEqual([]);
    expect(readFileSync(precious, 'utf8')).toBe('precious');
  });

  test('is not what only has such a name, or another name', async () => {
    mkdirSync(path.join(home, '.out.restoring-0badcafe'));
    writeFileSync(path.join(home, '.out.restoring-0badcafe', 'precious'), '');
    writeFileSync(path.join(home, '.restoring-0badcafe'), 'a file');
    const other = await leave('.out.restoring-0badcafe2', ['precious']);
    await clean();
    const kept = ['.out.restoring-0badcafe', '.out.restoring-0badcafe2', '.restoring-0badcafe'];
    expect(readdirSync(home).toSorted()).toEqual(kept);
    expect(existsSync(path.join(other, 'data', 'precious'))).toBe(true);
  });

  test('before it could say whose it was is removed after a minute', async () => {
    const born = path.join(home, '.out.restoring-0badcafe');
    mkdirSync(born);
    writeFileSync(path.join(born, 'lock'), '');
    const wall = Date.now() * 1000;
    await removeAbandoned(localDisk, home, wall);
    expect(readdirSync(home)).toHaveLength(1);
    await removeAbandoned(localDisk, home, wall + 61_000_000);
    expect(readdirSync(home)).toEqual([]);
  });
});

test('a place that cannot be listed, or is none, is no reason not to restore', async () => {
  await removeAbandoned(localDisk, path.join(home, 'no such'), now);
});
