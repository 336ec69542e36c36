/**
 * The commands of a stretch of a timeline, those that match: every whole command behind one boundary and up to another is
 * looked at once, where it lies, and only what matches is made into something. The one way in which inspection reads
 * commands.
 *
 * It goes by what the filters of sealed segments do not exclude: other blocks are not even read.
 */
import { decodeReads } from '../../journal-format/reads.ts';
import type { Reads } from '../../journal-format/reads.ts';
import type { Offset } from '../core/position.ts';
import type { Timeline } from '../log/catalog.ts';
import type { BlockCache } from '../log/block-cache.ts';
import type { Frame } from '../log/frames.ts';
import { readRange } from '../log/read-range.ts';
import { searchStretches } from '../log/search-stretches.ts';
import type { SearchStretch } from '../log/search-stretches.ts';
import type { Wanted } from '../log/stretches.ts';
import { BoundaryScanner } from '../redis/boundary-scanner.ts';
import type { ScannerState } from '../redis/boundary-scanner.ts';
import { CommandReader } from '../redis/command-reader.ts';
import type { CommandReaderOptions, StreamCommand } from '../redis/command-reader.ts';
import { knownBoundary } from '../restore/locate/locate-boundaries.ts';
import type { Disk } from '../storage/disk.ts';
import { throwIfInterrupted } from './interruption.ts';

/** More of one frame come by parts: what is made of them is gone before the collector of old objects has to see it. */
const takenTogether = 256;

/** What was taken of some commands whose last bytes came in one frame. */
export interface Batch<T> {
  readonly taken: readonly T[];
  /** When the bytes of the frame came. */
  readonly reads: Reads;
}

export interface ScanOptions<T> extends CommandReaderOptions {
  /** Shared with others who read the same journal at the same time; undefined: there are none. */
  readonly blocks?: BlockCache | undefined;
  /** Called before the commands of which the last bytes are in this frame, or in what is wanted of it. */
  readonly beginFrame?: (frame: Frame) => void;
  /** Called in order with each command that is handed out; undefined: nothing is taken of it. */
  readonly take: (command: StreamCommand) => T | undefined;
}

/** `from` and `to` are boundaries of the timeline; whatever is not wanted may be left out, or handed out nonetheless. */
export async function* scanCommands<T>(
  disk: Disk,
  timeline: Timeline,
  { from, to }: { readonly from: Offset; readonly to: Offset },
  wanted: Wanted,
  options: ScanOptions<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Batch<T>, void, undefined> {
  const range = { from: await stateAt(disk, timeline, from), to };
  for await (const stretch of searchStretches(disk, timeline.segments, range, wanted)) {
    throwIfInterrupted(signal);
    yield* scanStretch(disk, timeline, stretch, options, signal);
  }
}

async function* scanStretch<T>(
  disk: Disk,
  timeline: Timeline,
  { from, to }: SearchStretch,
  options: ScanOptions<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Batch<T>, void, undefined> {
  const reader = new CommandReader(from, options);
  const framesIn = options.blocks ?? 'slabs';
  for await (const { bytes, frame } of readRange(disk, timeline.segments, from.offset + 1, to, framesIn)) {
    throwIfInterrupted(signal);
    options.beginFrame?.(frame);
    reader.push(bytes);
    let reads: Reads | undefined;
    let taken: T[] = [];
    for (let command = reader.next(); command !== undefined; command = reader.next()) {
      const one = options.take(command);
      if (one !== undefined) taken.push(one);
      if (taken.length < takenTogether) continue;
      yield { taken, reads: (reads ??= decodeReads(frame.meta, frame.header)) };
      taken = [];
    }
    if (taken.length > 0) yield { taken, reads: reads ?? decodeReads(frame.meta, frame.header) };
    reader.letGo();
  }
}

/** The db selected at a boundary. */
export async function stateAt(disk: Disk, timeline: Timeline, offset: Offset): Promise<ScannerState> {
  const known = await knownBoundary(disk, timeline, { by: 'offset', offset });
  const scanner = new BoundaryScanner(known);
  if (known.offset < offset) {
    for await (const { bytes } of readRange(disk, timeline.segments, known.offset + 1, offset, 'slabs'))
      scanner.scan(bytes);
  }
  if (scanner.boundary !== offset) throw new RangeError(`offset ${offset} is no boundary`);
  return { offset, db: scanner.boundaryDb };
}
