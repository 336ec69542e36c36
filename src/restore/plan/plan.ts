/**
 * What a restore will do, before it does anything (pure): the base, the ranges of the stream behind it up to the cut,
 * the form of the output and what happens to TTLs. plan-restore.ts makes plans out of a journal, plan-print.ts shows
 * them, restore.ts carries them out and decides nothing.
 *
 * Invariant: the ranges are contiguous, from the base's offset + 1 to the cut.
 */
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import type { Offset } from '../../core/position.ts';
import type { BaseEntry, SegmentEntry, Timeline } from '../../log/catalog.ts';
import type { OrphanRange } from '../../log/orphans.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import {
  replicatesRelativeTtl,
  namedServer,
  serverVersionFromAux,
  usesMultiPartAof,
} from '../../redis/server-version.ts';
import type { RdbFormat, ServerVersion } from '../../redis/server-version.ts';
import type { ServerProgram } from '../../scratch/find-server.ts';
import type { Destination } from './destination.ts';
import { estimateSeconds } from './estimate.ts';
import type { ElapsedKeys } from '../rewrite/elapsed-keys.ts';
import type { Held, NeededKeys } from '../rewrite/needed-keys.ts';
import type { Cut, CutMode, UncertaintyRule } from '../locate/locate.ts';
import type { Target } from '../locate/target.ts';
import type { TargetPlan } from './target-rails.ts';
import type { TtlMode, TtlPlan } from './ttl-mode.ts';
import type { UndoPlan, UndoRequest } from './undo.ts';

export interface RestoreRequest {
  readonly target: Target;
  /** The target as the user wrote it. */
  readonly text: string;
  readonly mode: CutMode;
  /** `refuse` when left out. */
  readonly uncertainty?: UncertaintyRule;
  readonly now: Micros;
  /** `directory` when left out. */
  readonly to?: Destination['kind'] | undefined;
  /** The servers of this machine, asked for only when one is needed; none when left out. */
  readonly servers?: (() => Promise<readonly ServerProgram[]>) | undefined;
  /** What to do with the relative TTLs of a source up to Redis 6.2. */
  readonly relativeTtl: 'refuse' | 'convert';
  /** `keep` when left out. */
  readonly ttl?: TtlMode | undefined;
  /** What has expired is to be counted, also where that takes a scratch server which nothing else needs. */
  readonly countsExpired?: boolean | undefined;
  /** What is left out; undefined: nothing. */
  readonly undo?: UndoRequest | undefined;
  /** Some keys only; undefined: everything. */
  readonly selection?: KeySelection | undefined;
}

/** A server of this machine, run for the restore. */
export interface ScratchPlan {
  readonly program: ServerProgram;
  /** What it writes, and whoever loads that must know. */
  readonly rdb: RdbFormat;
  /** Why a directory is not made of the journal's bytes; undefined for other outputs, which never are. */
  readonly why?: string | undefined;
}

/** It holds some keys in doubt, and what they depend on. */
export interface AskedPlan {
  readonly scratch: ScratchPlan;
  readonly keys: NeededKeys;
}

/** Part of a segment. */
export interface PlannedRange extends Pick<SegmentEntry, 'path' | 'kind' | 'start' | 'end'> {
  /** First and last stream byte that is taken. */
  readonly from: Offset;
  readonly to: Offset;
}

export interface Plan {
  readonly tree: SourceTree;
  readonly text: string;
  readonly timeline: number;
  /** The source's server at the base; undefined when the journal does not say. */
  readonly server: ServerVersion | undefined;
  /**
   * A directory is an appendonlydir with a manifest (Redis 7.0 and later, Valkey), or one file that begins with an RDB.
   * The others are an RDB file, commands, and a running server.
   */
  readonly form: 'multi-part-aof' | 'preamble-aof' | 'rdb' | 'resp' | 'server';
  readonly transform: 'none' | 'relative-ttl';
  readonly ttl: TtlPlan;
  /** What is left out of the stream; undefined: nothing. */
  readonly undo: UndoPlan | undefined;
  readonly base: BaseEntry;
  readonly ranges: readonly PlannedRange[];
  readonly cut: Cut;
  readonly bytes: { readonly base: number; readonly stream: number; readonly total: number };
  readonly estimatedSeconds: number;
  /** The keys that are restored; undefined: all, and everything else. */
  readonly selection: KeySelection | undefined;
  /** The server that the dataset goes through; undefined where bytes of the journal make the output. */
  readonly scratch: ScratchPlan | undefined;
  /** What that holds, or the journal's bytes are taken for, where it is for some keys; undefined: everything. */
  readonly held: Held | undefined;
  /** What had elapsed at T, where the journal's bytes make an output with other TTLs. */
  readonly elapsed: ElapsedKeys | undefined;
  /** The server that is asked which of the keys in doubt had; undefined: none is. */
  readonly asked: AskedPlan | undefined;
  /** When a hash field is the first to expire: loaded later, the directory might not be exact. */
  readonly loadBefore: Micros | undefined;
  /** The cut lies where the surviving history does not go; these are the positions that are so on the timeline. */
  readonly orphan: OrphanRange | undefined;
  /** The running server that takes it over, and how. */
  readonly destination: TargetPlan | undefined;
  /** What else there is to know: damage that this restore does not touch. */
  readonly warnings: readonly string[];
}

/** `cut` is on `timeline`, and `asOf` its moment by the primary's clock. */
export function buildPlan(tree: SourceTree, timeline: Timeline, cut: Cut, asOf: Micros, request: RestoreRequest): Plan {
  const { base } = timeline;
  const server = sourceServer(timeline);
  const stream = cut.offset - base.record.offset;
  const isRelative = server === undefined ? isOldRdb(base) : replicatesRelativeTtl(server);
  if (isRelative && stream > 0 && request.relativeTtl === 'refuse') throw relativeTtlRefused();
  const transform = isRelative && stream > 0 ? 'relative-ttl' : 'none';
  const plan = {
    tree,
    text: request.text,
    timeline: timeline.number,
    server,
    form: formOf(request.to ?? 'directory', server, base),
    transform,
    ttl: { mode: request.ttl ?? 'keep', asOf, isCounted: request.countsExpired === true },
    undo: undefined,
    base,
    ranges: rangesOf(timeline.segments, base.record.offset + 1, cut.offset),
    cut,
    bytes: { base: base.record.size, stream, total: base.record.size + stream },
    selection: request.selection,
    scratch: undefined,
    held: undefined,
    elapsed: undefined,
    asked: undefined,
    loadBefore: undefined,
    orphan: undefined,
    destination: undefined,
    warnings: [],
  } as const;
  return { ...plan, estimatedSeconds: estimateSeconds(plan) };
}

/** The same, with what else is known of it. */
export function completed(plan: Plan, more: Partial<Pick<Plan, 'held' | 'elapsed' | 'asked' | 'loadBefore'>>): Plan {
  const made = { ...plan, ...more };
  return { ...made, estimatedSeconds: estimateSeconds(made) };
}

/** The same by way of a scratch server. */
export function throughScratch(plan: Plan, scratch: ScratchPlan): Plan {
  const form = isDirectory(plan) ? directoryOf(scratch.program) : plan.form;
  const made = { ...plan, form, scratch, loadBefore: undefined };
  return { ...made, estimatedSeconds: estimateSeconds(made) };
}

export function isDirectory({ form }: Pick<Plan, 'form'>): boolean {
  return form === 'multi-part-aof' || form === 'preamble-aof';
}

/** What wrote the base: what the timeline says, else what the RDB says of itself. */
export function sourceServer(timeline: Pick<Timeline, 'record' | 'base'>): ServerVersion | undefined {
  return namedServer(timeline.record.server) ?? serverVersionFromAux(new Map(Object.entries(timeline.base.record.aux)));
}

/** Both, multi-part files and absolute TTLs, came with Redis 7.0, whose RDB version is 10. */
function isOldRdb({ record }: BaseEntry): boolean {
  return record.magic === 'REDIS' && record.version < 10;
}

function rangesOf(segments: readonly SegmentEntry[], from: Offset, to: Offset): PlannedRange[] {
  return segments
    .filter((segment) => segment.end >= from && segment.start <= to)
    .map(({ path, kind, start, end }) => ({
      path,
      kind,
      start,
      end,
      from: Math.max(start, from),
      to: Math.min(end, to),
    }));
}

function formOf(to: Destination['kind'], server: ServerVersion | undefined, base: BaseEntry): Plan['form'] {
  if (to !== 'directory') return to;
  if (server !== undefined) return directoryOf(server);
  return isOldRdb(base) ? 'preamble-aof' : 'multi-part-aof';
}

function directoryOf(server: ServerVersion): 'multi-part-aof' | 'preamble-aof' {
  return usesMultiPartAof(server) ? 'multi-part-aof' : 'preamble-aof';
}

function relativeTtlRefused(): UsageError {
  return new UsageError(
    'relative-ttl',
    'the source, older than Redis 7.0, replicated relative TTLs (EXPIRE key 60): loaded as they are, they would count from now',
    {
      hint: 'with --relative-ttl convert, they are computed from when each command was received, late by the transit time',
    },
  );
}
