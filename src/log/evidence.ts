/**
 * What a segment's frames say of time: interruptions and samples (SPEC.md 5, kinds 3 and 4; section 12, "Time"). Of sealed
 * segments the footer repeats it, of open ones the headers lead to it, so no payload is read. restore/ decides with it
 * which instants are certain; sealing.ts gathers it.
 */
import { join } from 'node:path';
import { decodeAttach } from '../../journal-format/attach.ts';
import type { Interruption } from '../../journal-format/footer.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { decodeSamples } from '../../journal-format/samples.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import type { SegmentEntry } from './catalog.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
import { namedSegments, withoutTwins } from './segment-order.ts';
import { openListed, SealedReader } from './segment-reader.ts';

export class TimeEvidence {
  readonly attaches: Interruption[] = [];
  readonly samples: Sample[] = [];

  /** Takes what a frame says; most say nothing. */
  add({ kind, start }: Pick<FrameHeader, 'kind' | 'start'>, meta: Uint8Array): void {
    if (kind === 'sample') this.samples.push(...decodeSamples(meta));
    if (kind !== 'attach') return;
    const { lostStamp, stamp } = decodeAttach(meta);
    this.attaches.push({ offset: start - 1, lostStamp, stamp });
  }
}

export async function readEvidence(
  disk: Disk,
  segment: Pick<SegmentEntry, 'kind' | 'path' | 'end'>,
): Promise<Pick<TimeEvidence, 'attaches' | 'samples'>> {
  const { file, kind } = await openListed(disk, segment.path, segment.kind);
  await using _file = file;
  try {
    if (kind === 'open') return await walkOpen(file, segment.end);
    const { attaches = [], samples = [] } = (await SealedReader.over(file)).footer;
    return { attaches: [...attaches], samples: [...samples] };
  } catch (error) {
    throw fileProblem(file.path, error);
  }
}

/** Stamps of the last sample and attachment that a log has near its end; 0: there is none. */
export interface LastNotes {
  readonly sampled: Micros;
  readonly attached: Micros;
}

export const noNotes: LastNotes = { sampled: 0, attached: 0 };

/** Of the last segment, and of the one before, where that one ends may be noted still. */
export async function lastNotes(disk: Disk, directory: string): Promise<LastNotes> {
  const segments = withoutTwins(namedSegments(await disk.list(directory))).slice(-2);
  let { sampled, attached } = noNotes;
  for (const { kind, name, end = Infinity } of segments) {
    const { samples, attaches } = await readEvidence(disk, { kind, path: join(directory, name), end });
    for (const { stamp } of samples) sampled = Math.max(sampled, stamp);
    for (const { stamp } of attaches) attached = Math.max(attached, stamp);
  }
  return { sampled, attached };
}

async function walkOpen(file: DiskFile, end: number): Promise<TimeEvidence> {
  const walk = await FrameFile.open(file);
  const evidence = new TimeEvidence();
  for (let header = await walk.nextHeader(); header !== undefined; header = await walk.nextHeader()) {
    // What lies beyond the segment's end (an abandoned file) is not part of the timeline.
    if (header.end > end) break;
    if (header.kind === 'sample' || header.kind === 'attach') evidence.add(header, await walk.metaOf(header));
  }
  return evidence;
}
