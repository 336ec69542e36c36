/**
 * An error as the fields of a log line. Secrets never get here: errors carry none.
 */
import { JournalError } from '../core/errors.ts';

export function describe(error: unknown): { readonly code: string; readonly error: string; readonly hint?: string } {
  if (!(error instanceof JournalError)) return { code: 'unexpected', error: String(error) };
  return { code: error.code, error: error.message, ...(error.hint !== undefined && { hint: error.hint }) };
}
