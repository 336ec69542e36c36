/**
 * `journal export --at`: the dataset as it was, ready for other tools, through a scratch server that holds what is asked for
 * and what that depends on.
 */
import { InterruptedError } from '../../core/errors.ts';
import type { ExitCode } from '../../core/errors.ts';
import { released } from '../../core/slabs.ts';
import { datasetKeys } from '../../inspect/dataset-keys.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { parseGlobBytes } from '../../redis/glob.ts';
import { KeySelection } from '../../redis/key-selection.ts';
import { RdbFilter } from '../../redis/rdb-filter.ts';
import type { WrittenChunk } from '../../redis/rdb-writer.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { explainGone } from '../../restore/locate/locate-removed.ts';
import type { CutMode } from '../../restore/locate/locate.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import type { Plan } from '../../restore/plan/plan.ts';
import { RespOutput } from '../../restore/outputs/resp-output.ts';
import { loadScratch } from '../../restore/replay/load-scratch.ts';
import { PlannedBytes } from '../../restore/replay/planned-bytes.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import { planScratchFor, scratchUse } from '../scratch-plan.ts';
import { limitOf } from '../search.ts';
import { ReaderGone, TextSender } from '../text-sender.ts';
import type { VerbContext } from '../verb.ts';
import { csvKeys, jsonKeys } from './key-rows.ts';
import type { KeyRows } from './key-rows.ts';
import { PieceSender } from './piece-sender.ts';

export async function exportDataset(context: VerbContext, text: string, mode: CutMode): Promise<ExitCode> {
  const { io, layers, output } = context;
  const { dir, name, timezone } = layers.values;
  if (timezone !== undefined) parseZone(timezone);
  const target = parseTarget(text, { now: io.clock.wall(), zone: timezone });
  const tree = await chooseSource(io.disk, dir, name);
  const plan = await planScratchFor(context, tree, { target, text, mode, selection: selectionOf(context) });
  if (plan.held !== undefined && plan.held.keys === undefined) output.note(`everything is loaded: ${plan.held.why}`);
  try {
    await using dataset = await loaded(context, plan);
    return await written(context, plan, dataset);
  } catch (error) {
    if (error instanceof ReaderGone) return 0;
    if (io.signal.aborted) throw new InterruptedError('the export was interrupted', { cause: error });
    throw await explainGone(io.disk, tree, [plan.timeline], error);
  }
}

function selectionOf({ layers }: VerbContext): KeySelection | undefined {
  const { keys, exclude, db } = layers.values;
  if ([keys, exclude, db].every((list) => list.length === 0)) return undefined;
  const globs = { keys: keys.map(parseGlobBytes), exclude: exclude.map(parseGlobBytes) };
  return new KeySelection({ keys, exclude, db, type: [], rename: [] }, globs);
}

async function loaded(context: VerbContext, plan: Plan): Promise<ScratchDataset> {
  const { io, output } = context;
  const { memoryBytes, ...use } = scratchUse(context);
  const progress = output.progress('loading');
  let done = 0;
  const replayed = new PlannedBytes(io.disk, plan, (bytes) => {
    io.signal.throwIfAborted();
    progress.update((done += bytes), plan.bytes.total);
  });
  try {
    return await loadScratch(plan, replayed, { ...use, allowedBytes: memoryBytes });
  } finally {
    progress.stop();
  }
}

async function written(context: VerbContext, plan: Plan, dataset: ScratchDataset): Promise<ExitCode> {
  const sender = new TextSender(context.io.stdout);
  const send = async (bytes: Uint8Array): Promise<void> => {
    context.io.signal.throwIfAborted();
    await sender.sendAll(bytes);
  };
  switch (context.layers.values.format) {
    case 'jsonl':
      return rowsWritten(context, plan, dataset, jsonKeys, new PieceSender(sender));
    case 'csv':
      return rowsWritten(context, plan, dataset, csvKeys, new PieceSender(sender));
    case 'aof':
      await preambleWritten(context, plan, dataset, send);
      return 0;
    case 'resp': {
      const { disk, signal } = context.io;
      const nothing = (): void => undefined;
      const made = await new RespOutput(send, signal).write({ disk, plan, dataset, advance: nothing, step: nothing });
      for (const warning of made.warnings) context.output.note(warning);
      return 0;
    }
  }
}

async function rowsWritten(
  { io, layers, output }: VerbContext,
  plan: Plan,
  dataset: ScratchDataset,
  { heading, row }: KeyRows,
  sender: PieceSender,
): Promise<ExitCode> {
  let unknown = 0;
  let left = limitOf(layers);
  sender.add(heading);
  for await (const key of datasetKeys(io.disk, plan, dataset, io.signal)) {
    if (left === 0) break;
    left -= 1;
    if (key.value.content === undefined) unknown += 1;
    for (const piece of row(key)) {
      sender.add(piece);
      if (sender.isFull && !(await sender.flush())) return 0;
    }
  }
  if (!(await sender.flush()) || unknown === 0) return 0;
  output.warn(`${unknown} values are not in it: they are too large, or of a module`);
  return 3;
}

/** An append-only file may begin with an RDB, and be no more than that. */
async function preambleWritten(
  { io }: VerbContext,
  { selection }: Plan,
  dataset: ScratchDataset,
  send: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const filter = selection && new RdbFilter({ selection });
  const sendAll = async (chunks: readonly WrittenChunk[]): Promise<void> => {
    for (const { bytes } of released(chunks)) await send(bytes);
  };
  await using file = await io.disk.open(await dataset.save(), 'read');
  for await (const { bytes } of filePieces(file)) {
    if (filter === undefined) await send(bytes);
    else await sendAll(filter.push(bytes));
  }
  if (filter !== undefined) await sendAll(filter.finish());
}
