// What two datasets have, side by side: the same in memory and by way of files.
import { readdir } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyTable } from '../../src/inspect/key-table.ts';
import type { KeyFacts, KeyPair, Side } from '../../src/inspect/key-table.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';

const facts = fc.record<KeyFacts>({
  db: fc.constantFrom(0, 1, 300),
  key: fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
  endsMs: fc.constantFrom(0, 1_800_000_000_123),
  type: fc.constantFrom('string', 'stream', ''),
  digest: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  isExact: fc.boolean(),
});

const nameOf = ({ db, key }: KeyFacts): string => `${db} ${key.toString('hex')}`;
const side = fc.uniqueArray(facts, { selector: nameOf, maxLength: 60 });

async function pairsOf(table: KeyTable): Promise<{ pairs: KeyPair[]; groups: number }> {
  const pairs: KeyPair[] = [];
  let groups = 0;
  for await (const group of table.pairs()) {
    pairs.push(...group);
    groups += 1;
  }
  return { pairs, groups };
}

function plain({ before, after }: KeyPair): unknown {
  return [before, after].map(
    (one) => one && [one.db, one.key.toString('hex'), one.endsMs, one.type, one.digest.toString('hex'), one.isExact],
  );
}

test.each([
  ['in memory', Infinity],
  ['in files', 0],
  ['in both', 1000],
])('every key of either side comes once, as it was, held %s', async (_name, heldBytesMax) => {
  await fc.assert(
    fc.asyncProperty(side, side, async (before, after) => {
      const directory = temporaryDirectory('table');
      const table = new KeyTable(localDisk, directory, heldBytesMax);
      const add = async (to: Side, one: KeyFacts): Promise<void> => {
        table.add(to, one);
        if (table.isFull) await table.spill();
      };
      for (const one of before) await add('before', one);
      for (const one of after) await add('after', one);
      const { pairs, groups } = await pairsOf(table);
      const names = new Set([...before, ...after].map(nameOf));
      const expected = [...names].map((name) =>
        plain({ before: before.find((one) => nameOf(one) === name), after: after.find((one) => nameOf(one) === name) }),
      );
      const order = (rows: unknown[]): unknown[] => rows.map((row) => JSON.stringify(row)).sort();
      expect(order(pairs.map(plain))).toEqual(order(expected));
      const isInFiles = (await readdir(directory)).length > 0;
      if (heldBytesMax === Infinity) expect([isInFiles, groups]).toEqual([false, 1]);
      if (heldBytesMax === 0) expect(isInFiles).toBe(before.length + after.length > 0);
    }),
    { numRuns: 40 },
  );
});

test('few keys come in the order of dbs and keys', async () => {
  const table = new KeyTable(localDisk, temporaryDirectory('table'));
  const one = { endsMs: 0, type: 'string', digest: Buffer.alloc(16), isExact: true };
  for (const [db, key] of [
    [3, 'a'],
    [0, 'b'],
    [0, 'a'],
    [0, 'ab'],
  ] as const) {
    table.add(key === 'b' ? 'before' : 'after', { ...one, db, key: Buffer.from(key) });
  }
  const { pairs } = await pairsOf(table);
  const names = pairs.map(({ before, after }) => before ?? after).map((of) => `${of?.db} ${of?.key.toString()}`);
  expect(names).toEqual(['0 a', '0 ab', '0 b', '3 a']);
});
