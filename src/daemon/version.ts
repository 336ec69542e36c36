/**
 * Who writes: the name and version of this program, as it goes into segment headers and the logs.
 */
import { readFileSync } from 'node:fs';

/** package.json lies two folders above in the sources, three in dist/. */
function readVersion(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (found.name === 'journal' && found.version !== undefined) return found.version;
    } catch {
      continue;
    }
  }
  return '0.0.0';
}

export const version: string = readVersion();
export const writerName = `journal/${version}`;
