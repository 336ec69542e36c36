/**
 * Of a stream, the commands that a replay for some keys must contain; all others are gone, most of them looked at only.
 * Of a long command nothing is held, since the plan took all its keys for needed.
 */
import { neededCommandBytesMax } from '../../core/limits.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { touchesOnly } from '../../redis/command-keys.ts';
import type { CameAlong } from './came-along.ts';
import type { NeededKeys } from './needed-keys.ts';
import { StreamRewriter } from './stream-rewriter.ts';

/**
 * `state` is the boundary that the first bytes follow. `along` follows each command that is passed on, and may say no in
 * the last moment, unless it is a long one.
 */
export function neededStream(state: ScannerState, keys: NeededKeys, along?: CameAlong): StreamRewriter {
  return new StreamRewriter(state, {
    isMatch: (command) => !keys.passesOver(command),
    passes: (command) => {
      if (!touchesOnly(command, keys.isWanted)) return false;
      along?.takeWanted(command.db);
      return true;
    },
    others: 'drop',
    decide: (command) => {
      if (!isLong(command) && !keys.takes(command)) return undefined;
      return along?.take(command) === false ? undefined : 'pass';
    },
    holds: (_start, bytes) => bytes <= neededCommandBytesMax,
  });
}

function isLong({ start, end }: { readonly start: number; readonly end: number }): boolean {
  return end - start >= neededCommandBytesMax;
}
