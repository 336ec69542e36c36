// What is put aside comes back as it was, however much it is; and a file is made only where it is much.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { PutAside } from '../../../src/restore/replay/put-aside.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../../support/leash.ts';

async function readAll(aside: PutAside): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const { bytes } of aside.read()) pieces.push(Buffer.from(bytes));
  return Buffer.concat(pieces);
}

test.each([
  [0, false],
  [100, false],
  [200_000, true],
])('of %d pieces, in their order', async (count, isFile) => {
  const file = path.join(temporaryDirectory('aside'), 'aside');
  await using aside = new PutAside(localDisk, file);
  const pieces = Array.from({ length: count }, (_, i) => Buffer.from(`${i} of these, `));
  for (let at = 0; at < count; at += 1000) await aside.append(pieces.slice(at, at + 1000));
  expect(existsSync(file)).toBe(isFile);
  expect((await readAll(aside)).equals(Buffer.concat(pieces))).toBe(true);
});
