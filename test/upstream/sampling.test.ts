// Which server is sampled: the one that is followed now, and at once when it is known to answer.
import { expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import type { Connect } from '../../src/upstream/connect.ts';
import { Sampling } from '../../src/upstream/sampling.ts';
import { FakePrimary } from '../support/fake-primary.ts';
import { TurningClock } from './turning-clock.ts';

const replies = {
  MULTI: '+OK\r\n',
  TIME: '+QUEUED\r\n',
  ROLE: '+QUEUED\r\n',
  EXEC: '*2\r\n*2\r\n$10\r\n1790000000\r\n$6\r\n123456\r\n*3\r\n$6\r\nmaster\r\n:5000\r\n*0\r\n',
};

function fakePrimary(): FakePrimary {
  return new FakePrimary({ replies, psync: () => Buffer.alloc(0) });
}

function samplingOf(connect: Connect): { sampling: Sampling; clock: TurningClock; sources: string[] } {
  const clock = new TurningClock();
  const sources: string[] = [];
  const sampling = new Sampling({
    credentials: {},
    tls: { verify: true },
    connect,
    clock,
    random: () => 1,
    events: { sampled: ({ source }) => void sources.push(source), lost: () => undefined },
  });
  return { sampling, clock, sources };
}

test('a new link to a server that could not be reached is sampled at once, however long the pause was to be', async () => {
  const primary = fakePrimary();
  primary.refusal = new LinkError('no-permission', 'no permission', 'never');
  const { sampling, clock, sources } = samplingOf(primary.connect);
  sampling.point({ host: 'a', port: 1, tls: false });
  await clock.advance(1_000);
  primary.refusal = undefined;
  await clock.advance(1_000);
  expect(sources).toEqual([]);
  sampling.point({ host: 'a', port: 1, tls: false });
  await clock.advance(1);
  expect(sources).toEqual(['a:1']);
  await sampling[Symbol.asyncDispose]();
  expect(clock.pending, 'timers left').toBe(0);
});

test('another server is sampled from now on, and the one before no more', async () => {
  const primary = fakePrimary();
  const { sampling, clock, sources } = samplingOf(primary.connect);
  sampling.point({ host: 'a', port: 1, tls: false });
  await clock.advance(150);
  sampling.point({ host: 'b', port: 1, tls: false });
  await clock.advance(150);
  expect(sources).toEqual(['a:1', 'a:1', 'b:1', 'b:1']);
  await sampling[Symbol.asyncDispose]();
});
