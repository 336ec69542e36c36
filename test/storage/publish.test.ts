// Small objects come into being whole and durable, or not at all: at whatever operation the power goes.
import { describe, expect, test } from 'vitest';
import { publish, publishNew, readSmall, replaceCache, temporaryPrefix } from '../../src/storage/publish.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import type { Fault } from '../support/simulated-disk.ts';

const target = '/d/object';
const old = Buffer.from('old');
const fresh = Buffer.from('fresh');

async function diskWith(files: Record<string, Buffer> = {}): Promise<SimulatedDisk> {
  const disk = SimulatedDisk.holding(new Map(Object.entries(files)));
  await disk.makeDirectory('/d');
  await disk.syncDirectory('/');
  disk.operations.length = 0;
  return disk;
}

function failAt(disk: SimulatedDisk, at: number, fault: Fault): void {
  disk.fault = ({ index }) => (index === at ? fault : undefined);
}

async function isDone(attempt: Promise<void>): Promise<boolean> {
  return attempt.then(
    () => true,
    () => false,
  );
}

function contentOf(disk: SimulatedDisk): string | undefined {
  return disk.files().get(target)?.toString();
}

/** Power lost at each operation in turn, with many outcomes each: what may the target be, and was it told to be done? */
async function outcomes(
  files: Record<string, Buffer>,
  act: (disk: SimulatedDisk) => Promise<void>,
): Promise<{ done: Set<string | undefined>; undone: Set<string | undefined>; strangers: Set<string> }> {
  const found = {
    done: new Set<string | undefined>(),
    undone: new Set<string | undefined>(),
    strangers: new Set<string>(),
  };
  for (let at = 0; at < 8; at += 1) {
    for (let seed = 0; seed < 40; seed += 1) {
      const disk = await diskWith(files);
      failAt(disk, at, 'power');
      const done = await isDone(act(disk));
      const after = disk.crash(seed);
      (done ? found.done : found.undone).add(contentOf(after));
      for (const name of await after.list('/d')) {
        if (name !== 'object' && !name.startsWith(temporaryPrefix)) found.strangers.add(name);
      }
    }
  }
  return found;
}

describe('publish', () => {
  test('is all or nothing, and durable once it returned', async () => {
    const { done, undone, strangers } = await outcomes({}, (disk) => publish(disk, target, fresh));
    expect(done).toEqual(new Set(['fresh']));
    expect(undone).toEqual(new Set([undefined, 'fresh']));
    expect(strangers).toEqual(new Set());
  });

  test('replaces one of the same name, never by a part of the new one', async () => {
    const { done, undone } = await outcomes({ [target]: old }, (disk) => publish(disk, target, fresh));
    expect(done).toEqual(new Set(['fresh']));
    expect(undone).toEqual(new Set(['old', 'fresh']));
  });

  test('syncs the bytes before it gives them their name, and the name before it returns', async () => {
    const disk = await diskWith();
    await publish(disk, target, fresh);
    expect(disk.operations.map(({ kind }) => kind)).toEqual(['create', 'write', 'sync', 'rename', 'syncDirectory']);
  });

  test('gives no name to what could not be written or synced', async () => {
    for (const at of [1, 2]) {
      const disk = await diskWith();
      failAt(disk, at, 'no-space');
      expect(await isDone(publish(disk, target, fresh))).toBe(false);
      expect(await disk.list('/d'), 'no temporary file stays on a full disk').toEqual([]);
    }
  });
});

describe('publishNew', () => {
  test('is all or nothing, and durable once it returned', async () => {
    const { done, undone } = await outcomes({}, (disk) => publishNew(disk, target, fresh));
    expect(done).toEqual(new Set(['fresh']));
    expect(undone).toEqual(new Set([undefined, 'fresh']));
  });

  test('refuses a name that is taken and leaves nothing behind', async () => {
    const disk = await diskWith({ [target]: old });
    await expect(publishNew(disk, target, fresh)).rejects.toMatchObject({ code: 'exists' });
    expect(contentOf(disk)).toBe('old');
    expect(await disk.list('/d')).toEqual(['object']);
  });

  test('lets one of two win', async () => {
    const disk = await diskWith();
    const results = await Promise.all([isDone(publishNew(disk, target, old)), isDone(publishNew(disk, target, fresh))]);
    expect(results.filter((won) => won)).toHaveLength(1);
    expect(contentOf(disk)).toBe(results[0] ? 'old' : 'fresh');
  });
});

describe('caches', () => {
  test('a cache is replaced whole for whoever reads it', async () => {
    const disk = await diskWith({ [target]: old });
    await replaceCache(disk, target, fresh);
    expect(contentOf(disk)).toBe('fresh');
    expect(await disk.list('/d')).toEqual(['object']);
  });

  test('a cache that cannot be replaced stays as it was, and nothing is left beside it', async () => {
    const disk = await diskWith({ [target]: old });
    failAt(disk, 1, 'io');
    expect(await isDone(replaceCache(disk, target, fresh))).toBe(false);
    expect(contentOf(disk)).toBe('old');
    expect(await disk.list('/d')).toEqual(['object']);
  });

  test.each([0, 1])('a cache on a full disk is written over, in the room that it has (operation %d)', async (at) => {
    const disk = await diskWith({ [target]: Buffer.from('a long old text') });
    failAt(disk, at, 'no-space');
    await replaceCache(disk, target, fresh);
    expect(contentOf(disk)).toBe('fresh'.padEnd('a long old text'.length));
    expect(await disk.list('/d')).toEqual(['object']);
  });

  test('a cache that is not there cannot be, and the full disk is told', async () => {
    const disk = await diskWith();
    disk.fault = ({ kind }) => (kind === 'write' ? 'no-space' : undefined);
    await expect(replaceCache(disk, target, fresh)).rejects.toMatchObject({ code: 'no-space' });
    expect(await disk.list('/d')).toEqual([]);
  });

  test('a small file is read whole', async () => {
    const disk = await diskWith({ [target]: old });
    expect((await readSmall(disk, target)).toString()).toBe('old');
    await expect(readSmall(disk, '/d/no')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a file that is not small is not read', async () => {
    const disk = await diskWith({ [target]: Buffer.alloc(17 * 1024 * 1024) });
    await expect(readSmall(disk, target)).rejects.toMatchObject({ code: 'io' });
  });
});
