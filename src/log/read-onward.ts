/**
 * The stream of a timeline from an offset on, for who follows it without a catalog: feeds, each from where its replica is.
 * The names in the folder say where the bytes are, in sealed and open segments alike; blocks of sealed ones come out of a
 * cache that all feeds share. Neighbour: read-range.ts, which reads and verifies.
 */
import { join } from 'node:path';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import type { BlockCache } from './block-cache.ts';
import { readRange } from './read-range.ts';
import type { RangeChunk, SegmentRange } from './read-range.ts';
import { namedSegments, withoutTwins } from './segment-order.ts';
import { listOrEmpty } from './source-tree.ts';

/**
 * Yields the bytes `from` to `to`, both included. `to` must be durable when this is called: then the file that counts is
 * there, whatever was left unfinished in another one. IntegrityError when they are not all there. A chunk is good until the
 * next one is asked for, unless its slab is retained.
 */
export async function* readOnward(
  disk: Disk,
  directory: string,
  from: Offset,
  to: Offset,
  blocks: BlockCache,
): AsyncGenerator<RangeChunk, void, undefined> {
  const segments = segmentsTo(directory, await listOrEmpty(disk, directory), to);
  yield* readRange(disk, segments, from, to, blocks);
}

/** An open segment ends where another one begins, be it in the middle of it. */
function segmentsTo(directory: string, names: readonly string[], to: Offset): SegmentRange[] {
  const segments = withoutTwins(namedSegments(names));
  return segments.map(({ name, kind, start, end }, i) => {
    const next = segments[i + 1]?.start;
    return { path: join(directory, name), kind, start, end: end ?? (next === undefined ? to : next - 1) };
  });
}
