/**
 * All stretches of time in a journal of which it is uncertain what the primary had written when: for `status` and `ls`.
 * A target in one is refused by locate-time.ts, by the same decider (certainty.ts).
 */
import type { Micros } from '../../core/clock.ts';
import type { Offset } from '../../core/position.ts';
import type { Timeline } from '../../log/catalog.ts';
import type { Disk } from '../../storage/disk.ts';
import { uncertainties } from './certainty.ts';
import { gather } from './time-evidence.ts';

export interface UncertainSpan {
  readonly timeline: number;
  readonly from: Micros;
  readonly to: Micros;
  /** The last byte that was received before it. */
  readonly offset: Offset;
  readonly cause: 'full-sync' | 'interruption';
}

/** Of the newest `segmentsMost` segments of each timeline, oldest first: one footer is read of each. */
export async function uncertainSpans(
  disk: Disk,
  timelines: readonly Timeline[],
  segmentsMost: number,
): Promise<UncertainSpan[]> {
  const spans: UncertainSpan[] = [];
  for (const timeline of timelines) {
    const segments = timeline.segments.slice(-segmentsMost);
    const isWhole = segments.length === timeline.segments.length;
    const evidence = await gather(disk, timeline, segments);
    const base = timeline.base.record.offset;
    for (const { interruption, from, to } of uncertainties(evidence)) {
      if (interruption.offset === base && !isWhole) continue;
      const cause = interruption.offset === base ? 'full-sync' : 'interruption';
      const end = Math.min(to, Math.max(timeline.lastStamp, timeline.base.record.completed));
      if (end > from) spans.push({ timeline: timeline.number, from, to: end, offset: interruption.offset, cause });
    }
  }
  return spans;
}
