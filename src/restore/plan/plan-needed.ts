/**
 * Looks through the stream of a plan for what the wanted keys depend on, so that a scratch server need not hold everything,
 * or none is needed. Where that cannot be told, one holds everything, and the plan says why.
 */
import { neededCommandBytesMax } from '../../core/limits.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import { touchesOneAtMost } from '../../redis/command-keys.ts';
import type { IsKey } from '../../redis/command-keys.ts';
import { CommandReader, nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { Disk } from '../../storage/disk.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { linkingOf, NeededKeys } from '../rewrite/needed-keys.ts';
import type { Held } from '../rewrite/needed-keys.ts';
import type { Plan } from './plan.ts';
import { plannedStream } from './planned-stream.ts';

/** For a scratch server: without --keys, most keys would be needed. */
export async function planHeld(
  disk: Disk,
  plan: Plan,
  selection: KeySelection,
  signal: AbortSignal | undefined,
): Promise<Held> {
  if (!selection.isByName) return { keys: undefined, why: 'no --keys say which' };
  return planNeeded(disk, plan, namedBy(selection), signal);
}

export function namedBy(selection: KeySelection): IsKey {
  return (bytes, at, length) => selection.takesNameAt(bytes, at, length);
}

export async function planNeeded(
  disk: Disk,
  plan: Plan,
  isWanted: IsKey,
  signal: AbortSignal | undefined,
): Promise<Held> {
  const keys = new NeededKeys(isWanted);
  const reader = new CommandReader(plan.base.record, { isMatch: mayConnect });
  for await (const { bytes } of plannedStream(disk, plan, 'slabs')) {
    throwIfInterrupted(signal);
    reader.push(bytes);
    for (let command = reader.next(); command !== undefined; command = reader.next()) {
      const why = take(command, keys);
      if (why !== undefined) return { keys: undefined, why };
    }
    reader.letGo();
  }
  return { keys };
}

/** Most commands have one key, and are passed over. */
function mayConnect(command: CommandGlance): boolean {
  return !touchesOneAtMost(command) || command.bytesAtMost >= neededCommandBytesMax;
}

/** Why everything is needed, if it is. */
function take(command: StreamCommand, keys: NeededKeys): string | undefined {
  const linking = linkingOf(command);
  if (linking === 'unknown') return `${nameOf(command).slice(0, 64)} at offset ${command.end} may touch any key`;
  // A long command is passed on before its keys can be looked at: none of them may lack what it depends on.
  const isLong = command.end - command.start >= neededCommandBytesMax;
  const isBounded = isLong ? keys.need(linking.keys) : linking.kind === 'apart' || keys.link(linking.keys);
  return isBounded ? undefined : 'too many keys are connected by commands';
}
