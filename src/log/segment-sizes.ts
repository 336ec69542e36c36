/**
 * The sizes of segments' files, for those who show them or add them up. Not part of the catalog: it is made of names, and
 * a look at each of ten thousand files takes longer than all else that a restore does before it reads.
 */
import type { Disk } from '../storage/disk.ts';
import type { SegmentEntry, Timeline } from './catalog.ts';

export interface MeasuredSegment extends SegmentEntry {
  /** Size of the file; 0 when it was sealed or removed since. */
  readonly bytes: number;
}

export interface MeasuredTimeline extends Timeline {
  readonly segments: readonly MeasuredSegment[];
}

export async function withSizes(disk: Disk, timelines: readonly Timeline[]): Promise<MeasuredTimeline[]> {
  const measured: MeasuredTimeline[] = [];
  for (const timeline of timelines) {
    const segments: MeasuredSegment[] = [];
    for (const segment of timeline.segments) {
      segments.push({ ...segment, bytes: (await disk.size(segment.path)) ?? 0 });
    }
    measured.push({ ...timeline, segments });
  }
  return measured;
}
