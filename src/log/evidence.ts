/**
 * What a segment's frames say of time: interruptions and samples (SPEC.md 5, kinds 3 and 4; section 12, "Time"). Of sealed
 * segments the footer repeats it, of open ones the headers lead to it, so no payload is read. restore/ decides with it
 * which instants are certain; sealing.ts gathers it.
 */
import { decodeAttach } from '../../journal-format/attach.ts';
import type { Interruption } from '../../journal-format/footer.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { decodeSamples } from '../../journal-format/samples.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import type { SegmentEntry } from './catalog.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile } from './frame-file.ts';
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
