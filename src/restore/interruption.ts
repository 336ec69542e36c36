/**
 * Where long work looks whether it is still wanted: between two pieces, never inside one.
 */
import { InterruptedError } from '../core/errors.ts';

export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new InterruptedError('the restore was interrupted', { cause: signal.reason });
}
