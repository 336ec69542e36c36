// Sealing changes the form of a segment and nothing else: the same frames, verbatim; at every crash the same stream.
import { describe, expect, test } from 'vitest';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import { StorageError } from '../../src/core/errors.ts';
import { sealBurstSegments, sealCatchUpSegments, sealRestMs } from '../../src/core/limits.ts';
import { recover } from '../../src/log/recovery.ts';
import { Sealer } from '../../src/log/sealer.ts';
import type { SealFunction, SealPace } from '../../src/log/sealer.ts';
import type { Sealed } from '../../src/log/sealing.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { SealedReader, openSegmentReader } from '../../src/log/segment-reader.ts';
import { verifySource } from '../../src/log/verify.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  LogRig,
  baseOffset,
  directory,
  diskOf,
  idB,
  preparedDisk,
  settle,
  streamOf,
  timelineOf,
  tree,
} from './log-rig.ts';

/** A segment that is complete and followed by another: a switch in it, frames of many sizes. */
async function completed(segmentBytes = 3000): Promise<{ rig: LogRig; path: string; end: number }> {
  const rig = await LogRig.fresh({ segmentBytes });
  await rig.commits(300, 1, 500);
  rig.writer.attach(idB, rig.clock.wall());
  while (rig.completed.length === 0) await rig.commits(segmentBytes / 4);
  const [done] = rig.completed;
  if (done === undefined) throw new Error('nothing was completed');
  return { rig, ...done };
}

async function rawFrames(disk: SimulatedDisk, path: string): Promise<Buffer> {
  await using reader = await openSegmentReader(disk, path, path.endsWith('.seg') ? 'sealed' : 'open');
  const parts: Buffer[] = [];
  for await (const { bytes } of reader.frames()) parts.push(Buffer.from(bytes));
  return Buffer.concat(parts);
}

function segmentFiles(disk: SimulatedDisk): string[] {
  return [...disk.files().keys()].filter((path) => /\.(open|seg)$|tmp/.test(path));
}

describe('a sealed segment', () => {
  test('holds the frames of the open one, byte for byte, and replaces it', async () => {
    const { rig, path, end } = await completed();
    const open = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const before = await streamOf(rig.disk);
    const sealed = await sealSegment(rig.disk, path, end);
    const { length } = decodeSegmentHeader(open);
    expect(await rawFrames(rig.disk, sealed?.path ?? '')).toEqual(open.subarray(length));
    expect(sealed?.raw).toBe(open.length - length);
    expect(sealed?.stored).toBe(await rig.disk.size(sealed?.path ?? ''));
    expect(segmentFiles(rig.disk)).toHaveLength(2);
    expect(rig.disk.files().has(path)).toBe(false);
    expect(await streamOf(rig.disk)).toEqual(before);
  });

  test('says in its footer what is in its frames', async () => {
    const { rig, path, end } = await completed();
    const sealed = await sealSegment(rig.disk, path, end);
    await using file = await rig.disk.open(sealed?.path ?? '', 'read');
    const { footer } = await SealedReader.over(file);
    const { segments } = await timelineOf(rig.disk);
    expect(footer).toMatchObject({ start: baseOffset + 1, end, db: rig.primary.markAt(end).boundaryDb });
    expect(footer.ids.map(({ offset }) => offset - baseOffset)).toEqual([1, 802]);
    expect(segments[0]).toMatchObject({ kind: 'sealed', end, first: footer.first, last: footer.last });
  });

  test('has many blocks when it is large, and is read from any of them', async () => {
    const { rig, path, end } = await completed(4 * 1024 * 1024);
    const before = await rawFrames(rig.disk, path);
    const sealed = await sealSegment(rig.disk, path, end);
    expect(await rawFrames(rig.disk, sealed?.path ?? '')).toEqual(before);
    await using reader = await openSegmentReader(rig.disk, sealed?.path ?? '', 'sealed');
    for (const from of [baseOffset + 1, baseOffset + 700_000, end - 10, end]) {
      let holdsIt = false;
      let frames = 0;
      for await (const { header } of reader.frames(from)) {
        holdsIt ||= header.start <= from && from <= header.end;
        frames += 1;
      }
      expect(holdsIt, `offset ${from}`).toBe(true);
      if (from === end) expect(frames).toBeLessThan(4);
    }
  });
});

describe('what cannot be sealed', () => {
  test('a file with bytes beyond its end stays open', async () => {
    const { rig, path, end } = await completed();
    const before = segmentFiles(rig.disk);
    expect(await sealSegment(rig.disk, path, end - 10)).toBeUndefined();
    expect(segmentFiles(rig.disk)).toEqual(before);
  });

  test('a file without frames stays open', async () => {
    const { rig, path } = await completed();
    const bytes = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const files = new Map(rig.disk.files()).set(path, bytes.subarray(0, decodeSegmentHeader(bytes).length));
    expect(await sealSegment(diskOf(files), path, baseOffset)).toBeUndefined();
  });

  test('a file with half a frame behind its end, which was abandoned, stays open, and is torn for verify', async () => {
    const { rig, path, end } = await completed();
    const bytes = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const half = bytes.subarray(decodeSegmentHeader(bytes).length).subarray(0, 60);
    const disk = diskOf(new Map(rig.disk.files()).set(path, Buffer.concat([bytes, half])));
    const before = disk.files();
    expect(await sealSegment(disk, path, end)).toBeUndefined();
    expect(disk.files()).toEqual(before);
    const { problems } = await verifySource(disk, tree, { clock: new ManualClock() });
    expect(problems).toMatchObject([{ kind: 'torn', path }]);
  });

  test.each(['short', 'damaged'])('a file that is %s is refused and left as it is', async (how) => {
    const { rig, path, end } = await completed();
    const bytes = Buffer.from(rig.disk.files().get(path) ?? Buffer.alloc(0));
    const at = Math.floor(bytes.length / 2);
    if (how === 'damaged') bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    const given = how === 'short' ? bytes.subarray(0, -1) : bytes;
    const disk = diskOf(new Map(rig.disk.files()).set(path, given));
    const before = disk.files();
    await expect(sealSegment(disk, path, end)).rejects.toMatchObject({ exitCode: 6 });
    expect(disk.files()).toEqual(before);
  });
});

test('a crash at any operation of sealing leaves exactly the same stream', async () => {
  const { rig, path, end } = await completed();
  const stream = await streamOf(rig.disk);
  const files = rig.disk.files();
  let operations = Infinity;
  const left = new Set<string>();
  for (let at = 0; at < operations; at += 1) {
    for (let seed = 0; seed < 12; seed += 1) {
      const disk = diskOf(files);
      disk.fault = ({ index }) => (index === at ? 'power' : undefined);
      await sealSegment(disk, path, end).then(
        () => (operations = disk.operations.length),
        () => undefined,
      );
      const after = seed % 3 === 0 ? disk.kill() : disk.crash(seed);
      expect(await streamOf(after), `before recovery, at ${at}, seed ${seed}`).toEqual(stream);
      const { newest, unsealed } = await recover(after, tree);
      expect(newest?.tail.offset).toBe(baseOffset + stream.length);
      expect(await streamOf(after)).toEqual(stream);
      for (const one of unsealed) await sealSegment(after, one.path, one.end);
      expect(await streamOf(after)).toEqual(stream);
      left.add(
        segmentFiles(after)
          .map((name) => name.slice(-4))
          .sort()
          .join(),
      );
    }
  }
  expect(operations).toBeGreaterThan(8);
  expect(left).toEqual(new Set(['.seg,open']));
});

test('a disk that is full while sealing costs nothing', async () => {
  const { rig, path, end } = await completed();
  const before = rig.disk.files();
  rig.disk.fault = ({ kind }) => (kind === 'write' ? 'no-space' : undefined);
  await expect(sealSegment(rig.disk, path, end)).rejects.toMatchObject({ code: 'no-space' });
  expect(rig.disk.files()).toEqual(before);
});

/** In steps, so that whoever sleeps meanwhile goes on meanwhile. */
async function passTime(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    clock.advance(50);
    await settle();
  }
}

function fail(path: string, error: unknown): void {
  throw new Error(`${path} failed`, { cause: error });
}

describe('the sealer', () => {
  const result: Sealed = { path: 'x.seg', raw: 2, stored: 1 };

  test('seals one after the other, tells what failed, and goes on', async () => {
    const clock = new ManualClock();
    const events: string[] = [];
    let running = 0;
    const sealer = new Sealer({
      seal: async (path) => {
        running += 1;
        expect(running).toBe(1);
        await Promise.resolve();
        running -= 1;
        if (path === 'b') throw new Error('no');
        return path === 'c' ? undefined : result;
      },
      events: { sealed: (from) => events.push(`sealed ${from}`), sealFailed: (path) => events.push(`failed ${path}`) },
      clock,
    });
    for (const path of ['a', 'b', 'c', 'd']) sealer.add(path, 1);
    expect(sealer.backlog).toBe(4);
    await settle();
    await passTime(clock, sealRestMs);
    await eventually('an empty backlog', () => sealer.backlog === 0);
    expect(events).toEqual(['sealed a', 'failed b', 'sealed d']);
    sealer.add('e', 1);
    await passTime(clock, sealRestMs);
    await eventually('an empty backlog', () => sealer.backlog === 0);
    expect(events.at(-1)).toBe('sealed e');
  });

  /** One that is handed segments at the times that the test wants, and seals at once. */
  function sealerOf(seal: SealFunction): { sealer: Sealer; clock: ManualClock } {
    const clock = new ManualClock();
    return { sealer: new Sealer({ seal, events: { sealed: () => undefined, sealFailed: fail }, clock }), clock };
  }

  test('seals what comes now and then, each when no other has come for a while', async () => {
    const sealed: string[] = [];
    const { sealer, clock } = sealerOf(async (path) => {
      sealed.push(path);
      return result;
    });
    for (const path of ['a', 'b', 'c']) {
      sealer.add(path, 1);
      await passTime(clock, sealRestMs - 50);
      expect(sealed.at(-1)).not.toBe(path);
      await passTime(clock, 50);
      expect(sealed.at(-1)).toBe(path);
    }
  });

  test('leaves a burst to capture, and seals it when nothing came for a while', async () => {
    let sealed = 0;
    const { sealer, clock } = sealerOf(async () => {
      sealed += 1;
      return result;
    });
    for (let added = 0; added < sealBurstSegments; added += 1) {
      if (added > 0) await passTime(clock, sealRestMs / 2);
      sealer.add(String(added), 1);
    }
    expect(sealed).toBe(0);
    await passTime(clock, sealRestMs + 100);
    expect([sealed, sealer.backlog]).toEqual([sealBurstSegments, 0]);
  });

  test('seals beside a burst that does not end, so that no more than one burst waits', async () => {
    let most = 0;
    const { sealer, clock } = sealerOf(async () => result);
    for (let added = 0; added < 10 * sealBurstSegments; added += 1) {
      sealer.add(String(added), 1);
      await passTime(clock, sealRestMs / 2);
      most = Math.max(most, sealer.backlog);
    }
    expect(most).toBe(sealBurstSegments - 1);
  });

  test('asks for a full share of the processor while more wait than the background can do', async () => {
    const paces: SealPace[] = [];
    const { sealer, clock } = sealerOf(async (_path, _end, pace) => {
      paces.push(pace);
      return result;
    });
    for (let added = 0; added <= sealCatchUpSegments; added += 1) sealer.add(String(added), 1);
    await passTime(clock, sealRestMs);
    expect(paces.indexOf('background')).toBe(sealCatchUpSegments + 1 - sealBurstSegments);
    expect(paces.slice(sealCatchUpSegments + 1 - sealBurstSegments)).not.toContain('catch-up');
  });

  test('tries again, with growing pauses and told once, while the disk is full', async () => {
    const clock = new ManualClock();
    const tried: number[] = [];
    const events: string[] = [];
    const sealer = new Sealer({
      seal: async () => {
        tried.push(clock.monotonic() / 1_000_000);
        if (tried.length < 4) throw new StorageError('no-space', 'full');
        return result;
      },
      events: { sealed: (from) => events.push(`sealed ${from}`), sealFailed: (path) => events.push(`failed ${path}`) },
      clock,
    });
    sealer.add('a', 1);
    await passTime(clock, sealRestMs);
    for (let second = 0; second < 30; second += 0.5) {
      clock.advance(500);
      await settle();
    }
    expect(tried).toEqual([1, 2.5, 5.5, 11.5]);
    expect([events, sealer.backlog]).toEqual([['failed a', 'sealed a'], 0]);
  });

  test('stops at once while it waits for a full disk', async () => {
    const seal = async (): Promise<Sealed> => {
      throw new StorageError('no-space', 'full');
    };
    const sealer = new Sealer({
      seal,
      events: { sealed: () => undefined, sealFailed: () => undefined },
      clock: new ManualClock(),
    });
    sealer.add('a', 1);
    sealer.add('b', 1);
    await sealer.stop();
    expect(sealer.backlog).toBe(0);
  });

  test('finishes what is under way when it stops, and leaves the rest', async () => {
    const clock = new ManualClock();
    const sealed: string[] = [];
    let finish: () => void = () => undefined;
    const sealer = new Sealer({
      seal: () =>
        new Promise((resolve) => {
          finish = () => {
            resolve(result);
          };
        }),
      events: { sealed: (from) => sealed.push(from), sealFailed: () => undefined },
      clock,
    });
    sealer.add('a', 1);
    sealer.add('b', 1);
    await passTime(clock, sealRestMs + 100);
    let isStopped = false;
    const stopping = sealer.stop().then(() => (isStopped = true));
    sealer.add('c', 1);
    await Promise.resolve();
    expect(isStopped).toBe(false);
    finish();
    await stopping;
    expect([sealed, sealer.backlog]).toEqual([['a'], 0]);
  });
});

test('a folder that is not there is no reason to crash', async () => {
  const disk = await preparedDisk();
  await expect(sealSegment(disk, `${directory}/none.open`, 1)).rejects.toMatchObject({ code: 'not-found' });
  expect(segmentFiles(disk)).toEqual([]);
});
