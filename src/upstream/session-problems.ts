/** What ends a session, in its words. Neighbour: session.ts. */
import { IntegrityError, LinkError } from '../core/errors.ts';

/** What came over the wire contradicts itself: another full sync may be right, and what is journaled stays. */
export function asPeerProblem(error: unknown): unknown {
  if (!(error instanceof IntegrityError)) return error;
  return new LinkError(error.code, error.message, 'later', { hint: error.hint, exitCode: 6, cause: error });
}

export function silence(silentMs: number): LinkError {
  const seconds = Math.round(silentMs / 1000);
  return new LinkError('silent', `nothing came from the primary for ${seconds} s`, 'soon', {
    hint: 'a half-open connection, or repl-ping-replica-period above 60 s',
  });
}
