/**
 * The errors of the project. Few classes, each a different reaction:
 *
 *   UsageError       the user can mend it by asking differently          never retried
 *   LinkError        the upstream link failed or answered with an error  retried or not: `retry`
 *   StorageError     disk or object store failed                         nothing more is acknowledged; see mayPass
 *   IntegrityError   bytes are not what they must be                     never cut away, never skipped
 *   CoverageError    the journal does not hold what was asked for        refused, with the nearest that it holds
 *   InterruptedError the user stopped it                                 no message needed
 *
 * Messages are lower-case, without full stop: what happened, on what, at which offset. `hint` says what to do. Secrets
 * never enter a message. `exitCode` is what the command line returns (README, "Exit codes").
 */

export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 130;

export interface ErrorDetail {
  /** What to do about it: one or two sentences or a command. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  readonly exitCode?: ExitCode;
}

export abstract class JournalError extends Error {
  /** Stable, machine-readable, kebab-case. */
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, detail: ErrorDetail, defaultExitCode: ExitCode) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = detail.hint;
    this.exitCode = detail.exitCode ?? defaultExitCode;
  }
}

/** Bad options, a destination that is in the way, a name that exists: the user asks differently. Exit 2 by default. */
export class UsageError extends JournalError {
  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(code, message, detail, 2);
  }
}

/** How the reconnect loop treats a LinkError. */
export type RetryClass = 'soon' | 'later' | 'never';

/** The primary cannot be reached, refused us, or broke the protocol. Exit 11 by default (10 for credentials). */
export class LinkError extends JournalError {
  readonly retry: RetryClass;

  constructor(code: string, message: string, retry: RetryClass, detail: ErrorDetail = {}) {
    super(code, message, detail, 11);
    this.retry = retry;
  }
}

/** Reading, writing or syncing failed, or the storage is locked by another. Exit 9 by default (8 when locked). */
export class StorageError extends JournalError {
  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(code, message, detail, 9);
  }

  /** Waiting may mend it: a full disk gets room, a lost one comes back. What is missing or locked stays so. */
  get mayPass(): boolean {
    return this.code === 'io' || this.code === 'unreadable' || this.code === 'no-space';
  }
}

/** Bytes on disk or on the wire contradict themselves. Exit 6. */
export class IntegrityError extends JournalError {
  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(code, message, detail, 6);
  }
}

/** The journal does not cover the target (exit 4), or the target has more than one meaning (exit 5). */
export class CoverageError extends JournalError {
  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(code, message, detail, 4);
  }
}

/** Stopped by a signal. Exit 130. */
export class InterruptedError extends JournalError {
  constructor(message = 'interrupted', detail: ErrorDetail = {}) {
    super('interrupted', message, detail, 130);
  }
}
