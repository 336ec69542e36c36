/** An error that is told with the state in which it leaves the server that was being restored to. */
import { InterruptedError, JournalError, LinkError } from '../../core/errors.ts';
import { printable } from '../../redis/refusals.ts';

export function withState(error: unknown, state: string, hint: string): JournalError {
  if (error instanceof InterruptedError) {
    return new InterruptedError(`the restore was interrupted; ${state}`, { hint, cause: error });
  }
  const [code, message] =
    error instanceof JournalError
      ? [error.code, error.message]
      : ['target-failed', printable(error instanceof Error ? error.message : String(error))];
  const exitCode = error instanceof JournalError ? error.exitCode : 11;
  return new LinkError(code, `${message}; ${state}`, 'never', { hint, exitCode, cause: error });
}
