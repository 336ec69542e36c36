/**
 * What a journal covers, and the refusals of what it doesn't (pure). A target outside is never approximated: the answer
 * says why there is nothing, and names the nearest covered places on both sides, each in a form that can be given as the
 * next target.
 */
import type { GapCause } from '../../../journal-format/gap.ts';
import type { Micros } from '../../core/clock.ts';
import { CoverageError } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import type { Offset, ReplicationId } from '../../core/position.ts';
import { idAt } from '../../log/catalog.ts';
import type { Timeline } from '../../log/catalog.ts';
import { formatInstantShort } from './instant.ts';

/** A stretch of time without a hole: from when its base was complete to its last byte, both included. */
export interface TimeCoverage {
  readonly from: Micros;
  readonly to: Micros;
}

/** Offsets of one replication id on one timeline, both included. `from` is the base's: the state, not a byte. */
export interface OffsetCoverage {
  readonly timeline: Timeline;
  readonly from: Offset;
  readonly to: Offset;
}

export function timeCoverage(timeline: Timeline): TimeCoverage {
  const from = timeline.base.record.completed;
  return { from, to: Math.max(from, timeline.lastStamp) };
}

/**
 * Where an id's positions are, oldest timeline first. Bytes received under the id before it are its own, too: a promoted
 * replica's history contains them. Bytes received under a later id are not.
 */
export function offsetCoverage(timelines: readonly Timeline[], id: ReplicationId): OffsetCoverage[] {
  return timelines.flatMap((timeline) => {
    const index = timeline.ids.findLastIndex((entry) => entry.id === id);
    if (index === -1) return [];
    const successor = timeline.ids[index + 1];
    return [{ timeline, from: timeline.base.record.offset, to: (successor?.offset ?? timeline.end + 1) - 1 }];
  });
}

export function nothingCovered(): CoverageError {
  return new CoverageError('nothing-covered', 'the journal covers nothing yet: its first full sync is not complete', {
    hint: 'journal status tells how far it is',
  });
}

/** `asked` is the target in words, `at` the last instant of which everything was to be applied. */
export function timeNotCovered(timelines: readonly Timeline[], at: Micros, asked: string): CoverageError {
  const before = timelines.findLast((timeline) => timeCoverage(timeline).to < at);
  const after = timelines.find((timeline) => timeCoverage(timeline).from > at);
  if (before === undefined && after === undefined) return nothingCovered();
  if (after === undefined) {
    return new CoverageError('time-not-covered', `${asked} is behind the end of the journal`, {
      hint: `--at latest restores that end: ${endOf(before)}`,
    });
  }
  if (before === undefined) {
    return new CoverageError('time-not-covered', `${asked} is before the first base of the journal was complete`, {
      hint: `the first covered instant is ${startOf(after)}`,
    });
  }
  return new CoverageError('time-not-covered', `${asked} lies in a gap ${describeGap(before, after)}`, {
    hint: `the nearest covered instants are, before the gap, ${endOf(before)}; behind it, ${startOf(after)}`,
  });
}

/** The journal had not received all that the primary had written by then, and never did. */
export function lagging(timeline: Timeline, asked: string): CoverageError {
  return new CoverageError('time-not-covered', `by ${asked} the primary had written more than the journal holds`, {
    hint: `the journal lagged behind, and ends at ${endOf(timeline)}`,
  });
}

/** More than one timeline covers the instant: only a clock that was set back can do that. */
export function timeOnSeveralTimelines(timelines: readonly Timeline[], asked: string): CoverageError {
  const list = timelines.map((timeline) => `from ${startOf(timeline)} to ${endOf(timeline)}`).join('; ');
  return new CoverageError('time-ambiguous', `${asked} is on ${timelines.length} timelines`, {
    exitCode: 5,
    hint: `give a position instead of a time; the timelines are ${list}`,
  });
}

/** `offset` is not among the positions that the journal holds of this id. */
export function offsetNotCovered(
  covered: readonly OffsetCoverage[],
  id: ReplicationId,
  offset: Offset,
  asked: string,
): CoverageError {
  const before = covered.findLast(({ to }) => to < offset);
  const after = covered.find(({ from }) => from >= offset);
  const sides: string[] = [];
  if (before !== undefined) {
    const last = Math.min(before.to, before.timeline.boundary);
    sides.push(`before it --at ${formatPosition({ id, offset: last })}`);
  }
  if (after !== undefined) sides.push(`behind it ${startOf(after.timeline)}`);
  return new CoverageError('position-not-covered', `${asked} is not in the journal`, {
    hint: `the nearest covered positions of that history are ${sides.join('; ')}`,
  });
}

/** The journal ends inside the command, or group, that holds the byte. */
export function commandNotWhole(timeline: Timeline, asked: string): CoverageError {
  return new CoverageError('position-not-covered', `${asked} is in a command whose end is not in the journal`, {
    hint: `the last whole command before it: ${endOf(timeline)}`,
  });
}

export function idNotCovered(ids: readonly ReplicationId[], idPrefix: string): CoverageError {
  return new CoverageError('position-not-covered', `the journal holds no replication id that begins with ${idPrefix}`, {
    hint: `it holds ${ids.join(', ')}`,
  });
}

export function idAmbiguous(matching: readonly ReplicationId[], idPrefix: string): CoverageError {
  return new CoverageError('id-ambiguous', `${matching.length} replication ids begin with ${idPrefix}`, {
    exitCode: 5,
    hint: `write more digits of the one that is meant: ${matching.join(', ')}`,
  });
}

export function markUnknown(name: string, known: readonly string[]): CoverageError {
  const list = known.slice(-10).map((one) => JSON.stringify(one));
  return new CoverageError('mark-unknown', `there is no mark ${JSON.stringify(name)}`, {
    hint: list.length === 0 ? 'there are no marks at all' : `the latest marks are ${list.join(', ')}`,
  });
}

export function markNotCovered(name: string): CoverageError {
  return new CoverageError(
    'position-not-covered',
    `the timeline of mark ${JSON.stringify(name)} is not in the journal`,
    {
      hint: 'journal ls shows what is there',
    },
  );
}

function describeGap(before: Timeline, after: Timeline): string {
  const { gap } = after;
  const from = formatInstantShort(timeCoverage(before).to);
  const to = formatInstantShort(gap?.to.stamp ?? timeCoverage(after).from);
  return `from ${from} to ${to}${gap === undefined ? '' : `: ${causes[gap.cause]} (${gap.detail})`}`;
}

const causes: Readonly<Record<GapCause, string>> = {
  'backlog-overrun': 'the journal was away for longer than the primary kept its backlog',
  'history-changed': 'the primary came back with another history',
  'stream-broken': 'the stream of the primary could not be read on',
  operator: 'a new full sync was asked for',
};

function endOf(timeline: Timeline | undefined): string {
  if (timeline === undefined) return 'nothing';
  const position = formatPosition({ id: idAt(timeline, timeline.boundary), offset: timeline.boundary });
  return `--at ${formatInstantShort(timeCoverage(timeline).to)} (position ${position})`;
}

function startOf(timeline: Timeline): string {
  const { id, offset, completed } = timeline.base.record;
  return `--at ${formatInstantShort(completed)} (position ${formatPosition({ id, offset })})`;
}
