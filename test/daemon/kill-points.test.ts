// The power goes at each operation on the disk in the life of a run: a full sync, rotations and sealing, marks, another
// full sync on a history that broke, the removal of what is too old, a clean stop. Whatever of the unsynced is left then, all that was acknowledged is
// there, verify says nothing worse than that a write was not finished, and the next run goes on. Each operation is a kill
// point with a name, and a test of that name: vitest -t 'rename base document 2' runs one alone.
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { recover } from '../../src/log/recovery.ts';
import { applyRetention } from '../../src/log/removal.ts';
import { readMarks, writeMark } from '../../src/log/timeline-store.ts';
import { verifySource } from '../../src/log/verify.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { fakeId, fullSync, getAck, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import type { Operation } from '../support/simulated-disk.ts';
import { TurningClock } from '../upstream/turning-clock.ts';
import { HostileRig, baseOffset, tree } from './hostile-rig.ts';

const segmentBytes = 150;
const otherId = 'b'.repeat(40);
const otherOffset = 7000;

/** What the two histories consist of. */
const streams: Readonly<Record<string, { readonly offset: number; readonly bytes: Buffer }>> = {
  [fakeId]: { offset: baseOffset, bytes: commandsOf('first') },
  [otherId]: { offset: otherOffset, bytes: commandsOf('second') },
};

/** Each is acknowledged as soon as it is durable, for the primary asks. */
function commandsOf(value: string): Buffer {
  const commands = Array.from({ length: 8 }, (_, i) => [streamCommand('SET', `key:${i}`, value), getAck]);
  return Buffer.concat(commands.flat());
}

/** A primary of one of the histories. */
function primaryOf(id: string): FakeScript {
  const { offset, bytes } = streams[id] ?? { offset: 0, bytes: Buffer.alloc(0) };
  const psync = (asked: string, from: number): Buffer =>
    asked === id
      ? Buffer.concat([Buffer.from('+CONTINUE\r\n'), bytes.subarray(from - 1 - offset)])
      : Buffer.concat([fullSync(id, offset, 'mark'), bytes]);
  return { psync, readBytesMax: 90 };
}

/** What a run has promised to somebody until its end. */
interface Promises {
  /** The highest offset that was acknowledged, by replication id. */
  readonly acknowledged: Map<string, number>;
  readonly marks: string[];
  stopped: boolean;
}

/** One life on this disk; it may end at any operation. */
async function live(disk: SimulatedDisk, name = 'first'): Promise<Promises> {
  const promises: Promises = { acknowledged: new Map(), marks: [], stopped: false };
  let rig: HostileRig | undefined;
  try {
    rig = await HostileRig.start(primaryOf(fakeId), { segmentBytes, disk });
    await endOf(rig, fakeId);
    await mark(rig, `${name} life, first history`, promises);
    await rig.next(primaryOf(otherId));
    await endOf(rig, otherId);
    await mark(rig, `${name} life, second history`, promises);
    await keepOne(rig);
    await rig.stop();
    promises.stopped = true;
  } catch (error) {
    if (!disk.isDead) throw error;
  }
  for (const [i, { acks }] of (rig?.primary.links ?? []).entries()) {
    const id = i === 0 ? fakeId : otherId;
    promises.acknowledged.set(id, Math.max(promises.acknowledged.get(id) ?? 0, ...acks));
  }
  await rig?.[Symbol.asyncDispose]();
  return promises;
}

/** All of that history is durable, and its segments had the time to be sealed. */
async function endOf(rig: HostileRig, id: string): Promise<void> {
  const { offset, bytes } = streams[id] ?? { offset: 0, bytes: Buffer.alloc(0) };
  await rig.until('the end of the history', () => {
    const { progress } = rig;
    return progress?.isEstablished === true && progress.id === id && progress.durable === offset + bytes.length;
  });
  await rig.clock.advance(3000);
}

async function mark({ disk, progress }: HostileRig, name: string, promises: Promises): Promise<void> {
  if (progress === undefined) throw new Error('there is nothing to mark');
  const { timeline, id, durable: offset, lastStamp: stamp } = progress;
  await writeMark(disk, tree, { name, timeline, id, offset, stamp, created: stamp });
  promises.marks.push(name);
}

/** All that `--keep-local` may take goes: every timeline but the newest. */
async function keepOne({ disk, clock: now }: HostileRig): Promise<void> {
  const { timelines } = await loadCatalog(disk, tree);
  const keep = { rule: { kind: 'size', bytes: 1 }, words: '--keep-local 1MB' } as const;
  const { removed } = await applyRetention(disk, tree, timelines, keep, now.wall());
  expect(removed).toHaveLength(timelines.length - 1);
}

/** What an operation is about, whatever the names: `rename base document`, `sync open segment`. */
function roleOf({ kind, path: file }: Operation): string {
  const name = path.posix.basename(file);
  const roles: readonly (readonly [RegExp, string])[] = [
    [/^\.tmp-/, 'unfinished file'],
    [/\.open$/, 'open segment'],
    [/\.seg$/, 'sealed segment'],
    [/\.rdb$/, 'RDB'],
    [/\.base$/, 'base document'],
    [/\.mark$/, 'mark'],
    [/\.stop$/, 'stop'],
    [/\.removed$/, 'record of a removal'],
    [/^\d{8}$/, 'timeline folder'],
  ];
  return `${kind} ${roles.find(([pattern]) => pattern.test(name))?.[1] ?? name}`;
}

/** The kill points of a whole life, each with the number of its operation. */
async function killPoints(): Promise<[string, number][]> {
  const disk = new SimulatedDisk();
  await live(disk);
  const counts = new Map<string, number>();
  return disk.operations.map((operation) => {
    const role = roleOf(operation);
    const count = (counts.get(role) ?? 0) + 1;
    counts.set(role, count);
    return [`${role} ${count}`, operation.index];
  });
}

const clock = new TurningClock();
clock.sleep = () => Promise.resolve();

/** What was promised is there, and every byte that is there is one that was sent. */
async function expectPromised(disk: SimulatedDisk, promises: Promises): Promise<void> {
  const { timelines, removed } = await loadCatalog(disk, tree);
  for (const [id, acknowledged] of promises.acknowledged) {
    if (acknowledged === 0) continue;
    // What was removed on purpose had all of it, and says so.
    const kept = timelines.find(({ record }) => record.id === id)?.end;
    const gone = removed.find(({ ids }) => ids.some((entry) => entry.id === id))?.end;
    expect(kept ?? gone).toBeGreaterThanOrEqual(acknowledged);
  }
  for (const timeline of timelines) {
    const sent = streams[timeline.record.id]?.bytes ?? Buffer.alloc(0);
    const kept = await HostileRig.streamOf(disk, timeline);
    expect(kept.equals(sent.subarray(0, kept.length))).toBe(true);
  }
  const names = (await readMarks(disk, tree)).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(promises.marks));
}

/** Before anything is mended: nothing but unfinished writes, or an RDB whose document was just about to be written. */
async function expectNothingWorse(disk: SimulatedDisk): Promise<void> {
  const { problems } = await verifySource(disk, tree, { clock, known: knownCommands });
  const worse = problems.filter(
    ({ kind, message }) => kind !== 'torn' && !message.startsWith('the base document of the timeline is not there'),
  );
  expect(worse).toEqual([]);
}

describe('the power goes at', async () => {
  const points = await killPoints();

  test('a good number of points', () => {
    expect(points.length).toBeGreaterThan(80);
  });

  test.each(points)('%s', async (_, at) => {
    for (const left of ['nothing', 'everything', at] as const) {
      const disk = new SimulatedDisk();
      disk.fault = ({ index }) => (index === at ? 'power' : undefined);
      const promises = await live(disk);
      expect(disk.isDead).toBe(true);
      const after = left === 'everything' ? disk.kill() : disk.crash(left);
      await expectNothingWorse(after);
      await expectPromised(after, promises);
      const copy = after.afterPowerLoss(4);
      await recover(copy, tree);
      await expectPromised(copy, promises);
      expect((await verifySource(copy, tree, { clock, known: knownCommands })).problems).toEqual([]);
      if (left !== at) continue;
      // The next life has the same to do, and does it to the end.
      const second = await live(after, 'second');
      expect(second.stopped).toBe(true);
      expect((await verifySource(after, tree, { clock, known: knownCommands })).problems).toEqual([]);
    }
  });
});
