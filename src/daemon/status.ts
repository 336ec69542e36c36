/**
 * Where a source stands, put together from its files, its writer's lock and its writer's last words. No payload is read,
 * nothing is locked, and it works the same whether a writer lives or not.
 *
 * Invariant: coverage (intervals, gaps, bases) is told from files alone. The state file only adds what files cannot
 * tell: what the living writer is doing, and what it has received beyond the last sync.
 */
import type { Clock, Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import { idAt, withCatalog } from '../log/catalog.ts';
import type { Catalog, Timeline } from '../log/catalog.ts';
import { damageIn } from '../log/damaged.ts';
import type { DamagedTimeline } from '../log/damaged.ts';
import { withSizes } from '../log/segment-sizes.ts';
import type { MeasuredTimeline } from '../log/segment-sizes.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { readMarksLeft } from '../log/timeline-store.ts';
import { damagedNewest } from '../restore/locate/locate-damaged.ts';
import { uncertainSpans } from '../restore/locate/uncertain.ts';
import type { UncertainSpan } from '../restore/locate/uncertain.ts';
import type { Disk } from '../storage/disk.ts';
import { WriterLock } from '../storage/writer-lock.ts';
import type { Holder } from '../storage/writer-lock.ts';
import { readCopies } from './copy-note.ts';
import type { DiskState } from './disk-watch.ts';
import type { RetentionState } from './keep-local.ts';
import { readRunState } from './state-file.ts';
import type { Degraded, RunError, RunState } from './state-file.ts';
import { copyWarnings, statusCopies } from './status-copies.ts';
import type { StatusCopy } from './status-copies.ts';
import { damagedOf, gapsIn, intervalOf, orphansIn, removedOf, replicasOf } from './status-lists.ts';
import type {
  StatusDamaged,
  StatusGap,
  StatusInterval,
  StatusOrphan,
  StatusRemoved,
  StatusReplica,
} from './status-lists.ts';
import type { AckMode } from './settings.ts';
import type { LinkLag } from './source-link.ts';
import { uncertainOf } from './status-time.ts';
import type { StatusClock, StatusUncertain } from './status-time.ts';
import { ackWarnings, clockWarnings, unendedWarnings, warningsOf } from './status-warnings.ts';
import type { UnendedCommand } from './unended-command.ts';

/**
 * `degraded`: the stream of a server that is no primary comes in and is durable. `stalled`: a writer holds the lock but
 * has said nothing for 5 s, or cannot make durable what it receives.
 */
export type SourceState =
  'streaming' | 'degraded' | 'syncing' | 'connecting' | 'disconnected' | 'stalled' | 'stopped' | 'empty';

/** Printed as it is by `status --json`: keys are always there, null where unknown; times RFC 3339, offsets strings. */
export interface Status {
  readonly source: string;
  readonly state: SourceState;
  /** The stream is coming in, becomes durable, and nothing is known to be damaged. */
  readonly healthy: boolean;
  readonly checkedAt: string;
  /** The primary's host:port. */
  readonly address: string | null;
  readonly server: { readonly kind: string; readonly version: string } | null;
  /** The newest timeline. */
  readonly timeline: number | null;
  readonly position: StatusPosition;
  /** When the last byte that is in the journal was received. */
  readonly lastReceived: string | null;
  readonly lag: StatusLag;
  /** A full sync under way: bytes of its RDB. */
  readonly sync: { readonly received: number; readonly size: number | null } | null;
  readonly intervals: readonly StatusInterval[];
  readonly gaps: readonly StatusGap[];
  /** Timelines that cannot be listed, so that nobody can tell what they cover; others are not touched by that. */
  readonly damaged: readonly StatusDamaged[];
  /** What can be restored, and is in no surviving history: the old primary acknowledged it. */
  readonly orphans: readonly StatusOrphan[];
  /** Times of the newest segments of which it is not known what the primary had written by then. */
  readonly uncertain: readonly StatusUncertain[];
  readonly clock: StatusClock;
  readonly lastBase: StatusBase | null;
  readonly segments: { readonly open: number; readonly sealed: number; readonly bytes: number };
  readonly bases: { readonly count: number; readonly bytes: number };
  readonly marks: number;
  /** A command or MULTI whose end has not come, however much of it has; no restore reaches behind its beginning. */
  readonly unended: UnendedCommand | null;
  /** Segments that wait to be sealed. */
  readonly sealingBacklog: number;
  readonly freeBytes: number | null;
  /** What was covered and then removed on purpose, oldest first. */
  readonly removed: readonly StatusRemoved[];
  /** How much of the journal is kept here, as the living writer was told; null: all of it. */
  readonly retention: RetentionState | null;
  /** What the living writer waits for before it acknowledges to the primary. */
  readonly ack: AckMode | null;
  /** Lag behind the journal that is followed, and behind the primary; null where a server is followed. */
  readonly link: LinkLag | null;
  /** Those that the living writer feeds. */
  readonly replicas: readonly StatusReplica[];
  /** Delayed copies that are served from this directory, or are paused. */
  readonly copies: readonly StatusCopy[];
  /** What the living writer says of its disk. */
  readonly disk: DiskState | null;
  readonly writer: Holder | null;
  /** Why a server is followed that is not a primary; null when it is one. */
  readonly degraded: Degraded | null;
  /** Why the link is down; without a writer, what its last one said of that. */
  readonly error: RunError | null;
  readonly nextAttemptAt: string | null;
  readonly warnings: readonly string[];
}

export interface StatusPosition {
  readonly id: string | null;
  /** In memory of the living writer; without one, the same as durable. */
  readonly received: string | null;
  readonly durable: string | null;
  /** Safe in remote storage. */
  readonly shipped: string | null;
}

/**
 * `bytes` were received but are not durable. `seconds` have gone by since the last byte was received: a primary without
 * writes sends one PING in ten seconds, so less than that says nothing; much more means that nothing comes in any more.
 */
export interface StatusLag {
  readonly seconds: number | null;
  readonly bytes: number | null;
}

export interface StatusBase {
  readonly timeline: number;
  readonly position: string;
  readonly time: string;
  readonly size: number;
  /** Of the RDB. */
  readonly version: number;
}

/** Older words than these are not of a writer that is well. */
const silentMicros: Micros = 5_000_000;
/** Received longer ago than this and still not durable: the disk does not keep up, or hangs. */
const durableWithinMicros: Micros = 5_000_000;
/** A minute each at least: the last four hours. */
const uncertainSegments = 256;

export async function readStatus(disk: Disk, tree: SourceTree, clock: Clock): Promise<Status> {
  return (await readStatusOf(disk, tree, clock)).status;
}

/** With the timeline that it is the status of, from the same look at the files; undefined where there is none. */
export async function readStatusOf(
  disk: Disk,
  tree: SourceTree,
  clock: Clock,
): Promise<{ readonly status: Status; readonly newest: Timeline | undefined }> {
  const now = clock.wall();
  const { writer, words, live } = await readWriter(disk, tree);
  const { catalog, spans, damage } = await tryCatalog(disk, tree);
  const { marks, damage: damagedMarks } = await readMarksLeft(disk, tree);
  const freeBytes = await disk.freeBytes(tree.directory).catch(() => null);
  // What is older than a damaged one is not where the journal stands.
  const newest = damagedNewest(catalog) === undefined ? catalog.timelines.at(-1) : undefined;
  const isEmpty = catalog.timelines.length === 0 && damage.length === 0;
  const state = stateOf(writer, live, isEmpty, now);
  if (newest !== undefined && newest.end < newest.stoppedAt) {
    damage.push(`the journal is damaged: it ends at offset ${newest.end}, but ${newest.stoppedAt} had been durable`);
  }
  const standingNow = standing(newest, live, writer !== undefined, now);
  const { timeline, position } = standingNow;
  const retention = live?.retention ?? null;
  const place = { now, timeline, durable: position.durable, removed: catalog.removed, retention };
  const copies = statusCopies(await readCopies(disk, tree, now), place);
  const marksLost = damagedMarks.map(({ message }) => `a mark is damaged: ${message}`);
  const warnings = [
    ...damage,
    ...marksLost,
    ...warningsOf(writer, words, catalog, freeBytes),
    ...unendedWarnings(live?.unended ?? null),
    ...clockWarnings(live?.clock),
    ...ackWarnings(live),
    ...copyWarnings(copies, retention?.rule),
  ];
  const status: Status = {
    source: tree.source,
    state,
    healthy: isWell(state, live) && damage.length === 0,
    checkedAt: formatInstant(now),
    address: live?.source ?? newest?.record.address ?? null,
    server: live?.server ?? newest?.record.server ?? null,
    ...standingNow,
    sync: live?.state === 'syncing' ? live.sync : null,
    ...coverage(await withSizes(disk, catalog.timelines), catalog.damaged),
    uncertain: spans.map((span) => uncertainOf(span, catalog)),
    clock: live?.clock ?? { skew: null, sampledAt: null, wallError: null },
    unended: live?.unended ?? null,
    marks: marks.length,
    freeBytes,
    removed: catalog.removed.map(removedOf),
    retention,
    ack: live?.ack ?? null,
    link: live?.link ?? null,
    replicas: live === undefined ? [] : replicasOf(live.replicas, Number(live.position?.durable ?? 0)),
    copies,
    disk: live === undefined ? null : diskOf(live, now),
    writer: writer ?? null,
    degraded: live?.degraded ?? null,
    error: (live ?? words)?.lastError ?? null,
    nextAttemptAt: live?.nextAttemptAt ?? null,
    warnings,
  };
  return { status, newest };
}

/** Who writes, if anybody; the words found; and those words again if they are of the writer that lives. */
export async function readWriter(
  disk: Disk,
  tree: SourceTree,
): Promise<{
  readonly writer: Holder | undefined;
  readonly words: RunState | undefined;
  readonly live: RunState | undefined;
}> {
  const writer = WriterLock.probe(tree.directory);
  const words = await readRunState(disk, tree.state);
  const live = writer !== undefined && words !== undefined && isOf(words, writer) ? words : undefined;
  return { writer, words, live };
}

/** A journal that cannot be read whole still has a writer, marks and a state to tell of. */
async function tryCatalog(
  disk: Disk,
  tree: SourceTree,
): Promise<{ readonly catalog: Catalog; readonly spans: readonly UncertainSpan[]; readonly damage: string[] }> {
  try {
    return await withCatalog(disk, tree, async (catalog) => ({
      catalog,
      spans: await uncertainSpans(disk, catalog.timelines, uncertainSegments),
      damage: catalog.damaged.map(
        ({ number, error }) => `timeline ${number} is damaged, what it covers cannot be told: ${error.message}`,
      ),
    }));
  } catch (error) {
    const problem = damageIn(error);
    if (problem === undefined) throw error;
    const damage = [`the journal is damaged, coverage is unknown: ${problem.message}`];
    return { catalog: { tree, timelines: [], damaged: [], unfinished: [], removed: [] }, spans: [], damage };
  }
}

/** Whether these are the words of the writer that lives now, not of the one before. */
function isOf(words: RunState, writer: Holder): boolean {
  return words.pid === writer.pid && Date.parse(words.startedAt) >= Date.parse(writer.since);
}

function stateOf(writer: Holder | undefined, live: RunState | undefined, isEmpty: boolean, now: Micros): SourceState {
  if (writer === undefined) return isEmpty ? 'empty' : 'stopped';
  const heard = micros(live?.updatedAt ?? writer.since);
  if (Number.isNaN(heard) || now - heard > silentMicros) return 'stalled';
  if (live === undefined) return 'connecting';
  if (live.state === 'stopping') return 'stopped';
  if ((live.disk?.trouble ?? null) !== null) return 'stalled';
  if (live.state !== 'streaming') return live.state;
  if (isBehind(live, heard)) return 'stalled';
  return live.degraded === null ? 'streaming' : 'degraded';
}

/** A replica that is followed hands on all that its primary does. */
function isWell(state: SourceState, live: RunState | undefined): boolean {
  return state === 'streaming' || (state === 'degraded' && live?.degraded?.isGrave === false);
}

/** A disk that answers nobody does not take the words that would say so. */
function diskOf({ disk, updatedAt }: RunState, now: Micros): DiskState | null {
  if (disk?.trouble !== null || now - micros(updatedAt) <= silentMicros) return disk;
  const message = 'nothing has been heard of the writer: its disk does not answer, or it hangs itself';
  return { ...disk, trouble: { code: 'disk-silent', message, hint: null, since: updatedAt } };
}

/** Reading stops when too much waits for the disk, so what hangs grows old. */
function isBehind({ position, lastStamp }: RunState, heard: Micros): boolean {
  if (position === null || lastStamp === null || position.received === position.durable) return false;
  return heard - micros(lastStamp) > durableWithinMicros;
}

function standing(
  newest: Timeline | undefined,
  live: RunState | undefined,
  isWritten: boolean,
  now: Micros,
): Pick<Status, 'timeline' | 'position' | 'lastReceived' | 'lag' | 'sealingBacklog'> {
  const open = newest?.segments.filter(({ kind }) => kind === 'open').length ?? 0;
  const sealingBacklog = live?.sealing ?? Math.max(0, open - 1);
  if (newest === undefined) {
    const position = { id: null, received: null, durable: null, shipped: null };
    return { timeline: null, position, lastReceived: null, lag: { seconds: null, bytes: null }, sealingBacklog };
  }
  const { received = null, durable = null } = positionOf(newest, live, isWritten);
  const told = live?.timeline === newest.number ? live.lastStamp : null;
  const lastReceived = told ?? formatInstant(newest.lastStamp);
  return {
    timeline: newest.number,
    position: { id: idAt(newest, newest.end), received, durable, shipped: null },
    lastReceived,
    lag: {
      seconds: Math.max(0, now - micros(lastReceived)) / 1_000_000,
      bytes: received === null || durable === null ? null : Number(received) - Number(durable),
    },
    sealingBacklog,
  };
}

/** What a living writer says of this timeline; without a writer, what the files hold. */
function positionOf(
  newest: Timeline,
  live: RunState | undefined,
  isWritten: boolean,
): { readonly received?: string; readonly durable?: string } {
  if (live?.timeline === newest.number && live.position !== null) return live.position;
  const end = String(newest.end);
  // During a full sync the timeline before it is not written any more, and all of it is durable.
  return isWritten && live?.state !== 'syncing' ? {} : { received: end, durable: end };
}

function coverage(
  timelines: readonly MeasuredTimeline[],
  damaged: readonly DamagedTimeline[],
): Pick<Status, 'intervals' | 'gaps' | 'damaged' | 'orphans' | 'lastBase' | 'segments' | 'bases'> {
  const segments = timelines.flatMap((timeline) => timeline.segments);
  const open = segments.filter(({ kind }) => kind === 'open').length;
  const newest = timelines.at(-1);
  return {
    intervals: timelines.map(intervalOf),
    gaps: gapsIn(timelines, damaged),
    damaged: damaged.map(damagedOf),
    orphans: orphansIn(timelines, damaged),
    lastBase: newest === undefined ? null : baseOf(newest),
    segments: { open, sealed: segments.length - open, bytes: sum(segments.map(({ bytes }) => bytes)) },
    bases: { count: timelines.length, bytes: sum(timelines.map(({ base }) => base.record.size)) },
  };
}

function baseOf({ number, base }: Timeline): StatusBase {
  const { completed, size, version } = base.record;
  return { timeline: number, position: formatPosition(base.record), time: formatInstant(completed), size, version };
}

function micros(rfc3339: string): Micros {
  return Date.parse(rfc3339) * 1000;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
