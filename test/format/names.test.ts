// File names: what is written is read back, and whatever is not exactly of a known form is foreign.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as names from '../../journal-format/names.ts';
import * as any from './arbitraries.ts';

describe('a name in a timeline', () => {
  test('comes back as what it was made of', () => {
    fc.assert(
      fc.property(any.uint53, any.uint53, any.uint53, any.uint53, any.unique, (start, end, first, last, unique) => {
        const parse = names.parseTimelineEntry;
        expect(parse(names.openSegmentName(start, unique))).toEqual({ kind: 'open', start, unique });
        expect(parse(names.rdbName(start, unique))).toEqual({ kind: 'rdb', offset: start, unique });
        expect(parse(names.baseName(start, unique))).toEqual({ kind: 'base', offset: start, unique });
        expect(parse(names.stopName(start, unique))).toEqual({ kind: 'stop', durable: start, unique });
        const sealed = { start, end, first, last };
        expect(parse(names.sealedSegmentName(sealed, unique))).toEqual({ kind: 'sealed', ...sealed, unique });
      }),
    );
  });

  test('sorts as its offset does', () => {
    fc.assert(
      fc.property(any.uint53, any.uint53, (a, b) => {
        const [first, second] = [names.openSegmentName(a, '00000000'), names.openSegmentName(b, '00000000')];
        expect(Math.sign(a - b)).toBe(first < second ? -1 : Number(first > second));
      }),
    );
  });

  test.each([
    ['timeline', 'timeline'],
    ['gap', 'gap'],
    ['.tmp-anything at all', 'temporary'],
    ['', 'foreign'],
    ['timeline ', 'foreign'],
    ['.timeline', 'foreign'],
    ['00000000000003e9-0badcafe.open\n', 'foreign'],
    ['00000000000003E9-0badcafe.open', 'foreign'],
    ['0000000000003e9-0badcafe.open', 'foreign'],
    ['00000000000003e9-0badcafe.opened', 'foreign'],
    ['00000000000003e9-0badcafe.seg', 'foreign'],
    ['00000000000003e9-00000000000003e9-0badcafe.open', 'foreign'],
    ['00000000000003e9-00000000000003e9-00000000000003e9-0badcafe.seg', 'foreign'],
    ['0020000000000000-0badcafe.open', 'foreign'],
    ['0020000000000001-0badcafe.base', 'foreign'],
    ['ffffffffffffffff-0badcafe.stop', 'foreign'],
  ])('%j is of kind %s', (name, kind) => {
    expect(names.parseTimelineEntry(name)).toEqual({ kind });
  });

  test('is refused where it could not be read back', () => {
    for (const start of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => names.openSegmentName(start, '0badcafe')).toThrow(RangeError);
    }
    for (const unique of ['', '0badcaf', '0BADCAFE', '0badcafe0', '../../..']) {
      expect(() => names.openSegmentName(1, unique)).toThrow(RangeError);
    }
  });
});

describe('the name of a timeline folder', () => {
  test('comes back as the number it was made of', () => {
    fc.assert(
      fc.property(any.timeline, (number) => {
        expect(names.parseTimelineFolder(names.timelineFolder(number))).toBe(number);
      }),
    );
    expect(names.timelineFolder(26)).toBe('0000001a');
  });

  test.each(['00000000', '1', '0000001A', '000000001', 'timeline'])('is not %j', (name) => {
    expect(names.parseTimelineFolder(name)).toBeUndefined();
  });

  test.each([0, -1, 1.5, 2 ** 32])('cannot be made of %d', (number) => {
    expect(() => names.timelineFolder(number)).toThrow(RangeError);
  });
});

describe('names that users choose', () => {
  test.each(['a', 'cache-1', '_x', '0.0', 'A'.repeat(64)])('%j is a source', (name) => {
    expect(names.isSourceName(name)).toBe(true);
  });

  test.each(['', '.', '..', '.tmp-x', '-x', 'a/b', 'a b', 'ä', 'a\n', 'A'.repeat(65)])('%j is no source', (name) => {
    expect(names.isSourceName(name)).toBe(false);
  });

  test.each(['x', ' ', 'before 7.4 → 8.0', '../../etc/passwd', '🚚'.repeat(128)])('%j is a mark', (name) => {
    expect(names.isMarkName(name)).toBe(true);
    expect(names.isMarkFileName(names.markFileName(name))).toBe(true);
  });

  test.each(['', 'a\nb', '\u007f', '\u0085', '\ud83d', '🚚'.repeat(129)])('%j is no mark', (name) => {
    expect(names.isMarkName(name)).toBe(false);
  });

  test('a mark is filed under the hash of its name', () => {
    // printf release | sha256sum
    expect(names.markFileName('release')).toBe('a4d451ec23463726f72c43d64c710968f6b602cd653b4de8adee1b556240a829.mark');
  });
});
