// Where a journal lies: its folders are durable, also those that had to be made above it.
import { expect, test } from 'vitest';
import { chooseSource, createSourceTree, listSources, sourceTree } from '../../src/log/source-tree.ts';
import { StorageError } from '../../src/core/errors.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

test('a new journal is there after a power loss, also where its root and what is above it were new', async () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const disk = new SimulatedDisk();
    const tree = sourceTree('/a/b/root', 'cache');
    await createSourceTree(disk, '/a/b/root', tree);
    const after = disk.crash(seed);
    expect(await after.list('/a/b/root')).toEqual(['cache']);
    expect((await after.list(tree.directory)).sort()).toEqual(['marks', 'timelines']);
  }
});

test('a new journal is there after a power loss, also when the process before was killed while it was made', async () => {
  const tree = sourceTree('/a/b/root', 'cache');
  for (let killedAt = 0; killedAt < 12; killedAt += 1) {
    for (let seed = 0; seed < 20; seed += 1) {
      const first = new SimulatedDisk();
      first.gate = ({ index }) => (index === killedAt ? new Promise(() => {}) : undefined);
      void createSourceTree(first, '/a/b/root', tree);
      await new Promise((resolve) => void setImmediate(resolve));
      const disk = first.kill();
      await createSourceTree(disk, '/a/b/root', tree);
      expect((await disk.crash(seed).list(tree.directory)).sort(), `killed at ${killedAt}`).toEqual([
        'marks',
        'timelines',
      ]);
    }
  }
});

test('a root that holds something is not asked for its parents, and an empty one does without, if they are not ours', async () => {
  const disk = new SimulatedDisk();
  await disk.makeDirectory('/a/root');
  const sync = disk.syncDirectory.bind(disk);
  disk.syncDirectory = async (path) => {
    if (path !== '/a') return sync(path);
    throw new StorageError('io', 'permission denied', { cause: Object.assign(new Error(), { code: 'EACCES' }) });
  };
  await createSourceTree(disk, '/a/root', sourceTree('/a/root', 'cache'));
  disk.operations.length = 0;
  await createSourceTree(disk, '/a/root', sourceTree('/a/root', 'another'));
  expect(disk.operations.filter(({ kind }) => kind === 'syncDirectory').map(({ path }) => path)).toEqual([
    '/a/root',
    '/a/root/another',
  ]);
});

test('the one source needs no name; of several, one must be named', async () => {
  const disk = new SimulatedDisk();
  await expect(chooseSource(disk, '/root', undefined)).rejects.toMatchObject({ code: 'no-journal', exitCode: 2 });
  await createSourceTree(disk, '/root', sourceTree('/root', 'one'));
  await disk.makeDirectory('/root/no-journal');
  await disk.makeDirectory('/root/.hidden/timelines');
  expect((await chooseSource(disk, '/root', undefined)).source).toBe('one');
  await createSourceTree(disk, '/root', sourceTree('/root', 'another'));
  expect(await listSources(disk, '/root')).toEqual(['another', 'one']);
  await expect(chooseSource(disk, '/root', undefined)).rejects.toMatchObject({ code: 'which-source' });
  await expect(chooseSource(disk, '/root', 'third')).rejects.toMatchObject({ code: 'no-such-source' });
  expect((await chooseSource(disk, '/root', 'one')).directory).toBe('/root/one');
});

test('a name that would leave the root is no source name', () => {
  for (const name of ['', '..', '.x', '-x', 'a/b', 'a'.repeat(65), 'a\0']) {
    expect(() => sourceTree('/root', name)).toThrow('not a source name');
  }
});
