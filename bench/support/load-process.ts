// A process of its own for diff.ts: loads the dataset of a position into a scratch server as a restore does, and tells how
// long it took.
//
//   node load-process.ts ROOT NAME POSITION     prints the seconds
import os from 'node:os';
import { systemClock } from '../../src/core/clock.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { parseTarget } from '../../src/restore/locate/target.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { loadScratch } from '../../src/restore/replay/load-scratch.ts';
import { PlannedBytes } from '../../src/restore/replay/planned-bytes.ts';
import { findServers } from '../../src/scratch/find-server.ts';
import { localDisk } from '../../src/storage/local-disk.ts';

const [root, name, position] = process.argv.slice(2);
if (root !== undefined && name !== undefined && position !== undefined) {
  const begun = performance.now();
  await load(root, name, position);
  console.log((performance.now() - begun) / 1000);
}

async function load(directory: string, source: string, text: string): Promise<void> {
  const now = systemClock.wall();
  const plan = await planRestore(localDisk, sourceTree(directory, source), {
    ...({ mode: 'at', now, text, to: 'rdb', ttl: 'keep', relativeTtl: 'refuse' } as const),
    target: parseTarget(text, { now, zone: undefined }),
    servers: () => findServers(process.env.PATH),
  });
  const advance = (): void => undefined;
  const signal = new AbortController().signal;
  const options = { parent: os.tmpdir(), allowedBytes: undefined, clock: systemClock, signal };
  await using _dataset = await loadScratch(plan, new PlannedBytes(localDisk, plan, advance), options);
}
