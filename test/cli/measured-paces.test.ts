// The file of how fast restores went: found again, in nobody's way when it is missing, damaged, or cannot be written.
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { estimated, keepPaces, learnFrom, readPaces } from '../../src/cli/measured-paces.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';

test.each([
  ['XDG_CACHE_HOME', 'journal/restore-paces.json'],
  ['HOME', '.cache/journal/restore-paces.json'],
])('is kept below %s', async (name, file) => {
  const home = temporaryDirectory('home');
  expect(await readPaces(localDisk, { [name]: home })).toEqual({});
  await keepPaces(localDisk, { [name]: home }, { rdb: 100 });
  await keepPaces(localDisk, { [name]: home }, { rdb: 200 });
  expect(await readPaces(localDisk, { [name]: home })).toEqual({ rdb: 200 });
  expect(statSync(path.join(home, file)).mode & 0o777).toBe(0o600);
});

test('is done without where there is no place for it', async () => {
  await keepPaces(localDisk, {}, { rdb: 1 });
  await keepPaces(localDisk, { HOME: 'relative' }, { rdb: 1 });
  const home = temporaryDirectory('home');
  await keepPaces(localDisk, { HOME: path.join(home, 'no such') }, { rdb: 1 });
  writeFileSync(path.join(home, 'file'), '');
  await keepPaces(localDisk, { HOME: path.join(home, 'file') }, { rdb: 1 });
  expect(await readPaces(localDisk, { HOME: path.join(home, 'file') })).toEqual({});
  expect(readdirSync(home)).toEqual(['file']);
});

test.each(['', 'no json', 'null', '7', '{"rdb":"fast","resp":-1,"server":0,"multi-part-aof":5}'])(
  'of which nothing can be made (%j) counts for nothing',
  async (text) => {
    const home = temporaryDirectory('home');
    mkdirSync(path.join(home, 'journal'));
    writeFileSync(path.join(home, 'journal/restore-paces.json'), text);
    const paces = await readPaces(localDisk, { XDG_CACHE_HOME: home });
    expect(Object.values(paces).every((pace) => pace > 0)).toBe(true);
    expect(paces.rdb).toBeUndefined();
  },
);

test('what a restore took is what the next one like it is expected to take', async () => {
  const env = { HOME: temporaryDirectory('home') };
  const work = {
    ...{
      form: 'rdb',
      transform: 'none',
      ttl: { mode: 'keep' },
      undo: undefined,
      selection: undefined,
      held: undefined,
    },
    ...{ scratch: {}, destination: undefined, bytes: { base: 1e9, stream: 1e9, total: 2e9 } },
  };
  const before = await estimated(work, { disk: localDisk, env });
  await learnFrom(work, before * 5, { disk: localDisk, env });
  const after = await estimated(work, { disk: localDisk, env });
  expect(after / before).toBeCloseTo(5, 1);
});
