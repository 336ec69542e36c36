/**
 * An error as the fields of a log line, and as the state file holds it. Secrets never get here: errors carry none.
 */
import { systemClock } from '../core/clock.ts';
import { JournalError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import type { RunError } from './state-file.ts';

export function describe(error: unknown): { readonly code: string; readonly error: string; readonly hint?: string } {
  if (!(error instanceof JournalError)) return { code: 'unexpected', error: String(error) };
  return { code: error.code, error: error.message, ...(error.hint !== undefined && { hint: error.hint }) };
}

export function lastWords(error: unknown): RunError {
  const { code, error: message, hint } = describe(error);
  return { code, message, hint: hint ?? null, at: formatInstant(systemClock.wall()) };
}
