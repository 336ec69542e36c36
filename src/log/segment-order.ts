/**
 * The segments of a timeline in order, from the names of its folder alone (SPEC.md 3 and 6). Neighbours: catalog.ts,
 * recovery.ts and verify-timeline.ts look into the files.
 */
import { join } from 'node:path';
import { parseTimelineEntry } from '../../journal-format/names.ts';
import type { Micros } from '../core/clock.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';

export interface NamedSegment {
  readonly name: string;
  readonly kind: 'open' | 'sealed';
  readonly unique: string;
  readonly start: Offset;
  /** Of sealed segments, from the name. */
  readonly end?: Offset;
  readonly first?: Micros;
  readonly last?: Micros;
}

/** All segment files, by start; of those that begin together the sealed one first. */
export function namedSegments(names: readonly string[]): NamedSegment[] {
  const found: NamedSegment[] = [];
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    if (entry.kind === 'open' || entry.kind === 'sealed') found.push({ name, ...entry });
  }
  return found.sort((a, b) => a.start - b.start || Number(a.kind === 'open') - Number(b.kind === 'open'));
}

/** Without the open files that are there as sealed ones, too: the sealed one counts. */
export function withoutTwins(segments: readonly NamedSegment[]): NamedSegment[] {
  return segments.filter(({ kind, start }, i) => {
    const before = segments[i - 1];
    return !(kind === 'open' && before?.kind === 'sealed' && before.start === start);
  });
}

/**
 * Whether each segment is at the end of the one before. One that begins inside an open one before it ends that one (an
 * abandoned file, SPEC.md 6). IntegrityError when one is missing or doubled.
 */
export function requireOrder(directory: string, segments: readonly NamedSegment[], firstOffset: Offset): void {
  let expected = firstOffset;
  for (const [i, segment] of segments.entries()) {
    const before = segments[i - 1];
    const isInside = before?.kind === 'open' && segment.start > before.start;
    // Bases of a later origin may stand inside the first segment that is left.
    const isFirst = before === undefined && segment.start < expected;
    if (segment.start !== expected && !isInside && !isFirst) throw misplaced(directory, segment, expected);
    expected = (segment.end ?? segment.start - 1) + 1;
  }
}

function misplaced(directory: string, segment: NamedSegment, expected: Offset): IntegrityError {
  const path = join(directory, segment.name);
  const isMissing = segment.start > expected;
  return new IntegrityError(
    isMissing ? 'segment-missing' : 'segment-doubled',
    `${path} begins at offset ${segment.start}, but what is before it ends at ${expected - 1}`,
    {
      ...(isMissing && { exitCode: 4 }),
      hint: `a segment is ${isMissing ? 'missing' : 'there twice'}; journal verify shows the whole picture`,
    },
  );
}

/** The first byte of the segment that holds `offset`: it follows a boundary. Where there is none, `first`. */
export async function startOfSegment(disk: Disk, directory: string, offset: Offset, first: Offset): Promise<Offset> {
  const segments = namedSegments(await disk.list(directory));
  return segments.findLast(({ start }) => start <= offset)?.start ?? first;
}
