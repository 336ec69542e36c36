// Which parts of which timelines are in no surviving history.
import { expect, test } from 'vitest';
import type { GapRecord, Orphan } from '../../journal-format/gap.ts';
import { orphansOf } from '../../src/log/orphans.ts';

const [a, b, c] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];

function gap(orphan?: Orphan): GapRecord {
  const side = { timeline: 1, id: a, offset: 1, stamp: 1 };
  return { from: side, to: { ...side, timeline: 2 }, cause: 'history-changed', detail: '', ...(orphan && { orphan }) };
}

const first = { number: 1, gap: undefined, ids: [{ id: a, offset: 101 }], end: 500 };

test('the end of a timeline behind which the promoted replica did not go', () => {
  const next = { number: 2, gap: gap({ timeline: 1, id: a, offset: 400 }), ids: [{ id: b, offset: 601 }], end: 700 };
  expect(orphansOf([first, next])).toEqual([{ timeline: 1, id: a, from: 401, to: 500 }]);
});

test('none where no gap records one', () => {
  const next = { number: 2, gap: gap(), ids: [{ id: b, offset: 601 }], end: 700 };
  expect(orphansOf([first, next])).toEqual([]);
});

test('all of a timeline, its base too, whose beginning the survivor did not have; and the same bytes of an older one', () => {
  const overrun = { number: 2, gap: gap(), ids: [{ id: a, offset: 801 }], end: 900 };
  const next = { number: 3, gap: gap({ timeline: 2, id: a, offset: 450 }), ids: [{ id: b, offset: 601 }], end: 700 };
  expect(orphansOf([first, overrun, next])).toEqual([
    { timeline: 1, id: a, from: 451, to: 500 },
    { timeline: 2, id: a, from: 800, to: 900 },
  ]);
});

test('not what an older timeline holds of the history that survived', () => {
  const survivor = { ...first, ids: [...first.ids, { id: c, offset: 301 }] };
  const stale = { number: 2, gap: gap(), ids: [{ id: a, offset: 201 }], end: 450 };
  const back = { number: 3, gap: gap({ timeline: 2, id: a, offset: 300 }), ids: [{ id: c, offset: 601 }], end: 700 };
  expect(orphansOf([survivor, stale, back])).toEqual([{ timeline: 2, id: a, from: 301, to: 450 }]);
});
