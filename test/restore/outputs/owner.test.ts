// USER[:GROUP] as names and numbers, on tables of this test's own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveOwner } from '../../../src/restore/outputs/owner.ts';
import type { Disk } from '../../../src/storage/disk.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';

let root = '';

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'journal-owner-'));
  await writeFile(
    path.join(root, 'passwd'),
    'root:x:0:0:root:/root:/bin/sh\nredis:x:105:111::/var/lib/redis:/bin/false\n',
  );
  await writeFile(path.join(root, 'group'), 'root:x:0:\nredis:x:111:\nbackup:x:34:root,redis\n');
});

afterAll(() => rm(root, { recursive: true }));

const disk: Disk = {
  ...localDisk,
  size: (file) => localDisk.size(file.replace('/etc', root)),
  open: (file, mode) => localDisk.open(file.replace('/etc', root), mode),
};

test.each([
  ['redis', { user: 105, group: 111 }],
  ['redis:backup', { user: 105, group: 34 }],
  ['redis:7', { user: 105, group: 7 }],
  ['105', { user: 105, group: 111 }],
  ['4000', { user: 4000, group: undefined }],
  ['4000:4001', { user: 4000, group: 4001 }],
])('%s is %j', async (text, owner) => {
  expect(await resolveOwner(disk, text)).toEqual(owner);
});

test.each(['', ':redis', 'redis:', 'a:b:c', 'nobody-here', 'redis:no-group', '4294967295', '-1', 'root/../x'])(
  '%j is refused',
  async (text) => {
    await expect(resolveOwner(disk, text)).rejects.toMatchObject({ exitCode: 2 });
  },
);

test('without the tables, numbers still are', async () => {
  const bare: Disk = { ...localDisk, size: async () => undefined };
  expect(await resolveOwner(bare, '5:6')).toEqual({ user: 5, group: 6 });
  await expect(resolveOwner(bare, 'redis')).rejects.toMatchObject({ code: 'unknown-owner' });
});
