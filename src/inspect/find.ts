/**
 * Looks for commands in the past: every command of the range that matches, once, in the order of the stream, with what lies
 * in between and is not there to be searched.
 *
 * Neighbours: reach.ts says where to look, command-filter.ts what for, scan.ts goes through the stream.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset, Position, ReplicationId } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import type { OrphanRange } from '../log/orphans.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { stampIn } from '../restore/locate/stamp-in.ts';
import type { Disk } from '../storage/disk.ts';
import type { CommandFilter, Match } from './command-filter.ts';
import type { Leg, Reach } from './reach.ts';
import { scanCommands } from './scan.ts';
import { WrittenTimes } from './written.ts';
import type { Written } from './written.ts';

export interface FoundCommand {
  readonly kind: 'command';
  readonly timeline: Timeline;
  readonly position: Position;
  /** When its last byte was received. */
  readonly stamp: Micros;
  readonly written: Written;
  readonly match: Match;
  /** The history that survived a failover does not contain it. */
  readonly isOrphan: boolean;
  /** Of use until the next ones are asked for. */
  readonly command: StreamCommand;
}

/** Other than a command: what was not searched, and where the history changed its name. */
export type Notice =
  | Exclude<Leg, { readonly kind: 'stretch' }>
  /** The last position under the id before, and the id that the history goes on under. */
  | { readonly kind: 'switch'; readonly timeline: number; readonly position: Position; readonly id: ReplicationId }
  | { readonly kind: 'orphan'; readonly orphan: OrphanRange };

export type FindEvent = FoundCommand | Notice;

export interface FindOptions {
  /** Of each argument no more than this is kept. */
  readonly keepBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** In order, some at a time. */
export async function* find(
  disk: Disk,
  reach: Reach,
  filter: CommandFilter,
  options: FindOptions,
): AsyncGenerator<readonly FindEvent[], void, undefined> {
  for (const leg of reach.legs) {
    if (leg.kind === 'stretch') yield* findOn(disk, leg, reach.orphans, filter, options);
    else yield [leg];
  }
}

async function* findOn(
  disk: Disk,
  leg: Leg & { readonly kind: 'stretch' },
  orphans: readonly OrphanRange[],
  filter: CommandFilter,
  { keepBytes, signal }: FindOptions,
): AsyncGenerator<readonly FindEvent[], void, undefined> {
  const { timeline } = leg;
  const notices = noticesOn(leg, orphans);
  const times = new WrittenTimes(disk, timeline);
  const { isWanted, isMatch } = filter;
  const reading = { ...(keepBytes !== undefined && { keepBytes }), isWanted, isMatch };
  for await (const { commands, reads } of scanCommands(disk, timeline, leg, reading, signal)) {
    const events: FindEvent[] = [];
    for (const command of commands) {
      const match = filter.match(command);
      if (match === undefined) continue;
      const { end: offset } = command;
      while ((notices[0]?.offset ?? Infinity) <= offset)
        events.push(...notices.splice(0, 1).map(({ notice }) => notice));
      if (!times.isAt(offset)) await times.goTo(offset);
      const stamp = stampIn(reads, offset);
      const position = { id: idAt(timeline, offset), offset };
      const isOrphan = orphans.some(
        (one) => one.timeline === timeline.number && one.from <= offset && offset <= one.to,
      );
      events.push({
        ...{ kind: 'command', timeline, position, stamp, written: times.of(offset, stamp), match, isOrphan, command },
      });
    }
    if (events.length > 0) yield events;
  }
  if (notices.length > 0) yield notices.map(({ notice }) => notice);
}

/** By the first offset that they concern. */
function noticesOn(
  { timeline, from, to }: Leg & { readonly kind: 'stretch' },
  orphans: readonly OrphanRange[],
): { readonly offset: Offset; readonly notice: Notice }[] {
  const { number, ids } = timeline;
  const switches = ids.flatMap(({ id, offset }, i) => {
    const before = ids[i - 1]?.id;
    if (before === undefined) return [];
    const notice = { kind: 'switch', timeline: number, position: { id: before, offset: offset - 1 }, id } as const;
    return [{ offset, notice }];
  });
  const left = orphans.flatMap((orphan) => {
    if (orphan.timeline !== number || orphan.to <= from) return [];
    return [{ offset: Math.max(orphan.from, from + 1), notice: { kind: 'orphan', orphan } as const }];
  });
  return [...switches, ...left]
    .filter(({ offset }) => from < offset && offset <= to)
    .sort((a, b) => a.offset - b.offset);
}
