/**
 * Plans of what a scratch server has to hold for a look into the past, with the settings that verbs have for it.
 */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { ScratchUse } from '../inspect/key-watch.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import type { CutMode } from '../restore/locate/locate.ts';
import type { Target } from '../restore/locate/target.ts';
import { planRestore } from '../restore/plan/plan-restore.ts';
import type { Plan } from '../restore/plan/plan.ts';
import { findServers } from '../scratch/find-server.ts';
import { sizeSetting } from './size-setting.ts';
import type { VerbContext } from './verb.ts';

export interface ScratchQuestion {
  readonly target: Target;
  /** As the user wrote it, or would. */
  readonly text: string;
  readonly mode: CutMode;
  readonly selection: KeySelection | undefined;
}

export function planScratchFor(
  { io, layers }: VerbContext,
  tree: SourceTree,
  question: ScratchQuestion,
): Promise<Plan> {
  const { values } = layers;
  const request = {
    ...question,
    ...({ now: io.clock.wall(), to: 'rdb', ttl: 'keep' } as const),
    uncertainty: values['accept-uncertainty'] ? ('accept' as const) : ('refuse' as const),
    relativeTtl: values['relative-ttl'],
    servers: () => findServers(io.env.PATH, values['server-bin']),
  };
  return planRestore(io.disk, tree, request, io.signal);
}

export function scratchUse({ io, layers }: VerbContext): ScratchUse {
  const parent = layers.values['scratch-dir'];
  return {
    parent: parent === undefined ? tmpdir() : resolve(parent),
    memoryBytes: sizeSetting(layers, 'scratch-memory'),
    clock: io.clock,
    signal: io.signal,
  };
}
