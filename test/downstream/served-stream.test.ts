// What is served behind a moment: the journal's bytes up to it, and PINGs, from wherever they are asked for.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ping, servedUpTo } from '../../src/downstream/own-numbering.ts';
import { ServedStream } from '../../src/downstream/served-stream.ts';
import { InstantHistory } from '../../src/daemon/instant-history.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { loadBase } from '../../src/log/catalog.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { laterTimes } from '../../src/restore/rewrite/later-times.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { ManualClock } from '../support/manual-clock.ts';

const start = 1000;
const id = 'a'.repeat(40);
const second = 1_000_000;

async function withMoment(
  use: (moment: InstantHistory, clock: ManualClock, expected: Buffer) => Promise<void>,
): Promise<void> {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: start, completed: second, segmentBytes: 150 });
  for (let i = 0; i < 20; i += 1) timeline.read(encodeCommand('SET', `key:${i}`, String(i)), second + i);
  await timeline.seal(1);
  const { end: offset } = timeline.reads[11] ?? { end: 0 };
  const clock = new ManualClock();
  const target = { kind: 'position', idPrefix: id, offset } as const;
  using moment = await InstantHistory.open(
    localDisk,
    journal.tree,
    { target, mode: 'at', uncertainty: 'refuse' },
    'keep',
    clock,
  );
  await use(moment, clock, timeline.stream.subarray(0, offset - start));
}

async function read(moment: InstantHistory, from: number): Promise<Buffer> {
  const served = moment.now();
  await using stream = new ServedStream(localDisk, from, new BlockCache());
  const parts: Buffer[] = [];
  for (let piece = await stream.read(served); piece !== undefined; piece = await stream.read(served)) {
    expect(piece.start).toBe(from + Buffer.concat(parts).length);
    parts.push(Buffer.from(piece.bytes));
  }
  expect(stream.position).toBe(served.durable + 1);
  return Buffer.concat(parts);
}

describe('a moment that is served', () => {
  test('is the journal up to it, and then a PING each ten seconds', async () => {
    await withMoment(async (moment, clock, expected) => {
      expect(await read(moment, start + 1)).toEqual(expected);
      let told = 0;
      using _watch = { [Symbol.dispose]: moment.watch(() => (told += 1)) };
      clock.advance(9_999);
      expect(told).toBe(0);
      clock.advance(1);
      clock.advance(20_000);
      expect(told).toBe(3);
      expect(await read(moment, start + 1)).toEqual(Buffer.concat([expected, ping, ping, ping]));
    });
  });

  test('goes on from any byte, be it inside a PING', async () => {
    await withMoment(async (moment, clock, expected) => {
      clock.advance(50_000);
      const all = Buffer.concat([expected, ...Array.from({ length: 5 }, () => ping)]);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: all.length }), async (at) => {
          expect(await read(moment, start + 1 + at)).toEqual(all.subarray(at));
        }),
      );
    });
  });

  test('has a history of its own, another each time', async () => {
    const names: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      await withMoment(async (moment) => {
        names.push(...moment.now().ids.map((entry) => entry.id));
      });
    }
    expect(names).toHaveLength(2);
    expect(new Set([...names, id]).size).toBe(3);
  });
});

describe('a moment that is served with later times', () => {
  test('is as many bytes, with each time moved, from any of them on', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: start, completed: second, segmentBytes: 150 });
    const at = 1_795_271_405_000;
    const expected: Buffer[] = [];
    for (let i = 0; i < 20; i += 1) {
      const [given, later] = [at, at + 60_000].map((time) =>
        encodeCommand('SET', `key:${i + 10}`, 'v', 'PXAT', String(time + i)),
      );
      expected.push(later ?? Buffer.alloc(0));
      // The reads, and so the frames, end anywhere in a command.
      const cut = 1 + (i % 40);
      for (const part of [given?.subarray(0, cut), given?.subarray(cut)])
        timeline.read(part ?? Buffer.alloc(0), second + i);
      if (i % 3 === 0) await timeline.commit();
    }
    await timeline.seal(1);
    const { directory, number } = timeline;
    const base = await loadBase(localDisk, directory, number, await localDisk.list(directory));
    if (base === undefined) throw new Error('there is no base');
    const middle = start + (timeline.stream.length / 20) * 10;
    const shift = {
      laterByMs: 60_000,
      baseBytes: 1,
      stream: (offset: number) => laterTimes({ offset, db: 0 }, 60_000),
    };
    const pings = [{ behind: middle, count: 2 }];
    const durable = servedUpTo(pings, timeline.end);
    const ids = [{ id, offset: start + 1 }];
    const served = { number, directory, base, ids, durable, own: { pings, names: 1, shift } };
    const half = Buffer.concat(expected.slice(0, 10));
    const all = Buffer.concat([half, ping, ping, ...expected.slice(10)]);
    // The times are changed for each reader, and blocks are shared by all of them.
    const blocks = new BlockCache();
    for (let from = 0; from <= all.length; from += 1) {
      await using stream = new ServedStream(localDisk, start + 1 + from, blocks);
      const parts: Buffer[] = [];
      for (let piece = await stream.read(served); piece !== undefined; piece = await stream.read(served)) {
        parts.push(Buffer.from(piece.bytes));
      }
      expect(Buffer.concat(parts).equals(all.subarray(from)), `from ${from}`).toBe(true);
    }
  });
});
