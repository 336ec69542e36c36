// Judges what a time of the primary was taken for. The promise (SPEC.md 12, "Time"): what had been written by then is
// there, nothing that was written later, to the transit and the clocks' error; or it is said to be uncertain, or refused.
// It is not made where the primary could not be asked, unless the stream was known to be away; there it is a weaker one.
// Neighbours: truth.ts and history.ts know the time; audit.ts asks for restores.
import assert from 'node:assert/strict';
import type { Micros } from '../../src/core/clock.ts';
import { formatInstant } from '../../src/core/instant.ts';
import type { Offset } from '../../src/core/position.ts';
import { certainWithin } from '../../src/restore/locate/certainty.ts';
import type { TimeReading } from '../../src/restore/locate/locate-time.ts';
import type { Told, Truth } from './truth.ts';
import type { Epoch } from './witness.ts';

/** What a byte may come late without being late, by chance of the network and of the moment at which was asked. */
const transitMost: Micros = 350_000;
/** What clocks may differ and be taken as one, and what a read may be early by. */
const earlyMost: Micros = 150_000;

export interface Answered {
  /** What was asked for: the last instant of which everything was to be there. */
  readonly at: Micros;
  readonly cut: Offset;
  readonly time: TimeReading | undefined;
}

/** Throws when the cut is not what had been written at any moment at which the clock of the primary showed that. */
export function judgeTime({ at, cut, time }: Answered, epoch: Epoch, truth: Truth): void {
  const moments = truth.momentsOf(at).map((moment) => boundsAt(moment, time, epoch, truth));
  const { from, to } = time?.uncertain ?? { from: cut, to: cut };
  const isRight = moments.some(({ least, most }) => least <= to && from <= most);
  const told = moments.map(
    ({ moment, least, most, why }) => `${least} to ${most} (${why}) at ${(moment / 1e6).toFixed(6)}`,
  );
  assert(
    isRight,
    `${formatInstant(at)} was taken for ${from}–${to}, ${JSON.stringify(time)}; had been written: ${told.join(', or ')}`,
  );
}

interface Bounds {
  readonly moment: Micros;
  readonly least: Offset;
  readonly most: Offset;
  readonly why: string;
}

function boundsAt(moment: Micros, time: TimeReading | undefined, epoch: Epoch, truth: Truth): Bounds {
  const { history, offset: base } = epoch;
  const resolution = time?.uncertain === undefined ? (time?.resolution ?? 0) : 0;
  const { before, after } = truth.around(moment);
  const answerTime = Math.max(durationOf(before), durationOf(after));
  const isAsked = before !== undefined && after !== undefined && after.heard - before.asked <= certainWithin;
  const away = [...epoch.outages, ...truth.pauses, ...(epoch.synced === undefined ? [] : [epoch.synced])];
  const isAway = away.some(({ lost, back }) => back - lost > certainWithin && lost < moment && moment < back);
  const by = (when: Micros): Offset => Math.max(base, history.writtenBy(when));
  const least = by(moment - resolution - transitMost - answerTime);
  const most = by(moment + earlyMost + answerTime + resolution);
  if (isAsked) return { moment, least, most, why: 'asked' };
  if (isAway) return { moment, least, most, why: 'away' };
  // A link that stands still with nobody to ask: what came later cannot be told from what was written later.
  const known = Math.max(base, history.boundary(Math.min(before?.offset ?? 0, history.end)));
  return { moment, least: Math.min(least, known), most: Math.max(most, after?.offset ?? Infinity), why: 'not asked' };
}

function durationOf(told: Told | undefined): Micros {
  return told === undefined ? 0 : told.heard - told.asked;
}
