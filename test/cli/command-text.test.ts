// Commands in print, of whatever bytes.
import { describe, expect, test } from 'vitest';
import { commandJson, commandText, elided } from '../../src/cli/command-text.ts';
import { CommandReader } from '../../src/redis/command-reader.ts';
import type { StreamCommand } from '../../src/redis/command-reader.ts';
import { command } from '../redis-protocol/bytes.ts';

function read(...args: (string | Buffer)[]): StreamCommand {
  const reader = new CommandReader({ offset: 0, db: 0 }, { keepBytes: 1000 });
  reader.push(command(...args));
  const one = reader.next();
  if (one === undefined) throw new RangeError('not a command');
  return one;
}

describe('for people a command is one line', () => {
  test.each([
    ['plain', ['set', 'user:1', '17'], 'SET user:1 17'],
    [
      'with blanks, quotes and nothing',
      ['SET', 'two words', 'say "a\\b"', ''],
      'SET "two words" "say \\"a\\\\b\\"" ""',
    ],
    ['with letters of all languages', ['SET', 'café', '日本'], 'SET "café" "日本"'],
    [
      'with line ends and escape sequences',
      ['SET', 'a\r\nb', '\u001b[31m\u0085'],
      'SET "a\\x0d\\x0ab" "\\x1b[31m\\xc2\\x85"',
    ],
    ['with bytes that are no text', ['SET', Buffer.from([0xff, 0x41, 0])], 'SET "\\xffA\\x00"'],
    ['with long values', ['SET', 'k', 'v'.repeat(70_000)], `SET k "${'v'.repeat(64)}"… (70,000 B)`],
    ['of many arguments', ['DEL', ...Array.from('abcdefghij')], 'DEL a b c d e f g h … (2 more)'],
    ['with a name that is none', ['\n'], '"\\x0a"'],
  ])('%s', (_what, args, expected) => {
    expect(commandText(read(...args), elided)).toBe(expected);
  });

  test('a character that is cut is left out, not shown as bytes', () => {
    const text = commandText(read('SET', 'k', `${'v'.repeat(63)}é`), elided);
    expect(text).toBe(`SET k "${'v'.repeat(63)}"… (65 B)`);
  });
});

describe('for programs a command is a document', () => {
  test('of text, with the number of all arguments', () => {
    expect(commandJson(read('mset', 'a', 'é\n', ...Array.from('bcdefghi')), elided)).toEqual({
      ...{ command: 'MSET', args: ['a', 'é\n', 'b', 'c', 'd', 'e', 'f', 'g'], argumentCount: 10 },
    });
  });

  test('of base64 where it is no text, and of beginnings, which are told', () => {
    const binary = Buffer.from([0xff, 0]);
    expect(commandJson(read('SET', binary, 'v'.repeat(70)), elided)).toEqual({
      ...{ command: 'SET', args: [{ base64: '/wA=' }, 'v'.repeat(64)], argumentCount: 2 },
      shortened: { 1: 70 },
    });
  });

  test('tells the full length of what was not even kept', () => {
    const whole = { argumentsMost: Infinity, bytesMost: 1 << 20 };
    expect(commandJson(read('SET', 'k', 'v'.repeat(5000)), whole)).toMatchObject({
      ...{ args: ['k', 'v'.repeat(1000)], shortened: { 1: 5000 } },
    });
  });
});
