// What the next writer makes of what it finds (SPEC.md 11): a torn tail is cut and kept aside, damage is refused and left
// as it is, and what was begun and never finished is cleared away.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { frameHeaderBytes } from '../../journal-format/frame.ts';
import { openSegmentName, sealedSegmentName } from '../../journal-format/names.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import { JournalError } from '../../src/core/errors.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { StreamFollower } from '../../src/log/stream-follower.ts';
import { clearTemporary, recover } from '../../src/log/recovery.ts';
import type { Recovered } from '../../src/log/recovery.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { writeMark, writeStop } from '../../src/log/timeline-store.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  LogRig,
  addTimeline,
  baseOffset,
  directory,
  diskOf,
  firstTail,
  framesOf,
  idA,
  idB,
  never,
  preparedDisk,
  settle,
  streamOf,
  timelineOf,
  tree,
} from './log-rig.ts';

type Files = ReadonlyMap<string, Buffer>;

/** A journal of four commits in one open segment: its files, the path of the segment, and where its frames end. */
interface Sample {
  readonly files: Files;
  readonly path: string;
  readonly bytes: Buffer;
  readonly headerLength: number;
  readonly salt: number;
  /** File position and offset behind each frame. */
  readonly ends: readonly { readonly position: number; readonly offset: number }[];
}

const lengths = [11, 30, 7, 25];
const end = baseOffset + 73;
let sample: Sample;

beforeAll(async () => {
  const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
  await rig.commits(...lengths);
  await rig.writer.close();
  const { segments } = await timelineOf(rig.disk);
  const path = segments[0]?.path ?? '';
  const bytes = rig.disk.files().get(path) ?? Buffer.alloc(0);
  const { record, length } = decodeSegmentHeader(bytes);
  let position = length;
  const ends = (await framesOf(rig.disk, path)).map((header) => ({
    position: (position += header.length),
    offset: header.end,
  }));
  sample = { files: rig.disk.files(), path, bytes, headerLength: length, salt: record.salt, ends };
});

function changed(changes: Record<string, Buffer | undefined>, files: Files = sample.files): SimulatedDisk {
  const all = new Map(files);
  for (const [path, bytes] of Object.entries(changes)) {
    if (bytes === undefined) all.delete(path);
    else all.set(path, bytes);
  }
  return diskOf(all);
}

function withTail(bytes: Buffer): SimulatedDisk {
  return changed({ [sample.path]: bytes });
}

async function offsetOf(disk: SimulatedDisk): Promise<number | undefined> {
  return (await recover(disk, tree)).newest?.tail.offset;
}

/** What recovery throws; and that it changed nothing. */
async function refusal(disk: SimulatedDisk): Promise<JournalError> {
  const before = disk.files();
  const error: unknown = await recover(disk, tree).then(
    ({ newest }) => new Error(`recovered up to ${newest?.tail.offset ?? 0}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof JournalError)) throw error;
  expect(disk.files()).toEqual(before);
  return error;
}

function asideOf(disk: SimulatedDisk): Buffer[] {
  return [...disk.files()].filter(([path]) => path.startsWith('/journal/cache/aside/')).map(([, bytes]) => bytes);
}

/** A whole frame with some of its header bytes changed, its checksum made right again. */
function forged(frame: Buffer, change: (header: Buffer) => void): Buffer {
  const bytes = Buffer.from(frame);
  change(bytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 76), sample.salt), 76);
  return bytes;
}

function frameBytes(index: number): Buffer {
  const from = index === 0 ? sample.headerLength : (sample.ends[index - 1]?.position ?? 0);
  return sample.bytes.subarray(from, sample.ends[index]?.position);
}

describe('a tail', () => {
  test('that ends anywhere is cut behind its last whole frame, and the rest is kept', async () => {
    for (let length = sample.headerLength; length <= sample.bytes.length; length += 1) {
      const whole = sample.ends.findLast(({ position }) => position <= length);
      const cut = whole?.position ?? sample.headerLength;
      const disk = withTail(sample.bytes.subarray(0, length));
      expect(await offsetOf(disk), `${length} bytes`).toBe(whole?.offset ?? baseOffset);
      expect(disk.files().get(sample.path)).toEqual(sample.bytes.subarray(0, cut));
      expect(asideOf(disk)).toEqual(length === cut ? [] : [sample.bytes.subarray(cut, length)]);
    }
  });

  test('of a file that ends in its header holds nothing, and the file is moved aside', async () => {
    for (let length = 0; length < sample.headerLength; length += 1) {
      const disk = withTail(sample.bytes.subarray(0, length));
      const { newest, actions } = await recover(disk, tree);
      expect(newest?.tail).toEqual({ ...firstTail(), lastStamp: newest?.timeline.base.record.completed });
      expect(disk.files().has(sample.path)).toBe(false);
      expect(asideOf(disk)).toEqual([sample.bytes.subarray(0, length)]);
      expect(actions).toHaveLength(1);
    }
  });

  test('of zeros is cut, and nothing of it kept', async () => {
    const disk = withTail(Buffer.concat([sample.bytes, Buffer.alloc(5000)]));
    const { newest, actions } = await recover(disk, tree);
    expect([newest?.tail.offset, actions, asideOf(disk)]).toEqual([end, [], []]);
    expect(disk.files().get(sample.path)).toEqual(sample.bytes);
  });

  test('of garbage is cut and kept', async () => {
    const garbage = Buffer.alloc(10_000, 'JFRM garbage ');
    const disk = withTail(Buffer.concat([sample.bytes, garbage]));
    expect(await offsetOf(disk)).toBe(end);
    expect(disk.files().get(sample.path)).toEqual(sample.bytes);
    expect(asideOf(disk)).toEqual([garbage]);
  });

  test('of frames of another file is cut and kept: the salt is not theirs', async () => {
    const other = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await other.commits(...lengths);
    const foreign = other.disk.files().get((await timelineOf(other.disk)).segments[0]?.path ?? '') ?? Buffer.alloc(0);
    const disk = withTail(Buffer.concat([sample.bytes, foreign]));
    expect(await offsetOf(disk)).toBe(end);
    expect(asideOf(disk)).toEqual([foreign]);
  });

  test('with a flipped bit is cut in the last frame and refused before it, where later frames say that it was durable', async () => {
    const last = sample.ends.at(-2)?.position ?? 0;
    for (let at = 0; at < sample.bytes.length; at += 1) {
      const bytes = Buffer.from(sample.bytes);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
      const disk = withTail(bytes);
      if (at >= last) expect(await offsetOf(disk), `byte ${at}`).toBe(baseOffset + 48);
      else expect(['corrupt', 'torn'], `byte ${at}`).toContain((await refusal(disk)).code);
    }
  });

  test('that lost an earlier frame and kept a later one, both unsynced, is cut and kept', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10);
    rig.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    const path = (await timelineOf(rig.disk)).segments[0]?.path ?? '';
    for (const length of [20, 30, 40]) {
      rig.read(length);
      rig.writer.hurry();
      await settle();
    }
    const whole = rig.disk.files().get(path) ?? Buffer.alloc(0);
    const frames = await framesOf(rig.disk, path);
    expect(frames.map(({ durable }) => durable)).toEqual([1000, 1010, 1010, 1010]);
    const [first = 0, second = 0] = frames.map(({ length }) => length);
    const from = decodeSegmentHeader(whole).length + first;
    const bytes = Buffer.from(whole).fill(0, from, from + second);
    const disk = changed({ [path]: bytes }, rig.disk.files());
    expect(await offsetOf(disk)).toBe(baseOffset + 10);
    expect(asideOf(disk)).toEqual([bytes.subarray(from)]);
  });

  test('whose next frame is whole but out of place is refused', async () => {
    const doubled = Buffer.concat([sample.bytes, frameBytes(3)]);
    const missing = Buffer.concat([sample.bytes.subarray(0, sample.ends[1]?.position), frameBytes(3)]);
    for (const bytes of [doubled, missing]) expect((await refusal(withTail(bytes))).exitCode).toBe(6);
  });

  test('of a newer kind is refused as such', async () => {
    const newer = forged(frameBytes(3), (header) => {
      header.writeUInt16LE(0x0109, 4);
      header.writeUInt32LE(crc32(header.subarray(frameHeaderBytes), sample.salt), 68);
    });
    const disk = withTail(Buffer.concat([sample.bytes.subarray(0, sample.ends[2]?.position), newer]));
    const error = await refusal(disk);
    expect([error.code, error.exitCode]).toEqual(['unsupported-format', 1]);
  });

  test('of a file of a newer version is refused as such, and not taken for one that holds nothing', async () => {
    const bytes = Buffer.from(sample.bytes.subarray(0, sample.headerLength));
    bytes.writeUInt16LE(2, 6);
    bytes.writeUInt32LE(crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12))), 12);
    expect((await refusal(withTail(bytes))).code).toBe('unsupported-format');
  });
});

describe('what is known elsewhere to have been durable', () => {
  const stop = { timeline: 1, offset: end, stamp: 1 };
  const mark = { name: 'm', timeline: 1, id: idA, offset: end, stamp: 1, created: 1 };

  test('is required of the tail: by a stop, by a mark', async () => {
    for (const write of [
      (disk: SimulatedDisk) => writeStop(disk, directory, stop),
      (disk: SimulatedDisk) => writeMark(disk, tree, mark),
    ]) {
      const disk = withTail(sample.bytes.subarray(0, -1));
      await write(disk);
      expect((await refusal(disk)).code).toBe('tail-missing');
      const whole = withTail(sample.bytes);
      await write(whole);
      expect(await offsetOf(whole)).toBe(end);
      for (const bytes of [Buffer.alloc(0), undefined]) {
        const without = changed({ [sample.path]: bytes });
        await write(without);
        expect((await refusal(without)).exitCode).toBe(6);
      }
    }
  });

  test('of another timeline is not', async () => {
    const disk = withTail(sample.bytes.subarray(0, -1));
    await writeMark(disk, tree, { ...mark, timeline: 2 });
    expect(await offsetOf(disk)).toBe(baseOffset + 48);
  });
});

describe('segments that were begun', () => {
  /** Two open segments of which the second was never synced. */
  async function begun(): Promise<{ files: Files; first: string; second: string; boundary: number }> {
    const rig = await LogRig.fresh({ segmentBytes: 100 });
    while (rig.writer.received < baseOffset + 100 || !rig.primary.isBoundary(rig.writer.received)) await rig.commits(1);
    const boundary = rig.writer.received;
    rig.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    for (let i = 0; i < 3; i += 1) {
      rig.command();
      rig.writer.hurry();
      await settle();
    }
    const [first = '', second = ''] = (await timelineOf(rig.disk)).segments.map(({ path }) => path);
    return { files: rig.disk.files(), first, second, boundary };
  }

  test('are gone on with when they are whole, and the one before is made durable, too', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 1 });
    rig.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    for (let i = 0; i < 3; i += 1) {
      rig.command();
      rig.writer.hurry();
      await settle();
    }
    const disk = rig.disk.kill();
    const offset = await offsetOf(disk);
    expect(offset).toBe(rig.writer.received);
    for (let seed = 0; seed < 50; seed += 1) {
      const stream = await streamOf(disk.afterPowerLoss(seed));
      expect(stream).toEqual(rig.primary.bytes(baseOffset + 1, rig.writer.received));
    }
  });

  test('are moved aside without a whole header, whatever else survived in them', async () => {
    const { files, first, second, boundary } = await begun();
    const bytes = files.get(second) ?? Buffer.alloc(0);
    const { length } = decodeSegmentHeader(bytes);
    const holed = Buffer.from(bytes).fill(0, 0, 20);
    for (const left of [Buffer.alloc(0), bytes.subarray(0, length - 1), Buffer.alloc(4096), holed]) {
      const disk = changed({ [second]: left }, files);
      const { newest, actions } = await recover(disk, tree);
      expect(newest?.tail).toMatchObject({ offset: boundary, segment: { path: first } });
      expect(asideOf(disk)).toEqual([left]);
      expect(actions).toHaveLength(1);
    }
  });

  test('are moved aside when the end of the one before was lost', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 100 });
    await rig.commits(20);
    rig.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    while (!(rig.disk.operations.at(-2)?.kind === 'create')) {
      rig.command();
      rig.writer.hurry();
      await settle();
    }
    const [first = '', second = ''] = (await timelineOf(rig.disk)).segments.map(({ path }) => path);
    const files = rig.disk.files();
    const { ids } = (await recover(diskOf(files), tree)).newest?.tail ?? firstTail();
    const disk = changed({ [first]: files.get(first)?.subarray(0, -1) }, files);
    const { newest } = await recover(disk, tree);
    expect(newest?.tail).toMatchObject({ ids, segment: { path: first } });
    expect(newest?.tail.offset).toBeGreaterThanOrEqual(baseOffset + 20);
    expect(disk.files().has(second)).toBe(false);
    expect(await streamOf(disk)).toEqual(rig.primary.bytes(baseOffset + 1, newest?.tail.offset ?? 0));
  });

  test('are moved aside when the one before is not there, as its name was lost', async () => {
    const { files, first, second } = await begun();
    const rig = new LogRig(changed({ [first]: undefined }, files));
    // Its frames say that bytes of the first had been durable.
    expect((await refusal(rig.disk)).exitCode).toBe(4);
    const fresh = await LogRig.fresh({ segmentBytes: 1 });
    fresh.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    for (let i = 0; i < 2; i += 1) {
      fresh.command();
      fresh.writer.hurry();
      await settle();
    }
    const [lost = ''] = (await timelineOf(fresh.disk)).segments.map(({ path }) => path);
    const disk = changed({ [lost]: undefined }, fresh.disk.files());
    expect(await offsetOf(disk)).toBe(baseOffset);
    expect(await disk.list(directory)).not.toContain(second);
    expect(asideOf(disk)).toHaveLength(1);
  });

  test('are refused without a header once a frame in them says that they had been durable', async () => {
    const bytes = Buffer.from(sample.bytes).fill(0, 0, 16);
    expect((await refusal(withTail(bytes))).code).toBe('corrupt');
  });

  test('are gone on with although they hold no stream byte, and no other begins at the same offset', async () => {
    const { files, first, second, boundary } = await begun();
    const { length } = decodeSegmentHeader(files.get(second) ?? Buffer.alloc(0));
    const disk = changed({ [second]: files.get(second)?.subarray(0, length) }, files);
    const { newest } = await recover(disk, tree);
    expect(newest?.tail).toMatchObject({ offset: boundary, segment: { path: second, start: boundary + 1 } });
    const rig = new LogRig(disk, { tail: newest?.tail ?? firstTail(), segmentBytes: 100 });
    rig.clock.advance(3_600_000);
    await rig.commits(5, 6);
    const paths = (await timelineOf(disk)).segments.map(({ path }) => path);
    expect(paths.slice(0, 2)).toEqual([first, second]);
    expect(new Set(paths.map((path) => path.slice(0, -14))).size).toBe(paths.length);
  });

  test('that another follows are cut where an attach frame is torn, so that they can be sealed', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 30 });
    while (rig.writer.received < baseOffset + 40 || !rig.primary.isBoundary(rig.writer.received)) await rig.commits(1);
    rig.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    rig.writer.attach(idB, rig.clock.wall());
    await settle();
    rig.command();
    rig.writer.hurry();
    await settle();
    const { segments } = await timelineOf(rig.disk);
    const [first, second] = [segments.at(-2)?.path ?? '', segments.at(-1)?.path];
    const torn = rig.disk.files().get(first)?.subarray(0, -10);
    const disk = changed({ [first]: torn }, rig.disk.files());
    const { newest, unsealed } = await recover(disk, tree);
    expect(newest?.tail).toMatchObject({ offset: rig.writer.received, segment: { path: second } });
    expect(asideOf(disk)).toHaveLength(1);
    expect(newest?.tail.ids.at(-1)?.id).toBe(idB);
    for (const { path, end: last } of unsealed) expect(await sealSegment(disk, path, last)).toBeDefined();
  });
});

describe('an abandoned file', () => {
  /** A sync failed; another segment was begun behind the last durable boundary, and holds `bytes` more. */
  async function abandoned(bytes: number): Promise<{ rig: LogRig; next: LogRig; boundary: number; path: string }> {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(50, 61);
    rig.disk.fault = ({ kind }) => (kind === 'sync' ? 'io' : undefined);
    rig.read(70);
    await expect(rig.writer.drain()).rejects.toThrow('EIO');
    rig.disk.fault = () => undefined;
    const path = (await timelineOf(rig.disk)).segments[0]?.path ?? '';
    const { boundary, boundaryDb: db } = rig.primary.markAt(rig.writer.durable);
    const { clock, primary } = rig;
    const tail = { ...firstTail(boundary), db, lastStamp: rig.writer.lastStamp, ids: firstTail().ids };
    const next = new LogRig(rig.disk, { tail, clock, primary, segmentBytes: 1 << 20 });
    next.read(bytes);
    return { rig, next, boundary, path };
  }

  test('ends where the segment begins that replaced it', async () => {
    const { next, boundary, path, rig } = await abandoned(200);
    await next.writer.drain();
    expect(rig.primary.isBoundary(boundary)).toBe(true);
    const { segments } = await timelineOf(next.disk);
    expect(segments.map(({ end: last }) => last)).toEqual([boundary, next.writer.received]);
    const whole = rig.primary.bytes(baseOffset + 1, next.writer.received);
    expect(await streamOf(next.disk)).toEqual(whole);
    const onward: Buffer[] = [];
    await using following = new StreamFollower(next.disk, directory, baseOffset + 1, new BlockCache());
    for await (const { bytes } of following.upTo(next.writer.received)) onward.push(bytes);
    expect(Buffer.concat(onward)).toEqual(whole);
    const { newest, unsealed } = await recover(next.disk, tree);
    expect(newest?.tail.offset).toBe(next.writer.received);
    expect(unsealed).toEqual([{ path, end: boundary }]);
    expect(await sealSegment(next.disk, path, boundary), 'it stays open for ever').toBeUndefined();
  });

  test('is gone back to when what replaced it was never synced and does not reach as far', async () => {
    const { next, rig, path } = await abandoned(1);
    next.writer.hurry();
    next.disk.gate = ({ kind }) => (kind === 'sync' ? never() : undefined);
    await settle();
    const disk = diskOf(next.disk.files());
    const { newest } = await recover(disk, tree);
    expect(newest?.tail.segment?.path).toBe(path);
    expect(newest?.tail.offset).toBeGreaterThanOrEqual(rig.writer.durable);
    expect(asideOf(disk)).toHaveLength(1);
  });
});

test('what a failed sync left in memory only is written once more', async () => {
  const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
  await rig.commits(10);
  rig.disk.fault = ({ kind }) => (kind === 'sync' ? 'io' : undefined);
  rig.read(20);
  await expect(rig.writer.drain()).rejects.toThrow('EIO');
  const disk = rig.disk.kill();
  expect(await offsetOf(disk)).toBe(baseOffset + 30);
  for (let seed = 0; seed < 50; seed += 1) expect(await offsetOf(disk.afterPowerLoss(seed))).toBe(baseOffset + 30);
});

describe('files of a segment that is there twice', () => {
  async function sealedTwice(): Promise<{ files: Map<string, Buffer>; open: string; sealed: string }> {
    const rig = await LogRig.fresh({ segmentBytes: 60 });
    for (let i = 0; i < 6; i += 1) {
      rig.command();
      await rig.writer.drain();
    }
    const before = rig.disk.files();
    const [done] = rig.completed;
    if (done === undefined) throw new Error('nothing was completed');
    const sealed = await sealSegment(rig.disk, done.path, done.end);
    const files = new Map(rig.disk.files()).set(done.path, before.get(done.path) ?? Buffer.alloc(0));
    return { files, open: done.path, sealed: sealed?.path ?? '' };
  }

  test('the open one goes when the sealed one is right', async () => {
    const { files, open, sealed } = await sealedTwice();
    const disk = diskOf(files);
    const { actions } = await recover(disk, tree);
    expect(actions).toEqual([`removed ${open}: it is sealed`]);
    expect([disk.files().has(open), disk.files().has(sealed)]).toEqual([false, true]);
  });

  test('neither goes when the sealed one is damaged', async () => {
    const { files, sealed } = await sealedTwice();
    const bytes = files.get(sealed) ?? Buffer.alloc(0);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40);
    expect((await refusal(diskOf(files))).exitCode).toBe(6);
  });

  test('two open ones are refused', async () => {
    const copy = `${directory}/${openSegmentName(baseOffset + 1, '00c0ffee')}`;
    expect((await refusal(changed({ [copy]: sample.bytes }))).exitCode).toBe(6);
  });
});

describe('names that are not those of what is in the files', () => {
  test('are refused: renamed, and moved from another place', async () => {
    const renamed = `${directory}/${openSegmentName(baseOffset + 1, '00c0ffee')}`;
    expect((await refusal(changed({ [sample.path]: undefined, [renamed]: sample.bytes }))).code).toBe('corrupt');
    const shifted = `${directory}/${openSegmentName(baseOffset + 2, sample.path.slice(-13, -5))}`;
    expect((await refusal(changed({ [sample.path]: undefined, [shifted]: sample.bytes }))).exitCode).not.toBe(0);
    const moved = new Map([...sample.files].map(([path, bytes]) => [path.replace('00000001', '00000002'), bytes]));
    expect((await refusal(diskOf(moved))).code).toBe('misplaced');
  });
});

describe('timelines', () => {
  async function twoTimelines(): Promise<SimulatedDisk> {
    const disk = withTail(sample.bytes);
    await addTimeline(disk, 2, idB, 5000, { from: { timeline: 1, id: idA, offset: end, stamp: 1 } });
    return disk;
  }

  function baseFiles(disk: SimulatedDisk, timeline: string): string[] {
    return [...disk.files().keys()].filter((path) => path.includes(`/${timeline}/`) && path.endsWith('.base'));
  }

  test('without any, there is nothing to recover', async () => {
    const disk = new SimulatedDisk();
    const expected: Recovered = { newest: undefined, nextTimeline: 1, unsealed: [], actions: [] };
    expect(await recover(disk, tree)).toEqual(expected);
  });

  test('the newest without a base was never finished: it is removed, and its number not used again', async () => {
    const disk = await twoTimelines();
    for (const path of disk.files().keys()) if (/\/00000002\/.*(base|rdb)$/.test(path)) await disk.remove(path);
    const { newest, nextTimeline, actions } = await recover(disk, tree);
    expect([newest?.timeline.number, nextTimeline]).toEqual([1, 3]);
    expect(actions).toEqual(['removed /journal/cache/timelines/00000002: its full sync never finished']);
    expect(await disk.list(tree.timelines)).toEqual(['00000001']);
  });

  test('the newest whose base document is gone is not removed with all that is in it', async () => {
    const disk = await twoTimelines();
    const files = disk.files();
    for (const path of baseFiles(disk, '00000002')) await disk.remove(path);
    const { newest, actions } = await recover(disk, tree);
    expect([newest?.timeline.number, actions.length]).toEqual([1, 1]);
    const [, kept = ''] = await disk.list(tree.timelines);
    expect(kept).toMatch(/^00000002-unpublished-[0-9a-f]{8}$/);
    for (const [path, bytes] of files) {
      if (!path.includes('/00000002/') || path.endsWith('.base')) continue;
      expect(disk.files().get(path.replace('/00000002/', `/${kept}/`))).toEqual(bytes);
    }
    expect((await recover(disk, tree)).actions).toEqual([]);
  });

  test('an older one that lost its base does not keep the next writer from going on', async () => {
    const disk = await twoTimelines();
    await writeStop(disk, directory, { timeline: 1, offset: end, stamp: 1 });
    for (const path of baseFiles(disk, '00000001')) await disk.remove(path);
    const before = disk.files();
    const { newest, actions } = await recover(disk, tree);
    expect([newest?.timeline.number, actions.length]).toEqual([2, 1]);
    expect(disk.files()).toEqual(before);
  });

  test('one that has a successor, a mark or a stop has lost its base: nothing is removed', async () => {
    const followed = await twoTimelines();
    for (const path of baseFiles(followed, '00000001')) await followed.remove(path);
    for (const path of baseFiles(followed, '00000002')) await followed.remove(path);
    expect(await refusal(followed)).toMatchObject({ code: 'base-missing', exitCode: 4 });
    const [base = ''] = baseFiles(withTail(sample.bytes), '00000001');
    const stopped = changed({ [base]: undefined });
    await writeStop(stopped, directory, { timeline: 1, offset: end, stamp: 1 });
    expect((await refusal(stopped)).code).toBe('base-missing');
    const marked = changed({ [base]: undefined });
    await writeMark(marked, tree, { name: 'm', timeline: 1, id: idA, offset: end, stamp: 1, created: 1 });
    expect((await refusal(marked)).code).toBe('base-missing');
  });

  test('a damaged mark does not keep the next writer from going on', async () => {
    const disk = withTail(sample.bytes);
    for (const [name, offset] of [
      ['whole', end - 10],
      ['damaged', end - 20],
    ] as const) {
      await writeMark(disk, tree, { name, timeline: 1, id: idA, offset, stamp: 1, created: 1 });
    }
    const damaged = [...disk.files()].find(([, bytes]) => bytes.includes('damaged'));
    const [path = '', bytes = Buffer.alloc(0)] = damaged ?? [];
    const files = new Map(disk.files()).set(path, bytes.subarray(0, -1));
    expect((await recover(diskOf(files), tree)).newest?.tail.offset).toBe(end);
  });

  test('damage in an older one is no reason not to go on', async () => {
    const disk = await twoTimelines();
    const files = new Map(disk.files());
    files.set(sample.path, Buffer.from(sample.bytes).fill(0, 200, 300));
    files.delete(`${directory}/timeline`);
    const { newest, unsealed } = await recover(diskOf(files), tree);
    expect([newest?.timeline.number, newest?.tail.offset, unsealed]).toEqual([2, 5000, []]);
  });

  test('open segments of older ones that have a successor are still to be sealed', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 60 });
    for (let i = 0; i < 8; i += 1) {
      rig.command();
      await rig.writer.drain();
    }
    await addTimeline(rig.disk, 2, idB, 5000, { from: { timeline: 1, id: idA, offset: end, stamp: 1 } });
    expect((await recover(rig.disk, tree)).unsealed).toEqual(rig.completed);
  });
});

test('unfinished work is removed, and what is not of journal is left alone', async () => {
  const foreign = ['/journal/cache/notes.txt', `${directory}/notes.txt`, '/journal/cache/timelines/notes.txt'];
  const sealedLike = `${directory}/${sealedSegmentName({ start: 1, end: 2, first: 3, last: 4 }, 'abcdef01')}x`;
  const unfinished = ['/journal/cache/.tmp-1', '/journal/cache/marks/.tmp-2', `${directory}/.tmp-3`];
  const bytes = Buffer.from('x');
  const all = [...foreign, ...unfinished, sealedLike, '/journal/cache/marks/readme.mark'];
  const disk = changed(Object.fromEntries(all.map((path) => [path, bytes])));
  const actions = [...(await clearTemporary(disk, tree.directory)), ...(await recover(disk, tree)).actions];
  expect(actions).toEqual(unfinished.map((path) => `removed unfinished ${path}`));
  const paths = [...disk.files().keys()];
  expect(paths).toEqual(expect.arrayContaining([...foreign, sealedLike]));
  for (const path of unfinished) expect(paths).not.toContain(path);
});

test('recovering twice finds the same as once', async () => {
  const disk = withTail(sample.bytes.subarray(0, -3));
  const once = await recover(disk, tree);
  const files = disk.files();
  const twice = await recover(disk, tree);
  expect(twice.newest?.tail).toEqual(once.newest?.tail);
  expect(twice.actions).toEqual([]);
  expect(disk.files()).toEqual(files);
});

test('a source whose first timeline just began is recovered to its base', async () => {
  const { newest } = await recover(await preparedDisk(), tree);
  expect(newest?.tail).toMatchObject({ offset: baseOffset, boundary: baseOffset, segment: undefined, db: 0 });
});
