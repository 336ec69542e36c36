// What the primary is told, in each phase: a table of what goes in and what comes out.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Acker } from '../../src/upstream/acker.ts';
import type { AckPhase } from '../../src/upstream/acker.ts';
import { encodeCommand } from '../support/resp-client.ts';

type Step =
  | { readonly at: 'tick'; readonly durable: number }
  | { readonly at: 'advance'; readonly durable: number }
  | { readonly at: 'question'; readonly offset: number };

const tick = (durable: number): Step => ({ at: 'tick', durable });
const advance = (durable: number): Step => ({ at: 'advance', durable });
const question = (offset: number): Step => ({ at: 'question', offset });

const newline = '\n';
const silence = undefined;

function ack(offset: number): string {
  return encodeCommand(['REPLCONF', 'ACK', offset, 'FACK', offset]).toString();
}

function take(acker: Acker, step: Step): string | undefined {
  switch (step.at) {
    case 'tick':
      return acker.tick(step.durable)?.toString();
    case 'advance':
      return acker.advanced(step.durable)?.toString();
    case 'question':
      acker.asked(step.offset);
      return silence;
  }
}

type Expected = readonly [step: Step, answer: string | undefined];

const table: readonly (readonly [title: string, phase: AckPhase, steps: readonly Expected[]])[] = [
  ['claims nothing during the transfer', 'transfer', [[tick(500), newline]]],
  [
    'answers nobody during the transfer',
    'transfer',
    [
      [question(5), silence],
      [advance(9), silence],
    ],
  ],
  ['opens the stream and claims nothing while the base is pending', 'base-pending', [[tick(500), ack(0)]]],
  [
    'answers nobody while the base is pending',
    'base-pending',
    [
      [question(5), silence],
      [advance(9), silence],
    ],
  ],
  [
    'says each second how much is durable',
    'streaming',
    [
      [tick(7), ack(7)],
      [tick(7), ack(7)],
      [tick(9), ack(9)],
    ],
  ],
  [
    'says nothing in between when nobody asks',
    'streaming',
    [
      [advance(7), silence],
      [advance(9), silence],
    ],
  ],
  [
    'answers a question as soon as what came before it is durable, once',
    'streaming',
    [
      [question(10), silence],
      [advance(9), silence],
      [advance(10), ack(10)],
      [advance(12), silence],
    ],
  ],
  [
    'takes the answer of a tick for an answer',
    'streaming',
    [
      [question(10), silence],
      [tick(10), ack(10)],
      [advance(12), silence],
    ],
  ],
  [
    'still owes the answer when a tick could not give it',
    'streaming',
    [
      [question(10), silence],
      [tick(5), ack(5)],
      [advance(6), silence],
      [advance(10), ack(10)],
    ],
  ],
  [
    'answers the first of several questions without waiting for the last',
    'streaming',
    [
      [question(10), silence],
      [question(20), silence],
      [advance(10), ack(10)],
      [question(30), silence],
      [advance(20), ack(20)],
      [advance(30), ack(30)],
      [advance(31), silence],
    ],
  ],
];

describe('the acker', () => {
  test.each(table)('%s', (_title, phase, steps) => {
    const acker = new Acker(phase);
    for (const [step, expected] of steps) expect(take(acker, step), JSON.stringify(step)).toBe(expected);
  });

  test('answers what was asked while the base was pending once it is published', () => {
    const acker = new Acker('base-pending');
    acker.asked(10);
    acker.phase = 'streaming';
    expect(acker.advanced(10)?.toString()).toBe(ack(10));
  });

  test('never claims more than is durable, and under constant questions answers at every advance', () => {
    const steps = fc.array(fc.record({ received: fc.nat(1000), asks: fc.boolean(), lag: fc.nat(500) }));
    fc.assert(
      fc.property(steps, (moves) => {
        const acker = new Acker('streaming');
        let received = 0;
        let durable = 0;
        const open: number[] = [];
        for (const move of moves) {
          received += move.received;
          if (move.asks) {
            acker.asked(received);
            open.push(received);
          }
          durable = Math.max(durable, received - move.lag);
          const answer = acker.advanced(durable)?.toString();
          if (answer !== undefined) expect(answer).toBe(ack(durable));
          if (open.some((offset) => offset <= durable)) expect(answer).toBe(ack(durable));
          if (answer !== undefined) open.splice(0, open.filter((offset) => offset <= durable).length);
        }
      }),
    );
  });
});

describe('where another journal has to have it as well', () => {
  const over = (elsewhere: () => number | undefined): Acker => new Acker('streaming', elsewhere);

  test('what is said is what both have', () => {
    let there: number | undefined = 40;
    const acker = over(() => there);
    expect(take(acker, tick(100))).toBe(ack(40));
    acker.asked(90);
    expect(take(acker, advance(100))).toBe(silence);
    there = 95;
    expect(take(acker, advance(100))).toBe(ack(95));
    there = 200;
    expect(take(acker, tick(100))).toBe(ack(100));
  });

  test('nothing new is said while there is none, and the old just often enough', () => {
    let there: number | undefined = 40;
    const acker = over(() => there);
    expect(take(acker, tick(100))).toBe(ack(40));
    there = undefined;
    const said = Array.from({ length: 60 }, () => take(acker, tick(200)));
    expect(new Set(said)).toEqual(new Set([ack(40), silence]));
    expect(said.filter((words) => words !== silence).length).toBeLessThanOrEqual(5);
    expect(said.indexOf(ack(40), 2)).toBeLessThan(40);
    acker.asked(150);
    expect(take(acker, advance(200))).toBe(silence);
    there = 150;
    expect(take(acker, advance(200))).toBe(ack(150));
    there = 10;
    expect(take(acker, tick(200))).toBe(ack(150));
  });
});
