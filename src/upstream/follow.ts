/**
 * Follows a primary for as long as we run: one session after the other, with a pause in between that fits the reason.
 * An error that waiting cannot mend ends it, unless we have been attached before: then the primary was right once, and a
 * journal that has exited at 3 a.m. journals nothing.
 *
 * The pauses grow until the stream has gone on: until an attachment begins behind the one before. Neither an attachment
 * alone shortens them, for the next byte may be the one that ends it each time, nor a full sync: one after the other,
 * each lost soon after it was complete, would keep the primary busy with nothing but making RDBs. Of a stream that breaks
 * at the same byte again and again, broken-stream.ts knows the way out.
 */
import type { Clock } from '../core/clock.ts';
import { LinkError, StorageError } from '../core/errors.ts';
import type { Position } from '../core/position.ts';
import { retryDelayMs } from '../core/retry.ts';
import type { SourceAddress } from './address.ts';
import { StreamBreaks } from './broken-stream.ts';
import { ReplicaSession } from './session.ts';
import type { SessionOptions } from './session-options.ts';

export interface FollowOptions extends Omit<SessionOptions, 'address' | 'broken'> {
  /** Whom to follow: asked before each attempt; LinkError when it is nobody. */
  readonly choose: (signal: AbortSignal) => Promise<SourceAddress>;
  /** The pause between sessions, which news of the primary may shorten. */
  readonly rest: (ms: number, signal: AbortSignal) => Promise<void>;
  /** The session under way, for progressed() and fail(); undefined between sessions. */
  readonly current: (session: ReplicaSession | undefined) => void;
  /** A session ended; the next begins in `delayMs`. */
  readonly interrupted: (error: LinkError | StorageError, delayMs: number) => void;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Resolves when `signal` stopped it and all that was received is durable; rejects when going on makes no sense. */
export async function follow(options: FollowOptions, signal: AbortSignal): Promise<void> {
  let attempt = 0;
  let everAttached = false;
  let before: Position | undefined;
  /** Where the session under way went on. */
  let resumedAt: Position | undefined;
  const breaks = new StreamBreaks();
  const events = {
    ...options.events,
    attached: (position: Position): void => {
      if (position.id !== before?.id || position.offset > before.offset) attempt = 0;
      before = position;
      resumedAt = position;
      everAttached = true;
      options.events.attached(position);
    },
    published: (): void => {
      everAttached = true;
      breaks.synced(options.clock.monotonic());
      options.events.published();
    },
  };
  while (!signal.aborted) {
    resumedAt = undefined;
    try {
      await runSession({ ...options, events, broken: breaks.wanted }, signal);
      return;
    } catch (ending) {
      if (isStopped(signal, ending)) return;
      if (!isWorthWaiting(signal, ending, everAttached)) throw ending;
      const error = told(ending, resumedAt, breaks, options.clock);
      attempt += 1;
      const isSoon = error instanceof LinkError && error.retry === 'soon';
      const delayMs = retryDelayMs(isSoon ? 'soon' : 'later', attempt, options.random());
      options.interrupted(error, delayMs);
      await options.rest(delayMs, signal).catch(() => undefined);
    }
  }
}

async function runSession(options: FollowOptions & Pick<SessionOptions, 'broken'>, signal: AbortSignal): Promise<void> {
  try {
    const address = await options.choose(signal);
    const session = await ReplicaSession.open({ ...options, address }, signal);
    options.current(session);
    await session.run(signal);
  } finally {
    options.current(undefined);
  }
}

/** Once the stream goes on, nothing but its grammar breaks the protocol. */
function told(
  error: LinkError | StorageError,
  resumedAt: Position | undefined,
  breaks: StreamBreaks,
  clock: Clock,
): LinkError | StorageError {
  if (!(error instanceof LinkError) || error.code !== 'protocol-broken' || resumedAt === undefined) return error;
  return breaks.broke(resumedAt.offset, error, clock.monotonic());
}

/** The link may break while we are told to stop; a sink that failed then has still failed. */
function isStopped(signal: AbortSignal, error: unknown): boolean {
  return signal.aborted && (error === signal.reason || error instanceof LinkError);
}

/** A disk that failed may come back; a refusal may be withdrawn by one who had let us in before. */
function isWorthWaiting(signal: AbortSignal, error: unknown, everAttached: boolean): error is LinkError | StorageError {
  if (error instanceof StorageError) return error.mayPass && !signal.aborted;
  return error instanceof LinkError && (error.retry !== 'never' || everAttached);
}
