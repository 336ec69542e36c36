/** Where a search looks whether it is still wanted: between two pieces. */
import { InterruptedError } from '../core/errors.ts';

export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new InterruptedError('the search was interrupted', { cause: signal.reason });
}
