// Where a journal lies: its folders are durable, also those that had to be made above it.
import { expect, test } from 'vitest';
import { chooseSource, createSourceTree, listSources, sourceTree } from '../../src/log/source-tree.ts';
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

test('a root that exists is not asked for its parents, which may not be ours to read', async () => {
  const disk = new SimulatedDisk();
  await disk.makeDirectory('/a/root');
  disk.operations.length = 0;
  await createSourceTree(disk, '/a/root', sourceTree('/a/root', 'cache'));
  expect(disk.operations.filter(({ kind }) => kind === 'syncDirectory').map(({ path }) => path)).toEqual([
    '/a/root',
    '/a/root/cache',
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
