/**
 * Which files at the end of a timeline count (SPEC.md 11, step 3, and 12). The open segments behind the last sealed one
 * may have been begun and never synced; then a power loss may leave a later one and take an earlier one, or parts of it.
 * And after a write error a segment may have been begun anew. A reader passes over such files, the next writer moves them
 * aside; both ask here, so that they agree.
 *
 * Invariant: nothing is passed over while anything says that something in it had been durable.
 */
import { join } from 'node:path';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile, holdsNothingDurable } from './frame-file.ts';
import { walkTail } from './open-tail.ts';
import type { OpenTail } from './open-tail.ts';
import type { NamedSegment } from './segment-order.ts';

export interface SegmentEnd {
  readonly counted: readonly NamedSegment[];
  readonly passedOver: readonly NamedSegment[];
  /** Where the open ones among those counted end, by name. */
  readonly tails: ReadonlyMap<string, OpenTail>;
}

interface OpenEnd {
  readonly segment: NamedSegment;
  /** Undefined without a whole header. */
  readonly tail: OpenTail | undefined;
}

/**
 * `segments`: in order, without twins. `firstOffset`: what the timeline's first segment begins with. `known`: the highest
 * offset that is elsewhere said to have been durable.
 */
export async function findEnd(
  disk: Disk,
  directory: string,
  segments: readonly NamedSegment[],
  firstOffset: Offset,
  known: Offset,
): Promise<SegmentEnd> {
  const closed = segments.slice(0, segments.findLastIndex(({ kind }) => kind === 'sealed') + 1);
  const open: OpenEnd[] = [];
  for (const segment of segments.slice(closed.length)) {
    open.push({ segment, tail: await readEnd(disk, join(directory, segment.name)) });
  }
  const durable = Math.max(known, ...open.map(({ tail }) => tail?.durable ?? 0));
  const count = countOpen(open, closed.at(-1)?.end ?? firstOffset - 1, durable);
  const tails = new Map<string, OpenTail>();
  for (const { segment, tail } of open) if (tail !== undefined) tails.set(segment.name, tail);
  const counted = segments.slice(0, closed.length + count);
  return { counted, passedOver: segments.slice(counted.length), tails };
}

/** How many of the open segments count; all of them where something that had been durable is not there otherwise. */
function countOpen(open: readonly OpenEnd[], before: Offset, durable: Offset): number {
  let end = before;
  let count = 0;
  /** The same at the last file that another begins inside of: where an abandoned one would be gone back to. */
  let abandoned: { readonly count: number; readonly end: Offset } | undefined;
  for (const { segment, tail } of open) {
    if (tail === undefined || segment.start > end + 1) break;
    if (segment.start <= end && end >= durable) abandoned = { count, end };
    end = tail.end;
    count += 1;
  }
  if (end >= durable) return count;
  return abandoned?.count ?? open.length;
}

/** Undefined when there is no whole header, nor anything that says that something in the file had been durable. */
async function readEnd(disk: Disk, path: string): Promise<OpenTail | undefined> {
  await using file = await disk.open(path, 'read');
  try {
    if (await holdsNothingDurable(file)) return undefined;
    return await walkTail(await FrameFile.open(file));
  } catch (error) {
    throw fileProblem(path, error);
  }
}
