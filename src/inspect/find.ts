/**
 * Looks for commands in the past: every command of the range that matches, once, in the order of the stream, with what lies
 * in between and is not there to be searched.
 *
 * Neighbours: reach.ts says where to look, command-filter.ts what for, scan.ts goes through the stream.
 */
import type { Micros } from '../core/clock.ts';
import type { Position } from '../core/position.ts';
import type { BlockCache } from '../log/block-cache.ts';
import { idAt } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import type { OrphanRange } from '../log/orphans.ts';
import { nameOf } from '../redis/command-reader.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { stampIn } from '../restore/locate/stamp-in.ts';
import type { Disk } from '../storage/disk.ts';
import type { CommandFilter, Match } from './command-filter.ts';
import { Notices } from './notices.ts';
import type { Notice, StretchLeg } from './notices.ts';
import type { Reach } from './reach.ts';
import { removedNotice } from './removed-notice.ts';
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

export type FindEvent = FoundCommand | Notice;

export interface FindOptions {
  /** Of each argument no more than this is kept. */
  readonly keepBytes?: number | undefined;
  /** Shared with other searches that go on at the same time. */
  readonly blocks?: BlockCache | undefined;
  /** Every MULTI and EXEC comes as well, so that it can be told which commands belong to one group. */
  readonly withGroups?: boolean;
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
    if (leg.kind === 'stretch') yield* findUntilRemoved(disk, reach, leg, filter, options);
    else yield [leg];
  }
}

async function* findUntilRemoved(
  disk: Disk,
  reach: Reach,
  leg: StretchLeg,
  filter: CommandFilter,
  options: FindOptions,
): AsyncGenerator<readonly FindEvent[], void, undefined> {
  try {
    yield* findOn(disk, leg, reach.orphans, filter, options);
  } catch (error) {
    yield [await removedNotice(disk, reach, leg, error)];
  }
}

async function* findOn(
  disk: Disk,
  leg: StretchLeg,
  orphans: readonly OrphanRange[],
  filter: CommandFilter,
  { keepBytes, blocks, withGroups = false, signal }: FindOptions,
): AsyncGenerator<readonly FindEvent[], void, undefined> {
  const { timeline } = leg;
  const notices = new Notices(leg, orphans);
  const times = new WrittenTimes(disk, timeline);
  const { isWanted, isMatch } = filter;
  const take = (command: StreamCommand): Taken | undefined => {
    const match = withGroups && isGroupEnd(command) ? 'sure' : filter.match(command);
    return match && { command, match };
  };
  const reading = { ...(keepBytes !== undefined && { keepBytes }), isWanted, isMatch, take, blocks };
  const wanted = withGroups ? everything : filter.wanted;
  for await (const { taken, reads } of scanCommands(disk, timeline, leg, wanted, reading, signal)) {
    const events: FindEvent[] = [];
    for (const { command, match } of taken) {
      const { end: offset } = command;
      events.push(...notices.before(offset));
      if (!times.isAt(offset)) await times.goTo(offset);
      const stamp = stampIn(reads, offset);
      const position = { id: idAt(timeline, offset), offset };
      const found = { kind: 'command', timeline, position, stamp, written: times.of(offset, stamp) } as const;
      events.push({ ...found, match, isOrphan: notices.isOrphan(offset), command });
    }
    yield events;
  }
  const rest = notices.before(leg.to);
  if (rest.length > 0) yield rest;
}

/** All commands, whatever filters say. */
const everything = {};

function isGroupEnd(command: StreamCommand): boolean {
  if (!command.inMulti || command.argumentCount > 1) return false;
  const name = nameOf(command);
  return name === 'MULTI' || name === 'EXEC';
}

interface Taken {
  readonly command: StreamCommand;
  readonly match: Match;
}
