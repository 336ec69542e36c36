/**
 * Checks the small objects of a journal and its bases: documents for their checksums and for being where they belong,
 * RDB files chunk by chunk against what was recorded at receipt. Neighbours: verify.ts and verify-timeline.ts.
 */
import { crc32 } from 'node:zlib';
import { basename, join } from 'node:path';
import { decodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import { FormatError } from '../../journal-format/errors.ts';
import { decodeMark } from '../../journal-format/mark.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import { isMarkFileName, markFileName, parseTimelineEntry, rdbName } from '../../journal-format/names.ts';
import { decodeStop } from '../../journal-format/stop.ts';
import type { Offset } from '../core/position.ts';
import type { DiskFile } from '../storage/disk.ts';
import { readDocument } from './document-file.ts';
import { listOrEmpty } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';
import type { VerifyBase } from './verify-report.ts';
import type { VerifyRun } from './verify-run.ts';

export interface CheckedBase extends VerifyBase {
  /** Undefined when its document is not readable. */
  readonly record: BaseRecord | undefined;
}

/** The record of a document that fills its file and, as `isOurs` says, belongs there; undefined when it is not right. */
export async function verifyDocument<T>(
  run: VerifyRun,
  path: string,
  timeline: number | undefined,
  decode: (bytes: Uint8Array) => { readonly record: T; readonly length: number },
  isOurs: (record: T) => boolean,
): Promise<T | undefined> {
  try {
    await using file = await run.disk.open(path, 'read');
    const size = await file.size();
    run.advance(size);
    const { record, length } = decode(await readDocument(file));
    if (length !== size) throw new FormatError('corrupt', 'bytes behind the document', length);
    if (!isOurs(record))
      throw new FormatError('corrupt', 'the name and place of the file are not those of what is in it');
    return record;
  } catch (error) {
    run.findings.addError(error, { path, timeline });
    return undefined;
  }
}

export async function verifyMarks(run: VerifyRun, tree: SourceTree): Promise<{ path: string; record: MarkRecord }[]> {
  const marks: { path: string; record: MarkRecord }[] = [];
  for (const name of (await listOrEmpty(run.disk, tree.marks)).sort()) {
    const path = join(tree.marks, name);
    if (!isMarkFileName(name)) {
      run.findings.note(`not of journal: ${path}`);
      continue;
    }
    const record = await verifyDocument(run, path, undefined, decodeMark, (mark) => markFileName(mark.name) === name);
    if (record !== undefined) marks.push({ path, record });
  }
  return marks.sort((a, b) => a.record.stamp - b.record.stamp);
}

/** The offsets that the stops of a timeline say were durable. */
export async function verifyStops(
  run: VerifyRun,
  directory: string,
  timeline: number,
  names: readonly string[],
): Promise<Offset[]> {
  const offsets: Offset[] = [];
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    if (entry.kind !== 'stop') continue;
    const path = join(directory, name);
    const stop = await verifyDocument(
      run,
      path,
      timeline,
      decodeStop,
      (record) => record.timeline === timeline && record.offset === entry.durable,
    );
    if (stop !== undefined) offsets.push(stop.offset);
  }
  return offsets;
}

/** By offset. */
export async function verifyBases(
  run: VerifyRun,
  directory: string,
  timeline: number,
  names: readonly string[],
): Promise<CheckedBase[]> {
  const bases: CheckedBase[] = [];
  for (const name of names.toSorted()) {
    const entry = parseTimelineEntry(name);
    if (entry.kind !== 'base') continue;
    const path = join(directory, name);
    const isOurs = (record: BaseRecord): boolean => record.timeline === timeline && record.offset === entry.offset;
    const record = await verifyDocument(run, path, timeline, decodeBase, isOurs);
    const rdbPath = join(directory, rdbName(entry.offset, entry.unique));
    const rdb = await verifyRdb(run, rdbPath, timeline, record);
    const state = record === undefined && rdb === 'ok' ? 'damaged' : rdb;
    bases.push({ path, offset: entry.offset, state, completed: record?.completed, record });
  }
  return bases;
}

const windowBytes = 4 * 1024 * 1024;

/** Without a record there is nothing to check the RDB against but that it is there. */
async function verifyRdb(
  run: VerifyRun,
  path: string,
  timeline: number,
  record: BaseRecord | undefined,
): Promise<VerifyBase['state']> {
  const size = await run.disk.size(path);
  if (size === undefined) {
    run.findings.add({ kind: 'missing', path, timeline, message: 'the RDB of a base is not there' });
    return 'missing';
  }
  if (record === undefined) return 'damaged';
  try {
    await using file = await run.disk.open(path, 'read');
    if (size !== record.size) {
      throw new FormatError('corrupt', `${size} bytes instead of ${record.size}`, Math.min(size, record.size));
    }
    return (await hasRightChunks(run, file, timeline, record)) ? 'ok' : 'damaged';
  } catch (error) {
    run.findings.addError(error, { path, timeline });
    return 'damaged';
  }
}

/** Every wrong chunk is a problem of its own; a run of them is one. */
async function hasRightChunks(run: VerifyRun, file: DiskFile, timeline: number, record: BaseRecord): Promise<boolean> {
  const window = Buffer.allocUnsafe(Math.min(record.chunk, windowBytes));
  let wrongBefore = false;
  let isRight = true;
  for (const [i, expected] of record.chunks.entries()) {
    const from = i * record.chunk;
    const to = Math.min(record.size, from + record.chunk);
    let crc = 0;
    for (let at = from; at < to; at += window.length) {
      const bytes = window.subarray(0, Math.min(window.length, to - at));
      crc = crc32(bytes.subarray(0, await file.read(bytes, at)), crc);
      run.advance(bytes.length);
    }
    const isWrong = crc !== expected;
    if (isWrong && !wrongBefore) {
      const message = `the RDB of ${basename(file.path)} is damaged from here on: a chunk's checksum is wrong`;
      run.findings.add({ kind: 'corrupt', path: file.path, timeline, position: from, message });
    }
    wrongBefore = isWrong;
    isRight &&= !isWrong;
  }
  return isRight;
}
