/**
 * Puts together what the files of a timeline hold (pure): which offsets are whole, damaged, or missing, and what of that
 * can be restored from which bases.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { Run } from './verify-frames.ts';
import type { OffsetRange, Restorable, VerifyInterval, VerifyTimeline } from './verify-report.ts';

/** What one segment contributes, in the order of their starts. */
export interface Contribution {
  readonly start: Offset;
  readonly runs: readonly Run[];
  /** Of its first frame; undefined when it cannot be read at all. */
  readonly first: Micros | undefined;
  readonly claimed: OffsetRange | undefined;
}

export interface CoverageInput {
  /** Offset and stamp of the state that the stream goes on from. */
  readonly from: { readonly offset: Offset; readonly stamp: Micros };
  readonly contributions: readonly Contribution[];
  /** The highest offset that is known to have been durable. */
  readonly known: Offset;
  /** How bytes that are known of, behind the last file, are missing. */
  readonly tailState: 'damaged' | 'missing';
}

/** Consecutive intervals from the first stream byte to the last that is known of. */
export function coverage({ from, contributions, known, tailState }: CoverageInput): VerifyInterval[] {
  const runs = joinRuns(contributions);
  const claims = contributions.flatMap(({ claimed }) => (claimed === undefined ? [] : [claimed]));
  const lastFile = claims.reduce((most, { to }) => Math.max(most, to), from.offset);
  const end = runs.reduce((most, { to }) => Math.max(most, to), Math.max(known, lastFile));
  const claimsAndTail = tailState === 'damaged' ? [...claims, { from: lastFile + 1, to: end }] : claims;
  const intervals: VerifyInterval[] = [];
  let next = from.offset + 1;
  let stamp = from.stamp;
  for (const run of [...runs, undefined]) {
    const to = run === undefined ? end : run.from - 1;
    intervals.push(...holes({ from: next, to }, claimsAndTail, stamp, run?.first ?? stamp));
    if (run === undefined || run.to < next) continue;
    intervals.push({ from: Math.max(next, run.from), to: run.to, state: 'ok', first: run.first, last: run.last });
    next = run.to + 1;
    stamp = run.last;
  }
  return intervals;
}

/** From each whole base on, as far as the bytes behind it are whole. `ends`: the last byte, and the tick behind it. */
export function restorable(
  bases: readonly { readonly offset: Offset; readonly completed: Micros }[],
  intervals: readonly VerifyInterval[],
  ends: VerifyTimeline['ends'],
): Restorable[] {
  const found: Restorable[] = [];
  for (const { offset, completed } of bases.toSorted((a, b) => a.offset - b.offset)) {
    const whole = intervals.find(({ state, from, to }) => state === 'ok' && from <= offset + 1 && offset < to);
    const range =
      whole === undefined
        ? { from: offset, to: offset, first: completed, last: completed }
        : { from: offset, to: whole.to, first: completed, last: Math.max(completed, whole.last) };
    const before = found.at(-1);
    if (before === undefined || before.to < range.from) found.push(range);
    else if (range.to > before.to) found[found.length - 1] = { ...before, to: range.to, last: range.last };
  }
  return found.map((range) => (range.to === ends?.offset ? { ...range, last: ends.stamp } : range));
}

/** Runs of all segments, joined where one begins behind another; a segment that begins inside one before it ends that. */
function joinRuns(contributions: readonly Contribution[]): Run[] {
  const joined: Run[] = [];
  for (const { start, runs, first } of contributions) {
    if (first === undefined) continue;
    while ((joined.at(-1)?.from ?? 0) >= start) joined.pop();
    const before = joined.at(-1);
    if (before !== undefined && before.to >= start) {
      joined[joined.length - 1] = { ...before, to: start - 1, last: Math.min(before.last, first) };
    }
    for (const run of runs) {
      const last = joined.at(-1);
      if (last?.to === run.from - 1) joined[joined.length - 1] = { ...last, to: run.to, last: run.last };
      else joined.push(run);
    }
  }
  return joined;
}

/** A stretch that is not whole: what a file claims of it is damaged, the rest is missing. */
function holes(hole: OffsetRange, claims: readonly OffsetRange[], first: Micros, last: Micros): VerifyInterval[] {
  const intervals: VerifyInterval[] = [];
  let next = hole.from;
  for (const claim of claims.toSorted((a, b) => a.from - b.from)) {
    const from = Math.max(next, claim.from);
    const to = Math.min(hole.to, claim.to);
    if (to < from) continue;
    if (from > next) intervals.push({ from: next, to: from - 1, state: 'missing', first, last });
    const before = intervals.at(-1);
    if (before?.state === 'damaged' && before.to === from - 1) intervals[intervals.length - 1] = { ...before, to };
    else intervals.push({ from, to, state: 'damaged', first, last });
    next = to + 1;
  }
  if (next <= hole.to) intervals.push({ from: next, to: hole.to, state: 'missing', first, last });
  return intervals;
}
