// The payload of a full sync in both forms: cut anywhere, with lookalikes of the mark inside and the stream glued behind.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import { RdbTransfer } from '../../src/redis/rdb-transfer.ts';
import { command, pieces, singleBytes, splitsInTwo } from './bytes.ts';

const mark = Buffer.from('0123456789abcdef0123456789abcdef01234567');
const trailer = Buffer.from([0xff, 1, 2, 3, 4, 5, 6, 7, 8]);
const rdb = Buffer.concat([Buffer.from('REDIS0011'), Buffer.alloc(200, 0x61), trailer]);
const stream = Buffer.concat([command('SELECT', '0'), command('SET', 'a', 'b')]);

interface Received {
  rdb: Buffer;
  rest: Buffer | undefined;
  transfer: RdbTransfer;
}

/** Pushes chunks until the transfer is done; what is left of them counts as rest. */
function receive(chunks: readonly Buffer[]): Received {
  const transfer = new RdbTransfer();
  const slices: Buffer[] = [];
  for (const [i, chunk] of chunks.entries()) {
    const progress = transfer.push(chunk);
    slices.push(...progress.rdb.map((slice) => Buffer.from(slice)));
    if (progress.rest !== undefined) {
      const rest = Buffer.concat([progress.rest, ...chunks.slice(i + 1)]);
      expect(transfer.isDone).toBe(true);
      return { rdb: Buffer.concat(slices), rest, transfer };
    }
  }
  expect(transfer.isDone).toBe(false);
  return { rdb: Buffer.concat(slices), rest: undefined, transfer };
}

const withLength = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`\n\n$${bytes.length}\r\n`), bytes]);
const withMark = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from('\n$EOF:'), mark, Buffer.from('\r\n'), bytes, mark]);

describe.each([
  ['a length', withLength, 'length'],
  ['a mark', withMark, 'mark'],
] as const)('announced by %s', (_name, wrap, form) => {
  const whole = wrap(rdb);

  test('the RDB and what is glued behind it are told apart, at once and in single bytes', () => {
    for (const chunks of [[Buffer.concat([whole, stream])], singleBytes(Buffer.concat([whole, stream]))]) {
      const received = receive(chunks);
      expect(received.rdb).toEqual(rdb);
      expect(received.rest).toEqual(stream);
      expect(received.transfer).toMatchObject({ received: rdb.length, form });
      expect(received.transfer.size).toBe(form === 'length' ? rdb.length : undefined);
    }
  });

  test('cut at any byte, with and without the stream behind it, it is the same', () => {
    for (const behind of [Buffer.alloc(0), stream]) {
      for (const halves of splitsInTwo(Buffer.concat([whole, behind]))) {
        const received = receive(halves);
        expect(received.rdb).toEqual(rdb);
        expect(received.rest).toEqual(behind);
      }
    }
  });

  test('it is not done one byte early', () => {
    expect(receive([whole.subarray(0, -1)]).rest).toBeUndefined();
  });

  test('slices are views of what was pushed', () => {
    const transfer = new RdbTransfer();
    const slices = transfer.push(whole).rdb;
    expect(slices).toHaveLength(1);
    expect(slices[0]?.buffer).toBe(whole.buffer);
  });

  test('bytes after the end are refused', () => {
    const { transfer } = receive([whole]);
    expect(() => transfer.push(Buffer.from('x'))).toThrow(LinkError);
  });
});

describe('the mark', () => {
  test('inside the data is data, wherever it is cut', () => {
    const lookalike = Buffer.concat([
      Buffer.from('REDIS0011'),
      mark,
      mark.subarray(0, 39),
      mark.subarray(0, 7),
      mark,
      trailer,
    ]);
    const whole = Buffer.concat([withMark(lookalike), stream]);
    for (const chunks of [
      ...splitsInTwo(whole),
      singleBytes(whole),
      pieces(whole, [39, 2]),
      pieces(whole, [40]),
      pieces(whole, [41, 1]),
    ]) {
      const received = receive(chunks);
      expect(received.rdb).toEqual(lookalike);
      expect(received.rest).toEqual(stream);
    }
  });

  test('that repeats itself is found at the right place', () => {
    const same = Buffer.alloc(40, 0x61);
    const data = Buffer.concat([Buffer.alloc(100, 0x61), trailer]);
    const whole = Buffer.concat([Buffer.from('$EOF:'), same, Buffer.from('\r\n'), data, same, stream]);
    for (const chunks of [...splitsInTwo(whole), singleBytes(whole)]) {
      const received = receive(chunks);
      expect(received.rdb).toEqual(data);
      expect(received.rest).toEqual(stream);
    }
  });

  test('of any form, in any data, cut anywhere, ends the RDB and nothing else does', () => {
    const smallAlphabet = fc.array(fc.constantFrom(0x61, 0x62, 0xff), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(
        smallAlphabet,
        fc.array(fc.oneof(fc.constant('mark' as const), fc.nat({ max: 39 }), fc.constantFrom('a', 'b', 'ab', 'ba')), {
          maxLength: 15,
        }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 }),
        (letters, parts, lengths) => {
          const chosen = Buffer.from(letters.map((byte) => (byte === 0xff ? 0x63 : byte)));
          // No 0xFF before the trailer, so nothing before it can pass for the end.
          const data = Buffer.concat([
            ...parts.map((part) =>
              part === 'mark' ? chosen : typeof part === 'number' ? chosen.subarray(0, part) : Buffer.from(part),
            ),
            trailer,
          ]);
          const whole = Buffer.concat([Buffer.from('$EOF:'), chosen, Buffer.from('\r\n'), data, chosen, stream]);
          const received = receive(pieces(whole, lengths));
          expect(received.rdb).toEqual(data);
          expect(received.rest).toEqual(stream);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('holds back no more than 39 bytes, and none that cannot begin it', () => {
    const transfer = new RdbTransfer();
    transfer.push(Buffer.concat([Buffer.from('$EOF:'), mark, Buffer.from('\r\n')]));
    expect(transfer.push(Buffer.alloc(1000, 0x7a)).rdb).toEqual([Buffer.alloc(1000, 0x7a)]);
    transfer.push(Buffer.concat([Buffer.alloc(10, 0x7a), mark.subarray(0, 39)]));
    expect(transfer.received).toBe(1010);
    expect(Buffer.concat(transfer.push(Buffer.from('z')).rdb)).toEqual(
      Buffer.concat([mark.subarray(0, 39), Buffer.from('z')]),
    );
  });
});

describe('what the primary may say instead', () => {
  test('an error is one of its refusals', () => {
    const text = Buffer.from("\n\n-ERR BGSAVE failed, replication can't continue\r\n");
    for (const chunks of [[text], singleBytes(text)]) {
      expect(() => receive(chunks)).toThrow(expect.objectContaining({ code: 'snapshot-failed', retry: 'later' }));
    }
  });

  test.each([
    '$0\r\n',
    '$-1\r\n',
    '$12x\r\n',
    '$012\r\n',
    `$${'9'.repeat(16)}\r\n`,
    '$\r\n',
    '$12\n',
    '$EOF:short\r\n',
    `$EOF:${'x'.repeat(41)}\r\n`,
    `$ENDOFF:1 ${'a'.repeat(40)} 0 1\r\n`,
    '+OK\r\n',
    '*1\r\n$4\r\nping\r\n',
    'REDIS0011',
  ])('%j is refused', (text) => {
    for (const chunks of [[Buffer.from(text)], singleBytes(Buffer.from(text))]) {
      expect(() => receive(chunks)).toThrow(expect.objectContaining({ code: 'protocol-broken' }));
    }
  });

  test('a header without end is refused at the limit', () => {
    const transfer = new RdbTransfer();
    expect(() => {
      for (let i = 0; i < 10_000; i++) transfer.push(Buffer.from('$1111111111'));
    }).toThrow('a line without end');
  });

  test('a length beyond memory is fine', () => {
    const transfer = new RdbTransfer();
    expect(transfer.push(Buffer.from(`$${2 ** 50}\r\nREDIS`)).rdb).toEqual([Buffer.from('REDIS')]);
    expect(transfer.size).toBe(2 ** 50);
  });
});
