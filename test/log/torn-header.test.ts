// An open segment whose header was lost with the power: what in it may still say that something had been durable.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { noData } from '../../journal-format/data-sum.ts';
import { encodeFrame } from '../../journal-format/frame.ts';
import { openSegmentName } from '../../journal-format/names.ts';
import { holdsNothingDurable } from '../../src/log/frame-file.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';

const start = 5000;
const magic = Buffer.from('JFRM', 'latin1');

async function holdsNothing(behind: Buffer): Promise<boolean> {
  const file = path.join(temporaryDirectory('torn-header'), openSegmentName(start, '0badcafe'));
  writeFileSync(file, Buffer.concat([Buffer.alloc(300, 0x5a), behind, Buffer.alloc(100)]));
  await using opened = await localDisk.open(file, 'read');
  return await holdsNothingDurable(opened);
}

function tick(durable: number): Buffer {
  const stamps = { firstStamp: 7, lastStamp: 7, wall: 7 };
  const fields = { start: start + 10, boundary: start + 9, durable, db: 0, ...stamps };
  return encodeFrame('tick', fields, Buffer.alloc(0), noData, 1, 2).header;
}

test('a frame of its own that says so is believed', async () => {
  expect(await holdsNothing(tick(start))).toBe(false);
  expect(await holdsNothing(tick(start - 1))).toBe(true);
});

test('the magic of a frame whose rest was torn says nothing', async () => {
  expect(await holdsNothing(Buffer.concat([magic, Buffer.alloc(76, 0xff)]))).toBe(true);
  expect(await holdsNothing(Buffer.concat([tick(start).subarray(0, 16), Buffer.alloc(64, 0xff)]))).toBe(true);
  expect(await holdsNothing(Buffer.concat([tick(start).subarray(0, 16), Buffer.alloc(64)]))).toBe(true);
});

test('a frame that was torn anywhere, with stale bytes behind, is not taken for one that says so', async () => {
  const random = new Random(1);
  for (let seen = 5; seen < 40; seen += 1) {
    for (let i = 0; i < 20; i += 1) {
      const torn = Buffer.concat([tick(start - 1).subarray(0, seen), random.bytes(80 - seen)]);
      expect(await holdsNothing(torn), torn.toString('hex')).toBe(true);
    }
  }
});

test('a frame of a newer kind cannot be judged, and is not passed over', async () => {
  const newer = tick(start - 1);
  newer.writeUInt16LE(0x01ff, 4);
  expect(await holdsNothing(newer)).toBe(false);
});
