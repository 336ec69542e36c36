// Blocks that readers share: decoded once, good as long as somebody reads in them, and no more than fit.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Slab } from '../../src/core/slabs.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { StreamFollower } from '../../src/log/stream-follower.ts';
import { readRange } from '../../src/log/read-range.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { LogRig, baseOffset, directory, timelineOf } from './log-rig.ts';
import { Primary } from './primary.ts';

function decoded(bytes: number, filling = 7): Promise<Buffer<ArrayBuffer>> {
  return Promise.resolve(Buffer.alloc(bytes, filling));
}

describe('a block', () => {
  test('that several ask for at once is decoded once, and each of them holds it', async () => {
    const cache = new BlockCache(100);
    const under = Promise.withResolvers<Buffer<ArrayBuffer>>();
    let calls = 0;
    const decode = (): Promise<Buffer<ArrayBuffer>> => {
      calls += 1;
      return under.promise;
    };
    const taking = [cache.take('a', 0, decode), cache.take('a', 0, decode), cache.take('a', 0, decode)];
    const other = cache.take('a', 1, () => decoded(10, 1));
    under.resolve(Buffer.alloc(60, 7));
    const slabs = await Promise.all(taking);
    expect([calls, new Set(slabs).size, cache.bytes]).toEqual([1, 1, 70]);
    (await other).release();
    // Pushed out, it stays until the last of them lets go.
    (await cache.take('a', 2, () => decoded(90))).release();
    expect(cache.bytes).toBe(90);
    const [one, two, three] = slabs;
    for (const slab of [one, two]) slab?.release();
    expect(three?.bytes).toEqual(Buffer.alloc(60, 7));
    three?.release();
    expect(three?.bytes).toHaveLength(0);
  });

  test('that was pushed out in the moment it came is whole for those who had waited', async () => {
    const cache = new BlockCache(10);
    const taking = [0, 1, 2, 3, 4].flatMap((i) => [1, 2].map(() => cache.take('a', i, () => decoded(10, i))));
    const slabs = await Promise.all(taking);
    expect(slabs.map(({ bytes }) => bytes)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4].map((i) => Buffer.alloc(10, i)));
    for (const slab of slabs) slab.release();
    expect(slabs.filter(({ bytes }) => bytes.length > 0)).toHaveLength(2);
  });

  test('that is larger than all room is for its readers only', async () => {
    const cache = new BlockCache(10);
    const slab = await cache.take('a', 0, () => decoded(11));
    expect([slab.bytes.length, cache.bytes]).toEqual([11, 0]);
    slab.release();
    expect(slab.bytes).toHaveLength(0);
  });

  test('that cannot be decoded fails for all who wait, and is tried again by the next', async () => {
    const cache = new BlockCache(10);
    const fails = (): Promise<never> => Promise.reject(new Error('rotten'));
    const taking = [cache.take('a', 0, fails), cache.take('a', 0, fails)];
    for (const { reason } of (await Promise.allSettled(taking)) as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ message: 'rotten' });
    }
    const slab = await cache.take('a', 0, () => decoded(5));
    expect([slab.bytes.length, cache.bytes]).toEqual([5, 5]);
  });

  test('is never more than fits, and always what was asked for, whoever holds what for how long', async () => {
    const step = fc.record({ block: fc.nat(5), keep: fc.nat(3) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const cache = new BlockCache(35);
        const held: Slab[] = [];
        await Promise.all(
          steps.map(async ({ block, keep }) => {
            const slab = await cache.take('a', block, () => decoded(10, block));
            expect(slab.bytes).toEqual(Buffer.alloc(10, block));
            expect(cache.bytes).toBeLessThanOrEqual(35);
            if (keep === 0) held.push(slab);
            else slab.release();
          }),
        );
        expect(held.every(({ bytes }) => bytes.length === 10)).toBe(true);
        for (const slab of held) slab.release();
      }),
    );
  });
});

describe('a stream that is followed from an offset on', () => {
  /** Sealed and open segments, and a disk that counts what is read of each place of a file. */
  async function made(): Promise<{ rig: LogRig; end: number; disk: Disk; reads: Map<string, number> }> {
    const rig = await LogRig.fresh({ segmentBytes: 150, primary: new Primary(baseOffset, 1, 20) });
    for (let i = 0; i < 30; i += 1) await rig.commits(40);
    rig.completed.splice(-1);
    await rig.seal();
    const reads = new Map<string, number>();
    const disk = new Proxy(rig.disk, {
      get: (target, key) => {
        if (key === 'open') {
          return async (...args: Parameters<Disk['open']>) => {
            const file = await target.open(...args);
            const read = file.read.bind(file);
            file.read = (into, position): Promise<number> => {
              const place = `${file.path} ${position}`;
              reads.set(place, (reads.get(place) ?? 0) + 1);
              return read(into, position);
            };
            return file;
          };
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    return { rig, end: (await timelineOf(rig.disk)).end, disk, reads };
  }

  async function bytesOf(disk: Disk, from: number, to: number, blocks: BlockCache): Promise<Buffer> {
    const parts: Buffer[] = [];
    let next = from;
    await using follower = new StreamFollower(disk, directory, from, blocks);
    for await (const { start, bytes } of follower.upTo(to)) {
      expect(start).toBe(next);
      next += bytes.length;
      // Others go on meanwhile.
      await Promise.resolve();
      parts.push(Buffer.from(bytes));
    }
    return Buffer.concat(parts);
  }

  test('is what was written, for any number of followers, wherever they are and however little room there is', async () => {
    const { rig, end, disk } = await made();
    const offset = fc.integer({ min: baseOffset + 1, max: end });
    const ranges = fc.array(fc.tuple(offset, offset), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(ranges, fc.constantFrom(1, 400, 1 << 20), async (pairs, room) => {
        const blocks = new BlockCache(room);
        const read = pairs.map(([a, b]) => bytesOf(disk, Math.min(a, b), Math.max(a, b), blocks));
        const expected = pairs.map(([a, b]) => rig.primary.bytes(Math.min(a, b), Math.max(a, b)));
        expect(await Promise.all(read)).toEqual(expected);
        expect(blocks.bytes).toBeLessThanOrEqual(room);
      }),
      { numRuns: 30 },
    );
  });

  test('is read from disk and decompressed once for twenty that follow it at different places', async () => {
    const { rig, end, disk, reads } = await made();
    const { segments } = await timelineOf(rig.disk);
    const blocks = new BlockCache(1 << 20);
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const from = baseOffset + 1 + i * 13;
        expect(await bytesOf(disk, from, end, blocks)).toEqual(rig.primary.bytes(from, end));
      }),
    );
    const sealed = segments.filter(({ kind }) => kind === 'sealed').map(({ path }) => path);
    expect(sealed.length).toBeGreaterThan(2);
    // Header, footer and trailer are read by each; what is read once is the one block.
    const once = [...reads].filter(([, count]) => count === 1).map(([place]) => place.split(' ')[0]);
    expect(sealed.every((path) => once.includes(path))).toBe(true);
  });

  test('goes on in the sealed file when an open one is sealed meanwhile', async () => {
    const { rig, end, disk } = await made();
    await using all = new StreamFollower(disk, directory, baseOffset + 1, new BlockCache(1000));
    const parts: Buffer[] = [];
    for await (const { bytes } of all.upTo(end)) {
      if (parts.length === 1) {
        const left = (await timelineOf(rig.disk)).segments.filter(({ kind }) => kind === 'open').slice(0, -1);
        expect(left.length).toBeGreaterThan(0);
        rig.completed.push(...left);
        await rig.seal();
      }
      parts.push(Buffer.from(bytes));
    }
    expect(Buffer.concat(parts)).toEqual(rig.primary.bytes(baseOffset + 1, end));
  });

  test('that is not there is refused', async () => {
    const { end, disk } = await made();
    const missing = { code: 'bytes-missing', exitCode: 6 };
    await expect(bytesOf(disk, baseOffset, end, new BlockCache())).rejects.toMatchObject(missing);
    await expect(bytesOf(disk, baseOffset + 1, end + 1, new BlockCache())).rejects.toMatchObject(missing);
  });

  test('may be left at any place, and nothing of it is held then', async () => {
    const { rig, end, disk } = await made();
    const { segments } = await timelineOf(rig.disk);
    const blocks = new BlockCache(1);
    const left: Buffer[] = [];
    for await (const { bytes, frame } of readRange(disk, segments, baseOffset + 1, end, blocks)) {
      if (frame.slab !== undefined) left.push(bytes);
      if (left.length === 2) break;
    }
    expect(left.map(({ length }) => length)).toEqual([0, 0]);
  });
});
