/**
 * What a vector holds, as plain JSON: the same value that `reader.py vector` prints. Shared by make.ts, which writes the
 * expected JSON once, and by the tests, which compare every later version of the codec with it. Bytes become hex.
 */
import { createHash } from 'node:crypto';
import { decodeAttach } from '../../../journal-format/attach.ts';
import { decodeBase } from '../../../journal-format/base.ts';
import { decodeDocument, documentLength } from '../../../journal-format/document.ts';
import type { DocumentKind } from '../../../journal-format/document.ts';
import { FormatError, isFormatError } from '../../../journal-format/errors.ts';
import { decodeFilters, decodeFiltersOf } from '../../../journal-format/filters.ts';
import type { Footer } from '../../../journal-format/footer.ts';
import { decodeFooter } from '../../../journal-format/footer.ts';
import {
  checkFollows,
  checkFrameBody,
  decodeFrameHeader,
  findFrame,
  frameHeaderBytes,
  placeAfter,
} from '../../../journal-format/frame.ts';
import type { FrameHeader, FramePlace } from '../../../journal-format/frame.ts';
import { decodeGap } from '../../../journal-format/gap.ts';
import { decodeMark } from '../../../journal-format/mark.ts';
import { decodeRemoved } from '../../../journal-format/removed.ts';
import { decodeReads } from '../../../journal-format/reads.ts';
import { decodeSamples } from '../../../journal-format/samples.ts';
import { checkSealed, decodeBlock, decodeTrailer, trailerBytes } from '../../../journal-format/sealed.ts';
import { decodeSealedHeader, decodeSegmentHeader } from '../../../journal-format/segment-header.ts';
import { decodeStop } from '../../../journal-format/stop.ts';
import { decodeTimeline } from '../../../journal-format/timeline.ts';

const decoders: Record<DocumentKind, (bytes: Uint8Array) => { record: unknown; length: number; crc: number }> = {
  'open-header': decodeSegmentHeader,
  'sealed-header': decodeSealedHeader,
  'sealed-footer': decodeFooter,
  timeline: decodeTimeline,
  base: decodeBase,
  gap: decodeGap,
  mark: decodeMark,
  stop: decodeStop,
  removed: decodeRemoved,
  filters: decodeFilters,
};

/** A document alone, an open segment, or a sealed one; or `{ error }`. */
export function describeVector(bytes: Buffer): unknown {
  try {
    const { kind } = decodeDocument(bytes);
    const length = documentLength(bytes);
    if (kind === 'open-header' && bytes.length > length) return describeOpen(bytes);
    if (kind === 'sealed-header' && bytes.length > length) return describeSealed(bytes);
    return { type: 'document', kind, ...plain(decoders[kind](bytes)) };
  } catch (error) {
    if (isFormatError(error)) return { error: error.kind };
    throw error;
  }
}

export interface FrameWalk {
  readonly frames: unknown[];
  /** Where the walk stopped, and why; undefined at the very end of the bytes. */
  readonly position: number;
  readonly place: FramePlace;
  readonly durable: number;
  readonly problem: FormatError | undefined;
}

/** Takes frames from `position` on for as long as they are right. */
export function walkFrames(bytes: Buffer, from: number, salt: number, first: FramePlace): FrameWalk {
  const frames: unknown[] = [];
  let position = from;
  let place = first;
  let durable = 0;
  while (position < bytes.length) {
    try {
      const header = decodeFrameHeader(bytes, position, salt);
      checkFollows(header, place);
      const body = bytes.subarray(position + frameHeaderBytes, position + header.length);
      checkFrameBody(header, body, salt);
      frames.push(describeFrame(header, body));
      durable = Math.max(durable, header.durable);
      position += header.length;
      place = placeAfter(header);
    } catch (error) {
      if (isFormatError(error)) return { frames, position, place, durable, problem: error };
      throw error;
    }
  }
  return { frames, position, place, durable, problem: undefined };
}

function describeOpen(bytes: Buffer): unknown {
  const header = decodeSegmentHeader(bytes);
  const { start, salt } = header.record;
  const walk = walkFrames(bytes, header.length, salt, { crc: header.crc, nextOffset: start, lastStamp: 0 });
  const tail = { position: walk.position, end: walk.place.nextOffset - 1, state: stateOfRest(bytes, walk, salt) };
  return { type: 'open', header: plain(header), frames: walk.frames, tail };
}

/** SPEC.md 11, step 5, with what the file alone knows. */
function stateOfRest(bytes: Buffer, walk: FrameWalk, salt: number): string {
  if (walk.problem?.kind === 'unsupported') return 'unsupported';
  const end = walk.place.nextOffset - 1;
  if (end < walk.durable) return 'corrupt';
  if (bytes.subarray(walk.position).every((byte) => byte === 0)) return 'clean';
  for (let at = findFrame(bytes, walk.position, salt); at !== -1; at = findFrame(bytes, at + 1, salt)) {
    if (at === walk.position ? !follows(bytes, walk, salt) : bytes.readBigUInt64LE(at + 16) > BigInt(end))
      return 'corrupt';
  }
  return 'torn';
}

/** Whether the frame at which the walk stopped is in its place, so that only its body can be unfinished. */
function follows(bytes: Buffer, walk: FrameWalk, salt: number): boolean {
  try {
    checkFollows(decodeFrameHeader(bytes, walk.position, salt), walk.place);
    return true;
  } catch (error) {
    if (isFormatError(error)) return false;
    throw error;
  }
}

function describeSealed(bytes: Buffer): unknown {
  const header = decodeSealedHeader(bytes);
  const trailer = decodeTrailer(bytes.subarray(Math.max(0, bytes.length - trailerBytes)), bytes.length);
  const footer = decodeFooter(bytes.subarray(trailer.position, trailer.position + trailer.length));
  checkSealed(header.record, header.length, footer.record, trailer);
  const filters = describeFilters(bytes, footer.record);
  const blocksEnd = footer.record.filters?.position ?? trailer.position;
  const digest = createHash('sha256').update(bytes.subarray(0, blocksEnd)).digest();
  if (!digest.equals(footer.record.sha256)) throw new FormatError('corrupt', 'SHA-256 is wrong');
  const raw = footer.record.blocks.map((block) => decodeBlock(block, bytes.subarray(block.position)));
  const place = { crc: header.record.chain, nextOffset: header.record.start, lastStamp: 0 };
  const { frames, problem } = walkFrames(Buffer.concat(raw), 0, header.record.salt, place);
  if (problem !== undefined) throw problem;
  if (frames.length !== footer.record.frames) throw new FormatError('corrupt', 'frames are missing');
  return { type: 'sealed', header: plain(header), frames, footer: plain(footer), trailer, ...filters };
}

function describeFilters(bytes: Buffer, footer: Footer): { filters?: object } {
  const { position, length } = footer.filters ?? {};
  if (position === undefined || length === undefined) return {};
  const document = bytes.subarray(position, position + length);
  decodeFiltersOf(footer, document);
  return { filters: plain(decodeFilters(document)) };
}

function describeFrame(header: FrameHeader, body: Buffer): unknown {
  const meta = body.subarray(0, header.metaLength);
  const data = body.subarray(header.metaLength);
  switch (header.kind) {
    case 'stream': {
      const reads = decodeReads(meta, header).toArray();
      return { ...header, reads: reads.map(({ stamp, end }) => [stamp, end]), data: data.toString('hex') };
    }
    case 'sample':
      return { ...header, samples: decodeSamples(meta) };
    case 'attach':
      return { ...header, attach: decodeAttach(meta) };
    case 'tick':
      return { ...header };
    case 'unknown':
      return { ...header, meta: meta.toString('hex') };
  }
}

function plain(value: unknown): object {
  return JSON.parse(
    JSON.stringify(value, (_key, part: unknown) => {
      if (part instanceof Uint32Array) return [...part];
      return isBufferJson(part) ? Buffer.from(part.data).toString('hex') : part;
    }),
  ) as object;
}

function isBufferJson(part: unknown): part is { type: 'Buffer'; data: number[] } {
  return typeof part === 'object' && part !== null && 'type' in part && part.type === 'Buffer' && 'data' in part;
}
