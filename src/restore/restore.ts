/**
 * Carries out a plan: the dataset of the cut, every byte verified while it is read, into the output that the plan says,
 * with a record of exactly what was restored. It decides nothing.
 *
 *   directory          base and stream ────────────────────→ files
 *   rdb, resp, server  base and stream → scratch server ───→ what it saves or tells
 *
 * The rooms of this folder, in the order in which a restore goes through them:
 *   locate   which bytes are the dataset at the instant asked for, and how certain that is
 *   plan     everything decided before anything is touched, and how it is told; pure but for reading the journal
 *   rewrite  streams of commands changed on their way: left out, needed, with absolute TTLs
 *   replay   the plan's bytes, verified, into files or a scratch server
 *   outputs  what files and pipes get; `output.ts` is what every output must do
 *   servers  what running servers get, one or a cluster, and what is compared with them
 */
import type { Clock } from '../core/clock.ts';
import { InterruptedError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import type { Disk } from '../storage/disk.ts';
import { CompareOutput } from './servers/compare-output.ts';
import type { TellRows } from './servers/compare-output.ts';
import type { Comparison } from './servers/compare-keys.ts';
import { DirectoryOutput } from './outputs/directory-output.ts';
import { DirectorySink } from './outputs/directory-sink.ts';
import { giveTtls } from './replay/give-ttls.ts';
import { throwIfInterrupted } from './interruption.ts';
import { KeysOutput } from './servers/keys-output.ts';
import { AskedKeys } from './replay/asked-keys.ts';
import { loadScratch } from './replay/load-scratch.ts';
import type { LoadOptions } from './replay/load-scratch.ts';
import { explainGone } from './locate/locate-removed.ts';
import type {
  RestoredFile,
  RestoreOutput,
  RestoreSource,
  ServerChanges,
  ServerStep,
  Written,
} from './outputs/output.ts';
import { resolveOwner } from './outputs/owner.ts';
import type { Plan } from './plan/plan.ts';
import { orphanWarning, planToJson } from './plan/plan-print.ts';
import type { PlanJson } from './plan/plan-print.ts';
import { PlannedBytes } from './replay/planned-bytes.ts';
import { RdbOutput } from './outputs/rdb-output.ts';
import { RespOutput } from './outputs/resp-output.ts';
import type { WriteBytes } from './outputs/resp-output.ts';
import { ReplicaOutput } from './servers/replica-output.ts';
import type { ServerTarget } from './servers/target-output.ts';
import { outcomeOfBytes, ttlRule } from './plan/ttl-mode.ts';
import type { TtlOutcome } from './plan/ttl-mode.ts';
import { WholeOutput } from './servers/whole-output.ts';

export interface RestoreOptions {
  /** The directory or file to be made. */
  readonly to: string;
  /** USER[:GROUP], by name or number. */
  readonly owner?: string | undefined;
  /** Where commands go, for a plan of that form. */
  readonly send?: WriteBytes | undefined;
  /** The running server, for a plan of that form. */
  readonly target?: ServerTarget | undefined;
  /** The keys of a plan for a running server are compared, and nothing is written; these are the rows. */
  readonly compare?: TellRows | undefined;
  /** For a plan with a scratch server: where its private directory is made (beside the output), what it may take. */
  readonly scratch?: { readonly parent?: string | undefined; readonly memoryBytes?: number | undefined } | undefined;
  readonly clock: Clock;
  /** Program and version, for restore.json. */
  readonly writer: string;
  readonly signal?: AbortSignal | undefined;
  /** What is done, of all: first bytes of the plan (`restoring`), then what a running server is to do. */
  readonly progress?: ((done: number, total: number, step: 'restoring' | ServerStep) => void) | undefined;
}

/** What restore.json holds. */
export interface RestoreRecord extends PlanJson {
  readonly journal: string;
  readonly created: string;
  /** Where only some are wanted: how many were restored, of all that there were; null where they were not counted. */
  readonly keys: { readonly taken: number | null; readonly total: number | null } | null;
  /** What was done to a running server that was given some keys. */
  readonly changes: ServerChanges | null;
  readonly files: readonly RestoredFile[];
  /** Null where nobody looked: the journal's bytes are the output as they are, or what can be seen of the dataset. */
  readonly ttlOutcome: TtlOutcome | null;
  readonly warnings: readonly string[];
}

export interface RestoreReport {
  /** Absolute path of the directory or file. */
  readonly to: string;
  /** Bytes of all restored files, or of the commands. */
  readonly bytes: number;
  /** The base shares its extents with the journal's copy. */
  readonly isBaseClone: boolean;
  readonly seconds: number;
  readonly record: RestoreRecord;
  /** Where keys were compared only. */
  readonly comparison?: Comparison | undefined;
}

export async function executeRestore(disk: Disk, plan: Plan, options: RestoreOptions): Promise<RestoreReport> {
  try {
    return await execute(disk, plan, options);
  } catch (error) {
    throw await explainGone(disk, plan.tree, [plan.cut.timeline], error);
  }
}

async function execute(disk: Disk, plan: Plan, options: RestoreOptions): Promise<RestoreReport> {
  const { clock, signal } = options;
  const started = clock.monotonic();
  await using output = await openOutput(disk, plan, options);
  const written = await write(disk, plan, output, options);
  const { files, bytes, isBaseClone, ttlOutcome, warnings, picked, server, comparison } = written;
  const general = [orphanWarning(plan), namesWarning(plan, picked?.taken)];
  const record: RestoreRecord = {
    journal: options.writer,
    created: formatInstant(clock.wall()),
    ...planToJson(plan),
    keys:
      picked === undefined
        ? null
        : { taken: picked.taken ?? null, total: plan.held?.keys ? null : (picked.total ?? null) },
    changes: server ?? null,
    files,
    ttlOutcome,
    warnings: [...general.filter((text) => text !== undefined), ...plan.warnings, ...warnings],
  };
  // A server has it all by now: to say that it was interrupted would not be true.
  if (plan.form !== 'server') throwIfInterrupted(signal);
  await output.publish(`${JSON.stringify(record, undefined, 2)}\n`);
  return { to: output.to, bytes, isBaseClone, seconds: (clock.monotonic() - started) / 1e6, record, comparison };
}

/** Where fewer keys were there than were asked for. */
function namesWarning({ form, selection }: Plan, taken: number | undefined): string | undefined {
  if (taken === 0) return `no key is what was asked for: nothing is ${form === 'server' ? 'written' : 'in it'}`;
  const names = selection?.names?.size ?? 0;
  if (taken === undefined || taken >= names) return undefined;
  return `${names} names are listed, and ${taken} keys that were there then are what was asked for`;
}

async function openOutput(disk: Disk, { form, selection }: Plan, options: RestoreOptions): Promise<RestoreOutput> {
  const { to, send, signal = new AbortController().signal } = options;
  const now = options.clock.wall();
  const owner = options.owner === undefined ? undefined : await resolveOwner(disk, options.owner);
  switch (form) {
    case 'multi-part-aof':
    case 'preamble-aof':
      return new DirectoryOutput(await DirectorySink.open(disk, to, owner, now));
    case 'rdb':
      return RdbOutput.open(disk, to, owner, now);
    case 'resp':
      if (send === undefined) throw new RangeError('nobody takes the commands');
      return new RespOutput(send, signal);
    case 'server':
      if (options.target === undefined) throw new RangeError('no server is named');
      if (options.compare !== undefined)
        return new CompareOutput(options.target, options.clock, signal, options.compare);
      if (selection !== undefined) return new KeysOutput(options.target, options.clock, signal);
      return options.target.plan.method === 'replicaof'
        ? new ReplicaOutput(options.target, options.clock, signal)
        : new WholeOutput(options.target, options.clock, signal);
  }
}

interface Made extends Written {
  readonly ttlOutcome: TtlOutcome | null;
}

/** By way of the scratch server if the plan has one; it is gone on return. */
async function write(disk: Disk, plan: Plan, output: RestoreOutput, options: RestoreOptions): Promise<Made> {
  let done = 0;
  const advance = (bytes: number): void => {
    throwIfInterrupted(options.signal);
    done += bytes;
    options.progress?.(done, plan.bytes.total, 'restoring');
  };
  const step = options.progress ?? ((): void => undefined);
  const source = { disk, plan, advance, step };
  if (plan.scratch === undefined && plan.asked === undefined) return ofBytes(source, output, options);
  try {
    return await (plan.scratch === undefined ? ofBytes : throughScratch)(source, output, options);
  } catch (error) {
    // One that says what an interruption has left behind is not replaced.
    if (!(error instanceof InterruptedError)) throwIfInterrupted(options.signal);
    throw error;
  }
}

async function ofBytes(
  source: Omit<RestoreSource, 'dataset'>,
  output: RestoreOutput,
  options: RestoreOptions,
): Promise<Made> {
  const { disk, plan } = source;
  const { ttl, elapsed } = plan;
  const now = options.clock.wall();
  const rule = ttlRule(ttl, now);
  await using asked = plan.asked && (await AskedKeys.load(disk, plan, plan.asked, loadOptions(output, options)));
  const tail = asked?.removals(disk, rule, now);
  const written = await output.write({ ...source, dataset: undefined, others: rule.others, tail });
  if (elapsed === undefined) return { ...written, ttlOutcome: null };
  return { ...written, ttlOutcome: outcomeOfBytes(rule, elapsed.certain().length, asked?.elapsed) };
}

function loadOptions(output: RestoreOutput, { clock, scratch, signal }: RestoreOptions): LoadOptions {
  return {
    parent: scratch?.parent ?? output.scratchParent,
    allowedBytes: scratch?.memoryBytes,
    ...{ clock, signal: signal ?? new AbortController().signal },
  };
}

async function throughScratch(
  { disk, plan, advance, step }: Omit<RestoreSource, 'dataset'>,
  output: RestoreOutput,
  options: RestoreOptions,
): Promise<Made> {
  const { clock, signal = new AbortController().signal } = options;
  const replayed = new PlannedBytes(disk, plan, advance);
  await using dataset = await loadScratch(plan, replayed, loadOptions(output, options));
  const failed = plan.undo === undefined ? [] : failedWarning(dataset.failures);
  const { ttl, told } = await giveTtls(disk, plan, dataset, clock, signal);
  const written = await output.write({ disk, plan, dataset, ttl, advance, step });
  const { ttlOutcome, warnings } = told();
  return { ...written, ttlOutcome, warnings: [...replayed.warnings(), ...failed, ...warnings, ...written.warnings] };
}

function failedWarning(failures: number): string[] {
  if (failures === 0) return [];
  return [
    `without what was left out, ${failures} later commands could not be applied (their key is of another type now, say), and changed nothing`,
  ];
}
