/**
 * From a target to a cut: the boundary up to which history is applied. A cut is exact or refused; it never lies inside a
 * command or a MULTI, and everything between the base and it is there.
 *
 *   --at a time        all commands stamped up to and including it      --before     stamped earlier than it
 *   --at a position    up to and including the command that holds it    --before     without that command, or its MULTI
 *
 * Neighbours: target.ts reads what the user wrote, locate-boundaries.ts searches the log, locate-coverage.ts refuses;
 * plan.ts goes on from the cut.
 */
import type { Micros } from '../../core/clock.ts';
import { IntegrityError } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import type { Offset, ReplicationId } from '../../core/position.ts';
import { idAt } from '../../log/catalog.ts';
import type { Catalog, Timeline } from '../../log/catalog.ts';
import { readMarks } from '../../log/timeline-store.ts';
import type { Disk } from '../../storage/disk.ts';
import type { Certainty } from './certainty.ts';
import { formatInstantShort } from './instant.ts';
import { boundariesAround, stampOf } from './locate-boundaries.ts';
import type { Neighbours, StampedOffset } from './locate-boundaries.ts';
import {
  commandNotWhole,
  idAmbiguous,
  idNotCovered,
  markNotCovered,
  markUnknown,
  nothingCovered,
  offsetCoverage,
  offsetNotCovered,
  timeNotCovered,
  timeOnSeveralTimelines,
} from './locate-coverage.ts';
import {
  damagedNewest,
  damagedTarget,
  explainDamaged,
  refuseShortPrefix,
  refuseWhereDamaged,
} from './locate-damaged.ts';
import { explainRemoved, removedError } from './locate-removed.ts';
import { certaintiesOn, locateTime } from './locate-time.ts';
import type { TimeReading } from './locate-time.ts';
import type { Target } from './target.ts';

export type CutMode = 'at' | 'before';

export interface Cut {
  readonly timeline: number;
  /** The replication id in force at `offset`. */
  readonly id: ReplicationId;
  /** A boundary: the position of the last command that is applied, or of the base. */
  readonly offset: Offset;
  readonly requested: { readonly target: Target; readonly mode: CutMode };
  readonly lastApplied: StampedOffset;
  /** Position and stamp of the first command, or group, that is left out; undefined where the journal has no more. */
  readonly firstOmitted: StampedOffset | undefined;
  /** Stamp of the last applied command; of a base alone, when it was complete. */
  readonly reached: Micros;
  /** How sure the time is; undefined for targets that are not times. */
  readonly time: TimeReading | undefined;
}

/** Whether a time that the journal cannot be sure of is refused, or taken as the earliest state that it may mean. */
export type UncertaintyRule = 'refuse' | 'accept';

/** CoverageError when the journal does not hold the target, or holds more than one that it could mean. */
export async function locate(
  disk: Disk,
  catalog: Catalog,
  target: Target,
  mode: CutMode,
  uncertainty: UncertaintyRule = 'refuse',
): Promise<Cut> {
  if (catalog.timelines.length === 0 && catalog.damaged.length === 0) throw nothingCovered();
  const { timeline, last, next, time } = await findBoundaries(disk, catalog, target, mode, uncertainty).catch(
    (error: unknown) => {
      const told = explainRemoved(error, catalog, target);
      throw told === error ? explainDamaged(error, catalog, inWords(target)) : told;
    },
  );
  return {
    timeline: timeline.number,
    id: idAt(timeline, last.offset),
    offset: last.offset,
    requested: { target, mode },
    lastApplied: last,
    firstOmitted: next,
    reached: last.stamp,
    time,
  };
}

/** A timeline, and the boundaries on both sides of the cut. */
interface Found extends Neighbours {
  readonly timeline: Timeline;
  readonly time?: TimeReading;
}

async function findBoundaries(
  disk: Disk,
  catalog: Catalog,
  target: Target,
  mode: CutMode,
  uncertainty: UncertaintyRule,
): Promise<Found> {
  const { timelines } = catalog;
  switch (target.kind) {
    case 'time':
      return await findTime(disk, catalog, target.at, mode, uncertainty);
    case 'latest': {
      const damaged = damagedNewest(catalog);
      if (damaged !== undefined) throw damagedTarget(damaged, 'the end of the journal');
      const newest = timelines.at(-1);
      if (newest === undefined) throw nothingCovered();
      if (newest.end < newest.stoppedAt) throw endLost(newest);
      return await findOffset(disk, newest, newest.boundary, mode, 'the end of the journal');
    }
    case 'mark': {
      const marks = await readMarks(disk, catalog.tree);
      const mark = marks.find(({ name }) => name === target.name);
      if (mark === undefined)
        throw markUnknown(
          target.name,
          marks.map(({ name }) => name),
        );
      const timeline = timelines.find(({ number }) => number === mark.timeline);
      const removed = catalog.removed.find((record) => record.timeline === mark.timeline);
      if (removed !== undefined) throw removedError(removed, timelines);
      const damaged = catalog.damaged.find(({ number }) => number === mark.timeline);
      if (damaged !== undefined) throw damagedTarget(damaged, inWords(target));
      if (timeline === undefined) throw markNotCovered(mark.name);
      return await findOffset(disk, timeline, mark.offset, mode, inWords(target));
    }
    case 'position':
      return await findPosition(disk, catalog, target.idPrefix, target.offset, mode);
  }
}

async function findTime(
  disk: Disk,
  catalog: Catalog,
  time: Micros,
  mode: CutMode,
  uncertainty: UncertaintyRule,
): Promise<Found> {
  const { timelines } = catalog;
  // Stamps are whole microseconds: "earlier than T" is "up to T − 1".
  const at = mode === 'at' ? time : time - 1;
  const asked = mode === 'at' ? formatInstantShort(time) : `the moment before ${formatInstantShort(time)}`;
  const covering: { readonly timeline: Timeline; readonly certainties: readonly Certainty[] }[] = [];
  for (const timeline of timelines) {
    const certainties = await certaintiesOn(disk, timeline, at);
    if (certainties.length > 0) covering.push({ timeline, certainties });
  }
  const [found] = covering;
  if (found === undefined) throw timeNotCovered(timelines, at, asked);
  if (covering.length > 1) {
    throw timeOnSeveralTimelines(
      covering.map(({ timeline }) => timeline),
      asked,
    );
  }
  const { timeline, certainties } = found;
  refuseWhereDamaged(catalog, [at, ...certainties.map(({ stamp }) => stamp)], asked);
  return { timeline, ...(await locateTime(disk, timeline, certainties, asked, uncertainty === 'accept')) };
}

async function findPosition(
  disk: Disk,
  catalog: Catalog,
  idPrefix: string,
  offset: Offset,
  mode: CutMode,
): Promise<Found> {
  const { timelines } = catalog;
  refuseShortPrefix(catalog, idPrefix);
  const ids = [...new Set(timelines.flatMap((timeline) => timeline.ids.map(({ id }) => id)))];
  const matching = ids.filter((id) => id.startsWith(idPrefix));
  const [id] = matching;
  if (id === undefined) throw idNotCovered(ids, idPrefix);
  if (matching.length > 1) throw idAmbiguous(matching, idPrefix);
  const asked = askedPosition(id, offset, mode);
  const covered = offsetCoverage(timelines, id);
  // One history has the same bytes on every timeline; the newest base has the fewest of them to be replayed.
  const best = covered.findLast(({ from, to }) => (mode === 'at' ? from <= offset : from < offset) && offset <= to);
  if (best === undefined) throw offsetNotCovered(covered, id, offset, asked);
  return await findOffset(disk, best.timeline, offset, mode, asked);
}

/** As it is called where it is refused. */
function inWords(target: Target): string {
  switch (target.kind) {
    case 'time':
      return formatInstantShort(target.at);
    case 'latest':
      return 'the end of the journal';
    case 'mark':
      return `mark ${JSON.stringify(target.name)}`;
    case 'position':
      return formatPosition({ id: target.idPrefix, offset: target.offset });
  }
}

function askedPosition(id: ReplicationId, offset: Offset, mode: CutMode): string {
  return `${mode === 'at' ? '' : 'what is before '}${formatPosition({ id, offset })}`;
}

async function findOffset(
  disk: Disk,
  timeline: Timeline,
  offset: Offset,
  mode: CutMode,
  asked: string,
): Promise<Found> {
  if (mode === 'before') {
    if (offset <= timeline.base.record.offset) throw beforeBase(timeline, offset, asked);
    return { timeline, ...(await boundariesAround(disk, timeline, { by: 'offset', offset: offset - 1 })) };
  }
  if (offset > timeline.boundary) throw commandNotWhole(timeline, asked);
  if (offset === timeline.boundary) return { timeline, last: await stampOf(disk, timeline, offset), next: undefined };
  const around = await boundariesAround(disk, timeline, { by: 'offset', offset });
  if (around.last.offset === offset) return { timeline, ...around };
  // Inside a command: it is included, up to its end, which is the first boundary behind.
  if (around.next === undefined) throw commandNotWhole(timeline, asked);
  const behind = await boundariesAround(disk, timeline, { by: 'offset', offset: around.next.offset });
  return { timeline, ...behind };
}

function beforeBase(timeline: Timeline, offset: Offset, asked: string): Error {
  const id = idAt(timeline, offset);
  return offsetNotCovered(offsetCoverage([timeline], id), id, offset, asked);
}

/** What is left is not the latest: that would be restored without a word about what is missing. */
function endLost({ directory, end, stoppedAt, ids, boundary }: Timeline): IntegrityError {
  const whole = formatPosition({ id: idAt({ ids }, boundary), offset: boundary });
  return new IntegrityError('tail-missing', `${directory} ends at offset ${end}, but ${stoppedAt} had been durable`, {
    hint: `journal verify shows the whole picture; what is left can be restored with --at ${whole}`,
  });
}
