// Taking an RDB to the disk: synced on the way, published only when every byte is there and found right.
import { describe, expect, test } from 'vitest';
import { decodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import { IntegrityError } from '../../src/core/errors.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import { BaseReceiver } from '../../src/log/base-receiver.ts';
import type { BaseFindings } from '../../src/log/base-receiver.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import { directory, idA, never, preparedDisk, settle } from './log-rig.ts';

const offset = 5000;
const record: Omit<BaseRecord, 'size' | keyof BaseFindings> = {
  timeline: 1,
  offset,
  id: idA,
  origin: 'received',
  db: 0,
  stamp: 1,
  completed: 2,
  magic: 'REDIS',
  version: 11,
  aux: {},
};

class Rig {
  readonly available: number[] = [];
  readonly failures: unknown[] = [];
  checked: Promise<void> = Promise.resolve();
  isCheckerClosed = false;
  readonly disk: SimulatedDisk;
  receiver: BaseReceiver | undefined;

  private constructor(disk: SimulatedDisk) {
    this.disk = disk;
  }

  static async open(): Promise<{ rig: Rig; receiver: BaseReceiver }> {
    const rig = new Rig(await preparedDisk());
    const receiver = await BaseReceiver.open({
      disk: rig.disk,
      directory,
      offset,
      failed: (error) => rig.failures.push(error),
      check: () => ({
        available: (size) => rig.available.push(size),
        finish: async (size) => {
          await rig.checked;
          const findings = { crc64: '0'.repeat(16), chunk: size, chunks: Uint32Array.of(7) };
          return { findings, head: undefined };
        },
        [Symbol.asyncDispose]: async () => {
          rig.isCheckerClosed = true;
        },
      }),
    });
    return { rig, receiver };
  }

  /** Published names at the new offset. */
  async names(): Promise<string[]> {
    return (await this.disk.list(directory))
      .filter((name) => name.startsWith('0000000000001388'))
      .map((name) => name.slice(-5));
  }

  kinds(): string[] {
    return this.disk.operations.map(({ kind }) => kind);
  }
}

describe('a base', () => {
  test('is published with what was received and what the checker found, durably', async () => {
    const { rig, receiver } = await Rig.open();
    receiver.append([Buffer.from('REDIS'), Buffer.from('0011')], undefined);
    await settle();
    receiver.append([Buffer.from('rest')], undefined);
    expect(receiver.received).toBe(13);
    const base = await receiver.publish(record);
    expect(base).toMatchObject({ size: 13, chunk: 13, crc64: '0'.repeat(16), offset });
    await receiver[Symbol.asyncDispose]();
    for (let seed = 0; seed < 30; seed += 1) {
      const files = [...rig.disk.afterPowerLoss(seed).files()].filter(([path]) => path.includes('1388-'));
      const rdb = files.find(([path]) => path.endsWith('.rdb'))?.[1];
      const document = files.find(([path]) => path.endsWith('.base'))?.[1];
      expect(rdb?.toString()).toBe('REDIS0011rest');
      expect(decodeBase(document ?? Buffer.alloc(0)).record).toEqual(base);
    }
    expect(rig.available.at(-1)).toBe(13);
    expect(rig.isCheckerClosed).toBe(true);
  });

  test('gets its name only when its bytes are synced, and its document only behind that', async () => {
    const { rig, receiver } = await Rig.open();
    receiver.append([Buffer.from('REDIS0011')], undefined);
    await receiver.publish(record);
    expect(rig.kinds()).toEqual([
      'create',
      'write',
      'sync',
      'rename',
      'syncDirectory',
      'create',
      'write',
      'sync',
      'rename',
      'syncDirectory',
    ]);
  });

  test('is synced while it arrives', async () => {
    const { rig, receiver } = await Rig.open();
    const part = Buffer.alloc(8 * 1024 * 1024);
    for (let i = 0; i < 9; i += 1) {
      receiver.append([part], undefined);
      await settle();
    }
    expect(rig.kinds().filter((kind) => kind === 'sync')).toHaveLength(2);
    await receiver[Symbol.asyncDispose]();
  });

  test('that the checker refuses is never published', async () => {
    const { rig, receiver } = await Rig.open();
    receiver.append([Buffer.from('REDIS0011')], undefined);
    rig.checked = Promise.reject(new IntegrityError('rdb-checksum', 'the RDB is not right'));
    await expect(receiver.publish(record)).rejects.toMatchObject({ code: 'rdb-checksum' });
    await receiver[Symbol.asyncDispose]();
    expect(await rig.names()).toEqual([]);
    expect(rig.failures, 'the log itself is well').toEqual([]);
  });

  test('is not published before the checker is done', async () => {
    const { rig, receiver } = await Rig.open();
    receiver.append([Buffer.from('REDIS0011')], undefined);
    rig.checked = never();
    void receiver.publish(record);
    await settle();
    expect(rig.kinds()).toEqual(['create', 'write', 'sync']);
    expect(await rig.names()).toEqual([]);
  });
});

describe('when the disk fails', () => {
  test.each(['write', 'sync'] as const)('at a %s, that is told once, and nothing is published', async (kind) => {
    const { rig, receiver } = await Rig.open();
    rig.disk.fault = (operation) => (operation.kind === kind ? 'no-space' : undefined);
    const part = Buffer.alloc(33 * 1024 * 1024);
    receiver.append([part], undefined);
    await settle();
    receiver.append([part], undefined);
    await expect(receiver.publish(record)).rejects.toMatchObject({ code: 'no-space' });
    expect(rig.failures).toHaveLength(1);
    expect(
      rig.kinds().filter((one) => one === 'sync'),
      'never again',
    ).toHaveLength(kind === 'sync' ? 1 : 0);
    await receiver.relieved();
    await receiver[Symbol.asyncDispose]();
    expect(await rig.names()).toEqual([]);
  });

  test('receive buffers are let go all the same', async () => {
    const { rig, receiver } = await Rig.open();
    const pool = new SlabPool(10, 4);
    const slab = pool.take();
    rig.disk.fault = ({ kind }) => (kind === 'write' ? 'io' : undefined);
    receiver.append([slab.bytes], slab);
    slab.release();
    await settle();
    expect(pool.take().bytes).toBe(slab.bytes);
  });
});

test('a link that is faster than the disk is held back, and let go again', async () => {
  const { rig, receiver } = await Rig.open();
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  rig.disk.gate = ({ kind }) => (kind === 'write' ? opened : undefined);
  const pool = new SlabPool(20 * 1024 * 1024, 4);
  for (let i = 0; i < 4; i += 1) {
    const slab = pool.take();
    receiver.append([slab.bytes], slab);
    slab.release();
  }
  expect(receiver.congested).toBe(true);
  let isRelieved = false;
  const relief = receiver.relieved().then(() => (isRelieved = true));
  await settle();
  expect(isRelieved).toBe(false);
  open();
  await relief;
  expect(receiver.congested).toBe(false);
  await receiver[Symbol.asyncDispose]();
});

test('one that is given up leaves only unfinished work behind', async () => {
  const { rig, receiver } = await Rig.open();
  receiver.append([Buffer.from('REDIS')], undefined);
  await receiver[Symbol.asyncDispose]();
  receiver.append([Buffer.from('more')], undefined);
  await expect(receiver.publish(record)).rejects.toThrow('closed');
  expect(await rig.names()).toEqual([]);
  expect(rig.failures).toEqual([]);
});
