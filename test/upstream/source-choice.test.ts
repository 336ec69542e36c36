// Asking several servers who the primary is: at once, within a limit, no more often than needed.
import { expect, test } from 'vitest';
import type { LinkError } from '../../src/core/errors.ts';
import type { Connect } from '../../src/upstream/connect.ts';
import { SourceChoice } from '../../src/upstream/source-choice.ts';
import { fakeId, FakePrimary } from '../support/fake-primary.ts';
import { TurningClock, turns } from './turning-clock.ts';

const master = { ROLE: '*3\r\n$6\r\nmaster\r\n:600\r\n*0\r\n', INFO: info('master', 600) };
const replica = {
  ROLE: '*5\r\n$5\r\nslave\r\n$1\r\np\r\n:9\r\n$9\r\nconnected\r\n:600\r\n',
  INFO: info('slave', 600),
};
const silent = { ROLE: '' };

function info(role: string, offset: number): string {
  const text = `role:${role}\r\nmaster_replid:${fakeId}\r\nmaster_repl_offset:${offset}\r\n`;
  return `$${text.length}\r\n${text}\r\n`;
}

class ChoiceRig {
  readonly clock = new TurningClock();
  readonly servers: readonly FakePrimary[];
  readonly rivals: string[] = [];
  readonly choice: SourceChoice;
  readonly stop = new AbortController();

  constructor(...answers: readonly Readonly<Record<string, string>>[]) {
    this.servers = answers.map((replies) => new FakePrimary({ replies, psync: () => Buffer.alloc(0) }));
    const connect: Connect = async (options, events) => {
      const server = this.servers[options.address.port - 1];
      if (server === undefined) throw new Error('no such server');
      return server.connect(options, events);
    };
    this.choice = new SourceChoice({
      addresses: answers.map((_, index) => ({ host: 'h', port: index + 1, tls: false })),
      credentials: {},
      tls: { verify: true },
      connect,
      clock: this.clock,
      random: () => 0,
      isOurs: () => false,
      held: () => ({ id: fakeId, offset: 500 }),
      events: {
        rivals: (chosen, rivals) =>
          void this.rivals.push(`${chosen.port}, not ${rivals.map(({ port }) => port).join()}`),
      },
    });
  }

  answer(port: number, replies: Readonly<Record<string, string>>): void {
    const server = this.servers[port - 1];
    if (server !== undefined) server.script = { ...server.script, replies };
  }

  async choose(): Promise<number | LinkError> {
    const outcomes: (number | LinkError)[] = [];
    this.choice.choose(this.stop.signal).then(
      ({ port }) => outcomes.push(port),
      (error: unknown) => outcomes.push(error as LinkError),
    );
    for (let waited = 0; waited < 5_000; waited += 500) {
      await turns(30);
      const [outcome] = outcomes;
      if (outcome !== undefined) return this.#leaving(outcome);
      await this.clock.advance(500);
    }
    throw new Error('no choice within five seconds');
  }

  #leaving<T>(outcome: T): T {
    expect(this.openConnections, 'connections left').toBe(0);
    expect(this.clock.pending, 'timers left').toBe(0);
    return outcome;
  }

  get openConnections(): number {
    return this.servers.flatMap(({ links }) => links).filter(({ isClosed }) => !isClosed).length;
  }
}

test('the primary is found, whatever its place in the list, and each server is asked once', async () => {
  const rig = new ChoiceRig(replica, master, replica);
  expect(await rig.choose()).toBe(2);
  expect(rig.servers.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
});

test('a server that hangs delays the choice by no more than the limit', async () => {
  const rig = new ChoiceRig(silent, replica);
  const before = rig.clock.monotonic();
  expect(await rig.choose()).toBe(2);
  expect((rig.clock.monotonic() - before) / 1e6).toBeLessThanOrEqual(4);
});

test('a single address is not asked at all', async () => {
  const rig = new ChoiceRig(silent);
  expect(await rig.choose()).toBe(1);
  expect(rig.servers[0]?.attempts).toBe(0);
});

test('when nobody can be followed all reasons are told, and it is tried again', async () => {
  const rig = new ChoiceRig(silent, { ...replica, INFO: info('slave', 400) });
  const error = await rig.choose();
  expect(error).toMatchObject({ code: 'no-primary', retry: 'soon' });
  expect(String(error)).toMatch(/h:1 left a question unanswered.*; h:2 is a replica that is behind us/);
});

test('when all refuse us for ever it is the error that they gave', async () => {
  const noAuth = { ROLE: '-NOAUTH Authentication required.\r\n' };
  expect(await new ChoiceRig(noAuth, noAuth).choose()).toMatchObject({ retry: 'never', exitCode: 10 });
});

test('while a replica is followed, a primary is moved over to when it is there', async () => {
  const rig = new ChoiceRig(silent, replica);
  expect(await rig.choose()).toBe(2);
  let found: number | undefined;
  void rig.choice.watch(rig.stop.signal).then((address) => (found = address?.port));
  const before = rig.servers[1]?.attempts ?? 0;
  await rig.clock.advance(60_000);
  expect(found).toBeUndefined();
  expect((rig.servers[1]?.attempts ?? 0) - before).toBeLessThanOrEqual(12);
  rig.answer(1, master);
  await rig.clock.advance(10_000);
  expect(found).toBe(1);
});

test('while a primary is followed another one is told once, and not moved over to, even when ours is too busy to answer', async () => {
  const rig = new ChoiceRig(replica, master);
  expect(await rig.choose()).toBe(2);
  let found: unknown = 'nothing';
  rig.choice.watch(rig.stop.signal).then(
    (address) => (found = address),
    () => undefined,
  );
  rig.answer(1, master);
  await rig.clock.advance(30_000);
  expect(rig.rivals).toEqual(['2, not 1']);
  rig.answer(2, silent);
  await rig.clock.advance(30_000);
  expect(found).toBe('nothing');
  rig.stop.abort();
  await turns(20);
  expect(rig.clock.pending).toBe(0);
  expect(rig.openConnections).toBe(0);
});

test('a hint makes it look at once, but only at the servers, and once a second however many come', async () => {
  const rig = new ChoiceRig(silent, replica);
  expect(await rig.choose()).toBe(2);
  let found: number | undefined;
  void rig.choice.watch(rig.stop.signal).then((address) => (found = address?.port));
  const before = rig.servers[1]?.attempts ?? 0;
  for (let tenth = 0; tenth < 100; tenth += 1) {
    rig.choice.hint({ host: 'h', port: 1 });
    await rig.clock.advance(100);
  }
  expect(found).toBeUndefined();
  expect((rig.servers[1]?.attempts ?? 0) - before).toBeLessThanOrEqual(10);
  rig.answer(1, master);
  await rig.clock.advance(2_000);
  rig.choice.hint({ host: 'h', port: 1 });
  await rig.clock.advance(1_100);
  expect(found).toBe(1);
});

test('it looks at once when somebody may be another now; with one address there is nothing to look at', async () => {
  const rig = new ChoiceRig(silent, replica);
  expect(await rig.choose()).toBe(2);
  let found: number | undefined;
  void rig.choice.watch(rig.stop.signal).then((address) => (found = address?.port));
  rig.answer(1, master);
  await rig.clock.advance(1_100);
  expect(found).toBeUndefined();
  rig.choice.lookAgain();
  await rig.clock.advance(100);
  expect(found).toBe(1);
  const alone = new ChoiceRig(master);
  alone.choice.lookAgain();
  let isOver = false;
  void alone.choice.rest(30_000, alone.stop.signal).then(() => (isOver = true));
  await alone.clock.advance(29_000);
  expect(isOver).toBe(false);
});

test('a hint at the server that is followed changes nothing', async () => {
  const rig = new ChoiceRig(replica, master);
  expect(await rig.choose()).toBe(2);
  const ended = rig.choice.watch(rig.stop.signal).catch(() => undefined);
  const before = rig.servers[1]?.attempts ?? 0;
  rig.choice.hint({ host: 'H', port: 2 });
  await rig.clock.advance(4_000);
  expect(rig.servers[1]?.attempts).toBe(before);
  rig.stop.abort();
  await ended;
});
