// Replies of any size out of bytes that are cut anywhere; a value is one buffer of its own.
import { describe, expect, test } from 'vitest';
import { ReplyStream } from '../../src/redis/reply-stream.ts';
import type { StreamedReply } from '../../src/redis/reply-stream.ts';
import { singleBytes } from './bytes.ts';

function replies(chunks: readonly Buffer[]): StreamedReply[] {
  const taken: StreamedReply[] = [];
  const stream = new ReplyStream((reply) => void taken.push(reply));
  for (const chunk of chunks) {
    const pushed = Buffer.from(chunk);
    stream.push(pushed);
    pushed.fill(0xee);
  }
  return taken;
}

const cases: readonly (readonly [string, StreamedReply])[] = [
  ['+OK\r\n', 'OK'],
  ['+\r\n', ''],
  [':-12\r\n', -12],
  ['$0\r\n\r\n', Buffer.alloc(0)],
  ['$5\r\na\r\nbc\r\n', Buffer.from('a\r\nbc')],
  ['$-1\r\n', null],
  ['*-1\r\n', null],
  ['*0\r\n', []],
  ['*3\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n$-1\r\n', [1, [Buffer.from('x'), []], null]],
  ['-ERR no\r\n', new Error('ERR no')],
  ['*2\r\n-ERR no\r\n+a\r\n', [new Error('ERR no'), 'a']],
];

describe('a reply', () => {
  test.each(cases)('%j is what it says, wherever it is cut', (text, reply) => {
    const bytes = Buffer.from(text);
    expect(replies([bytes])).toEqual([reply]);
    expect(replies(singleBytes(bytes))).toEqual([reply]);
    expect(replies([Buffer.concat([bytes, bytes])])).toEqual([reply, reply]);
  });

  test.each(['?\r\n', '$x\r\n', '*99999999999\r\n', ':\r\n'])('%j is none', (text) => {
    expect(() => replies([Buffer.from(text)])).toThrow(expect.objectContaining({ code: 'protocol-broken' }));
  });

  test('a line without end is none', () => {
    expect(() => replies([Buffer.from('+'), Buffer.alloc(100_000, 'a')])).toThrow('a line that is too long');
  });
});
