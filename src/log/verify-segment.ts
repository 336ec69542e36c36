/**
 * Reads one segment's file to its end and says which of its bytes are whole. Goes on behind damage: in a sealed segment
 * with the next block, in an open one with the next frame that can be found. Neighbour: verify-timeline.ts puts the
 * segments together.
 *
 * Invariant: no byte of a file is passed over; whatever is not covered by a right checksum is told.
 */
import type { FrameHeader } from '../../journal-format/frame.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Offset } from '../core/position.ts';
import type { DiskFile } from '../storage/disk.ts';
import { FrameFile, holdsNothingDurable } from './frame-file.ts';
import type { OpenTail } from './open-tail.ts';
import type { NamedSegment } from './segment-order.ts';
import { SealedReader } from './segment-reader.ts';
import { isNotFound } from './source-tree.ts';
import { FrameAudit } from './verify-frames.ts';
import type { Run } from './verify-frames.ts';
import type { OffsetRange } from './verify-report.ts';
import type { VerifyRun } from './verify-run.ts';
import { auditBlocks } from './verify-sealed.ts';

export interface SegmentAudit {
  readonly segment: NamedSegment;
  readonly path: string;
  /** Undefined when the file cannot be used at all. */
  readonly header: SegmentHeader | undefined;
  readonly runs: readonly Run[];
  /** Behind the last frame that is right; undefined without a header. */
  readonly tail: OpenTail | undefined;
  /** The stream bytes that it is there to hold: those in no run are damaged. */
  readonly claimed: OffsetRange | undefined;
  /** False when more stream bytes may have been in it than it claims now. */
  readonly endsCleanly: boolean;
}

export interface SegmentPlace {
  readonly path: string;
  readonly timeline: number;
  readonly segment: NamedSegment;
  /** The last offset that counts; undefined for the last segment. */
  readonly limit: Offset | undefined;
  /** Told of every frame that is right. */
  readonly visit: (header: FrameHeader) => void;
}

/** Undefined when the file is not there any more, or was begun and holds nothing yet. */
export async function auditSegment(run: VerifyRun, place: SegmentPlace): Promise<SegmentAudit | undefined> {
  try {
    await using file = await run.disk.open(place.path, 'read');
    return await (place.segment.kind === 'sealed' ? auditSealed(run, place, file) : auditOpen(run, place, file));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    run.findings.addError(error, { path: place.path, timeline: place.timeline, range: expected(place) });
    return unusable(place);
  }
}

/** What the file should hold by its name and its successor's. */
function expected({ segment, limit }: SegmentPlace): OffsetRange | undefined {
  const to = segment.end ?? limit;
  return to === undefined || to < segment.start ? undefined : { from: segment.start, to };
}

function unusable(place: SegmentPlace): SegmentAudit {
  const { segment, path } = place;
  const claimed = expected(place);
  return { segment, path, header: undefined, runs: [], tail: undefined, claimed, endsCleanly: claimed !== undefined };
}

async function auditSealed(run: VerifyRun, place: SegmentPlace, file: DiskFile): Promise<SegmentAudit> {
  const { path, segment } = place;
  const reader = await SealedReader.over(file);
  const audit = new FrameAudit(reader.header, place.visit);
  await auditBlocks(run, { file, reader, audit, path, timeline: place.timeline });
  const blocks = reader.footer.blocks.reduce((sum, { storedLength }) => sum + storedLength, 0);
  run.advance((await file.size()) - blocks);
  const { runs, tail } = audit;
  return { segment, path, header: reader.header, runs, tail, claimed: expected(place), endsCleanly: true };
}

async function auditOpen(run: VerifyRun, place: SegmentPlace, file: DiskFile): Promise<SegmentAudit | undefined> {
  const walk = await openWalk(run, place, file);
  if (walk === undefined) return undefined;
  const { path, segment, timeline, limit } = place;
  run.advance(walk.position);
  const audit = new FrameAudit(walk.header, place.visit);
  let end: 'more' | OpenEnd;
  do {
    for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) {
      run.advance(frame.header.length);
      const { start, end: to, length } = frame.header;
      try {
        audit.add(frame);
      } catch (error) {
        run.findings.addError(error, { path, timeline, position: walk.position - length, range: { from: start, to } });
      }
    }
    end = await whatIsNext(run, place, walk);
  } while (end === 'more');
  run.advance(Math.max(0, (await file.size()) - walk.position));
  const to = Math.max(walk.place.nextOffset - 1, end === 'damaged' ? (limit ?? 0) : 0);
  const claimed = to < segment.start ? undefined : { from: segment.start, to };
  const endsCleanly = end === 'clean' || limit !== undefined;
  return { segment, path, header: walk.header, runs: audit.runs, tail: audit.tail, claimed, endsCleanly };
}

/** Undefined when the file was begun and holds nothing yet: a living writer is about to write it, or died before. */
async function openWalk(run: VerifyRun, place: SegmentPlace, file: DiskFile): Promise<FrameFile | undefined> {
  const { path, timeline, limit } = place;
  if (limit !== undefined || !(await holdsNothingDurable(file))) return FrameFile.open(file);
  if (await run.changesSoon(async () => !(await holdsNothingDurable(file)))) return FrameFile.open(file);
  run.findings.add({ kind: 'torn', path, timeline, message: 'the segment was begun, and holds nothing' });
  return undefined;
}

/** How an open file ends: with a whole frame, with a write that was not finished, or with something that is wrong. */
type OpenEnd = 'clean' | 'torn' | 'damaged';

/** What is where the walk ended; there are more frames when the writer went on, or when some are behind damage. */
async function whatIsNext(run: VerifyRun, place: SegmentPlace, walk: FrameFile): Promise<'more' | OpenEnd> {
  const { path, timeline, limit } = place;
  const { position } = walk;
  const from = walk.place.nextOffset;
  try {
    if (await walk.hasMore()) return 'more';
  } catch (error) {
    const isMore = await walk.skipDamage();
    const range = rangeOf(from, isMore ? walk.place.nextOffset - 1 : limit);
    run.findings.addError(error, { path, timeline, position, range });
    return isMore ? 'more' : 'damaged';
  }
  const rest = await walk.rest();
  if (rest === 'nothing' || (rest === 'zeros' && rangeOf(from, limit) === undefined)) return 'clean';
  if (limit === undefined && (await run.changesSoon(() => walk.canGoOn()))) return 'more';
  const isAbandoned = limit !== undefined && limit < (rest === 'remains' ? from : from - 1);
  if (limit !== undefined && !isAbandoned) {
    const message = `the frames end at offset ${from - 1}, and what is behind them is no frame`;
    run.findings.add({ kind: 'corrupt', path, timeline, position, range: rangeOf(from, limit), message });
    return 'damaged';
  }
  const whose = limit === undefined ? 'the last write' : 'the last write to a file that was abandoned';
  const message = `${whose} was not finished: ${walk.problem?.message ?? 'no frame follows'}`;
  run.findings.add({ kind: 'torn', path, timeline, position, message });
  return 'torn';
}

function rangeOf(from: Offset, to: Offset | undefined): OffsetRange | undefined {
  return to === undefined || to < from ? undefined : { from, to };
}
