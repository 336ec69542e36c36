/**
 * The one error of the codec. Its kind is one of three answers that are never mixed up: *torn* bytes end too early and
 * may be an unfinished last write; *corrupt* bytes are wrong in any other way; *unsupported* bytes are whole and were
 * written by a newer version. Callers add the file's name; the codec knows only positions in the bytes it was given.
 */

export type FormatErrorKind = 'torn' | 'corrupt' | 'unsupported';

export class FormatError extends Error {
  readonly kind: FormatErrorKind;
  /** Position, within the bytes that were given, of the thing that is wrong. */
  readonly at: number;

  constructor(kind: FormatErrorKind, message: string, at = 0, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'FormatError';
    this.kind = kind;
    this.at = at;
  }
}

export function isFormatError(error: unknown): error is FormatError {
  return error instanceof FormatError;
}
