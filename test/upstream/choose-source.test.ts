// Which of several servers is followed, for what each says of itself.
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import type { ReplicationInfo } from '../../src/redis/replication-info.ts';
import { chooseSource } from '../../src/upstream/choose-source.ts';
import type { Answer } from '../../src/upstream/choose-source.ts';
import { degradation } from '../../src/upstream/standing.ts';

const [ours, others] = ['a'.repeat(40), 'b'.repeat(40)];
const held = { id: ours, offset: 500 };
const at = (port: number): { host: string; port: number; tls: boolean } => ({ host: 'h', port, tls: false });

function history(id = ours, offset = 600, before?: ReplicationInfo['before']): ReplicationInfo {
  return { role: 'master', id, offset, before, primary: undefined, isFailingOver: false };
}

function primary(port: number, info: ReplicationInfo | undefined = history()): Answer {
  return { address: at(port), role: { role: 'master' }, info, isOurs: false };
}

function replica(port: number, { up = true, offset = 600, id = ours, isOurs = false } = {}): Answer {
  const role = { role: 'slave', primary: { host: 'p', port: 9, isUp: up } } as const;
  return { address: at(port), role, info: history(id, offset), isOurs };
}

function silent(port: number, code = 'unreachable'): Answer {
  return { address: at(port), error: new LinkError(code, 'no', 'soon') };
}

describe('the one that is followed', () => {
  test.each([
    ['the primary among replicas', [replica(1), primary(2), silent(3)], undefined, 2],
    ['a replica when no primary answers', [silent(1), replica(2)], undefined, 2],
    ['the replica that we were on, of two', [replica(1), replica(2)], 2, 2],
    ['the first replica, of two that we were not on', [silent(1), replica(2), replica(3)], 1, 2],
    ['a primary rather than the replica that we were on', [replica(1), primary(2)], 1, 2],
    ['one that may not tell its role, when no other is there', [silent(1), silent(2, 'no-permission')], undefined, 2],
    ['nobody when all are silent', [silent(1), silent(2)], 1, undefined],
    ['nobody rather than a replica that is behind us', [silent(1), replica(2, { offset: 400 })], 1, undefined],
    ['nobody rather than a replica of our own', [silent(1), replica(2, { isOurs: true })], 2, undefined],
    ['nobody rather than a replica that has lost its primary', [silent(1), replica(2, { up: false })], 1, undefined],
    [
      'a replica of another history, which has a primary somewhere',
      [silent(1), replica(2, { id: others, offset: 4 })],
      1,
      2,
    ],
  ] as const)('is %s', (_title, answers, current, port) => {
    const choice = chooseSource(answers, { current: current === undefined ? undefined : at(current), held });
    expect(choice?.address.port).toBe(port);
  });
});

describe('of two primaries', () => {
  test.each([
    ['the one whose history goes on from ours', [primary(1, history(others)), primary(2)], 1, 2],
    [
      'the one that was promoted with all that we have',
      [primary(1, history(others)), primary(2, history(others, 700, held))],
      1,
      2,
    ],
    [
      'not the one that was promoted behind us',
      [primary(1, history(others, 700, { id: ours, offset: 400 })), primary(2)],
      1,
      2,
    ],
    ['the one that we were on, when both go on', [primary(1), primary(2)], 2, 2],
    ['the one that we were on, when neither does', [primary(1, history(others)), primary(2, history(others))], 2, 2],
    ['the first, when there is nothing else to tell them apart', [primary(1), primary(2)], undefined, 1],
    ['the first, when neither tells its history', [primary(1, undefined), primary(2, undefined)], undefined, 1],
  ] as const)('it is %s, and the other one is told', (_title, answers, current, port) => {
    const choice = chooseSource(answers, { current: current === undefined ? undefined : at(current), held });
    expect(choice).toMatchObject({ address: { port }, isPrimary: true, rivals: [{ port: 3 - port }] });
  });

  test('there is none in a primary and its replicas', () => {
    expect(chooseSource([replica(1), primary(2), replica(3)], { current: undefined, held })?.rivals).toEqual([]);
  });
});

describe('a server that is no primary', () => {
  const standing = (port: number, isUp: boolean): ReturnType<typeof degradation> =>
    degradation({ host: '10.0.0.5', port: 6380, tls: true }, { role: 'slave', primary: { host: 'p', port, isUp } });

  test('is told with whose replica it is', () => {
    expect(standing(9, true)).toMatchObject({ code: 'source-is-replica', isGrave: false });
    expect(standing(9, true)?.message).toContain('10.0.0.5:6380 is a replica of p:9');
    expect(standing(9, false)).toMatchObject({ code: 'source-alone', isGrave: true });
  });

  test('but wants to be a replica of ours is told with the command that ends it', () => {
    expect(standing(0, false)).toMatchObject({
      code: 'failover-to-journal',
      isGrave: true,
      hint: expect.stringContaining('redis-cli -h 10.0.0.5 -p 6380 --tls FAILOVER ABORT'),
    });
  });

  test('but a journal is told of only when it has lost whom it follows', () => {
    const address = { host: 'h', port: 1, tls: false };
    const journal = (isUp: boolean): ReturnType<typeof degradation> =>
      degradation(address, { role: 'slave', isJournal: true, primary: { host: 'p', port: 9, isUp } });
    expect(journal(true)).toBeUndefined();
    expect(journal(false)).toMatchObject({ code: 'source-alone', isGrave: true });
  });

  test('and a primary is nothing to be told', () => {
    expect(degradation({ host: 'h', port: 1, tls: false }, { role: 'master' })).toBeUndefined();
  });
});
