// A process of its own for find.ts: searches a whole journal as `journal find` does, and tells how long it took.
//
//   node find-process.ts ROOT QUESTION     QUESTION: an Asked in JSON; prints Searched in JSON
import { CommandFilter } from '../../src/inspect/command-filter.ts';
import type { FilterText } from '../../src/inspect/command-filter.ts';
import { findDestruction } from '../../src/inspect/find-destruction.ts';
import { find } from '../../src/inspect/find.ts';
import { reachOf } from '../../src/inspect/reach.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Catalog } from '../../src/log/catalog.ts';
import { SealedReader } from '../../src/log/segment-reader.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { sourceName } from './long-journal.ts';
import { diskWithFiles } from '../../test/support/wrapped-disk.ts';

export interface Asked extends FilterText {
  /** For what destroyed much, instead of commands. */
  readonly destructive?: boolean;
}

export interface Searched {
  readonly found: number;
  readonly seconds: number;
  /** Of the processor, all threads of the process, from the start of the search on. */
  readonly cpuSeconds: number;
  readonly peakMemoryMb: number;
  /** Of files, all together. */
  readonly mbRead: number;
  /** Of sealed segments, for a history: those that were read, and how many there are. */
  readonly blocks: { readonly read: number; readonly of: number } | undefined;
}

async function search(directory: string, text: Asked): Promise<Searched> {
  let bytesRead = 0;
  const disk = diskWithFiles((file) => ({
    async read(into, position) {
      const count = await file.read(into, position);
      bytesRead += count;
      return count;
    },
  }));
  const blocks = text.isOfChanges === true ? new CountedBlocks() : undefined;
  const begun = performance.now();
  const before = process.cpuUsage();
  const catalog = await loadCatalog(disk, sourceTree(directory, sourceName));
  const reach = await reachOf(disk, catalog, { from: undefined, to: undefined });
  let found = 0;
  const all =
    text.destructive === true
      ? findDestruction(disk, reach, text)
      : find(disk, reach, new CommandFilter(text), { blocks });
  for await (const events of all) {
    for (const { kind } of events) if (kind === 'command' || kind === 'destruction') found += 1;
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - begun) / 1000;
  return {
    found,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakMemoryMb: Math.round(process.resourceUsage().maxRSS / 1000),
    mbRead: bytesRead / 1e6,
    blocks: blocks && { read: blocks.decoded, of: await countBlocks(catalog) },
  };
}

class CountedBlocks extends BlockCache {
  decoded = 0;

  override take(...[path, position, decode]: Parameters<BlockCache['take']>): ReturnType<BlockCache['take']> {
    return super.take(path, position, () => {
      this.decoded += 1;
      return decode();
    });
  }
}

async function countBlocks({ timelines }: Catalog): Promise<number> {
  let count = 0;
  for (const { path, kind } of timelines.flatMap(({ segments }) => segments)) {
    if (kind === 'open') continue;
    await using file = await localDisk.open(path, 'read');
    count += (await SealedReader.over(file)).footer.blocks.length;
  }
  return count;
}

const [root, question] = process.argv.slice(2);
if (root !== undefined && question !== undefined) {
  console.log(JSON.stringify(await search(root, JSON.parse(question) as Asked)));
}
