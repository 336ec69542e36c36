// The independent reader beside SPEC.md: it was written from that page alone, so where it and the codec agree, both say
// what the page says.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeFilters, encodeFilters } from '../../journal-format/filters.ts';
import type { BlockFilter } from '../../journal-format/filters.ts';
import { decodeFooter, encodeFooter } from '../../journal-format/footer.ts';
import { stopName } from '../../journal-format/names.ts';
import { decodeTrailer, encodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import { encodeStop } from '../../journal-format/stop.ts';
import { streamCommand } from '../support/fake-primary.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { readerScript, vectorFolder, vectorNames } from './golden.ts';

const missing = whatIsMissing();
if (missing !== undefined) console.warn(`skipped: reader.py needs ${missing}`);

interface CheckResult {
  readonly ranges: readonly { timeline: number; from: number; to: number }[];
  readonly foreign: readonly string[];
  readonly errors: readonly { file: string; kind: string; message: string }[];
  readonly timelines: readonly { number: number; segments: readonly { state: string; end: number }[] }[];
}

describe.skipIf(missing !== undefined)('reader.py', () => {
  const journal = path.join(vectorFolder, 'journal/cache-1');
  let scratch = '';
  beforeAll(() => {
    scratch = mkdtempSync(path.join(os.tmpdir(), 'journal-reader-'));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('finds in every vector what the codec found', () => {
    const { stdout } = run('vector', ...vectorNames.map((name) => path.join(vectorFolder, `${name}.bin`)));
    const found = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    const expected = vectorNames.map((name) => readFileSync(path.join(vectorFolder, `${name}.json`), 'utf8'));
    expect(found).toHaveLength(vectorNames.length);
    for (const [i, name] of vectorNames.entries()) expect(found[i], name).toEqual(JSON.parse(expected[i]!));
  });

  test('finds nothing wrong with the small journal, and the whole range in it', () => {
    const { status, result } = check(journal);
    expect({ status, errors: result.errors }).toEqual({ status: 0, errors: [] });
    expect(result.ranges).toEqual([{ timeline: 1, from: 1001, to: 1261 }]);
    expect(result.foreign).toEqual(['timelines/00000002/.tmp-00112233']);
  });

  test('writes the stream, whole and in part, without the bytes that a later segment replaced', () => {
    const whole = run('bytes', journal, '1').stdout;
    expect(whole).toHaveLength(261);
    expect(whole.startsWith('*1\r\n$4\r\nPING\r\n*2\r\n$6\r\nSELECT\r\n')).toBe(true);
    expect(whole.endsWith('DEL\r\n$4\r\nuser\r\n*1\r\n$4\r\nPING\r\n')).toBe(true);
    expect(run('bytes', journal, '1', '1170', '1230').stdout).toBe(whole.slice(169, 230));
    expect(run('bytes', journal, '1', '1100', '1262').status).toBe(4);
    expect(run('bytes', journal, '1', '1000', '1100').status).toBe(4);
    expect(run('bytes', journal, '3').status).toBe(4);
  });

  test('gives each read its last offset and its stamp', () => {
    const reads = run('stamps', journal, '1')
      .stdout.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { end: number; stamp: number });
    expect(reads[0]).toEqual({ end: 1014, stamp: 1_772_366_400_000_250 });
    expect(reads.at(-1)?.end).toBe(1261);
    expect(reads).toEqual(reads.toSorted((a, b) => a.end - b.end || a.stamp - b.stamp));
  });

  test('lists what is there by names alone', () => {
    const listed = JSON.parse(run('list', path.dirname(journal)).stdout) as { source: string; timelines: unknown[] }[];
    expect(listed.map(({ source, timelines }) => [source, timelines.length])).toEqual([['cache-1', 2]]);
  });

  test('sees one flipped bit in any file', { timeout: 60_000 }, () => {
    const unseen: string[] = [];
    for (const file of filesOf(journal).filter((name) => !name.includes('.tmp-'))) {
      const bytes = readFileSync(path.join(journal, file));
      // Of the preallocated tail nothing is known but that it is zero, so its damage is a torn tail.
      const at = Math.floor(bytes.length / 2);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x04, at);
      const { status, result } = check(changed({ [file]: bytes }));
      if (status !== 6 || !result.errors.some((error) => error.file === file)) unseen.push(file);
    }
    expect(unseen).toEqual([]);
  });

  test('holds the filters of real segments against their commands', { timeout: 60_000 }, async () => {
    await using built = await JournalBuilder.create('cache');
    const timeline = await built.timeline({ id: 'a'.repeat(40), offset: 999, completed: 1, segmentBytes: 1_500_000 });
    const value = 'x'.repeat(100_000);
    for (let i = 0; i < 70; i += 1) {
      const commands = [
        ...[['SET', `key:${i}`, value], ['hset', `key:${i}`, value, 'v'], ['SELECT', '3'], ['MULTI']],
        ...[['DEL', `key:${i}`, 'user'], ['EXEC'], ['PING']],
      ];
      timeline.read(streamCommand(...(commands[i % commands.length] ?? [])), 10 + i);
      await timeline.commit();
    }
    await timeline.seal();
    await timeline.close();
    // The builder's RDB is none, as the reader says.
    const wrongSegments = (): unknown[] =>
      check(built.tree.directory).result.errors.filter(({ file }) => file.endsWith('.seg'));
    expect(wrongSegments()).toEqual([]);
    const folder = path.join(built.tree.timelines, '00000001');
    const name = readdirSync(folder).find((one) => one.endsWith('.seg')) ?? '';
    const bytes = readFileSync(path.join(folder, name));
    const { position } = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
    const footer = decodeFooter(bytes.subarray(position)).record;
    const filters = decodeFilters(bytes.subarray(footer.filters?.position)).record;
    expect(filters.blocks.length).toBeGreaterThan(1);
    const wrong: readonly Partial<BlockFilter>[] = [{ keys: Buffer.alloc(0) }, { names: [] }, { first: 1500, db: 0 }];
    for (const change of wrong) {
      const blocks = filters.blocks.map((one) => ({ ...one, ...change }));
      const { bytes: document, crc } = encodeFilters({ ...filters, blocks });
      const place = { position: footer.filters?.position ?? 0, length: document.length, crc };
      const tail = encodeFooter({ ...footer, filters: place }).bytes;
      const trailer = encodeTrailer({ position: place.position + document.length, length: tail.length });
      const changedBytes = Buffer.concat([bytes.subarray(0, place.position), document, tail, trailer]);
      writeFileSync(path.join(folder, name), changedBytes);
      expect(wrongSegments()).toMatchObject([{ kind: 'corrupt' }]);
    }
  });

  test('sees that a file is missing', { timeout: 60_000 }, () => {
    const optional = /\.tmp-|\.stop$|\.mark$|00000002\/.*\.base$/;
    const needed = filesOf(journal).filter((name) => !optional.test(name));
    const unseen = needed.filter((file) => check(changed({ [file]: undefined })).status !== 6);
    expect(unseen).toEqual([]);
  });

  test('takes a newest timeline without a base for one whose full sync never finished', () => {
    const [base = ''] = filesOf(journal).filter((name) => /00000002\/.*\.base$/.test(name));
    const { status, result } = check(changed({ [base]: undefined }));
    expect({ status, last: result.timelines.at(-1) }).toMatchObject({ status: 0, last: { unfinished: true } });
  });

  test('calls a torn tail torn, and missing acknowledged bytes corrupt', () => {
    const [file = ''] = filesOf(journal).filter((name) => name.endsWith('2badcafe.open'));
    const bytes = readFileSync(path.join(journal, file));
    const stop = filesOf(journal).find((name) => name.endsWith('.stop')) ?? '';
    const marks = filesOf(journal).filter((name) => name.startsWith('marks/') || name.endsWith('00000002/gap'));
    const late = filesOf(journal).filter((name) => name.startsWith('timelines/00000002/'));
    const alone = Object.fromEntries([stop, ...marks, ...late].map((name) => [name, undefined]));
    const torn = check(changed({ ...alone, [file]: bytes.subarray(0, bytes.length - 70) }));
    expect(torn).toMatchObject({ status: 0, result: { ranges: [{ from: 1001, to: 1224 }], errors: [] } });
    expect(torn.result.timelines[0]?.segments.at(-1)?.state).toBe('torn');
    const { [stop]: _, ...kept } = alone;
    const cut = check(changed({ ...kept, [file]: bytes.subarray(0, bytes.length - 70) }));
    expect(cut.status).toBe(6);
  });

  test('leaves out a last segment that was begun and never synced', () => {
    const [last = ''] = filesOf(journal).filter((name) => name.endsWith('2badcafe.open'));
    const bytes = readFileSync(path.join(journal, last));
    const elsewhere = filesOf(journal).filter((name) => /\.stop$|\.mark$|00000002\//.test(name));
    const alone = Object.fromEntries(elsewhere.map((name) => [name, undefined]));
    // 169 bytes of header, of which nothing, a part, or all arrived; what is durable is known from the last frame only.
    for (const length of [0, 16, 100]) {
      const { status, result } = check(changed({ ...alone, [last]: bytes.subarray(0, length) }));
      expect({ status, ranges: result.ranges }).toEqual({ status: 0, ranges: [{ timeline: 1, from: 1001, to: 1224 }] });
    }
    const zeros = check(changed({ ...alone, [last]: Buffer.alloc(4096) }));
    expect(zeros.status).toBe(0);
    // The first frame is not there: the bytes up to the durable offset are in the abandoned file alone.
    const stop = elsewhere.find((name) => name.endsWith('.stop')) ?? '';
    const durable = encodeStop({ timeline: 1, offset: 1224, stamp: 1 }).bytes;
    const other = path.join(path.dirname(stop), stopName(1224, 'c0c0c0c0'));
    for (const length of [100, 240, 300]) {
      const replaced = check(changed({ ...alone, [other]: durable, [last]: bytes.subarray(0, length) }));
      expect(replaced).toMatchObject({ status: 0, result: { ranges: [{ from: 1001, to: 1224 }] } });
    }
    // With a damaged header, it is what is known elsewhere that tells whether bytes are missing.
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(0, 0);
    expect(check(changed({ ...alone, [last]: damaged })).status).toBe(0);
    const { [stop]: _, ...kept } = alone;
    expect(check(changed({ ...kept, [last]: damaged })).status).toBe(6);
  });

  /** A copy of the small journal with files replaced, or removed where undefined. */
  function changed(files: Record<string, Buffer | undefined>): string {
    const copy = path.join(mkdtempSync(path.join(scratch, 'copy-')), 'cache-1');
    cpSync(journal, copy, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) {
      if (bytes === undefined) rmSync(path.join(copy, name));
      else writeFileSync(path.join(copy, name), bytes);
    }
    return copy;
  }
});

function run(...args: string[]): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync('python3', [readerScript, ...args], { encoding: 'utf8' });
  return { status, stdout };
}

function check(source: string): { status: number | null; result: CheckResult } {
  const { status, stdout } = run('check', source);
  return { status, result: JSON.parse(stdout) as CheckResult };
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

function whatIsMissing(): string | undefined {
  const works = (command: string, args: string[]): boolean => {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (!works('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'])) return 'python3, 3.9 or later';
  const hasZstd = works('python3', ['-c', 'import compression.zstd']) || works('zstd', ['--version']);
  return hasZstd ? undefined : 'the zstd command';
}
