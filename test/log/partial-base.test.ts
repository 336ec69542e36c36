// What is kept of a base that another journal sends: whole chunks that are right by its checksums, whatever was lost with the power
// at any operation; and with none of it damaged or foreign does a transfer go on.
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import type { BaseRecord } from '../../journal-format/base.ts';
import { PartialBase } from '../../src/log/partial-base.ts';
import { createSourceTree } from '../../src/log/source-tree.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { Random } from '../support/random.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { idA, idB, tree } from './log-rig.ts';

const chunk = 64;
const random = new Random(1);
const rdb = Buffer.from(Array.from({ length: 5 * chunk + 10 }, () => random.below(256)));
const record = recordOf(rdb, idA);

function recordOf(bytes: Buffer, id: string): BaseRecord {
  return {
    ...{ timeline: 1, offset: 1000, id, origin: 'received', db: 0, stamp: 1, completed: 2, size: bytes.length },
    ...{ magic: 'REDIS', version: 11, aux: {}, crc64: '0'.repeat(16), chunk },
    chunks: Uint32Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, i) =>
      crc32(bytes.subarray(i * chunk, (i + 1) * chunk)),
    ),
  };
}

async function emptyDisk(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await createSourceTree(disk, '/journal', tree);
  return disk;
}

/** A process that gets the base up to this byte, with a sync in between. */
async function receive(disk: Disk, to: number, base = record, bytes = rdb): Promise<PartialBase> {
  const partial = new PartialBase(disk, tree);
  const held = (await partial.held())?.bytes ?? 0;
  const { file, size } = await partial.open(base, held);
  for (let at = size; at < to; at += 50) {
    await file.write([bytes.subarray(at, Math.min(at + 50, to))], at);
    if (at > to / 2) await file.sync();
  }
  await file.close();
  partial.kept(Math.max(size, to));
  return partial;
}

/** Of what another process finds. */
async function expectRight(disk: SimulatedDisk, message: string): Promise<number> {
  const held = await new PartialBase(disk, tree).held();
  if (held === undefined) return 0;
  expect(held.bytes % chunk, message).toBe(0);
  expect(held.bytes, message).toBeLessThan(rdb.length);
  const found = disk.files().get(`${tree.partial}/rdb`)?.subarray(0, held.bytes);
  expect(found?.equals(rdb.subarray(0, held.bytes)), message).toBe(true);
  expect(held.record, message).toEqual(record);
  return held.bytes;
}

test('is whole chunks, and never all of it: the last one is to come', async () => {
  for (const [to, bytes] of [
    [chunk - 1, undefined],
    [chunk, chunk],
    [3 * chunk + 5, 3 * chunk],
    [rdb.length, 5 * chunk],
  ] as const) {
    const disk = await emptyDisk();
    const here = await receive(disk, to);
    expect((await here.held())?.bytes).toBe(bytes);
    expect((await new PartialBase(disk, tree).held())?.bytes).toBe(bytes);
  }
});

test('is right chunks alone when the power goes at any operation, and goes on to the end', async () => {
  const calm = await emptyDisk();
  await receive(calm, 4 * chunk);
  const first = (await emptyDisk()).operations.length;
  const places = calm.operations.length - first;
  let most = 0;
  for (let at = 0; at <= places; at += 1) {
    for (const seed of ['nothing', 1, 2, 3] as const) {
      const disk = await emptyDisk();
      disk.fault = ({ index }) => (index === first + at ? 'power' : undefined);
      await receive(disk, 4 * chunk).catch(() => undefined);
      const left = disk.crash(seed);
      most = Math.max(most, await expectRight(left, `operation ${at}, seed ${seed}`));
      await receive(left, rdb.length);
      expect(await expectRight(left, `after operation ${at}, seed ${seed}`)).toBe(5 * chunk);
    }
  }
  expect(most).toBe(4 * chunk);
});

test('ends before a chunk that is damaged, in another process', async () => {
  const disk = await emptyDisk();
  await receive(disk, rdb.length);
  const files = disk.files();
  for (let index = 0; index < 5; index += 1) {
    const bytes = Buffer.from(files.get(`${tree.partial}/rdb`) ?? '');
    bytes.writeUInt8(bytes.readUInt8(index * chunk + 7) ^ 1, index * chunk + 7);
    const damaged = SimulatedDisk.holding(new Map([...files, [`${tree.partial}/rdb`, bytes]]));
    expect((await new PartialBase(damaged, tree).held())?.bytes).toBe(index === 0 ? undefined : index * chunk);
  }
});

test('is nothing where its document is missing, damaged or half of it', async () => {
  const disk = await emptyDisk();
  await receive(disk, rdb.length);
  const files = disk.files();
  const document = files.get(`${tree.partial}/base`) ?? Buffer.alloc(0);
  const others = [undefined, Buffer.alloc(0), document.subarray(0, 40), Buffer.from(document).fill(7, 30, 35)];
  for (const other of others) {
    const left = new Map(files);
    left.delete(`${tree.partial}/base`);
    if (other !== undefined) left.set(`${tree.partial}/base`, other);
    expect(await new PartialBase(SimulatedDisk.holding(left), tree).held()).toBeUndefined();
  }
});

test('is given up for another base, of which nothing is held then', async () => {
  const disk = await emptyDisk();
  const partial = await receive(disk, rdb.length);
  const other = recordOf(Buffer.alloc(500, 9), idB);
  const { file, size } = await partial.open(other, 0);
  await file.close();
  expect(size).toBe(0);
  expect(await new PartialBase(disk, tree).held()).toBeUndefined();
  await partial.discard();
  expect([...disk.files().keys()].filter((path) => path.startsWith(tree.partial))).toEqual([]);
});
