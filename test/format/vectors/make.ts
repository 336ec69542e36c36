/**
 * Makes the golden vectors in journal-format/vectors: `node test/format/vectors/make.ts`. A vector is never replaced and never deleted,
 * for it stands for files that exist somewhere: what is there already is left alone, only new ones are added. The bytes
 * of sealed segments depend on the zstd of the day, which is why they are kept and not made again.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeVector } from './describe.ts';
import { journalFiles } from './journal.ts';
import { documentVectors } from './documents.ts';
import { segmentVectors } from './segments.ts';

const folder = path.resolve(import.meta.dirname, '../../../journal-format/vectors/v1');

for (const [name, bytes] of Object.entries({ ...documentVectors(), ...segmentVectors() })) {
  add(`${name}.bin`, bytes);
  add(`${name}.json`, Buffer.from(`${JSON.stringify(describeVector(bytes), undefined, 1)}\n`));
}
for (const [name, bytes] of Object.entries(journalFiles())) add(path.join('journal', name), bytes);

function add(name: string, bytes: Buffer): void {
  const file = path.join(folder, name);
  if (existsSync(file)) return;
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, bytes, { flag: 'wx' });
  process.stdout.write(`added ${name}, ${bytes.length} bytes\n`);
}
