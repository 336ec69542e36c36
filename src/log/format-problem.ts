/**
 * Turns what the codec says of bytes into what the program says of a file: torn and corrupt are integrity errors, a
 * newer format is something else and says so.
 */
import { FormatError } from '../../journal-format/errors.ts';
import { IntegrityError, JournalError } from '../core/errors.ts';

export function fileProblem(path: string, error: unknown, position = 0): JournalError {
  if (error instanceof JournalError) return error;
  if (!(error instanceof FormatError)) throw error;
  const where = `${path} at byte ${position + error.at}`;
  if (error.kind === 'unsupported') {
    return new IntegrityError('unsupported-format', `${where}: written by a newer journal: ${error.message}`, {
      hint: 'use the version of journal that wrote it, or a later one; nothing was changed',
      exitCode: 1,
      cause: error,
    });
  }
  return new IntegrityError(error.kind, `${where}: ${error.kind}: ${error.message}`, {
    hint: 'run journal verify for the whole picture; the file was left as it is',
    cause: error,
  });
}
