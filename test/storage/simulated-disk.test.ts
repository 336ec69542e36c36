// The simulated disk is the ground that the crash tests stand on: it keeps the contract, and loses what a disk may lose.
import { describe, expect, test } from 'vitest';
import { diskSuite } from '../support/disk-suite.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

async function emptyDisk(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await disk.makeDirectory('/root');
  await disk.syncDirectory('/');
  return disk;
}

diskSuite('the simulated disk', async () => ({ disk: await emptyDisk(), root: '/root' }));

const seeds = Array.from({ length: 200 }, (_, i) => i);

/** What a file may be after a power loss, over many of them. */
async function fates(prepare: (disk: SimulatedDisk) => Promise<void>): Promise<Set<string | undefined>> {
  const found = new Set<string | undefined>();
  for (const seed of seeds) {
    const disk = await emptyDisk();
    await prepare(disk);
    found.add(disk.crash(seed).files().get('/root/a')?.toString());
  }
  return found;
}

describe('after a power loss', () => {
  test('what was synced is there, when its name was synced, too', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await file.write([Buffer.from('kept')], 0);
      await file.sync();
      await disk.syncDirectory('/root');
    });
    expect([...found]).toEqual(['kept']);
  });

  test('a name that was not synced may be gone, or there', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await file.write([Buffer.from('kept')], 0);
      await file.sync();
    });
    expect(found).toEqual(new Set([undefined, 'kept']));
  });

  test('an unsynced write may be lost, kept, or torn at any byte', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('abc')], 0);
    });
    for (const text of ['', 'a', 'ab', 'abc', '\0bc', '\0\0c', '\0', '\0\0', '\0\0\0']) expect(found).toContain(text);
  });

  test('bytes that were durable and are written once more in place stay, whatever becomes of those behind them', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await file.write([Buffer.from('abc')], 0);
      await file.sync();
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('bcd')], 1);
    });
    expect(found.size).toBeGreaterThan(3);
    for (const text of found) expect(text?.slice(0, 3)).toBe('abc');
  });

  test('a later write may survive an earlier one', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('a')], 0);
      await file.write([Buffer.from('b')], 1);
    });
    expect(found).toContain('\0b');
  });

  test('a write that returned after the sync began is not covered by it', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('a')], 0);
      const syncing = file.sync();
      await file.write([Buffer.from('b')], 1);
      await syncing;
    });
    expect(found).toContain('a');
    expect([...found].every((text) => text?.startsWith('a'))).toBe(true);
  });

  test('a rename may be undone, and is never half done', async () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const disk = await emptyDisk();
      await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await disk.rename('/root/a', '/root/b');
      found.add([...disk.crash(seed).files().keys()].join());
    }
    expect(found).toEqual(new Set(['/root/a', '/root/b']));
  });

  test('what a failed sync left behind may be lost, although a later sync succeeded', async () => {
    const found = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('a')], 0);
      disk.fault = ({ kind }) => (kind === 'sync' ? 'io' : undefined);
      await expect(file.sync()).rejects.toThrow('EIO');
      disk.fault = () => undefined;
      await file.sync();
    });
    expect(found).toContain('');
    const again = await fates(async (disk) => {
      const file = await disk.create('/root/a');
      await disk.syncDirectory('/root');
      await file.write([Buffer.from('a')], 0);
      disk.fault = ({ kind }) => (kind === 'sync' ? 'io' : undefined);
      await expect(file.sync()).rejects.toThrow('EIO');
      disk.fault = () => undefined;
      await file.write([Buffer.from('a')], 0);
      await file.sync();
    });
    expect([...again]).toEqual(['a']);
  });

  test('the same seed gives the same disk', async () => {
    const once = async (): Promise<string> => {
      const disk = await emptyDisk();
      for (const name of ['a', 'b', 'c']) {
        const file = await disk.create(`/root/${name}`);
        await file.write([Buffer.from('some bytes')], 0);
      }
      return JSON.stringify([...disk.crash(7).files()]);
    };
    expect(await once()).toBe(await once());
  });
});

describe('faults', () => {
  test('a full disk takes a part of a write and says so', async () => {
    const disk = await emptyDisk();
    const file = await disk.create('/root/a');
    disk.fault = ({ kind }) => (kind === 'write' ? 'no-space' : undefined);
    await expect(file.write([Buffer.from('abcd')], 0)).rejects.toMatchObject({ code: 'no-space' });
    expect(await file.size()).toBe(2);
  });

  test('nothing works behind the operation at which the power went', async () => {
    const disk = await emptyDisk();
    disk.fault = ({ index }) => (index === 3 ? 'power' : undefined);
    const file = await disk.create('/root/a');
    await expect(file.write([Buffer.from('a')], 0)).rejects.toThrow('the power is gone');
    await expect(disk.list('/root')).rejects.toThrow('the power is gone');
    expect(disk.operations.map(({ kind }) => kind)).toEqual(['makeDirectory', 'syncDirectory', 'create', 'write']);
  });

  test('a killed process leaves everything that it wrote to the next one', async () => {
    const disk = await emptyDisk();
    const file = await disk.create('/root/a');
    await file.write([Buffer.from('a')], 0);
    const next = disk.kill();
    await expect(file.sync()).rejects.toThrow('the power is gone');
    expect(next.files().get('/root/a')?.toString()).toBe('a');
  });
});
