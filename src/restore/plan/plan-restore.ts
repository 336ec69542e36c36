/**
 * From a request to a plan: finds the cut, chooses base and ranges, and refuses what could not be restored exactly. It
 * reads the journal and writes nothing.
 */
import { withCatalog } from '../../log/catalog.ts';
import type { Catalog } from '../../log/catalog.ts';
import { orphansOf, stretchOf } from '../../log/orphans.ts';
import type { OrphanRange } from '../../log/orphans.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import type { ServerProgram } from '../../scratch/find-server.ts';
import type { Disk } from '../../storage/disk.ts';
import { primaryTimeOf } from '../locate/cut-time.ts';
import { lookAtHashFields } from './hash-field-ttl.ts';
import { locate } from '../locate/locate.ts';
import { damageWarnings } from '../locate/locate-damaged.ts';
import type { Cut } from '../locate/locate.ts';
import { buildPlan, completed, throughScratch } from './plan.ts';
import type { Plan, RestoreRequest } from './plan.ts';
import { planElapsed } from './plan-elapsed.ts';
import { namedBy, planHeld, planNeeded } from './plan-needed.ts';
import { planUndo } from './plan-undo.ts';
import { canPlanScratch, planScratch, whyNotOfBytes } from './plan-scratch.ts';
import { changesTtl } from './ttl-mode.ts';

/** `signal` matters where the whole range has to be looked through first (hash-field-ttl.ts). */
export function planRestore(
  disk: Disk,
  tree: SourceTree,
  request: RestoreRequest,
  signal?: AbortSignal,
): Promise<Plan> {
  return withCatalog(disk, tree, (catalog) => planOnce(disk, catalog, request, signal));
}

async function planOnce(
  disk: Disk,
  catalog: Catalog,
  request: RestoreRequest,
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const cut = await locate(disk, catalog, request.target, request.mode, request.uncertainty);
  const timeline = catalog.timelines.find(({ number }) => number === cut.timeline);
  if (timeline === undefined) throw new RangeError(`the cut is on timeline ${cut.timeline}, which is not there`);
  const whole = buildPlan(catalog.tree, timeline, cut, await primaryTimeOf(disk, timeline, cut), request);
  const undo = request.undo && (await planUndo(disk, timeline, whole, request.undo, signal));
  const plan = { ...whole, undo };
  const warnings = [...damageWarnings(catalog, cut.timeline), ...(undo?.warnings ?? [])];
  return { ...(await made(disk, plan, request, signal)), orphan: orphanAt(catalog, cut), warnings };
}

/** With how it is made: out of the journal's bytes where a server would load these exactly, else by a scratch server. */
async function made(
  disk: Disk,
  plan: Plan,
  { to = 'directory', servers, now }: RestoreRequest,
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const installed = async (): Promise<readonly ServerProgram[]> => (await servers?.()) ?? [];
  const { selection } = plan;
  const why = whyNotOfBytes(plan);
  if (to !== 'directory' || why !== undefined) {
    const scratch = planScratch(plan, await installed(), to === 'directory' ? why : undefined);
    const held = selection && (await planHeld(disk, plan, selection, signal));
    return throughScratch({ ...plan, held }, scratch);
  }
  const held = selection && (await planNeeded(disk, plan, namedBy(selection), signal));
  if (held !== undefined && held.keys === undefined) {
    return throughScratch({ ...plan, held }, planScratch(plan, await installed(), held.why));
  }
  const { loadBefore, refusal } = await lookAtHashFields(disk, plan, now, signal);
  if (refusal !== undefined) {
    const programs = await installed();
    if (!canPlanScratch(plan, programs)) throw refusal;
    return throughScratch({ ...plan, held }, planScratch(plan, programs, refusal.message));
  }
  if (!changesTtl(plan.ttl)) return completed(plan, { held, loadBefore });
  const found = await planElapsed(disk, plan, signal);
  if ('why' in found) return throughScratch(plan, planScratch(plan, await installed(), found.why));
  const { elapsed } = found;
  if (elapsed.inDoubt().length === 0) return completed(plan, { elapsed, loadBefore });
  const scratch = planScratch(plan, await installed());
  const { keys } = await planNeeded(disk, plan, elapsed.isInDoubt, signal);
  if (keys !== undefined) return completed(plan, { elapsed, asked: { scratch, keys }, loadBefore });
  return throughScratch(plan, { ...scratch, why: 'keys in doubt, of which commands alone do not tell, depend on all' });
}

function orphanAt({ timelines, damaged }: Catalog, { timeline, offset }: Cut): OrphanRange | undefined {
  return orphansOf([...timelines, ...damaged.map(stretchOf)]).find(
    (range) => range.timeline === timeline && range.from <= offset && offset <= range.to,
  );
}
