/**
 * The boundaries on both sides of an instant. Stamps alone tell where the bytes were received at once; where they were
 * received late, samples tell how far the primary had been (certainty.ts decides). An instant of which nothing is known
 * is refused with the two places that it may mean.
 *
 * Only footers, and headers of open segments, are read for that, of the few segments around the instant.
 */
import { formatPosition } from '../core/position.ts';
import type { Micros } from '../core/clock.ts';
import type { Interruption } from '../../journal-format/footer.ts';
import type { Sample } from '../../journal-format/samples.ts';
import { CoverageError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { SegmentEntry, Timeline } from '../log/catalog.ts';
import { damageIn } from '../log/damaged.ts';
import { readEvidence } from '../log/evidence.ts';
import type { Disk } from '../storage/disk.ts';
import { certaintyAt } from './certainty.ts';
import type { Certainty, Evidence, Uncertainty } from './certainty.ts';
import { formatInstantShort } from './instant.ts';
import { boundariesAround } from './locate-boundaries.ts';
import type { Neighbours } from './locate-boundaries.ts';
import { lagging, timeCoverage } from './locate-coverage.ts';

/** What a time of the primary comes down to. */
export interface TimeReading {
  /** `receipt`: by stamps; `samples`: the bytes came late, and samples tell when they had been written. */
  readonly basis: 'receipt' | 'samples';
  /** Our clock less the primary's, where they differ. */
  readonly skew: Micros;
  /** The time may be off by this much; 0 where it is a matter of the transit alone. */
  readonly resolution: Micros;
  /** Set when the instant is uncertain and that was accepted: the offsets that it may mean. */
  readonly uncertain: { readonly from: Offset; readonly to: Offset } | undefined;
}

export interface TimeFound extends Neighbours {
  readonly time: TimeReading;
}

/** A sample is kept at most this long before its frame is written. */
const evidenceSlack: Micros = 15_000_000;
/** Where there is nothing near, the next segments may know: samples come behind the bytes that they are about. */
const segmentsFurther = 2;
/** Bytes that come as much later than the sample that was ahead of them are late. */
const lateAfter: Micros = 100_000;
/** Clocks further apart are not asked about. */
const skewMost: Micros = 2 * 86_400_000_000;

/** What is known of the instant on this timeline; undefined when it is not covered there. */
export async function certaintyOn(disk: Disk, timeline: Timeline, at: Micros): Promise<Certainty | undefined> {
  const { to } = timeCoverage(timeline);
  const from = timeline.base.record.stamp;
  if (at < from - skewMost || at > to + skewMost) return undefined;
  let certainty = certaintyAt(await evidenceAround(disk, timeline, at), at);
  if (certainty.skew !== 0) certainty = certaintyAt(await evidenceAround(disk, timeline, certainty.stamp), at);
  return from <= certainty.stamp && certainty.stamp <= to ? certainty : undefined;
}

/** `asked`: the instant in words. CoverageError when it is uncertain, unless that is accepted. */
export async function locateTime(
  disk: Disk,
  timeline: Timeline,
  certainty: Certainty,
  asked: string,
  acceptUncertainty: boolean,
): Promise<TimeFound> {
  const { skew, stamp, before, after, isSteady, blur, uncertain } = certainty;
  const atOffset = async (offset: Offset): Promise<Neighbours> =>
    boundariesAround(disk, timeline, { by: 'offset', offset: Math.min(offset, timeline.boundary) });
  if (uncertain !== undefined) {
    const low = await atOffset(Math.max(uncertain.interruption.offset, before?.primaryOffset ?? 0));
    const high =
      after === undefined
        ? await boundariesAround(disk, timeline, { by: 'stamp', stamp: uncertain.to })
        : await atOffset(after.primaryOffset);
    if (low.last.offset < high.last.offset) {
      if (!acceptUncertainty) throw timeUncertain(timeline, uncertain, [low, high], asked);
      const offsets = { from: low.last.offset, to: high.last.offset };
      return {
        ...low,
        time: { basis: 'samples', skew, resolution: uncertain.to - uncertain.from, uncertain: offsets },
      };
    }
  }
  const { completed, offset: baseOffset } = timeline.base.record;
  const received =
    stamp < completed ? await atOffset(baseOffset) : await boundariesAround(disk, timeline, { by: 'stamp', stamp });
  const resolution = before === undefined || after === undefined ? 0 : after.primaryTime - before.primaryTime;
  const bySamples = async (offset: Offset): Promise<TimeFound> => ({
    ...(await atOffset(offset)),
    time: { basis: 'samples', skew, resolution, uncertain: undefined },
  });
  // Our clock was set between the samples: stamps may be earlier than what was written later.
  if (!isSteady && after !== undefined && received.last.offset > after.primaryOffset) {
    return await bySamples(Math.max(after.primaryOffset, baseOffset));
  }
  const isBehind = before !== undefined && received.last.offset < before.primaryOffset;
  if (!isBehind || !isLate(certainty.evidence, received, timeline.lastStamp)) {
    return { ...received, time: { basis: 'receipt', skew, resolution: blur, uncertain: undefined } };
  }
  if (before.primaryOffset > timeline.end) throw lagging(timeline, asked);
  return await bySamples(before.primaryOffset);
}

/** Whether what is behind had been written well before it was received: some sample was ahead of it by then. */
function isLate({ samples, interruptions }: Evidence, { last, next }: Neighbours, lastStamp: Micros): boolean {
  // The first one that was ahead, not the last: a full sync may be minutes late.
  const index = samples.findIndex(({ primaryOffset }) => primaryOffset > last.offset);
  const ahead = samples[index];
  if (ahead === undefined) return false;
  if ((next?.stamp ?? lastStamp) - ahead.stamp > lateAfter) return true;
  // Nobody asked between the interruption and this sample: it was ahead for as long as that lasted.
  const before = samples[index - 1]?.stamp ?? 0;
  return interruptions.some(
    (one) => one.stamp - one.lostStamp > lateAfter && before < one.stamp && one.stamp <= ahead.stamp,
  );
}

/** What is known of time around `stamp`. */
async function evidenceAround(disk: Disk, timeline: Timeline, stamp: Micros): Promise<Evidence> {
  const { segments } = timeline;
  const first = Math.max(
    0,
    segments.findLastIndex((one) => one.first <= stamp - evidenceSlack),
  );
  const near = segments.filter((one, i) => i >= first && one.first <= stamp + evidenceSlack);
  const evidence = await gather(disk, timeline, near);
  const behind = segments.slice(first + near.length, first + near.length + segmentsFurther);
  if (evidence.samples.some((one) => one.stamp > stamp + evidenceSlack)) return evidence;
  const further = await gather(disk, timeline, behind);
  return {
    samples: [...evidence.samples, ...further.samples],
    interruptions: [...evidence.interruptions, ...further.interruptions.slice(1)],
  };
}

/**
 * What these segments say, and the full sync that the timeline began with. A damaged one says nothing here: an instant
 * that depends on it has its cut behind bytes of it, and is refused when they are read.
 */
export async function gather(disk: Disk, { base }: Timeline, segments: readonly SegmentEntry[]): Promise<Evidence> {
  const { offset, stamp: lostStamp, completed: stamp } = base.record;
  const found = await Promise.all(segments.map((segment) => readEvidence(disk, segment).catch(asSilent)));
  return {
    samples: found.flatMap(({ samples }) => samples),
    interruptions: [{ offset, lostStamp, stamp }, ...found.flatMap(({ attaches }) => attaches)],
  };
}

function asSilent(error: unknown): { samples: readonly Sample[]; attaches: readonly Interruption[] } {
  if (damageIn(error) === undefined) throw error;
  return { samples: [], attaches: [] };
}

function timeUncertain(
  timeline: Timeline,
  { interruption, from, to }: Uncertainty,
  [low, high]: readonly [Neighbours, Neighbours],
  asked: string,
): CoverageError {
  const why =
    interruption.offset === timeline.base.record.offset ? 'a full sync was under way' : 'the stream was interrupted';
  const place = ({ last: { offset } }: Neighbours): string =>
    `--at ${formatPosition({ id: idAt(timeline, offset), offset })}`;
  return new CoverageError(
    'time-uncertain',
    `${asked} is uncertain: from ${formatInstantShort(from)} to ${formatInstantShort(to)} ${why}, and what the primary wrote meanwhile came later, all at once`,
    {
      exitCode: 5,
      hint: `that instant is somewhere from ${place(low)} to ${place(high)}; --accept-uncertainty takes the first, to which nothing was added that may be later`,
    },
  );
}
