// What a full sync says of the history before it: where the primary parted from us, or that it only forgot some bytes.
import { expect, test } from 'vitest';
import { divergence } from '../../src/daemon/divergence.ts';
import type { Held } from '../../src/daemon/divergence.ts';
import type { ReplicationInfo } from '../../src/redis/replication-info.ts';

const [first, second, stranger] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];
const held: Held = { timeline: 4, ids: [{ id: first, offset: 101 }], durable: 500 };
const switched: Held = { ...held, ids: [...held.ids, { id: second, offset: 301 }] };

function told(before?: ReplicationInfo['before']): ReplicationInfo {
  return { role: 'master', id: stranger, offset: 900, before, primary: undefined, isFailingOver: false };
}

test.each([
  ['the same id, further on', held, { id: first, offset: 800 }, undefined, 'backlog-overrun', undefined],
  ['the same id, further back', held, { id: first, offset: 400 }, undefined, 'history-changed', undefined],
  ['another id, nothing told', held, { id: stranger, offset: 800 }, undefined, 'history-changed', undefined],
  ['another id that never had ours', held, { id: stranger, offset: 800 }, told(), 'history-changed', undefined],
  [
    'one that had another history before',
    held,
    { id: stranger, offset: 800 },
    told({ id: second, offset: 450 }),
    'history-changed',
    undefined,
  ],
  [
    'one promoted behind us',
    held,
    { id: stranger, offset: 800 },
    told({ id: first, offset: 450 }),
    'history-changed',
    { timeline: 4, id: first, offset: 450 },
  ],
  [
    'one promoted before our base',
    held,
    { id: stranger, offset: 800 },
    told({ id: first, offset: 50 }),
    'history-changed',
    { timeline: 4, id: first, offset: 50 },
  ],
  [
    'one promoted with all that we have, and far ahead since',
    held,
    { id: stranger, offset: 800 },
    told({ id: first, offset: 650 }),
    'backlog-overrun',
    undefined,
  ],
  [
    'one promoted exactly where we are',
    held,
    { id: stranger, offset: 500 },
    told({ id: first, offset: 500 }),
    'backlog-overrun',
    undefined,
  ],
  [
    'the old primary, which never saw the switch that we saw',
    switched,
    { id: stranger, offset: 800 },
    told({ id: first, offset: 900 }),
    'history-changed',
    { timeline: 4, id: first, offset: 300 },
  ],
] as const)('%s', (_title, timeline, position, lineage, cause, orphan) => {
  const found = divergence(timeline, position, { lineage });
  expect(found).toMatchObject({ cause, orphan });
  if (orphan !== undefined) expect(found.detail).toContain(`offset ${orphan.offset} only`);
});

test('a full sync that a broken stream made us ask for says so, unless the history is another one', () => {
  const broken = { offset: 500, times: 3, message: 'broken at offset 512' };
  const same = divergence(held, { id: first, offset: 500 }, { broken });
  expect(same).toMatchObject({ cause: 'stream-broken', orphan: undefined });
  expect(same.detail).toContain('3 times behind offset 500: broken at offset 512');
  expect(divergence(held, { id: stranger, offset: 800 }, { broken }).cause).toBe('history-changed');
});
