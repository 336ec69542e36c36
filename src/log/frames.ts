/**
 * Frames as a chain: takes them one after another out of a buffer, each checked in itself and against the one before
 * (SPEC.md 5). Pure; frame-file.ts and segment-reader.ts bring the bytes. A frame that comes out of here may be used
 * without further checks.
 */
import { FormatError } from '../../journal-format/errors.ts';
import { checkFollows, checkFrameBody, decodeFrameHeader, frameHeaderBytes } from '../../journal-format/frame.ts';
import type { FrameHeader, FramePlace } from '../../journal-format/frame.ts';
import type { Slab } from '../core/slabs.ts';

export interface Frame {
  readonly header: FrameHeader;
  /** The frame as it is in the file: header, meta, data. */
  readonly bytes: Buffer;
  readonly meta: Buffer;
  /** Stream bytes; empty unless the kind is `stream`. */
  readonly data: Buffer;
  /** CRC-32 of `data`. */
  readonly dataCrc: number;
  /** What all of it is in, good until the next frame is asked for unless it is retained; absent: memory not used again. */
  readonly slab?: Slab | undefined;
}

/** The whole frame at `at`; `place` undefined: the frame before is not known. FormatError: torn, corrupt, unsupported. */
export function takeFrame(bytes: Buffer, at: number, salt: number, place: FramePlace | undefined): Frame {
  const header = decodeFrameHeader(bytes, at, salt);
  if (place !== undefined) checkFollows(header, place);
  const end = at + header.length;
  if (bytes.length < end) throw new FormatError('torn', 'frame runs over the end', at);
  const whole = bytes.subarray(at, end);
  const body = whole.subarray(frameHeaderBytes);
  const dataCrc = checkFrameBody(header, body, salt);
  const { metaLength } = header;
  return { header, bytes: whole, meta: body.subarray(0, metaLength), data: body.subarray(metaLength), dataCrc };
}
