// The golden vectors, whole: every version of the codec must find in them what was found when they were made, and a
// writer must still form the same bytes from the same values. Their JSON is also what reader.py must print.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeBase, decodeBase } from '../../journal-format/base.ts';
import { decodeDocument } from '../../journal-format/document.ts';
import type { DocumentKind } from '../../journal-format/document.ts';
import { decodeFilters, encodeFilters } from '../../journal-format/filters.ts';
import { decodeFooter, encodeFooter } from '../../journal-format/footer.ts';
import { decodeGap, encodeGap } from '../../journal-format/gap.ts';
import { decodeMark, encodeMark } from '../../journal-format/mark.ts';
import {
  decodeSealedHeader,
  decodeSegmentHeader,
  encodeSealedHeader,
  encodeSegmentHeader,
} from '../../journal-format/segment-header.ts';
import { decodeRemoved, encodeRemoved } from '../../journal-format/removed.ts';
import { decodeStop, encodeStop } from '../../journal-format/stop.ts';
import { decodeTimeline, encodeTimeline } from '../../journal-format/timeline.ts';
import { describeVector } from './vectors/describe.ts';
import { documentVectors } from './vectors/documents.ts';
import { segmentVectors } from './vectors/segments.ts';
import { vectorFolder, vectorNames, vector } from './golden.ts';

const reencode: Record<DocumentKind, (bytes: Buffer) => Buffer> = {
  'open-header': (bytes) => encodeSegmentHeader(decodeSegmentHeader(bytes).record).bytes,
  'sealed-header': (bytes) => encodeSealedHeader(decodeSealedHeader(bytes).record).bytes,
  'sealed-footer': (bytes) => encodeFooter(decodeFooter(bytes).record).bytes,
  filters: (bytes) => encodeFilters(decodeFilters(bytes).record).bytes,
  timeline: (bytes) => encodeTimeline(decodeTimeline(bytes).record).bytes,
  base: (bytes) => encodeBase(decodeBase(bytes).record).bytes,
  gap: (bytes) => encodeGap(decodeGap(bytes).record).bytes,
  mark: (bytes) => encodeMark(decodeMark(bytes).record).bytes,
  removed: (bytes) => encodeRemoved(decodeRemoved(bytes).record).bytes,
  stop: (bytes) => encodeStop(decodeStop(bytes).record).bytes,
};

describe('a golden vector', () => {
  test.each(vectorNames)('%s holds what it held when it was made', (name) => {
    const expected: unknown = JSON.parse(readFileSync(path.join(vectorFolder, `${name}.json`), 'utf8'));
    // By way of JSON, for a Buffer in a record is hex there.
    expect(JSON.parse(JSON.stringify(describeVector(vector(name))))).toEqual(expected);
  });

  test.each(vectorNames.filter((name) => name.startsWith('document-')))('%s is written again byte for byte', (name) => {
    const bytes = vector(name);
    expect(reencode[decodeDocument(bytes).kind](bytes)).toEqual(bytes);
  });

  test('is made again byte for byte, wherever no compressor takes part', () => {
    const made = { ...documentVectors(), ...segmentVectors() };
    const differing = Object.entries(made)
      .filter(([name]) => !name.startsWith('sealed'))
      .filter(([name, bytes]) => !vector(name).equals(bytes));
    expect(differing.map(([name]) => name)).toEqual([]);
  });

  test('has its expected value beside it, and the folder stays small', () => {
    const files = readdirSync(vectorFolder).filter((name) => !name.startsWith('journal'));
    expect(files.filter((name) => name.endsWith('.json'))).toHaveLength(vectorNames.length);
    expect(files.reduce((sum, name) => sum + readFileSync(path.join(vectorFolder, name)).length, 0)).toBeLessThan(
      120_000,
    );
  });
});
