// Verify finds every wrong byte and every missing file, says which offsets are concerned and what can still be restored,
// and is not disturbed by a writer at work.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeFooter } from '../../journal-format/footer.ts';
import { fileNames, openSegmentName } from '../../journal-format/names.ts';
import { decodeTrailer } from '../../journal-format/sealed.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { StorageError } from '../../src/core/errors.ts';
import type { SegmentEntry } from '../../src/log/catalog.ts';
import { recover } from '../../src/log/recovery.ts';
import { writeMark, writeStop } from '../../src/log/timeline-store.ts';
import { verifySource } from '../../src/log/verify.ts';
import { verifyToJson } from '../../src/log/verify-report.ts';
import type { VerifyReport } from '../../src/log/verify-report.ts';
import type { Disk } from '../../src/storage/disk.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  LogRig,
  addTimeline,
  baseOffset,
  directory,
  diskOf,
  framesOf,
  idA,
  idB,
  settle,
  timelineOf,
  tree,
} from './log-rig.ts';
import { Primary } from './primary.ts';

/** Nobody writes here: there is nothing to wait for. */
const clock: Clock = { ...systemClock, sleep: () => Promise.resolve() };

type Files = ReadonlyMap<string, Buffer>;

/** Two timelines: one with sealed and open segments, a switch, a mark and a stop; one that is only a base. */
interface Sample {
  readonly files: Files;
  readonly segments: readonly SegmentEntry[];
  readonly end: number;
  readonly primary: Primary;
}

let sample: Sample;

beforeAll(async () => {
  sample = await makeSample();
});

async function makeSample(): Promise<Sample> {
  const primary = new Primary(baseOffset, 1, 20);
  const rig = await LogRig.fresh({ segmentBytes: 120, primary });
  for (let i = 0; i < 7; i += 1) await rig.commits(30);
  rig.completed.splice(1);
  await rig.seal();
  rig.writer.attach(idB, rig.clock.wall());
  for (let i = 0; i < 6; i += 1) await rig.commits(30);
  const { durable: end, lastStamp: stamp } = rig.writer;
  await rig.writer.close();
  await writeStop(rig.disk, directory, { timeline: 1, offset: end, stamp });
  const { boundary } = primary.markAt(baseOffset + 100);
  await writeMark(rig.disk, tree, { name: 'm', timeline: 1, id: idA, offset: boundary, stamp, created: stamp });
  const from = { timeline: 1, id: idB, offset: end, stamp };
  await addTimeline(rig.disk, 2, idA, 9000, { stamp: stamp + 1, from });
  const { segments } = await timelineOf(rig.disk);
  return { files: rig.disk.files(), segments, end, primary };
}

function changed(changes: Record<string, Buffer | undefined>, files: Files = sample.files): SimulatedDisk {
  const all = new Map(files);
  for (const [path, bytes] of Object.entries(changes)) {
    if (bytes === undefined) all.delete(path);
    else all.set(path, bytes);
  }
  return diskOf(all);
}

function verify(disk: Disk): Promise<VerifyReport> {
  return verifySource(disk, tree, { clock });
}

function bytesOf(path: string): Buffer {
  return Buffer.from(sample.files.get(path) ?? Buffer.alloc(0));
}

function flipped(path: string, at: number): Buffer {
  const bytes = bytesOf(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
  return bytes;
}

/** The intervals of the first timeline: what state from where to where. */
function intervalsOf(report: VerifyReport): [string, number, number][] {
  return (report.timelines[0]?.intervals ?? []).map(({ state, from, to }) => [state, from, to]);
}

function pathsEnding(end: string, folder = directory): string[] {
  return [...sample.files.keys()].filter((path) => path.startsWith(folder) && path.endsWith(end));
}

function segment(index: number): SegmentEntry {
  const found = sample.segments.at(index);
  if (found === undefined) throw new Error('there is no such segment');
  return found;
}

describe('a journal that is whole', () => {
  test('has no problems, and its recorded gap is told by the exit code', async () => {
    const report = await verify(changed({}));
    expect(report).toMatchObject({ problems: [], notes: [], exitCode: 3, problemsOmitted: 0 });
    expect(report.gaps).toMatchObject([{ cause: 'history-changed', to: { timeline: 2, offset: 9000 } }]);
    expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, sample.end]]);
    expect(report.timelines.map(({ restorable }) => restorable.map(({ from, to }) => [from, to]))).toEqual([
      [[baseOffset, sample.end]],
      [[9000, 9000]],
    ]);
    expect(report.marks).toMatchObject([{ record: { name: 'm' }, isRestorable: true }]);
    expect(report.bytes).toBe([...sample.files.values()].reduce((sum, { length }) => sum + length, 0));
  });

  test('without a gap gives exit code 0', async () => {
    const files = new Map([...sample.files].filter(([path]) => !path.includes('/00000002/')));
    expect(await verify(diskOf(files))).toMatchObject({ problems: [], exitCode: 0 });
  });

  test('may be one that has never run', async () => {
    expect(await verify(diskOf(new Map()))).toMatchObject({ timelines: [], problems: [], exitCode: 0 });
  });
});

test('a flipped bit is found in every byte of every file', { timeout: 120_000 }, async () => {
  const unseen: string[] = [];
  let count = 0;
  for (const [path, { length }] of sample.files) {
    for (let at = 0; at < length; at += 1) {
      const report = await verify(changed({ [path]: flipped(path, at) }));
      count += 1;
      const isFound = report.problems.some((problem) => problem.path === path);
      if (!isFound || report.exitCode !== 6) unseen.push(`${path} byte ${at}: exit ${report.exitCode}`);
    }
  }
  expect(count).toBeGreaterThan(3000);
  expect(unseen).toEqual([]);
});

describe('a missing file', () => {
  test('is told with the exit code for missing objects, whichever it is', async () => {
    const optional = /\.stop$|\.mark$/;
    for (const path of sample.files.keys()) {
      const { exitCode, problems } = await verify(changed({ [path]: undefined }));
      if (optional.test(path)) expect({ path, exitCode, problems }).toMatchObject({ exitCode: 3, problems: [] });
      else
        expect({ path, exitCode, kinds: new Set(problems.map(({ kind }) => kind)) }).toEqual({
          path,
          exitCode: 4,
          kinds: new Set(['missing']),
        });
    }
  });

  test('of a segment leaves a missing interval, and what is before it can be restored', async () => {
    for (const [index, { path, start, end }] of sample.segments.entries()) {
      const report = await verify(changed({ [path]: undefined }));
      const whole: [string, number, number][] = [
        ['ok', baseOffset + 1, start - 1],
        ['missing', start, end],
        ['ok', end + 1, sample.end],
      ];
      expect(intervalsOf(report), `segment ${index}`).toEqual(whole.filter(([, from, to]) => from <= to));
      expect(report.timelines[0]?.restorable).toMatchObject([{ from: baseOffset, to: start - 1 }]);
    }
  });

  test('of a base leaves nothing to restore from', async () => {
    for (const end of ['.rdb', '.base']) {
      const report = await verify(changed({ [pathsEnding(end)[0] ?? '']: undefined }));
      expect(report.timelines[0]?.restorable).toEqual([]);
      expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, sample.end]]);
      expect(report.marks).toMatchObject([{ isRestorable: false }]);
    }
  });

  test('at the end is seen by what a stop, a mark, or the gap behind it knows', async () => {
    const { path, start } = segment(-1);
    const witnesses = [...pathsEnding('.stop'), ...pathsEnding('/gap', tree.timelines)];
    for (const witness of witnesses) {
      const others = Object.fromEntries(witnesses.filter((one) => one !== witness).map((one) => [one, undefined]));
      const report = await verify(changed({ ...others, [path]: undefined }));
      expect(intervalsOf(report).at(-1), witness).toEqual(['missing', start, sample.end]);
    }
  });
});

describe('files in the wrong place', () => {
  test('a renamed file is not taken for what it is called', async () => {
    for (const { path, kind } of sample.segments) {
      const renamed = path.replace(/-.{8}\.(open|seg)$/, '-00c0ffee.$1');
      const { exitCode, problems } = await verify(changed({ [path]: undefined, [renamed]: bytesOf(path) }));
      expect({ kind, exitCode, paths: problems.map((problem) => problem.path) }).toMatchObject({
        exitCode: 6,
        paths: expect.arrayContaining([renamed]),
      });
    }
    for (const path of sample.files.keys()) {
      const renamed = `${path}.bak`;
      const { exitCode, notes } = await verify(changed({ [path]: undefined, [renamed]: bytesOf(path) }));
      expect(notes, 'a foreign name').toContain(`not of journal: ${renamed}`);
      expect([3, 4]).toContain(exitCode);
    }
  });

  test('a file that is there twice is told, and the original counts', async () => {
    for (const { path } of sample.segments) {
      const copy = path.replace(/-.{8}\.(open|seg)$/, '-00c0ffee.$1');
      const report = await verify(changed({ [copy]: bytesOf(path) }));
      expect({ path, exit: report.exitCode }).toEqual({ path, exit: 6 });
      expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, sample.end]]);
    }
  });

  test('two files with each other’s names are both damaged', async () => {
    for (const [i, first] of sample.segments.entries()) {
      for (const second of sample.segments.slice(i + 1)) {
        const swap = { [first.path]: bytesOf(second.path), [second.path]: bytesOf(first.path) };
        const { exitCode, problems } = await verify(changed(swap));
        const paths = problems.filter(({ kind }) => kind === 'corrupt').map(({ path }) => path);
        expect([exitCode, new Set(paths)]).toEqual([6, new Set([first.path, second.path])]);
      }
    }
  });

  test('documents of another timeline are refused', async () => {
    const other = `${tree.timelines}/00000002`;
    for (const name of ['timeline', 'gap']) {
      const taken = name === 'gap' ? `${other}/gap` : `${directory}/timeline`;
      const given = name === 'gap' ? `${tree.timelines}/00000003/gap` : `${other}/timeline`;
      const { exitCode } = await verify(changed({ [given]: bytesOf(taken) }));
      expect({ name, exitCode }).toEqual({ name, exitCode: 6 });
    }
    const swapped = new Map(
      [...sample.files].map(([path, bytes]) => [path.replace('/00000001/', '/00000005/'), bytes]),
    );
    expect((await verify(diskOf(swapped))).exitCode).toBe(6);
  });
});

describe('damage', () => {
  test('in a sealed segment costs the block that it is in, and nothing else', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 4 * 1024 * 1024 });
    while (rig.completed.length === 0) await rig.commits(400_000);
    await rig.seal();
    const [sealed] = (await timelineOf(rig.disk)).segments;
    const path = sealed?.path ?? '';
    const bytes = Buffer.from(rig.disk.files().get(path) ?? Buffer.alloc(0));
    const { position } = decodeTrailer(bytes.subarray(-24), bytes.length);
    const { blocks } = decodeFooter(bytes.subarray(position)).record;
    expect(blocks.length).toBeGreaterThan(3);
    const hurt = [1, 2].map((index) => blocks[index]);
    for (const block of hurt)
      bytes.writeUInt8(1 ^ bytes.readUInt8((block?.position ?? 0) + 20), (block?.position ?? 0) + 20);
    const report = await verify(changed({ [path]: bytes }, rig.disk.files()));
    const [from, to] = [hurt[0]?.start ?? 0, hurt[1]?.end ?? 0];
    expect(intervalsOf(report)).toEqual([
      ['ok', baseOffset + 1, from - 1],
      ['damaged', from, to],
      ['ok', to + 1, rig.writer.durable],
    ]);
    expect(report.problems.map(({ path: of, position: at, range }) => [of, at, range])).toEqual(
      hurt.map((block) => [path, block?.position, { from: block?.start, to: block?.end }]),
    );
    const [, damaged] = report.timelines[0]?.intervals ?? [];
    expect([damaged?.first, damaged?.last]).toEqual([blocks[0]?.lastStamp, blocks[3]?.firstStamp]);
    expect(report.timelines[0]?.restorable).toMatchObject([
      { from: baseOffset, to: from - 1, last: blocks[0]?.lastStamp },
    ]);
  });

  test('in an open segment costs the frames that it is in', async () => {
    const { path } = segment(-1);
    const disk = changed({});
    const frames = await framesOf(disk, path);
    const { length } = decodeSegmentHeader(bytesOf(path));
    const at = length + (frames[0]?.length ?? 0) + 30;
    const report = await verify(changed({ [path]: flipped(path, at) }));
    const { start = 0, end = 0 } = frames[1] ?? {};
    expect(intervalsOf(report)).toEqual([
      ['ok', baseOffset + 1, start - 1],
      ['damaged', start, end],
      ['ok', end + 1, sample.end],
    ]);
    expect(report.problems).toMatchObject([{ kind: 'corrupt', path, range: { from: start, to: end } }]);
  });

  test('in several files is told of each', async () => {
    const changes = Object.fromEntries(
      sample.segments.map(({ path }) => [path, flipped(path, Math.floor(bytesOf(path).length / 2))]),
    );
    const rdb = pathsEnding('.rdb')[0] ?? '';
    const report = await verify(changed({ ...changes, [rdb]: flipped(rdb, 20) }));
    const found = new Set(report.problems.map(({ path }) => path));
    expect([...found].sort()).toEqual(expect.arrayContaining([...Object.keys(changes), rdb].sort()));
  });

  test('in an RDB is told by its chunk, and nothing can be restored from it', async () => {
    const rdb = pathsEnding('.rdb')[0] ?? '';
    const report = await verify(changed({ [rdb]: flipped(rdb, 20) }));
    expect(report.problems).toMatchObject([{ kind: 'corrupt', path: rdb, position: 16 }]);
    expect(report.timelines[0]?.bases).toMatchObject([{ state: 'damaged' }]);
    expect(report.timelines[0]?.restorable).toEqual([]);
  });

  test('that truncates a file is told, and what is before it counts', async () => {
    const { path, start } = segment(1);
    const report = await verify(changed({ [path]: bytesOf(path).subarray(0, -1) }));
    expect(report.exitCode).toBe(6);
    expect(intervalsOf(report)[0]?.[0]).toBe('ok');
    expect(intervalsOf(report)[1]?.[0]).toBe('damaged');
    expect(intervalsOf(report)[1]?.[1]).toBeGreaterThanOrEqual(start);
  });

  test('of the storage is told as such', async () => {
    const { path, start, end } = segment(0);
    const whole = changed({});
    const disk = new Proxy(whole, {
      get: (target, key) => {
        if (key !== 'open') {
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        }
        return async (name: string, mode: 'read' | 'write') => {
          if (name === path) throw new StorageError('io', `cannot read ${name}: EIO`);
          return target.open(name, mode);
        };
      },
    });
    const report = await verify(disk);
    expect([report.exitCode, report.problems]).toMatchObject([6, [{ kind: 'unreadable', path }]]);
    expect(intervalsOf(report)[0]).toEqual(['damaged', start, end]);
  });

  test('of a newer version is no damage, but cannot be proven either', async () => {
    const path = `${directory}/timeline`;
    const bytes = bytesOf(path);
    bytes.writeUInt16LE(2, 6);
    bytes.writeUInt32LE(crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12))), 12);
    expect(await verify(changed({ [path]: bytes }))).toMatchObject({
      exitCode: 1,
      problems: [{ kind: 'unsupported', path }],
    });
  });
});

describe('the end of what is being written', () => {
  /** Only what is durable by its frames: no stop, no gap behind it. */
  async function tail(): Promise<{ files: Files; path: string; end: number }> {
    const rig = await LogRig.fresh({ segmentBytes: 1 << 20 });
    await rig.commits(10, 20, 30);
    const [one] = (await timelineOf(rig.disk)).segments;
    return { files: rig.disk.files(), path: one?.path ?? '', end: rig.writer.durable };
  }

  test('may be torn, which is no damage', async () => {
    const { files, path } = await tail();
    const bytes = files.get(path) ?? Buffer.alloc(0);
    const report = await verify(changed({ [path]: bytes.subarray(0, -1) }, files));
    expect(report).toMatchObject({ exitCode: 3, problems: [{ kind: 'torn', path }] });
    expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, baseOffset + 30]]);
    expect((await verify(changed({ [path]: Buffer.concat([bytes, Buffer.alloc(100)]) }, files))).exitCode).toBe(0);
  });

  test('is no unfinished write where a stop says that it was durable', async () => {
    const { files, path, end } = await tail();
    const disk = changed({ [path]: (files.get(path) ?? Buffer.alloc(0)).subarray(0, -1) }, files);
    await writeStop(disk, directory, { timeline: 1, offset: end, stamp: 1 });
    const report = await verify(disk);
    expect(report.exitCode).toBe(6);
    expect(report.problems).toContainEqual(
      expect.objectContaining({ kind: 'corrupt', path, range: { from: baseOffset + 31, to: end } }),
    );
    await expect(recover(disk, tree)).rejects.toMatchObject({ code: 'tail-missing', exitCode: 6 });
  });

  test('may be growing, which is nothing at all', async () => {
    const { files, path, end } = await tail();
    const bytes = files.get(path) ?? Buffer.alloc(0);
    const disk = changed({ [path]: bytes.subarray(0, -40) }, files);
    let sleeps = 0;
    const sleep = async (): Promise<void> => {
      sleeps += 1;
      await using file = await disk.open(path, 'write');
      if (sleeps === 2) await file.write([bytes.subarray(-40)], bytes.length - 40);
    };
    const report = await verifySource(disk, tree, { clock: { ...clock, sleep } });
    expect(report).toMatchObject({ exitCode: 0, problems: [] });
    expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, end]]);
  });

  test('may be a segment that was only just begun', async () => {
    const { files, end } = await tail();
    const begun = `${directory}/${openSegmentName(end + 1, '00c0ffee')}`;
    const report = await verify(changed({ [begun]: Buffer.alloc(0) }, files));
    expect(report).toMatchObject({ exitCode: 3, problems: [{ kind: 'torn', path: begun }] });
    expect(intervalsOf(report)).toEqual([['ok', baseOffset + 1, end]]);
  });

  test('is not disturbed by a writer and a sealer at work', async () => {
    const rig = await LogRig.fresh({ segmentBytes: 200, primary: new Primary(baseOffset, 3, 30) });
    const work = { isDone: false };
    const working = (async () => {
      for (let i = 0; i < 400; i += 1) {
        rig.read(1 + (i % 37));
        if (i % 3 === 0) rig.writer.hurry();
        rig.clock.advance(1);
        if (i % 10 === 0) await rig.seal();
        await settle();
      }
    })().finally(() => {
      work.isDone = true;
    });
    let runs = 0;
    for (; !work.isDone; runs += 1) {
      const before = rig.writer.durable;
      const sleep = settle;
      const report = await verifySource(rig.disk, tree, { clock: { ...clock, sleep } });
      // The simulated disk waits for nothing but promises: without this the writer would never get its turn.
      await settle();
      expect(report).toMatchObject({ exitCode: 0, problems: [] });
      expect(report.timelines[0]?.restorable[0]?.to).toBeGreaterThanOrEqual(before);
      expect(report.timelines[0]?.intervals.length).toBeLessThan(2);
    }
    await working;
    expect(runs).toBeGreaterThan(3);
  });

  test('is what recovery makes of it: the same offset, and afterwards no problem', async () => {
    const { files, path } = await tail();
    const bytes = files.get(path) ?? Buffer.alloc(0);
    for (let cut = 0; cut < 120; cut += 7) {
      const disk = changed({ [path]: bytes.subarray(0, bytes.length - cut) }, files);
      const before = await verify(disk);
      const { newest } = await recover(disk, tree);
      expect(before.timelines[0]?.restorable[0]?.to).toBe(newest?.tail.offset);
      expect((await verify(disk)).problems).toEqual([]);
    }
  });
});

describe('marks', () => {
  const mark = { name: 'x', timeline: 1, id: idA, stamp: 1, created: 1 };

  test('that are at no boundary, of no timeline, or under a foreign id are told', async () => {
    let offset = baseOffset + 60;
    while (
      sample.primary.isBoundary(offset) ||
      sample.primary.nextBoundary(offset) <= Math.ceil((offset - baseOffset) / 30) * 30 + baseOffset
    )
      offset += 1;
    for (const [wrong, exitCode] of [
      [{ ...mark, offset }, 6],
      [{ ...mark, offset: baseOffset, id: 'c'.repeat(40) }, 6],
      [{ ...mark, offset: baseOffset, timeline: 7 }, 4],
      [{ ...mark, offset: sample.end + 1000 }, 4],
    ] as const) {
      const disk = changed({});
      await writeMark(disk, tree, wrong);
      expect({ wrong, exit: (await verify(disk)).exitCode }).toEqual({ wrong, exit: exitCode });
    }
  });
});

describe('what is no problem', () => {
  test('is noted: foreign files, bytes kept aside, unfinished work', async () => {
    const strangers = [
      `${tree.directory}/notes.txt`,
      `${tree.timelines}/old`,
      `${directory}/x.seg`,
      `${tree.marks}/readme`,
    ];
    const others = [`${tree.aside}/kept`, `${directory}/.tmp-12345678`];
    const known = [fileNames.lock, fileNames.holder, fileNames.state, fileNames.reserve].map(
      (name) => `${tree.directory}/${name}`,
    );
    const bytes = Buffer.from('x');
    const disk = changed(Object.fromEntries([...strangers, ...others, ...known].map((path) => [path, bytes])));
    const { notes, problems } = await verify(disk);
    expect(problems).toEqual([]);
    for (const path of [...strangers, ...others])
      expect(
        notes.some((note) => note.includes(path)),
        path,
      ).toBe(true);
    for (const path of known) expect(notes.some((note) => note.endsWith(path))).toBe(false);
  });

  test('is a full sync that is under way', async () => {
    const disk = changed({});
    await disk.makeDirectory(`${tree.timelines}/00000003`);
    await (await disk.create(`${tree.timelines}/00000003/.tmp-00000000`)).close();
    const report = await verify(disk);
    expect(report).toMatchObject({ exitCode: 3, problems: [] });
    expect(report.timelines.at(-1)).toMatchObject({ number: 3, isUnfinished: true, restorable: [] });
  });
});

test('the lock file is never opened: closing it would let go of a lock of this process', async () => {
  const disk = changed({ [`${tree.directory}/lock`]: Buffer.alloc(0) });
  const opened: string[] = [];
  const open = disk.open.bind(disk);
  disk.open = (path, mode) => {
    opened.push(path);
    return open(path, mode);
  };
  await verify(disk);
  expect(opened.length).toBeGreaterThan(5);
  expect(opened.filter((path) => path.endsWith('/lock'))).toEqual([]);
});

test('a run can be followed, and stopped', async () => {
  const seen: [number, number][] = [];
  await verifySource(changed({}), tree, { clock, progress: (done, total) => seen.push([done, total]) });
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.every(([done], i) => done >= (seen[i - 1]?.[0] ?? 0))).toBe(true);
  expect(seen.at(-1)?.[0]).toBe(seen.at(-1)?.[1]);
  const stop = new AbortController();
  const progress = (): void => {
    stop.abort(new Error('enough'));
  };
  await expect(verifySource(changed({}), tree, { clock, signal: stop.signal, progress })).rejects.toThrow('enough');
});

test('a thousand problems are listed, and those beyond are counted', async () => {
  const rig = await LogRig.fresh({ segmentBytes: 1, primary: new Primary(baseOffset, 1, 1) });
  for (let i = 0; i < 1500; i += 1) await rig.commits(10);
  const files = rig.disk.files();
  const segments = [...files].filter(([path]) => path.endsWith('.open'));
  const cut = segments.map(([path, bytes]) => [path, bytes.subarray(0, -1)] as const);
  const report = await verify(changed(Object.fromEntries(cut), files));
  expect(segments.length).toBeGreaterThan(1050);
  expect(report.problems).toHaveLength(1000);
  expect(report.problemsOmitted).toBeGreaterThan(50);
  expect(report.exitCode).toBe(6);
});

test('as JSON it is one document: offsets are strings, times RFC 3339, lists never null', async () => {
  const { path } = segment(0);
  const report = await verify(changed({ [path]: flipped(path, 300) }));
  const json = JSON.parse(JSON.stringify(verifyToJson(report))) as Record<string, unknown>;
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(json).toMatchObject({
    source: 'cache',
    exitCode: 6,
    timelines: [
      {
        timeline: 1,
        isUnfinished: false,
        ids: [{ id: idA, offset: '1001' }, { id: idB }],
        bases: [{ offset: '1000', state: 'ok', completed: time }],
        restorable: [{ from: '1000', first: time, last: time }],
      },
      { timeline: 2, intervals: [] },
    ],
    gaps: [
      { cause: 'history-changed', from: { timeline: 1, offset: String(sample.end), time }, to: { offset: '9000' } },
    ],
    marks: [{ name: 'm', time }],
    problems: [{ kind: 'corrupt', path, timeline: 1 }],
    problemsOmitted: 0,
    notes: [],
  });
  expect(JSON.stringify(json)).not.toContain('undefined');
});
