import { expect, test } from 'vitest';
import { Share, Turns } from '../../src/core/turns.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** An event loop whose rounds are counted. */
class Rounds {
  readonly #next: (() => void)[] = [];
  isBehind = false;
  readonly clock = new ManualClock();
  readonly turns = new Turns(
    this.clock,
    () => this.isBehind,
    (fn) => void this.#next.push(fn),
  );

  get isIdle(): boolean {
    return this.#next.length === 0;
  }

  async round(): Promise<void> {
    for (const fn of this.#next.splice(0)) fn();
    await Promise.resolve();
  }
}

test('each round of the loop is a turn for the one who waits longest', async () => {
  const rounds = new Rounds();
  const had: string[] = [];
  for (const who of ['first', 'second', 'third']) void rounds.turns.take().then(() => had.push(who));
  expect(had).toEqual([]);
  await rounds.round();
  expect(had).toEqual(['first']);
  void rounds.turns.take().then(() => had.push('first again'));
  for (let i = 0; i < 3; i += 1) await rounds.round();
  expect(had).toEqual(['first', 'second', 'third', 'first again']);
  expect(rounds.isIdle).toBe(true);
});

test('while the one that must not wait is behind, there is a turn in eight milliseconds, however many rounds go by', async () => {
  const rounds = new Rounds();
  rounds.isBehind = true;
  const turns = { had: 0 };
  const again = (): void => {
    turns.had += 1;
    void rounds.turns.take().then(again);
  };
  void rounds.turns.take().then(again);
  for (let ms = 0; ms < 80; ms += 1) {
    for (let i = 0; i < 3; i += 1) await rounds.round();
    rounds.clock.advance(1);
  }
  expect(turns.had).toBe(10);
  await rounds.round();
  rounds.isBehind = false;
  for (let i = 0; i < 10; i += 1) await rounds.round();
  expect(turns.had).toBe(21);
});

test('nobody waits: nothing is asked of the loop', async () => {
  const rounds = new Rounds();
  expect(rounds.isIdle).toBe(true);
  void rounds.turns.take();
  await rounds.round();
  expect(rounds.isIdle).toBe(true);
});

test('a turn is good for half a MiB, and a small piece costs more than its bytes', async () => {
  const rounds = new Rounds();
  const share = new Share(rounds.turns);
  expect(share.spend(1)).toBe(true);
  const next = share.next();
  await rounds.round();
  await next;
  expect(share.spend(500_000)).toBe(false);
  let pieces = 1;
  while (!share.spend(1)) pieces += 1;
  expect(pieces).toBe(5);
  const after = share.next();
  await rounds.round();
  await after;
  expect(share.spend(600_000)).toBe(true);
});
