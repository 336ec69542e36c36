// The checksum of a whole out of those of its parts.
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { combineCrc32 } from '../../journal-format/crc32-combine.ts';

test('is that of the bytes in one', () => {
  const bytes = fc.uint8Array({ maxLength: 3000 });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      expect(combineCrc32(crc32(a), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b])));
    }),
  );
});

test('holds for parts of gigabytes', () => {
  const zeros = Buffer.alloc(1024 * 1024);
  let megabytes = 0;
  for (let i = 0; i < 1024; i += 1) megabytes = combineCrc32(megabytes, crc32(zeros), zeros.length);
  let doubled = crc32(zeros);
  for (let length = zeros.length; length < 2 ** 30; length *= 2) doubled = combineCrc32(doubled, doubled, length);
  expect(megabytes).toBe(doubled);
});
