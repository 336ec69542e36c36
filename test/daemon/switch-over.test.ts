// What a switch-over would lose, or has lost, by what each site says to have.
import { expect, test } from 'vitest';
import { judge, relate } from '../../src/daemon/switch-over.ts';
import type { FedReplica } from '../../src/daemon/switch-over.ts';
import type { ReplicationInfo } from '../../src/redis/replication-info.ts';

const [first, second, third] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)];
const held = { ids: [{ id: first, offset: 1 }], durable: 500 };
/** We went on under another name behind 400. */
const renamed = { ids: [...held.ids, { id: second, offset: 401 }], durable: 500 };

function info(id: string, offset: number, before?: ReplicationInfo['before']): ReplicationInfo {
  return { role: 'master', id, offset, before, primary: undefined, isFailingOver: false };
}

test.each([
  ['at the same place', held, info(first, 500), { kind: 'same', shared: 500, there: 0, here: 0 }],
  ['ahead of us', held, info(first, 620), { kind: 'same', shared: 500, there: 120, here: 0 }],
  ['behind us', held, info(first, 450), { kind: 'same', shared: 450, there: 0, here: 50 }],
  [
    'under a new name, with all that we have',
    held,
    info(second, 620, { id: first, offset: 510 }),
    { kind: 'same', shared: 500, there: 120, here: 0 },
  ],
  [
    'under a new name, without our last bytes',
    held,
    info(second, 480, { id: first, offset: 480 }),
    { kind: 'parted', shared: 480, there: 0, here: 20 },
  ],
  [
    'under the old name, where we left it',
    renamed,
    info(first, 400),
    { kind: 'same', shared: 400, there: 0, here: 100 },
  ],
  [
    'under the old name, beyond where we left it',
    renamed,
    info(first, 430),
    { kind: 'parted', shared: 400, there: 30, here: 100 },
  ],
  ['another one', held, info(third, 500, { id: second, offset: 400 }), { kind: 'other' }],
] as const)('a server %s is compared within one history', (_title, own, other, expected) => {
  expect(relate(own, other)).toEqual(expected);
});

const level: FedReplica = { address: 'r', isOnline: true, isJournal: false, acknowledged: 500 };
const late: FedReplica = { ...level, address: 'late', acknowledged: 470 };
const journal: FedReplica = { ...level, address: 'journal', isJournal: true };
const same = { kind: 'same', shared: 500, there: 0, here: 0 } as const;
const ahead = { ...same, there: 120 };

test.each([
  [
    'nothing, when the best replica has all that was there',
    [same],
    [late, level],
    { verdict: 'nothing', bytes: 0, promote: level },
  ],
  [
    'what is not durable here, by who is furthest',
    [same, ahead],
    [level],
    { verdict: 'some', bytes: 120, promote: level },
  ],
  ['what is durable and has not reached the replica', [ahead], [late], { verdict: 'some', bytes: 150, promote: late }],
  [
    'nothing more than we have, when we are ahead',
    [{ ...same, shared: 450, here: 50 }],
    [late],
    { verdict: 'nothing', bytes: 0, promote: late },
  ],
  [
    'nobody knows, when somebody does not answer',
    [same, undefined],
    [level],
    { verdict: 'unknown', bytes: 0, promote: level },
  ],
  ['nobody knows, of another history', [{ kind: 'other' }], [level], { verdict: 'unknown', bytes: 0, promote: level }],
  [
    'what the other site went on without',
    [{ kind: 'parted', shared: 480, there: 0, here: 20 }, undefined],
    [],
    { verdict: 'parted', bytes: 20, promote: undefined },
  ],
  ['what has reached a journal and no server', [same], [journal, late], { verdict: 'some', bytes: 30, promote: late }],
  [
    'nothing, but there is no replica',
    [same],
    [{ ...level, isOnline: false }, journal],
    { verdict: 'no-replica', bytes: 0, promote: undefined },
  ],
] as const)('a switch-over loses %s', (_title, compared, replicas, expected) => {
  expect(judge(compared, replicas)).toEqual(expected);
});
