/** How far a capture is: what it tells to those who watch over it, and to those who serve what it has. */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset, Position, ReplicationId } from '../core/position.ts';
import type { ClockReading } from './timekeeper.ts';

/** A timeline as far as it is durable. */
export interface Served {
  readonly number: number;
  readonly directory: string;
  readonly ids: readonly IdEntry[];
  readonly durable: Offset;
}

export interface Progress {
  readonly timeline: number;
  readonly id: ReplicationId;
  readonly received: Offset;
  /** The last one in what was received. */
  readonly boundary: Offset;
  readonly durable: Offset;
  readonly lastStamp: Micros;
  /** False until the base is published. */
  readonly isEstablished: boolean;
  /** Segments that wait to be sealed. */
  readonly sealing: number;
  readonly clock: ClockReading;
}

/** What the journal has, if it has begun. */
export function positionHeld(progress: Progress | undefined): Position | undefined {
  return progress?.isEstablished === true ? { id: progress.id, offset: progress.durable } : undefined;
}

/** For the log. */
export function positionOf(progress: Progress | undefined): Record<string, string> {
  if (progress === undefined) return {};
  const { id, durable, lastStamp } = progress;
  return { position: formatPosition({ id, offset: durable }), time: formatInstant(lastStamp) };
}
