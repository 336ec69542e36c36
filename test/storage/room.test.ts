// A full disk: the reserve is given up, whoever needs room waits for it, and the reserve is made again before anybody
// goes on. On a simulated disk, whose clock the test moves.
import { describe, expect, test } from 'vitest';
import { Reserve } from '../../src/storage/reserve.ts';
import { Room } from '../../src/storage/room.ts';
import { WatchedDisk } from '../../src/storage/watched-disk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import type { Operation } from '../support/simulated-disk.ts';

const mebibyte = 1024 * 1024;
const reservePath = '/d/reserve';

class Rig {
  readonly medium = new SimulatedDisk();
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  readonly stop = new AbortController();
  readonly reserve = new Reserve(this.medium, reservePath, 2 * mebibyte);
  readonly room: Room;
  readonly disk: WatchedDisk;

  private constructor() {
    const { reserve, clock, told, medium } = this;
    const events = { full: () => void told.push('full'), free: () => void told.push('free') };
    this.room = new Room({ reserve, clock, random: () => 1, events }, this.stop.signal);
    this.disk = new WatchedDisk(medium, this.room, clock);
  }

  static async begin(): Promise<Rig> {
    const rig = new Rig();
    await rig.medium.makeDirectory('/d');
    expect(await rig.reserve.make()).toBe(true);
    return rig;
  }

  /** Every change that needs room fails from now on, those of the reserve too. */
  fill(hits: (operation: Operation) => boolean = () => true): void {
    this.medium.fault = (operation) =>
      ['create', 'write'].includes(operation.kind) && hits(operation) ? 'no-space' : undefined;
  }

  empty(): void {
    this.medium.fault = () => undefined;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100);
      await settle();
    }
  }

  get hasReserve(): boolean {
    return this.medium.files().get(reservePath)?.length === 2 * mebibyte;
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe('a write that finds no room', () => {
  test('waits, and is repeated at the same place when there is some, told once each', async () => {
    const rig = await Rig.begin();
    const file = await rig.disk.create('/d/file');
    await file.write([Buffer.from('one ')], 0);
    rig.fill();
    let isDone = false;
    const writing = file.write([Buffer.from('two'), Buffer.from(' three')], 4).then(() => (isDone = true));
    await rig.pass(20_000);
    expect([isDone, rig.told, rig.hasReserve]).toEqual([false, ['full'], false]);
    expect(rig.room.full).toMatchObject({ error: { code: 'no-space' } });
    rig.empty();
    await rig.pass(5000);
    await writing;
    expect(rig.medium.files().get('/d/file')?.toString()).toBe('one two three');
    expect([rig.told, rig.hasReserve, rig.room.full]).toEqual([['full', 'free'], true, undefined]);
  });

  test('waits together with all others', async () => {
    const rig = await Rig.begin();
    rig.fill();
    const done: string[] = [];
    const all = ['a', 'b', 'c'].map((name) => rig.disk.create(`/d/${name}`).then(() => done.push(name)));
    await rig.pass(3000);
    expect([done, rig.told]).toEqual([[], ['full']]);
    rig.empty();
    await rig.pass(5000);
    await Promise.all(all);
    expect(rig.told).toEqual(['full', 'free']);
  });

  test('goes on only when there is room for the reserve, also where no figure tells of a quota', async () => {
    const rig = await Rig.begin();
    const file = await rig.disk.create('/d/file');
    rig.fill();
    const writing = file.write([Buffer.from('bytes')], 0);
    await rig.pass(1000);
    rig.fill(({ path }) => path.includes('.tmp-'));
    await rig.pass(20_000);
    expect([rig.medium.files().get('/d/file')?.toString(), rig.told]).toEqual(['by', ['full']]);
    expect((await rig.medium.list('/d')).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
    rig.empty();
    await rig.pass(5000);
    await writing;
    expect(rig.medium.files().get('/d/file')?.toString()).toBe('bytes');
  });

  test('has the room of the reserve once we are told to stop', async () => {
    const rig = await Rig.begin();
    const file = await rig.disk.create('/d/file');
    // Full but for what the reserve takes.
    rig.fill(() => rig.medium.files().has(reservePath));
    rig.medium.free = 100;
    const writing = file.write([Buffer.from('last words')], 0);
    await rig.pass(3000);
    expect(rig.medium.files().get('/d/file')?.toString()).toBe('last ');
    rig.stop.abort();
    await writing;
    expect(rig.medium.files().get('/d/file')?.toString()).toBe('last words');
  });

  test('fails when we are told to stop and even the reserve is not enough', async () => {
    const rig = await Rig.begin();
    rig.fill();
    rig.stop.abort();
    await expect(rig.disk.create('/d/file')).rejects.toMatchObject({ code: 'no-space' });
    await expect(rig.disk.create('/d/file')).rejects.toMatchObject({ code: 'no-space' });
    expect(rig.told).toEqual(['full']);
  });
});

test('a sync that finds no room is not repeated: what it should have taken to the medium may be lost', async () => {
  const rig = await Rig.begin();
  const file = await rig.disk.create('/d/file');
  await file.write([Buffer.from('bytes')], 0);
  rig.medium.fault = ({ kind }) => (kind === 'sync' ? 'no-space' : undefined);
  await expect(file.sync()).rejects.toMatchObject({ code: 'no-space' });
  expect([rig.told, rig.hasReserve]).toEqual([[], true]);
});

test('an error of the medium is not waited for', async () => {
  const rig = await Rig.begin();
  const file = await rig.disk.create('/d/file');
  rig.medium.fault = () => 'io';
  await expect(file.write([Buffer.from('bytes')], 0)).rejects.toMatchObject({ code: 'io' });
  expect(rig.told).toEqual([]);
});

test('what the medium has not answered is known, the oldest first', async () => {
  const rig = await Rig.begin();
  const file = await rig.disk.create('/d/file');
  expect(rig.disk.unanswered).toBeUndefined();
  const held = Promise.withResolvers<undefined>();
  rig.medium.gate = async ({ kind }) => {
    if (kind === 'sync') await held.promise;
  };
  const syncing = file.sync();
  await rig.pass(1000);
  await file.write([Buffer.from('bytes')], 0);
  expect(rig.disk.unanswered).toMatchObject({ operation: 'sync', path: '/d/file', since: 0 });
  held.resolve(undefined);
  await syncing;
  expect(rig.disk.unanswered).toBeUndefined();
});

describe('the reserve', () => {
  test('is not begun where the room for it is missing', async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory('/d');
    disk.free = 2 * mebibyte;
    disk.operations.length = 0;
    expect(await new Reserve(disk, reservePath, 2 * mebibyte).make()).toBe(false);
    expect(disk.operations).toEqual([]);
  });

  test('is made anew when it has another size, and left alone when it is there', async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory('/d');
    expect(await new Reserve(disk, reservePath, mebibyte).make()).toBe(true);
    expect(await new Reserve(disk, reservePath, 2 * mebibyte).make()).toBe(true);
    disk.operations.length = 0;
    expect(await new Reserve(disk, reservePath, 2 * mebibyte).make()).toBe(true);
    expect(disk.operations).toEqual([]);
    expect(disk.files().get(reservePath)?.length).toBe(2 * mebibyte);
  });
});
