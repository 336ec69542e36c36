/**
 * The boundaries on both sides of an instant. Stamps alone tell where the bytes were received at once; where they were
 * received late, samples tell how far the primary had been (certainty.ts decides). An instant of which nothing is known
 * is refused with the two places that it may mean.
 *
 * Neighbour: time-evidence.ts finds the samples around the instant.
 */
import { formatPosition } from '../../core/position.ts';
import type { Micros } from '../../core/clock.ts';
import { CoverageError } from '../../core/errors.ts';
import type { Offset } from '../../core/position.ts';
import { idAt } from '../../log/catalog.ts';
import type { Timeline } from '../../log/catalog.ts';
import type { Disk } from '../../storage/disk.ts';
import { certainWithin, certaintyAt } from './certainty.ts';
import type { Certainty, Evidence, Uncertainty } from './certainty.ts';
import { formatInstantShort } from './instant.ts';
import { boundariesAround } from './locate-boundaries.ts';
import type { Neighbours } from './locate-boundaries.ts';
import { lagging, timeCoverage } from './locate-coverage.ts';
import { evidenceAt } from './time-evidence.ts';

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

/** Bytes that come as much later than the sample that was ahead of them are late. */
const lateAfter: Micros = 100_000;
/** What is known of each moment of this timeline at which the primary's clock showed the instant; none: not covered. */
export async function certaintiesOn(disk: Disk, timeline: Timeline, at: Micros): Promise<Certainty[]> {
  const { to } = timeCoverage(timeline);
  const from = timeline.base.record.stamp;
  const certainties: Certainty[] = [];
  for (const evidence of await evidenceAt(disk, timeline, at)) {
    const certainty = certaintyAt(evidence, at);
    if (certainty.stamp < from || to < certainty.stamp) continue;
    const last = certainties.at(-1);
    // So little is within what a time is good for.
    if (last !== undefined && certainty.stamp - last.stamp <= certainWithin) certainties.pop();
    certainties.push(certainty);
  }
  return certainties;
}

/**
 * `asked`: the instant in words. CoverageError when it is uncertain, or the primary's clock showed it more than once,
 * unless that is accepted.
 */
export async function locateTime(
  disk: Disk,
  timeline: Timeline,
  certainties: readonly Certainty[],
  asked: string,
  acceptUncertainty: boolean,
): Promise<TimeFound> {
  const found: TimeFound[] = [];
  for (const certainty of certainties)
    found.push(await locateMoment(disk, timeline, certainty, asked, acceptUncertainty));
  const [low, high] = [found[0], found.at(-1)];
  if (low === undefined || high === undefined) throw new RangeError('no moment is asked for');
  const from = low.time.uncertain?.from ?? low.last.offset;
  const to = high.time.uncertain?.to ?? high.last.offset;
  if (found.length === 1 || from === to) return high;
  if (!acceptUncertainty) throw timeShownAgain(timeline, found, asked);
  return { ...low, time: { ...low.time, basis: 'samples', uncertain: { from, to } } };
}

async function locateMoment(
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
  // How old the base was when it came, nobody had asked before: its full sync may have waited for us.
  if (index === 0 && last.offset === interruptions[0]?.offset) return true;
  if ((next?.stamp ?? lastStamp) - ahead.stamp > lateAfter) return true;
  // Nobody asked between the interruption and this sample: it was ahead for as long as that lasted.
  const before = samples[index - 1]?.stamp ?? 0;
  return interruptions.some(
    (one) => one.stamp - one.lostStamp > lateAfter && before < one.stamp && one.stamp <= ahead.stamp,
  );
}

function timeUncertain(
  timeline: Timeline,
  { interruption, from, to }: Uncertainty,
  [low, high]: readonly [Neighbours, Neighbours],
  asked: string,
): CoverageError {
  const why =
    interruption.offset === timeline.base.record.offset ? 'a full sync was under way' : 'the stream was interrupted';
  // What was written by then may not have come yet.
  const beyond = high.next === undefined ? ', where this timeline ends, or beyond it' : '';
  return new CoverageError(
    'time-uncertain',
    `${asked} is uncertain: from ${formatInstantShort(from)} to ${formatInstantShort(to)} ${why}, and what the primary wrote meanwhile came later, all at once`,
    {
      exitCode: 5,
      hint: `that instant is somewhere from ${placeOf(timeline, low)} to ${placeOf(timeline, high)}${beyond}; --accept-uncertainty takes the first, to which nothing was added that may be later`,
    },
  );
}

function timeShownAgain(timeline: Timeline, found: readonly TimeFound[], asked: string): CoverageError {
  const places = found.map((one) => `${placeOf(timeline, one)} (received ${formatInstantShort(one.last.stamp)})`);
  return new CoverageError(
    'time-ambiguous',
    `the primary's clock showed ${asked} ${found.length} times: it was set back`,
    {
      exitCode: 5,
      hint: `that instant is one of ${places.join(', ')}; --accept-uncertainty takes the first, to which nothing was added that may be later`,
    },
  );
}

function placeOf(timeline: Timeline, { last: { offset } }: Neighbours): string {
  return `--at ${formatPosition({ id: idAt(timeline, offset), offset })}`;
}
