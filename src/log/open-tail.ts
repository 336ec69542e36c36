/**
 * Where an open segment ends, found in a walk over its frame headers (SPEC.md 12). Bodies are read only where it matters:
 * of the frames at the end that no later frame says were durable, each may be unfinished, so there the walk looks at all
 * of them. Neighbours: catalog.ts asks for every reader; recovery.ts walks with all bodies instead.
 */
import { decodeAttach } from '../../journal-format/attach.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { FrameFile, WalkMark } from './frame-file.ts';

export interface OpenTail {
  /** Last stream byte in a whole frame; the segment's start − 1 when there is none. */
  readonly end: Offset;
  readonly boundary: Offset;
  /** The db selected at `boundary`. */
  readonly db: number;
  /** First stamp of the first frame; the header's without frames. */
  readonly firstStamp: Micros;
  readonly lastStamp: Micros;
  readonly ids: readonly IdEntry[];
  /** The highest offset that a frame says was durable; 0 without frames. */
  readonly durable: Offset;
  readonly frames: number;
}

/** Walks to the end. FormatError: damage, or frames of a newer kind. */
export async function walkTail(walk: FrameFile): Promise<OpenTail> {
  const { tail, unproven } = await walkHeaders(walk);
  if (unproven === undefined) return tail;
  walk.goTo(unproven.mark);
  let whole = unproven.before;
  do {
    for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) {
      whole = tailAfter(whole, frame.header, frame.meta);
    }
  } while (await walk.hasMore());
  return whole;
}

/** The tail before the first frame. */
export function tailAtStart({ start, db, stamp, ids }: SegmentHeader): OpenTail {
  const boundary = start - 1;
  return { end: boundary, boundary, db, firstStamp: stamp, lastStamp: stamp, ids, durable: 0, frames: 0 };
}

/** The tail behind one more frame. `meta` matters for attach frames only. */
export function tailAfter(tail: OpenTail, header: FrameHeader, meta: Uint8Array): OpenTail {
  return {
    end: header.end,
    boundary: header.boundary,
    db: header.db,
    firstStamp: tail.frames === 0 ? header.firstStamp : tail.firstStamp,
    lastStamp: header.lastStamp,
    ids: header.kind === 'attach' ? idsAfter(tail.ids, decodeAttach(meta).id, header.start) : tail.ids,
    durable: Math.max(tail.durable, header.durable),
    frames: tail.frames + 1,
  };
}

/** The ids once the stream goes on under `id` at `offset`. */
export function idsAfter(ids: readonly IdEntry[], id: string, offset: Offset): readonly IdEntry[] {
  return ids.at(-1)?.id === id ? ids : [...ids, { id, offset }];
}

/** Where what is not known to be durable may begin. */
interface Start {
  /** All before is durable once this byte is: frames are synced in order. */
  readonly end: Offset;
  readonly mark: WalkMark;
  /** The tail before it. */
  readonly before: OpenTail;
}

const noMeta = new Uint8Array(0);

/** The tail by headers alone, and where the first frame begins that no later one says was durable. */
async function walkHeaders(walk: FrameFile): Promise<{ tail: OpenTail; unproven: Start | undefined }> {
  let tail = tailAtStart(walk.header);
  const starts: Start[] = [{ end: 0, mark: walk.mark, before: tail }];
  do {
    for (let header = await walk.nextHeader(); header !== undefined; header = await walk.nextHeader()) {
      tail = tailAfter(tail, header, header.kind === 'attach' ? await walk.metaOf(header) : noMeta);
      if (header.dataLength > 0) starts.push({ end: header.end, mark: walk.mark, before: tail });
      while (starts[1] !== undefined && starts[1].end <= tail.durable) starts.shift();
    }
  } while (await walk.hasMore());
  const [unproven] = starts;
  return { tail, unproven: unproven?.before.frames === tail.frames ? undefined : unproven };
}
