// The machine's own file system behind the contract, and what only it has: permissions, and its own errors.
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { blockingDisk, localDisk } from '../../src/storage/local-disk.ts';
import { diskSuite } from '../support/disk-suite.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'journal-disk-'));
const newRoot = (): string => mkdtempSync(path.join(scratch, 'root-'));

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

diskSuite('the local disk', async () => ({ disk: localDisk, root: newRoot() }));
diskSuite('the local disk of a thread of its own', async () => ({ disk: blockingDisk, root: newRoot() }));

describe('the local disk', () => {
  test('keeps what it makes from other users', async () => {
    const root = newRoot();
    await localDisk.makeDirectory(path.join(root, 'a', 'b'));
    await using file = await localDisk.create(path.join(root, 'a', 'b', 'file'));
    const modes = ['a', path.join('a', 'b')].map((name) => statSync(path.join(root, name)).mode & 0o777);
    expect(modes).toEqual([0o700, 0o700]);
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
  });

  test('changes nothing by opening for reading', async () => {
    const root = newRoot();
    const name = path.join(root, 'file');
    await (await localDisk.create(name)).close();
    chmodSync(name, 0o400);
    const before = statSync(name);
    await using file = await localDisk.open(name, 'read');
    await file.read(Buffer.alloc(1), 0);
    const { mode, mtimeMs, ctimeMs, size } = statSync(name);
    expect({ mode, mtimeMs, ctimeMs, size }).toEqual({
      mode: before.mode,
      mtimeMs: before.mtimeMs,
      ctimeMs: before.ctimeMs,
      size: before.size,
    });
  });

  test.skipIf(!existsSync('/proc/self/mem'))(
    'says that the medium did not give it back, and where to look',
    async () => {
      // Nothing is ever at the first address of a process, and Linux says so with EIO.
      await using file = await localDisk.open('/proc/self/mem', 'read');
      const refused = { code: 'unreadable', exitCode: 9, message: 'cannot read /proc/self/mem: EIO' };
      await expect(file.read(Buffer.alloc(1), 0)).rejects.toMatchObject(refused);
    },
  );

  test('says what to do when it is not allowed', async () => {
    const missing = path.join(newRoot(), 'file', 'below');
    await (await localDisk.create(path.dirname(missing))).close();
    await expect(localDisk.create(missing)).rejects.toMatchObject({ code: 'io', exitCode: 9 });
  });
});
