/**
 * Gives a place in history a name. A mark must never claim more than is on the medium: recovery takes it for a promise.
 * So while a writer lives, its word is waited for that the place is durable; without one, the end of the journal is
 * verified and synced here.
 *
 *   with the primary's offset     the mark stands exactly there, once that is durable
 *   without it                    at the last boundary that is in the journal now
 */
import { dirname } from 'node:path';
import type { MarkRecord } from '../../journal-format/mark.ts';
import { isMarkName } from '../../journal-format/names.ts';
import type { Clock } from '../core/clock.ts';
import { CoverageError, UsageError } from '../core/errors.ts';
import { parseOffset } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import { idAt, loadCatalogLeft, withCatalog } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import { openSegmentReader } from '../log/segment-reader.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { writeMark } from '../log/timeline-store.ts';
import { boundariesAround, stampOf } from '../restore/locate/locate-boundaries.ts';
import { damagedNewest } from '../restore/locate/locate-damaged.ts';
import type { Disk } from '../storage/disk.ts';
import type { RunState } from './state-file.ts';
import { readWriter } from './status.ts';

export interface MarkOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  readonly name: string;
  readonly note: string | undefined;
  /** Where the primary was when the mark was asked for, if it was asked. */
  readonly primaryOffset: Offset | undefined;
  readonly signal: AbortSignal;
}

export const noteCharactersMax = 1024;
const patienceMs = 10_000;
const pollMs = 50;

/** Durable on return. CoverageError when there is nothing to mark, or it did not become durable within 10 s. */
export async function setMark(options: MarkOptions): Promise<MarkRecord> {
  const { disk, clock, tree, name, note } = options;
  checkWords(name, note);
  const place = await findPlace(options);
  // Since then the segment may have been sealed.
  const position = await withCatalog(disk, tree, ({ timelines }) => positionOf(disk, timelines, place));
  const mark: MarkRecord = { name, ...position, created: clock.wall(), ...(note !== undefined && { note }) };
  await writeMark(disk, tree, mark);
  return mark;
}

async function positionOf(
  disk: Disk,
  timelines: readonly Timeline[],
  place: Place,
): Promise<Pick<MarkRecord, 'timeline' | 'id' | 'offset' | 'stamp'>> {
  const timeline = timelines.find(({ number }) => number === place.timeline.number) ?? place.timeline;
  const offset = await boundaryFrom(disk, timeline, place.offset);
  const { stamp } = await stampOf(disk, timeline, offset);
  return { timeline: timeline.number, id: idAt(timeline, offset), offset, stamp };
}

function checkWords(name: string, note: string | undefined): void {
  if (!isMarkName(name)) {
    throw new UsageError('bad-mark-name', 'a mark has a name of 1 to 128 characters, none of them a control character');
  }
  if (note !== undefined && (note.length > noteCharactersMax || !note.isWellFormed())) {
    throw new UsageError('bad-note', `a note has at most ${noteCharactersMax} characters`);
  }
}

interface Place {
  readonly timeline: Timeline;
  /** The boundary to mark; by what the primary says, which may not be one of ours. */
  readonly offset: Offset;
}

async function findPlace(options: MarkOptions): Promise<Place> {
  const { disk, clock, tree, primaryOffset, signal } = options;
  const deadline = clock.monotonic() + patienceMs * 1000;
  // Without the primary's offset: all that is in the files when we first look.
  let wanted = primaryOffset;
  for (;;) {
    const { writer, live } = await readWriter(disk, tree);
    const timeline = await newestTimeline(disk, tree);
    if (writer === undefined) return await placeWithoutWriter(disk, timeline, primaryOffset);
    wanted ??= timeline.boundary;
    if (isDurable(live, timeline, wanted) && wanted <= timeline.boundary) {
      return { timeline, offset: wanted };
    }
    if (clock.monotonic() >= deadline) throw notDurable(wanted, live, timeline);
    await clock.sleep(pollMs, signal);
  }
}

async function newestTimeline(disk: Disk, tree: SourceTree): Promise<Timeline> {
  const catalog = await loadCatalogLeft(disk, tree);
  const damaged = damagedNewest(catalog);
  if (damaged !== undefined) throw damaged.error;
  const newest = catalog.timelines.at(-1);
  if (newest !== undefined) return newest;
  throw new CoverageError('nothing-covered', `nothing of ${tree.source} has been journaled yet`, {
    hint: 'a mark needs a place in the journal: wait until the first full sync is complete (journal status)',
  });
}

/** A full sync under way, or a writer that has just started, says nothing of this timeline. */
function isDurable(live: RunState | undefined, timeline: Timeline, offset: Offset): boolean {
  if (live?.timeline !== timeline.number || live.position === null) return false;
  return (parseOffset(live.position.durable) ?? 0) >= offset;
}

/** The primary's offset is a boundary of its stream; the next one is taken should ours not know it as one. */
async function boundaryFrom(disk: Disk, timeline: Timeline, offset: Offset): Promise<Offset> {
  if (offset === timeline.boundary) return offset;
  if (offset < timeline.base.record.offset) throw otherHistory(offset, timeline);
  const { last, next } = await boundariesAround(disk, timeline, { by: 'offset', offset });
  return last.offset === offset ? offset : (next?.offset ?? timeline.boundary);
}

/** Nobody writes: what is there is verified, and synced, as recovery would. */
async function placeWithoutWriter(disk: Disk, timeline: Timeline, primaryOffset: Offset | undefined): Promise<Place> {
  if (primaryOffset !== undefined) {
    throw new CoverageError('no-writer', 'no journal is running: what the primary has now is not being journaled', {
      hint: 'start journal run, or leave --source out to mark the end of what is there',
    });
  }
  const last = timeline.segments.at(-1);
  if (last?.kind !== 'open') return { timeline, offset: timeline.boundary };
  let offset = last.start - 1;
  await using reader = await openSegmentReader(disk, last.path, 'open');
  for await (const { header } of reader.frames()) offset = header.boundary;
  await using file = await disk.open(last.path, 'read');
  await file.sync();
  await disk.syncDirectory(dirname(last.path));
  return { timeline, offset };
}

function notDurable(wanted: Offset, live: RunState | undefined, timeline: Timeline): CoverageError {
  const { state = 'silent', position = null } = live ?? {};
  if (position !== null && wanted < timeline.base.record.offset) return otherHistory(wanted, timeline);
  return new CoverageError(
    'not-durable',
    `offset ${wanted} was not durable within ${patienceMs / 1000} s: the journal is ${state}, durable up to ${position?.durable ?? 'an unknown offset'}`,
    { hint: 'no mark was set; journal status tells what holds it up' },
  );
}

function otherHistory(offset: Offset, timeline: Timeline): CoverageError {
  return new CoverageError(
    'other-history',
    `the primary is at offset ${offset}, before the beginning of timeline ${timeline.number}: it has another history`,
    { hint: 'does --source name the primary that is journaled here? (journal status)' },
  );
}
