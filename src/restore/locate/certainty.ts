/**
 * What is known of the primary at an instant (pure; SPEC.md 12, "Time"): by how much its clock and ours differ, which
 * offsets bound its state, and whether the instant is uncertain, because it lies in an interruption that no samples
 * bound. locate-time.ts finds the evidence and makes a cut of the answer.
 */
import type { Interruption } from '../../../journal-format/footer.ts';
import type { Sample } from '../../../journal-format/samples.ts';
import type { Micros } from '../../core/clock.ts';

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
  /** All that is known around it; the last sample before it, and the first one behind. */
  readonly evidence: Evidence;
  readonly before: Sample | undefined;
  readonly after: Sample | undefined;
  /** Both clocks went on alike from the one sample to the other: stamps in between are in order with both. */
  readonly isSteady: boolean;
  /**
   * By how much a state may be off the instant, though it is certain: in an interruption up to a second, and where a clock
   * was set as long as there was between two samples.
   */
  readonly blur: Micros;
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
  const span = interruptionAt(evidence, stamp, skew);
  const uncertain = span !== undefined && isUncertain(span) ? span : undefined;
  const isSteady =
    before === undefined || after === undefined || Math.abs(difference(after) - difference(before)) <= skewLeast;
  const interrupted = span === undefined || uncertain !== undefined ? 0 : blurOf(span);
  const blur = isSteady ? interrupted : Math.max(interrupted, after.primaryTime - before.primaryTime);
  return { skew, stamp, evidence, before, after, isSteady, blur, uncertain };
}

/** All that is uncertain of a stretch of history, oldest first, on our clock. */
export function uncertainties({ samples, interruptions }: Evidence): Uncertainty[] {
  const ours = samples.map((sample) => ({ ...sample, primaryTime: sample.primaryTime + skewOf(sample) }));
  const evidence = { samples: ours, interruptions };
  return evidence.interruptions.flatMap((interruption) => {
    const spans: Uncertainty[] = [];
    const end = endOf(interruption, evidence.samples);
    for (let at = interruption.lostStamp; at < end;) {
      const found = interruptionAt(evidence, at, 0);
      if (found?.interruption === interruption && isUncertain(found)) spans.push(found);
      at = Math.max(at + certainWithin, found?.to ?? 0);
    }
    return spans;
  });
}

/** The part of an interruption that the instant is in, between the samples around it, if anything was written there. */
function interruptionAt(evidence: Evidence, stamp: Micros, skew: Micros): Uncertainty | undefined {
  const { samples } = evidence;
  const { before, after } = neighbours(samples, stamp - skew);
  const spans = evidence.interruptions.flatMap((interruption): Uncertainty[] => {
    const { offset, lostStamp } = interruption;
    const end = endOf(interruption, samples);
    if (stamp < lostStamp || stamp >= Math.max(interruption.stamp, end)) return [];
    // Nothing was written meanwhile.
    if (after !== undefined && after.primaryOffset <= Math.max(offset, before?.primaryOffset ?? 0)) return [];
    const from = Math.max(lostStamp, before === undefined ? 0 : before.primaryTime + skew);
    return [{ interruption, from, to: after === undefined ? end : after.primaryTime + skew }];
  });
  // A short one may follow a long one before that is over.
  return spans.findLast(isUncertain) ?? spans.at(-1);
}

/** An interruption that is short itself, or well sampled, leaves no more than a second open. */
function isUncertain({ interruption: { lostStamp, stamp }, from, to }: Uncertainty): boolean {
  return stamp - lostStamp > certainWithin && to - from > certainWithin;
}

/** Nothing is later than the interruption was long. */
function blurOf({ interruption: { lostStamp, stamp }, from, to }: Uncertainty): Micros {
  return Math.max(0, Math.min(stamp - lostStamp, to - from));
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

export function skewOf(sample: Sample | undefined): Micros {
  if (sample === undefined) return 0;
  const skew = difference(sample);
  return Math.abs(skew) <= skewLeast + sample.roundTripMicros ? 0 : skew;
}

/** Our clock less the primary's. */
export function difference({ stamp, primaryTime, roundTripMicros }: Sample): Micros {
  return stamp - Math.round(roundTripMicros / 2) - primaryTime;
}
