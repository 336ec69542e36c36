// A stream that is followed is every byte from where one began on, in order, as far as it is known to be durable: while
// it is written, rotated, sealed and begun anew.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { StreamFollower } from '../../src/log/stream-follower.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';
import { Random } from '../support/random.ts';

const start = 1000;
const id = 'a'.repeat(40);
const second = 1_000_000;

async function withTimeline(
  use: (timeline: TimelineBuilder, journal: JournalBuilder) => Promise<void>,
  segmentBytes = 300,
): Promise<void> {
  await using journal = await JournalBuilder.create();
  await use(await journal.timeline({ id, offset: start, completed: second, segmentBytes }), journal);
}

/** Some reads, of a command each, durable on return. */
async function write(timeline: TimelineBuilder, reads: number, random: Random): Promise<void> {
  for (let i = 0; i < reads; i += 1) {
    timeline.read(
      encodeCommand('SET', `key:${random.below(1000)}`, 'v'.repeat(random.below(60))),
      timeline.lastStamp + 1,
    );
    if (random.below(3) === 0) await timeline.commit();
  }
  await timeline.commit();
}

/** All that is durable, behind what was taken before. */
async function takeAll(follower: StreamFollower, durable: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const { start, bytes } of follower.upTo(durable)) {
    expect(start + bytes.length).toBe(follower.position);
    parts.push(Buffer.from(bytes));
  }
  expect(follower.position).toBe(Math.max(follower.position, durable + 1));
  return Buffer.concat(parts);
}

describe('a stream that is followed', () => {
  test('is all of it from any byte on, up to any that is durable, over sealed and open segments', async () => {
    await withTimeline(async (timeline) => {
      await write(timeline, 60, new Random(1));
      await timeline.seal(3);
      const all = timeline.stream;
      const offset = fc.integer({ min: start + 1, max: timeline.end });
      await fc.assert(
        fc.asyncProperty(offset, offset, async (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];
          await using follower = new StreamFollower(localDisk, timeline.directory, from, new BlockCache());
          expect((await takeAll(follower, to)).equals(all.subarray(from - start - 1, to - start))).toBe(true);
        }),
        { numRuns: 100 },
      );
    });
  });

  test('goes on as it is written, rotated and sealed behind its back', { timeout: 30_000 }, async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    await withTimeline(async (timeline) => {
      await write(timeline, 5, random);
      const from = start + 1 + random.below(timeline.end - start);
      await using follower = new StreamFollower(localDisk, timeline.directory, from, new BlockCache());
      const parts: Buffer[] = [];
      for (let round = 0; round < 60; round += 1) {
        // It may stand in the middle of what is durable by then.
        parts.push(await takeAll(follower, Math.max(from - 1, timeline.end - random.below(50))));
        await write(timeline, random.below(4), random);
        if (random.below(4) === 0) await timeline.seal(random.below(2));
      }
      parts.push(await takeAll(follower, timeline.end));
      expect(Buffer.concat(parts).equals(timeline.stream.subarray(from - start - 1)), `seed ${seed}`).toBe(true);
    });
  });

  test('gives nothing behind what is durable, and goes on when that moves', async () => {
    await withTimeline(async (timeline) => {
      await write(timeline, 3, new Random(2));
      await using follower = new StreamFollower(localDisk, timeline.directory, start + 1, new BlockCache());
      expect(await follower.read(start)).toBeUndefined();
      expect((await follower.read(start + 1))?.bytes).toHaveLength(1);
      expect(await follower.read(start + 1)).toBeUndefined();
      expect(Buffer.from((await follower.read(start + 9))?.bytes ?? []).toString()).toBe(
        timeline.stream.subarray(1, 9).toString(),
      );
    });
  });

  test('is read from the segment that counts where an abandoned one holds the same offsets', async () => {
    await withTimeline(async (timeline) => {
      await write(timeline, 4, new Random(3));
      const boundary = timeline.reads[1]?.end ?? 0;
      await timeline.abandon(boundary);
      await write(timeline, 4, new Random(4));
      await using follower = new StreamFollower(localDisk, timeline.directory, start + 1, new BlockCache());
      expect((await takeAll(follower, timeline.end)).toString()).toBe(timeline.stream.toString());
    }, 100_000);
  });

  test('that is said to be durable, and is not there, is told to be missing', async () => {
    await withTimeline(async (timeline) => {
      await write(timeline, 3, new Random(5));
      await using follower = new StreamFollower(localDisk, timeline.directory, timeline.end + 1, new BlockCache());
      await expect(follower.read(timeline.end + 1)).rejects.toMatchObject({ code: 'bytes-missing' });
      // And it may come yet.
      const missing = timeline.end + 1;
      await write(timeline, 1, new Random(6));
      expect((await follower.read(timeline.end))?.start).toBe(missing);
    });
  });
});
