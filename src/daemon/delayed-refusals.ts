/** What a delayed copy refuses, and what to do instead. */
import { CoverageError, UsageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import type { StampedBoundary } from '../log/due-boundary.ts';
import type { Cut } from '../restore/locate/locate.ts';

export function nothingServed(): UsageError {
  return new UsageError(
    'nothing-served',
    'nothing is served yet: the journal begins later than the delay reaches back',
    {
      hint: 'end this one, and serve one moment: journal serve --before TARGET',
    },
  );
}

export function requireAhead(timeline: number, reached: StampedBoundary, cut: Cut): void {
  const serveIt = `serve it to a new replica: journal serve --at ${formatPosition(cut)}`;
  if (cut.timeline !== timeline) {
    throw new CoverageError(
      'other-timeline',
      `the target is on timeline ${cut.timeline}, and timeline ${timeline} is served: a replica gets there by a full sync only`,
      { hint: cut.timeline < timeline ? serveIt : `journal serve resume gets there in its time, or ${serveIt}` },
    );
  }
  if (cut.offset >= reached.offset) return;
  throw new CoverageError(
    'already-served',
    `the target is ${reached.offset - cut.offset} bytes behind what is served already, up to ${formatInstant(reached.stamp)}`,
    { hint: serveIt },
  );
}

export function notDurable(offset: Offset): CoverageError {
  return new CoverageError('not-durable', `offset ${offset} is not durable in the journal yet`, {
    hint: 'try again in a moment',
  });
}

export function positionRemoved(timeline: number): CoverageError {
  return new CoverageError(
    'position-removed',
    `timeline ${timeline} was removed from the journal by its retention: replicas keep what they have, and nobody can begin there any more`,
    {
      hint: 'let --keep-local reach further back than the delay and any pause; resume goes on in a timeline that is left',
    },
  );
}
