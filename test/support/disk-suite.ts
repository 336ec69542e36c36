// The contract of a Disk (src/storage/disk.ts) as tests. Each implementation runs all of them; what a crash leaves is
// tested where it can be made to happen, in the simulated one.
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { StorageError } from '../../src/core/errors.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** An existing, empty directory. */
  readonly root: string;
}

export function diskSuite(name: string, make: () => Promise<DiskUnderTest>): void {
  describe(`${name} keeps the contract of a disk`, () => {
    let disk: Disk;
    let root: string;
    const at = (...names: string[]): string => path.posix.join(root, ...names);

    beforeEach(async () => {
      ({ disk, root } = await make());
    });

    async function holding(file: string, text: string): Promise<void> {
      await using handle = await disk.create(file);
      await handle.write([Buffer.from(text)], 0);
    }

    async function read(file: string): Promise<string> {
      await using handle = await disk.open(file, 'read');
      const bytes = Buffer.alloc(await handle.size());
      expect(await handle.read(bytes, 0)).toBe(bytes.length);
      return bytes.toString();
    }

    describe('files', () => {
      test('what is written is read back, at its position', async () => {
        await using file = await disk.create(at('a'));
        await file.write([Buffer.from('hel'), Buffer.alloc(0), Buffer.from('lo')], 0);
        await file.write([Buffer.from('world')], 6);
        expect(await file.size()).toBe(11);
        expect(await read(at('a'))).toBe('hello\0world');
        expect(await disk.size(at('a'))).toBe(11);
      });

      test('a write of thousands of parts is whole', async () => {
        const parts = Array.from({ length: 3000 }, (_, i) => Buffer.from(String(i % 10)));
        await using file = await disk.create(at('a'));
        await file.write(parts, 3);
        expect((await read(at('a'))).slice(3)).toBe(Buffer.concat(parts).toString());
      });

      test('a write inside replaces and does not shorten', async () => {
        await using file = await disk.create(at('a'));
        await file.write([Buffer.from('abcdef')], 0);
        await file.write([Buffer.from('XY')], 2);
        expect(await read(at('a'))).toBe('abXYef');
      });

      test('a read ends at the end of the file', async () => {
        await holding(at('a'), 'abcdef');
        await using file = await disk.open(at('a'), 'read');
        const target = Buffer.alloc(4);
        expect(await file.read(target, 4)).toBe(2);
        expect(target.toString()).toBe('ef\0\0');
        expect(await file.read(target, 6)).toBe(0);
        expect(await file.read(target, 60)).toBe(0);
      });

      test('a file that exists is not created again', async () => {
        await holding(at('a'), 'kept');
        await failsWith('exists', disk.create(at('a')));
        expect(await read(at('a'))).toBe('kept');
      });

      test('truncating cuts, and zeros are what a longer file gets', async () => {
        await holding(at('a'), 'abcdef');
        await using file = await disk.open(at('a'), 'write');
        await file.truncate(2);
        expect(await read(at('a'))).toBe('ab');
        await file.truncate(4);
        expect(await read(at('a'))).toBe('ab\0\0');
      });

      test('a file opened for reading cannot be written', async () => {
        await holding(at('a'), 'kept');
        await using file = await disk.open(at('a'), 'read');
        await failsWith('io', () => file.write([Buffer.from('X')], 0));
        expect(await read(at('a'))).toBe('kept');
      });

      test('closing twice is closing once, and a closed file refuses', async () => {
        const file = await disk.create(at('a'));
        await file.close();
        await file.close();
        await failsWith('io', () => file.write([Buffer.from('X')], 0));
        await failsWith('io', () => file.read(Buffer.alloc(1), 0));
      });

      test('an open file stays what it is when it is renamed or removed', async () => {
        await using file = await disk.create(at('a'));
        await disk.rename(at('a'), at('b'));
        await file.write([Buffer.from('moved')], 0);
        expect(await read(at('b'))).toBe('moved');
        await disk.remove(at('b'));
        expect(await textOf(file)).toBe('moved');
      });

      test('syncing a file and its directory succeeds', async () => {
        await using file = await disk.create(at('a'));
        await file.write([Buffer.from('x')], 0);
        await file.sync();
        await disk.syncDirectory(root);
        expect(await read(at('a'))).toBe('x');
      });
    });

    describe('names', () => {
      test('a listing holds every name once', async () => {
        expect(await disk.list(root)).toEqual([]);
        await holding(at('b'), '');
        await holding(at('a'), '');
        await disk.makeDirectory(at('c'));
        expect((await disk.list(root)).sort()).toEqual(['a', 'b', 'c']);
      });

      test('directories are made with those above them, and again without an error', async () => {
        await disk.makeDirectory(at('x', 'y', 'z'));
        await disk.makeDirectory(at('x', 'y', 'z'));
        expect(await disk.list(at('x', 'y'))).toEqual(['z']);
        expect(await disk.size(at('x', 'y'))).toBeDefined();
      });

      test('a rename replaces what has the name', async () => {
        await holding(at('a'), 'new');
        await holding(at('b'), 'old');
        await disk.rename(at('a'), at('b'));
        expect(await disk.list(root)).toEqual(['b']);
        expect(await read(at('b'))).toBe('new');
      });

      test('a link is a second name, and never replaces', async () => {
        await holding(at('a'), 'one');
        await disk.link(at('a'), at('b'));
        await disk.remove(at('a'));
        expect(await read(at('b'))).toBe('one');
        await holding(at('a'), 'two');
        await failsWith('exists', disk.link(at('a'), at('b')));
        expect(await read(at('b'))).toBe('one');
      });

      test('a clone is a file of its own, or is not made at all', async () => {
        await holding(at('a'), 'one');
        if (await disk.clone(at('a'), at('b'))) {
          await using file = await disk.open(at('b'), 'write');
          await file.write([Buffer.from('two')], 0);
        } else {
          expect(await disk.list(root)).toEqual(['a']);
          await holding(at('b'), 'two');
        }
        expect([await read(at('a')), await read(at('b'))]).toEqual(['one', 'two']);
        await failsWith('exists', disk.clone(at('a'), at('b')));
        expect(await read(at('b'))).toBe('two');
      });

      test('what is there can be given to another user, at least to the one who has it', async () => {
        await holding(at('a'), 'kept');
        await disk.changeOwner(at('a'), process.getuid?.() ?? 0, undefined);
        expect(await read(at('a'))).toBe('kept');
        await failsWith('not-found', disk.changeOwner(at('b'), 0, undefined));
      });

      test('removing what is not there is no error', async () => {
        await disk.remove(at('nothing'));
        await disk.removeTree(at('nothing'));
        expect(await disk.list(root)).toEqual([]);
      });

      test('a tree is removed with all that is in it', async () => {
        await disk.makeDirectory(at('x', 'y'));
        await holding(at('x', 'y', 'a'), 'a');
        await disk.removeTree(at('x'));
        expect(await disk.list(root)).toEqual([]);
      });

      test('a directory is not removed as a file', async () => {
        await disk.makeDirectory(at('x'));
        await failsWith('io', disk.remove(at('x')));
        expect(await disk.list(root)).toEqual(['x']);
      });
    });

    test('what is not there is told by its code', async () => {
      expect(await disk.size(at('a'))).toBeUndefined();
      await failsWith('not-found', disk.open(at('a'), 'read'));
      await failsWith('not-found', disk.open(at('a'), 'write'));
      await failsWith('not-found', disk.create(at('no', 'a')));
      await failsWith('not-found', disk.list(at('no')));
      await failsWith('not-found', disk.rename(at('a'), at('b')));
      await failsWith('not-found', disk.link(at('a'), at('b')));
      await failsWith('not-found', disk.syncDirectory(at('no')));
      expect(await disk.list(root)).toEqual([]);
    });

    test('errors name the operation and the path', async () => {
      await expect(disk.open(at('a'), 'read')).rejects.toThrow(`cannot open ${at('a')}: no such file or directory`);
    });

    test('there is room for something', async () => {
      expect(await disk.freeBytes(root)).toBeGreaterThan(0);
    });
  });
}

async function textOf(file: DiskFile): Promise<string> {
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes.toString();
}

async function failsWith(code: string, attempt: Promise<unknown> | (() => Promise<unknown>)): Promise<void> {
  const error: unknown = await (typeof attempt === 'function' ? attempt() : attempt).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StorageError);
  expect((error as StorageError).code).toBe(code);
}
