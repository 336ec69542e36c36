/**
 * What is known of the primary at an instant (pure; SPEC.md 12, "Time"): by how much its clock and ours differ, which
 * offsets bound its state, and whether the instant is uncertain, because it lies in an interruption that no samples
 * bound. locate-time.ts finds the evidence and makes a cut of the answer.
 */
import type { Interruption } from '../../journal-format/footer.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';

export interface Evidence {
  /** In the order in which they were taken. */
  readonly samples: readonly Sample[];
  /** Attachments, and the full sync that a timeline begins with. */
  readonly interruptions: readonly Interruption[];
}

export interface Certainty {
  /** Our clock less the primary's; 0 where they agree, or nothing is known. */
  readonly skew: Micros;
  /** The instant on our clock. */
  readonly stamp: Micros;
  /** All that are known around it; the last one before it, and the first one behind. */
  readonly samples: readonly Sample[];
  readonly before: Sample | undefined;
  readonly after: Sample | undefined;
  /** Set when nothing tells on which side of the instant the bytes behind the interruption were written. */
  readonly uncertain: Uncertainty | undefined;
}

/** From when on, and until when, on our clock. */
export interface Uncertainty {
  readonly interruption: Interruption;
  readonly from: Micros;
  readonly to: Micros;
}

/** Samples this close to each other tell enough; an interruption this short needs none. */
export const certainWithin: Micros = 1_000_000;
/** Clocks that agree as well as this are taken as one. */
const skewLeast: Micros = 50_000;
const settleMost: Micros = 60_000_000;

/** `at`: on the primary's clock. */
export function certaintyAt(evidence: Evidence, at: Micros): Certainty {
  const { before, after } = neighbours(evidence.samples, at);
  const skew = skewOf(before ?? after);
  const stamp = at + skew;
  return { skew, stamp, samples: evidence.samples, before, after, uncertain: uncertaintyAt(evidence, stamp, skew) };
}

/** All that is uncertain of a stretch of history, oldest first, on our clock. */
export function uncertainties(evidence: Evidence): Uncertainty[] {
  return evidence.interruptions.flatMap((interruption) => {
    const spans: Uncertainty[] = [];
    const end = endOf(interruption, evidence.samples);
    for (let at = interruption.lostStamp; at < end;) {
      const found = uncertaintyAt(evidence, at, 0);
      if (found?.interruption === interruption) spans.push(found);
      at = Math.max(at + certainWithin, found?.to ?? 0);
    }
    return spans;
  });
}

function uncertaintyAt(evidence: Evidence, stamp: Micros, skew: Micros): Uncertainty | undefined {
  const { samples } = evidence;
  const interruption = evidence.interruptions.findLast(
    (one) =>
      one.stamp - one.lostStamp > certainWithin &&
      one.lostStamp <= stamp &&
      stamp < Math.max(one.stamp, endOf(one, samples)),
  );
  if (interruption === undefined) return undefined;
  const { before, after } = neighbours(samples, stamp - skew);
  const from = Math.max(interruption.lostStamp, before === undefined ? 0 : before.primaryTime + skew);
  const to = after === undefined ? endOf(interruption, samples) : after.primaryTime + skew;
  if (to - from <= certainWithin) return undefined;
  const known = Math.max(interruption.offset, before?.primaryOffset ?? 0);
  // Nothing was written meanwhile.
  if (after !== undefined && after.primaryOffset <= known) return undefined;
  return { interruption, from, to };
}

/** When what was written during the interruption had been received, as far as that is known. */
function endOf({ lostStamp, stamp }: Interruption, samples: readonly Sample[]): Micros {
  const settled = stamp + Math.min(settleMost, Math.max(certainWithin, stamp - lostStamp));
  const first = samples.find((sample) => sample.stamp >= stamp);
  return first === undefined ? settled : Math.min(first.stamp, settled);
}

/** The last sample up to `at` and the first one behind it, on the primary's clock, which may have been set back. */
function neighbours(samples: readonly Sample[], at: Micros): Pick<Certainty, 'before' | 'after'> {
  const index = samples.findLastIndex(({ primaryTime }) => primaryTime <= at);
  const after = samples.slice(index + 1).find(({ primaryTime }) => primaryTime > at);
  return { before: samples[index], after };
}

function skewOf(sample: Sample | undefined): Micros {
  if (sample === undefined) return 0;
  const { stamp, primaryTime, roundTripMicros } = sample;
  const skew = stamp - Math.round(roundTripMicros / 2) - primaryTime;
  return Math.abs(skew) <= skewLeast + roundTripMicros ? 0 : skew;
}
