/**
 * Whether some keys have room in running servers beside what these hold, asked before any is written. That all of the dataset
 * would have is looked at first; only where it would not, the keys are measured one by one, here and there, for they may
 * replace others as large.
 */
import type { KeySelection } from '../../redis/key-selection.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { dumpedKeys } from '../../scratch/dumped-keys.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { limitOf, refuseMemory } from '../plan/target-rails.ts';
import type { TargetAsked, TargetFacts } from '../plan/target-rails.ts';
import type { TargetLink } from './target-link.ts';
import { memoryOf } from './target-servers.ts';
import type { TargetServers } from './target-servers.ts';

/** How much more a server uses than before. */
interface Growth {
  now: number;
  most: number;
}

/** UsageError when one of them would come to hold more than it may. */
export async function requireRoom(
  { reached, linkOf }: TargetServers,
  { memoryBytes, part }: TargetAsked,
  dataset: ScratchDataset,
  selection: KeySelection,
  signal: AbortSignal,
): Promise<void> {
  const most = 3 * (await memoryOf(dataset));
  const limit = (facts: TargetFacts): number => limitOf(facts, { memoryBytes }) ?? Infinity;
  if (reached.every(({ facts }) => facts.usedBytes + most <= limit(facts))) return;
  const growths = new Map(reached.map(({ link }): [TargetLink, Growth] => [link, { now: 0, most: 0 }]));
  for await (const { link, payloadBytes, bytes, isThere } of measured(linkOf, dataset, selection, signal)) {
    if (part?.onlyMissing === true && isThere) continue;
    const growth = growths.get(link) ?? { now: 0, most: 0 };
    // A server looks whether it may take a command when it holds that, and another buffer as large for the next one.
    growth.most = Math.max(growth.most, growth.now + 2 * payloadBytes, growth.now + bytes);
    growth.now += bytes;
  }
  for (const { link, facts } of reached) {
    const added = growths.get(link)?.most ?? 0;
    if (added <= 0) continue;
    const asked = { address: link.address, memoryBytes };
    refuseMemory(facts, asked, facts.usedBytes + added, 'with these keys it would take');
  }
}

interface MeasuredKey {
  readonly link: TargetLink;
  readonly payloadBytes: number;
  /** That it takes more than what it replaces. */
  readonly bytes: number;
  /** Its server has one of that name. */
  readonly isThere: boolean;
}

/** In the order in which they are written. */
async function* measured(
  linkOf: TargetServers['linkOf'],
  dataset: ScratchDataset,
  selection: KeySelection,
  signal: AbortSignal,
): AsyncGenerator<MeasuredKey, void, undefined> {
  using scratch = await dataset.connect();
  for await (const { db, keys } of dumpedKeys(dataset, signal, selection)) {
    throwIfInterrupted(signal);
    const links = new Set(keys.map(({ name }) => linkOf(name)));
    await scratch.sendCommand(['SELECT', String(db)]);
    for (const link of links) await link.ask('SELECT', String(db));
    yield* await Promise.all(
      keys.map(async ({ key, name, payload }) => {
        const link = linkOf(name);
        const [ours, theirs] = await Promise.all([
          scratch.sendCommand<number | null>(['MEMORY', 'USAGE', key]),
          link.bytes('MEMORY', 'USAGE', name),
        ]);
        const isThere = theirs !== null;
        return { link, payloadBytes: payload.length, bytes: (ours ?? 0) - Number(theirs ?? 0), isThere };
      }),
    );
  }
}
