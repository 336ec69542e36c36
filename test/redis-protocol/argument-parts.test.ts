// The arguments of a command, however its bytes are cut: the short ones whole, the long ones in parts that make them up.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ArgumentParts } from '../../src/redis/argument-parts.ts';
import type { ArgumentPart } from '../../src/redis/argument-parts.ts';
import { command } from './bytes.ts';

const wholeBytes = 5;

function partsOf(pieces: readonly Buffer[]): ArgumentPart[] {
  const parts = new ArgumentParts(wholeBytes);
  return pieces.flatMap((piece) => parts.push(piece));
}

function check(parts: readonly ArgumentPart[], args: readonly Buffer[]): void {
  const made = args.map((): Buffer[] => []);
  for (const { index, length, from, bytes } of parts) {
    expect(length).toBe(args[index]!.length);
    expect(from).toBe(Buffer.concat(made[index]!).length);
    if (length <= wholeBytes) expect(bytes.length).toBe(length);
    made[index]!.push(bytes);
  }
  expect(made.map((some) => Buffer.concat(some))).toEqual(args);
  expect(made.every((some) => some.length > 0)).toBe(true);
}

const args = ['SET', '', 'short', 'longer than whole', '\r\n$3\r\n', Buffer.from([0xff, 0])].map((arg) =>
  Buffer.from(arg as string),
);

test('are all there, cut at every byte', () => {
  const bytes = command(...args);
  for (let at = 0; at <= bytes.length; at += 1) check(partsOf([bytes.subarray(0, at), bytes.subarray(at)]), args);
  check(partsOf(Array.from(bytes, (byte) => Buffer.from([byte]))), args);
});

test('are all there, whatever they are and wherever they are cut', () => {
  const anyArgs = fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 1 });
  fc.assert(
    fc.property(anyArgs, fc.array(fc.nat(20)), (some, cuts) => {
      const made = some.map((arg) => Buffer.from(arg));
      const bytes = command(...made);
      const pieces: Buffer[] = [];
      let at = 0;
      for (const size of cuts) pieces.push(bytes.subarray(at, (at += size)));
      check(partsOf([...pieces, bytes.subarray(at)]), made);
    }),
  );
});
