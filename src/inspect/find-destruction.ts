/**
 * Looks for what destroyed much at once, over the range of a search. Each is told when it is over, so one that
 * began earlier may come behind another. What is one is decided in destruction.ts.
 */
import { decodeReads } from '../../journal-format/reads.ts';
import type { Reads } from '../../journal-format/reads.ts';
import type { CommandGlance } from '../redis/command-glance.ts';
import { keysOf, mayWrite, mayWriteAt } from '../redis/command-keys.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { stampIn } from '../restore/locate/stamp-in.ts';
import type { Timeline } from '../log/catalog.ts';
import type { Frame } from '../log/frames.ts';
import type { Disk } from '../storage/disk.ts';
import { CommandFilter } from './command-filter.ts';
import type { FilterText } from './command-filter.ts';
import { DestructionFinder } from './destruction.ts';
import type { Before, Destruction } from './destruction.ts';
import { Notices } from './notices.ts';
import type { Notice, StretchLeg } from './notices.ts';
import type { Reach } from './reach.ts';
import { RecentWrites } from './recent-writes.ts';
import { removedNotice } from './removed-notice.ts';
import { scanCommands } from './scan.ts';

export interface FoundDestruction extends Omit<Destruction, 'kind'> {
  readonly kind: 'destruction';
  readonly what: Destruction['kind'];
  readonly timeline: Timeline;
  /** The history that survived a failover does not contain its beginning. */
  readonly isOrphan: boolean;
}

export type DestructionEvent = FoundDestruction | Notice;

/** Of commands that remove keys, and of those that do at times. */
const names = [
  ...['FLUSHALL', 'FLUSHDB', 'SWAPDB', 'RENAME', 'DEL', 'UNLINK', 'GETDEL', 'DELIFEQ', 'DELEX'],
  ...['EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT', 'PERSIST'],
];

export async function* findDestruction(
  disk: Disk,
  reach: Reach,
  { keys, dbs }: Pick<FilterText, 'keys' | 'dbs'>,
  signal?: AbortSignal,
): AsyncGenerator<readonly DestructionEvent[], void, undefined> {
  const meant = new CommandFilter({ keys, dbs, commands: [] });
  for (const leg of reach.legs) {
    if (leg.kind === 'stretch') yield* findOn(disk, leg, reach, meant, signal);
    else yield [leg];
  }
}

async function* findOn(
  disk: Disk,
  leg: StretchLeg,
  reach: Reach,
  meant: CommandFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly DestructionEvent[], void, undefined> {
  const { timeline } = leg;
  const notices = new Notices(leg, reach.orphans);
  const finder = new DestructionFinder(meant);
  const tell = (destruction: Destruction): FoundDestruction => {
    const isOrphan = notices.isOrphan(destruction.extent.first.offset);
    return { ...destruction, what: destruction.kind, kind: 'destruction', timeline, isOrphan };
  };
  const last: DestructionEvent[] = [];
  try {
    for await (const { taken, reads } of scanCommands(disk, timeline, leg, {}, new RemovalReading(), signal)) {
      const events: DestructionEvent[] = [];
      for (const { command, before } of taken) {
        events.push(...notices.before(command.end));
        for (const destruction of finder.take(command, stampIn(reads, command.end), before))
          events.push(tell(destruction));
      }
      if (events.length > 0) yield events;
    }
    last.push(...notices.before(leg.to));
  } catch (error) {
    last.push(await removedNotice(disk, reach, leg, error));
  }
  const rest = [...finder.finish().map(tell), ...last];
  if (rest.length > 0) yield rest;
}

/** Hands out the commands that may remove something, each with what others wrote before it. */
class RemovalReading {
  readonly #wanted = new CommandFilter({ keys: [], commands: names, dbs: [] });
  readonly #recent = new RecentWrites();
  #reads: Reads | undefined;
  #writes = 0;

  readonly beginFrame = (frame: Frame): void => {
    this.#reads = decodeReads(frame.meta, frame.header);
    this.#recent.begin(this.#reads, frame.header.firstStamp, frame.header.lastStamp);
  };

  readonly isMatch = (command: CommandGlance): boolean => {
    const { bytes, at, length } = command;
    if (this.#wanted.isWanted(bytes, at[0] ?? 0, length[0] ?? 0)) return true;
    if (mayWriteAt(command)) {
      this.#writes += 1;
      this.#recent.take(command);
    }
    return false;
  };

  readonly take = (command: StreamCommand): { command: StreamCommand; before: Before } | undefined => {
    const name = command.args[0];
    const isWanted = name !== undefined && (isExec(name) || this.#wanted.isWanted(name, 0, name.length));
    if (!isWanted) {
      if (mayWrite(command)) this.#note(command);
      return undefined;
    }
    const writes = this.#writes;
    this.#writes = 0;
    return { command, before: { writes, isOfNew: this.#isOfNew(command) } };
  };

  #note(command: StreamCommand): void {
    this.#writes += 1;
    for (const { key } of keysOf(command).keys) this.#recent.takeKey(key, command.end);
  }

  #isOfNew({ args: [, key], end }: StreamCommand): boolean {
    const stamp = this.#reads?.stampAt(end);
    return key !== undefined && stamp !== undefined && this.#recent.has(key, stamp);
  }
}

function isExec(name: Buffer): boolean {
  return name.length === 4 && name.toString('latin1').toUpperCase() === 'EXEC';
}
