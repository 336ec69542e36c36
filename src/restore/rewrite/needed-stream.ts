/**
 * Of a stream, the commands that a replay for some keys must contain; all others are gone, most of them looked at only.
 * Of a long command nothing is held, since the plan took all its keys for needed.
 */
import { neededCommandBytesMax } from '../../core/limits.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { NeededKeys } from './needed-keys.ts';
import { StreamRewriter } from './stream-rewriter.ts';

/** `state` is the boundary that the first bytes follow. */
export function neededStream(state: ScannerState, keys: NeededKeys): StreamRewriter {
  return new StreamRewriter(state, {
    isMatch: (command) => !keys.passesOver(command),
    others: 'drop',
    decide: (command) => (keys.takes(command) ? 'pass' : undefined),
    holds: (_start, bytes) => bytes <= neededCommandBytesMax,
  });
}
