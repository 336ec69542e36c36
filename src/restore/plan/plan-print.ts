/**
 * Plans in print (pure): one document for programs (offsets as strings, times RFC 3339 in UTC, lists never null), lines
 * for people. The same facts go into restore.json beside a restored dataset.
 */
import { basename } from 'node:path';
import type { Micros } from '../../core/clock.ts';
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import type { OrphanRange } from '../../log/orphans.ts';
import type { KeySelection, SelectionText } from '../../redis/key-selection.ts';
import { formatServerVersion } from '../../redis/server-version.ts';
import { clusterLines, clusterToJson } from './cluster-print.ts';
import type { ClusterJson } from './cluster-print.ts';
import { describeInstant, formatInstantShort, quote } from '../locate/instant.ts';
import type { StampedOffset } from '../locate/locate-boundaries.ts';
import type { TimeReading } from '../locate/locate-time.ts';
import type { Plan } from './plan.ts';
import { askedToJson, heldToJson, scratchLines, scratchToJson } from './scratch-print.ts';
import type { AskedJson, HeldJson, ScratchJson } from './scratch-print.ts';
import { ttlEffect } from './ttl-mode.ts';
import type { TtlMode } from './ttl-mode.ts';
import { contentsOf } from './target-rails.ts';
import type { PartAsked, TargetPlan } from './target-rails.ts';
import { undoLines, undoToJson } from './undo-print.ts';
import type { UndoJson } from './undo-print.ts';

export interface PlanContext {
  /** The configured zone, if there is one. */
  readonly zone: string | undefined;
  readonly now: Micros;
}

interface SelectionJson extends SelectionText {
  /** A list of whole names; null: there is none. */
  readonly keysFrom: { readonly file: string; readonly names: number } | null;
}

interface PlaceJson {
  readonly offset: string;
  readonly time: string;
}

/** How sure the time of the cut is. */
interface TimeJson {
  /** `receipt`: of when bytes were received; `samples`: they came late, and samples of the primary's clock tell. */
  readonly basis: TimeReading['basis'];
  /** Our clock less the primary's, in seconds; 0 where they agree within 50 ms. */
  readonly skew: number;
  /** The cut may be earlier than asked by this much, in seconds. */
  readonly resolution: number;
  /** Offsets of the first and last state that the time may mean, where that was accepted. */
  readonly uncertain: { readonly from: string; readonly to: string } | null;
}

export interface PlanJson {
  readonly source: string;
  readonly timeline: number;
  readonly server: { readonly kind: string; readonly version: string } | null;
  readonly requested: { readonly mode: string; readonly target: string; readonly time: string | null };
  readonly reached: { readonly position: string; readonly time: string };
  /** Null where the target is not a time. */
  readonly time: TimeJson | null;
  readonly lastApplied: PlaceJson;
  readonly firstOmitted: PlaceJson | null;
  readonly base: {
    readonly file: string;
    readonly position: string;
    readonly origin: string;
    readonly time: string;
    readonly bytes: number;
  };
  readonly ranges: readonly { readonly file: string; readonly from: string; readonly to: string }[];
  readonly bytes: { readonly base: number; readonly stream: number; readonly total: number };
  readonly form: Plan['form'];
  readonly transform: Plan['transform'];
  /** The running server that takes it over; `replaces` is what will be gone, null where only some keys are written. */
  readonly destination: {
    readonly address: string;
    readonly server: string;
    readonly method: TargetPlan['method'];
    readonly why: string;
    readonly replaces: { readonly keys: number; readonly libraries: number } | null;
    readonly isLive: boolean;
    /** What is selected there, and was not there at T, goes. */
    readonly deletesAbsent: boolean;
    /** Only keys that it has not are written. */
    readonly onlyMissing: boolean;
    /** Where it is a cluster; null: one server. */
    readonly cluster: ClusterJson | null;
  } | null;
  /** What is left out of the stream; null: nothing. */
  readonly undo: UndoJson | null;
  /** Which keys; null: everything. */
  readonly selection: SelectionJson | null;
  readonly scratch: ScratchJson | null;
  /** Where some keys are restored, whether only what they depend on is replayed; null: all are restored. */
  readonly held: HeldJson | null;
  readonly ttl: TtlMode;
  /** Where a directory with other TTLs is made of the journal's bytes: keys that had elapsed, and are removed; null: else. */
  readonly elapsedKeys: number | null;
  /** The server that is asked about keys in doubt, of which commands alone do not tell; null: none is. */
  readonly asked: AskedJson | null;
  /** The instant at which it is judged what had elapsed, by the primary's clock. */
  readonly ttlAsOf: string;
  readonly ttlEffect: string;
  readonly loadBefore: string | null;
  /** First and last position that no surviving history holds; null when the cut is before them. */
  readonly orphan: { readonly from: string; readonly to: string } | null;
  readonly estimatedSeconds: number;
  readonly warnings: readonly string[];
}

export function planToJson(plan: Plan): PlanJson {
  const { cut, base, server } = plan;
  const { target, mode } = cut.requested;
  const { record } = base;
  return {
    source: plan.tree.source,
    timeline: plan.timeline,
    server: server === undefined ? null : { kind: server.kind, version: server.version },
    requested: { mode, target: plan.text, time: target.kind === 'time' ? formatInstant(target.at) : null },
    reached: { position: formatPosition(cut), time: formatInstant(cut.reached) },
    time: cut.time === undefined ? null : timeJson(cut.time),
    lastApplied: placeJson(cut.lastApplied),
    firstOmitted: cut.firstOmitted === undefined ? null : placeJson(cut.firstOmitted),
    base: {
      file: basename(base.rdbPath),
      position: formatPosition(record),
      origin: record.origin,
      time: formatInstant(record.completed),
      bytes: record.size,
    },
    ranges: plan.ranges.map(({ path, from, to }) => ({ file: basename(path), from: String(from), to: String(to) })),
    bytes: plan.bytes,
    form: plan.form,
    transform: plan.transform,
    destination: plan.destination === undefined ? null : destinationJson(plan.destination),
    undo: plan.undo === undefined ? null : undoToJson(plan.undo),
    selection: plan.selection === undefined ? null : selectionJson(plan.selection),
    scratch: plan.scratch === undefined ? null : scratchToJson(plan.scratch),
    held: plan.held === undefined ? null : heldToJson(plan.held),
    ttl: plan.ttl.mode,
    elapsedKeys: plan.elapsed?.certain().length ?? null,
    asked: askedToJson(plan),
    ttlAsOf: formatInstant(plan.ttl.asOf),
    ttlEffect: effect(plan),
    loadBefore: plan.loadBefore === undefined ? null : formatInstant(plan.loadBefore),
    orphan: plan.orphan === undefined ? null : orphanJson(plan.orphan),
    estimatedSeconds: plan.estimatedSeconds,
    warnings: plan.warnings,
  };
}

/** Lines of a name and a value each. */
export function planToText(plan: Plan, context: PlanContext): string[] {
  const { cut, base, ranges, bytes } = plan;
  const server = plan.server === undefined ? 'an unknown server' : formatServerVersion(plan.server);
  const from = base.record.offset + 1;
  const stream =
    bytes.stream === 0
      ? 'none of it'
      : `${formatBytes(bytes.stream)}, bytes ${from} to ${cut.offset}, from ${count(ranges.length, 'segment')}`;
  const lines: (readonly [string, string])[] = [
    ['target', `--${cut.requested.mode} ${asTyped(plan.text)}`],
    ...resolved(plan, context),
    ['source', `${plan.tree.source}, ${server}, timeline ${plan.timeline}`],
    [
      'base',
      `${formatBytes(bytes.base)}, ${formatInstantShort(base.record.completed)}, ${formatPosition(base.record)}`,
    ],
    ['stream', stream],
    ['cut', formatPosition(cut)],
    ...timeLines(cut.time),
    ['last applied', `${instants(cut.reached, context)}, offset ${cut.offset}`],
    ['first omitted', cut.firstOmitted === undefined ? 'nothing: this is the end' : place(cut.firstOmitted, context)],
    ...undoLines(plan.undo),
    ['output', formDescription[plan.form]],
    ...destinationLines(plan.destination),
    ...selectionLines(plan),
    ...scratchLines(plan),
    ['TTLs', effect(plan)],
    [
      plan.scratch === undefined ? 'to write' : 'to load',
      `${formatBytes(bytes.total)}, about ${formatSeconds(plan.estimatedSeconds)}`,
    ],
  ];
  if (plan.loadBefore !== undefined) {
    lines.push(['load before', `${instants(plan.loadBefore, context)}: the first hash field expires then`]);
  }
  const warning = orphanWarning(plan);
  if (warning !== undefined) lines.push(['warning', warning]);
  for (const text of plan.warnings) lines.push(['warning', text]);
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/** Said with the plan and in restore.json; the command ends with exit code 3. */
export function orphanWarning({ orphan, cut, base }: Plan): string | undefined {
  if (orphan === undefined) return undefined;
  const { from } = orphanJson(orphan);
  const what = `${from} to ${cut.offset} was acknowledged by the old primary, and is not in the surviving history`;
  return orphan.from <= base.record.offset ? what : `${what}; --before ${from} restores what both have`;
}

const formDescription: Readonly<Record<Plan['form'], string>> = {
  'multi-part-aof': 'appendonlydir with a manifest, for Redis 7.0 and later, or Valkey',
  'preamble-aof': 'one appendonly.aof that begins with an RDB, for Redis 4.0 to 6.2',
  rdb: 'an RDB file',
  resp: 'commands on standard output, for redis-cli --pipe: RESTORE … REPLACE ABSTTL for each key',
  server: 'a running server',
};

function destinationJson({
  address,
  server,
  method,
  why,
  keys,
  libraries,
  isLive,
  part,
  cluster,
}: TargetPlan): PlanJson['destination'] {
  const replaces = part === undefined ? { keys, libraries } : null;
  const { deletesAbsent = false, onlyMissing = false } = part ?? {};
  return {
    ...{ address, server: formatServerVersion(server), method, why, replaces, isLive, deletesAbsent, onlyMissing },
    cluster: cluster === undefined ? null : clusterToJson(cluster),
  };
}

function destinationLines(destination: TargetPlan | undefined): (readonly [string, string])[] {
  if (destination === undefined) return [];
  const { address, server, method, why, isLive, isLeftBehind, part, cluster } = destination;
  const how = method === 'replicaof' ? 'as a replica of ours, then promoted' : 'key by key, with RESTORE';
  const replaces = part === undefined ? contentsOf(destination) : partLine(destination, part);
  const lines: (readonly [string, string])[] = [
    [
      'server',
      `${address}, ${formatServerVersion(server)}${isLive && cluster === undefined ? ', the live primary of this journal' : ''}`,
    ],
    ...clusterLines(cluster),
    ['method', `${method}: ${how} (${why})`],
    ['replaces', replaces],
  ];
  if (part !== undefined && isLive)
    lines.push(['before', 'the live primary is given a mark in this journal, as a way back']);
  if (isLeftBehind) lines.push(['warning', 'a restore that was cut off has left it as a replica; that ends now']);
  return lines;
}

function partLine(destination: TargetPlan, { deletesAbsent, onlyMissing }: PartAsked): string {
  const holds = `it holds ${contentsOf(destination)}`;
  if (onlyMissing)
    return `nothing: those of these keys that it has not are written, all others are left alone (${holds})`;
  const absent = deletesAbsent
    ? `${whoseAbsent(destination)} that were not there then are deleted`
    : 'no key is deleted';
  return `these keys where it has them; ${absent}; all others stay (${holds})`;
}

/** Nothing in a journal says that it is of one shard. */
function whoseAbsent({ cluster }: TargetPlan): string {
  if (cluster === undefined) return 'those';
  const live = cluster.find(({ isLive }) => isLive);
  return live === undefined
    ? 'those of every primary, for the journal is taken for one of all shards,'
    : `those of ${live.address}`;
}

function selectionLines({ selection, destination }: Plan): (readonly [string, string])[] {
  if (selection === undefined) return [];
  const { text, names, takesFunctions } = selection;
  const options = (['keys', 'exclude', 'db', 'type', 'rename'] as const).flatMap((name) =>
    text[name].map((value) => `--${name} ${asTyped(value)}`),
  );
  if (names !== undefined) options.unshift(`--keys-from ${asTyped(names.from)} (${count(names.size, 'name')})`);
  const isWithout = !takesFunctions || destination !== undefined;
  return [['keys', `${options.length === 0 ? 'all' : options.join(' ')}${isWithout ? '; no functions' : ''}`]];
}

function selectionJson({ text, names }: KeySelection): SelectionJson {
  return { ...text, keysFrom: names === undefined ? null : { file: names.from, names: names.size } };
}

/** What restoring into the past does to keys that expire. */
function effect(plan: Plan): string {
  const text = `${ttlEffect(plan.ttl, passedIn(plan))}${uncounted(plan)}`;
  if (plan.transform === 'none') return text;
  return `${text}; relative TTLs of the source count from when their commands were received`;
}

/** Nobody looks into the journal's bytes, and what can be seen of a dataset is not what has elapsed. */
function uncounted({ form, scratch, ttl, base }: Plan): string {
  if (ttl.mode !== 'keep' || ttl.isCounted || (scratch !== undefined && form !== 'resp')) return '';
  const { contents } = base.record;
  const known =
    contents === undefined ? '' : ` (${contents.expires} of the ${contents.keys} keys of the base have a TTL)`;
  return `; how many these are is not counted${known}: --count-expired does, by a scratch server`;
}

/** A directory is loaded with them, an RDB without, and commands are made of what can still be seen. */
function passedIn({ form, destination }: Plan): string {
  if (destination?.part !== undefined) {
    return `are not written${destination.part.deletesAbsent ? ', and deleted where the server has them' : ''}`;
  }
  return destination?.method === 'restore' ? `${passed.resp}, as this method cannot set them` : passed[form];
}

const passed: Readonly<Record<Plan['form'], string>> = {
  'multi-part-aof': 'expire when the server starts',
  'preamble-aof': 'expire when the server starts',
  rdb: 'are in it, and expire when a primary loads it',
  resp: 'are left out',
  server: 'are loaded, and expire when it is promoted',
};

/** As it would be typed again; a mark may have any name. */
function asTyped(text: string): string {
  return /^[\w@:.+-]+$/.test(text) ? text : quote(text);
}

function resolved(plan: Plan, context: PlanContext): (readonly [string, string])[] {
  const { target } = plan.cut.requested;
  return target.kind === 'time' ? [['resolved', instants(target.at, context)]] : [];
}

/** Nothing where bytes were received as they were written, and the clocks agree. */
function timeLines(time: TimeReading | undefined): (readonly [string, string])[] {
  if (time === undefined) return [];
  const { basis, skew, resolution, uncertain } = time;
  const lines: (readonly [string, string])[] = [];
  if (uncertain !== undefined) {
    lines.push([
      'uncertain',
      `that time may mean any state from offset ${uncertain.from} to ${uncertain.to}; this is the first`,
    ]);
  } else if (resolution > 0) {
    lines.push([
      'time',
      `good to ${resolution / 1_000_000} s${basis === 'samples' ? ", by samples of the primary's clock" : ''}: what was written then was received later`,
    ]);
  }
  if (skew !== 0) {
    const direction = skew < 0 ? 'ahead of' : 'behind';
    lines.push([
      'clocks',
      `the primary's was ${Math.abs(skew) / 1_000_000} s ${direction} ours; the target is the primary's`,
    ]);
  }
  return lines;
}

function timeJson({ basis, skew, resolution, uncertain }: TimeReading): TimeJson {
  return {
    basis,
    skew: skew / 1_000_000,
    resolution: resolution / 1_000_000,
    uncertain: uncertain === undefined ? null : { from: String(uncertain.from), to: String(uncertain.to) },
  };
}

function place({ offset, stamp }: StampedOffset, context: PlanContext): string {
  return `${instants(stamp, context)}, offset ${offset}`;
}

function instants(at: Micros, context: PlanContext): string {
  const { utc, local, relative } = describeInstant(at, context);
  return [utc, ...(local === undefined ? [] : [local]), relative].join(' = ');
}

function orphanJson({ id, from, to }: OrphanRange): { readonly from: string; readonly to: string } {
  return { from: formatPosition({ id, offset: from }), to: formatPosition({ id, offset: to }) };
}

function placeJson({ offset, stamp }: StampedOffset): PlaceJson {
  return { offset: String(offset), time: formatInstant(stamp) };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function formatSeconds(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power] ?? 'B'}`;
}
