// A process of its own for locate.ts: locates the targets that it is told, and tells how long each took. The first one is
// that of a cold process: nothing is compiled, no file of the journal was opened; the kernel may know them.
//
//   node locate-process.ts ROOT TARGETS     TARGETS: a JSON array; prints a JSON array of Located
import type { Offset } from '../../src/core/position.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { locate } from '../../src/restore/locate/locate.ts';
import type { Target } from '../../src/restore/locate/target.ts';
import { sourceName } from './long-journal.ts';
import { diskWithFiles } from '../../test/support/wrapped-disk.ts';

export interface Located {
  readonly offset: Offset;
  readonly catalogMs: number;
  readonly locateMs: number;
  /** Of files, all together. */
  readonly bytesRead: number;
}

const [root, targets] = process.argv.slice(2);
if (root !== undefined && targets !== undefined) {
  const located: Located[] = [];
  for (const target of JSON.parse(targets) as readonly Target[]) located.push(await measure(root, target));
  console.log(JSON.stringify(located));
}

/** As a command does it: from nothing but the files. */
async function measure(directory: string, target: Target): Promise<Located> {
  let bytesRead = 0;
  const disk = diskWithFiles((file) => ({
    async read(into, position) {
      const count = await file.read(into, position);
      bytesRead += count;
      return count;
    },
  }));
  const begun = performance.now();
  const catalog = await loadCatalog(disk, sourceTree(directory, sourceName));
  const loaded = performance.now();
  const { offset } = await locate(disk, catalog, target, 'at');
  return { offset, catalogMs: loaded - begun, locateMs: performance.now() - loaded, bytesRead };
}
