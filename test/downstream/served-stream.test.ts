// What is served behind a moment: the journal's bytes up to it, and PINGs, from wherever they are asked for.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ping } from '../../src/downstream/own-numbering.ts';
import { ServedStream } from '../../src/downstream/served-stream.ts';
import { InstantHistory } from '../../src/daemon/instant-history.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
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
