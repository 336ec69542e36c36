// Where the golden vectors are, for the tests of this folder.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const formatFolder = path.resolve(import.meta.dirname, '../../journal-format');

export const vectorFolder: string = path.join(formatFolder, 'vectors/v1');
export const readerScript: string = path.join(formatFolder, 'reader.py');

export const vectorNames: readonly string[] = readdirSync(vectorFolder)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => path.basename(name, '.bin'));

export function vector(name: string): Buffer {
  return readFileSync(path.join(vectorFolder, `${name}.bin`));
}
