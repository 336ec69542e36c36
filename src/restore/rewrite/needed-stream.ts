/**
 * Of a stream, the commands that a replay for some keys must contain; all others are gone, most of them looked at only.
 * Of a long command nothing is held, since the plan took all its keys for needed.
 */
import { neededCommandBytesMax } from '../../core/limits.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import type { NeededKeys } from './needed-keys.ts';
import { StreamRewriter } from './stream-rewriter.ts';

/**
 * `state` is the boundary that the first bytes follow. `follow` is told of each command that is passed on, and may say no
 * in the last moment, unless it is a long one.
 */
export function neededStream(
  state: ScannerState,
  keys: NeededKeys,
  follow: (command: StreamCommand) => boolean = () => true,
): StreamRewriter {
  return new StreamRewriter(state, {
    isMatch: (command) => !keys.passesOver(command),
    others: 'drop',
    decide: (command) => ((isLong(command) || keys.takes(command)) && follow(command) ? 'pass' : undefined),
    holds: (_start, bytes) => bytes <= neededCommandBytesMax,
  });
}

function isLong({ start, end }: StreamCommand): boolean {
  return end - start >= neededCommandBytesMax;
}
