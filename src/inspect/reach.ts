/**
 * What a search from one target to another goes through, in order: stretches of timelines, and what lies between and beside
 * them that is not there to be searched. Nothing that was asked for is left out in silence.
 *
 * A restore refuses a target that is not covered; a search goes as far as there is anything, and tells the rest. Where it
 * is uncertain what had been written by a time, the stretch is the wider one.
 *
 * Neighbours: restore/locate/ knows what a target means; scan.ts goes through the stretches.
 */
import type { GapRecord } from '../../journal-format/gap.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import type { Micros } from '../core/clock.ts';
import { CoverageError, UsageError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Catalog, Timeline } from '../log/catalog.ts';
import { lastStampOf } from '../log/damaged.ts';
import type { DamagedTimeline } from '../log/damaged.ts';
import { boundsOf, gapsOf } from '../log/gaps.ts';
import { orphansOf, stretchOf } from '../log/orphans.ts';
import type { OrphanRange } from '../log/orphans.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { certaintiesOn, locateTime } from '../restore/locate/locate-time.ts';
import { nothingCovered, timeCoverage } from '../restore/locate/locate-coverage.ts';
import { locate } from '../restore/locate/locate.ts';
import type { Target } from '../restore/locate/target.ts';
import type { Disk } from '../storage/disk.ts';

export interface SearchRange {
  /** The first command that belongs to it; undefined: the first there is. */
  readonly from: Target | undefined;
  /** The last one that does, itself included. */
  readonly to: Target | undefined;
}

export type Leg =
  | { readonly kind: 'stretch'; readonly timeline: Timeline; readonly from: Offset; readonly to: Offset }
  | { readonly kind: 'gap'; readonly gap: GapRecord }
  | { readonly kind: 'removed'; readonly record: RemovedRecord }
  | { readonly kind: 'damaged'; readonly damaged: DamagedTimeline }
  /** Asked for, and before or behind everything. */
  | { readonly kind: 'uncovered'; readonly from: Micros; readonly to: Micros };

export interface Reach {
  /** In order. Of a stretch, `from` and `to` are boundaries: what begins behind the one and ends with the other. */
  readonly legs: readonly Leg[];
  readonly orphans: readonly OrphanRange[];
  readonly tree: SourceTree;
}

/** One end of the range. */
type Bound =
  | { readonly kind: 'open' }
  | { readonly kind: 'time'; readonly at: Micros }
  | { readonly kind: 'cut'; readonly timeline: number; readonly offset: Offset };

/** UsageError where the range ends before it begins, CoverageError where a position or mark of it is not in the journal. */
export async function reachOf(disk: Disk, catalog: Catalog, range: SearchRange): Promise<Reach> {
  const { timelines, damaged } = catalog;
  if (timelines.length === 0 && damaged.length === 0) throw nothingCovered();
  const from = await boundOf(disk, catalog, range.from, 'before');
  const to = await boundOf(disk, catalog, range.to, 'at');
  requireOrder(from, to);
  const numbered: (readonly [order: number, leg: Leg])[] = [];
  for (const timeline of timelines) {
    const first = await placeOn(disk, timeline, from, 'before');
    const last = await placeOn(disk, timeline, to, 'at');
    const begin = first === 'before' ? timeline.base.record.offset : first;
    const end = last === 'behind' ? timeline.boundary : last;
    if (begin === 'behind' || end === 'before' || begin >= end) continue;
    numbered.push([timeline.number, { kind: 'stretch', timeline, from: begin, to: end }]);
  }
  numbered.push(...besides(catalog, from, to));
  const legs = numbered.sort(([a], [b]) => a - b).map(([, leg]) => leg);
  return { legs, orphans: orphansOf([...timelines, ...damaged.map(stretchOf)]), tree: catalog.tree };
}

async function boundOf(
  disk: Disk,
  catalog: Catalog,
  target: Target | undefined,
  mode: 'at' | 'before',
): Promise<Bound> {
  if (target === undefined) return { kind: 'open' };
  if (target.kind === 'time') return { kind: 'time', at: target.at };
  const at = await locate(disk, catalog, target, 'at');
  const base = catalog.timelines.find(({ number }) => number === at.timeline)?.base.record.offset;
  // Nothing is before a base, and behind the latest nothing comes.
  const isAtBase = at.offset === base;
  const cut =
    mode === 'at' || isAtBase || target.kind === 'latest' ? at : await locate(disk, catalog, target, 'before');
  return { kind: 'cut', timeline: cut.timeline, offset: cut.offset };
}

function requireOrder(from: Bound, to: Bound): void {
  const isBackwards =
    (from.kind === 'time' && to.kind === 'time' && from.at > to.at) ||
    (from.kind === 'cut' && to.kind === 'cut' && compareCuts(from, to) > 0);
  if (!isBackwards) return;
  throw new UsageError('range-backwards', 'the range ends before it begins', {
    hint: '--from is the earlier one; both belong to the range',
  });
}

function compareCuts(a: Bound & { readonly kind: 'cut' }, b: Bound & { readonly kind: 'cut' }): number {
  return a.timeline === b.timeline ? a.offset - b.offset : a.timeline - b.timeline;
}

/** A boundary of the timeline, or on which side of it the bound lies. */
async function placeOn(
  disk: Disk,
  timeline: Timeline,
  bound: Bound,
  mode: 'at' | 'before',
): Promise<Offset | 'before' | 'behind'> {
  switch (bound.kind) {
    case 'open':
      return mode === 'at' ? 'behind' : 'before';
    case 'cut':
      if (bound.timeline === timeline.number) return bound.offset;
      return bound.timeline < timeline.number ? 'before' : 'behind';
    case 'time':
      return await placeTime(disk, timeline, mode === 'at' ? bound.at : bound.at - 1, mode);
  }
}

async function placeTime(
  disk: Disk,
  timeline: Timeline,
  at: Micros,
  mode: 'at' | 'before',
): Promise<Offset | 'before' | 'behind'> {
  const certainties = await certaintiesOn(disk, timeline, at);
  if (certainties.length === 0) {
    // Clocks may differ, but not by as much as that.
    const { from, to } = timeCoverage(timeline);
    return at < (from + to) / 2 ? 'before' : 'behind';
  }
  try {
    const { last, time } = await locateTime(disk, timeline, certainties, 'that time', true);
    return (mode === 'at' ? time.uncertain?.to : time.uncertain?.from) ?? last.offset;
  } catch (error) {
    // By then the primary had written more than the timeline holds.
    if (error instanceof CoverageError) return 'behind';
    throw error;
  }
}

/** What cannot be searched, each with the number of the timeline that it comes before, and less than it. */
function besides(catalog: Catalog, from: Bound, to: Bound): (readonly [number, Leg])[] {
  const { timelines, damaged, removed } = catalog;
  const unlisted = damaged.map(({ number, gap }) => ({ number, gap, ends: undefined }));
  const allGaps = [...timelines, ...damaged].map(({ gap }) => gap);
  const legs: (readonly [number, Leg])[] = [];
  for (const gap of gapsOf([...timelines.map(boundsOf), ...unlisted])) {
    if (isAcross(from, to, gap.from, gap.to)) legs.push([gap.to.timeline - 0.5, { kind: 'gap', gap }]);
  }
  for (const one of damaged) {
    const side = { timeline: one.number };
    const last = { ...side, stamp: lastStampOf(one, allGaps) };
    if (isAcross(from, to, { ...side, stamp: one.from }, last))
      legs.push([one.number, { kind: 'damaged', damaged: one }]);
  }
  for (const record of removed) {
    // Who asks for everything means what is there.
    const side = { timeline: record.timeline };
    const isMeant =
      from.kind !== 'open' && isAcross(from, to, { ...side, stamp: record.first }, { ...side, stamp: record.last });
    if (isMeant) legs.push([record.timeline, { kind: 'removed', record }]);
  }
  return [...legs, ...edges(catalog, from, to)];
}

interface Side {
  readonly timeline: number;
  readonly stamp: Micros;
}

/** Whether the range has something of what lies between the two. */
function isAcross(from: Bound, to: Bound, first: Side, last: Side): boolean {
  const begins =
    from.kind === 'open' ||
    (from.kind === 'time' ? from.at <= last.stamp : from.timeline < Math.max(last.timeline, first.timeline + 1));
  const ends = to.kind === 'open' || (to.kind === 'time' ? to.at > first.stamp : to.timeline >= last.timeline);
  return begins && ends;
}

/** What is asked for before the first instant that was ever covered, and behind the last one. */
function edges({ timelines, removed, damaged }: Catalog, from: Bound, to: Bound): (readonly [number, Leg])[] {
  const firsts = [...timelines.map((one) => timeCoverage(one).from), ...removed.map(({ first }) => first)];
  const lasts = timelines.map((one) => timeCoverage(one).to);
  const first = Math.min(...firsts, ...damaged.map((one) => one.from));
  const last =
    damaged.length > 0 && (damaged.at(-1)?.number ?? 0) > (timelines.at(-1)?.number ?? 0)
      ? Infinity
      : Math.max(...lasts);
  const legs: (readonly [number, Leg])[] = [];
  if (from.kind === 'time' && from.at < first) {
    const end = to.kind === 'time' ? Math.min(to.at, first) : first;
    legs.push([-1, { kind: 'uncovered', from: from.at, to: end }]);
  }
  if (to.kind === 'time' && to.at > last) {
    const begin = from.kind === 'time' ? Math.max(from.at, last) : last;
    legs.push([Infinity, { kind: 'uncovered', from: begin, to: to.at }]);
  }
  return legs;
}
