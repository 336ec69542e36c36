/**
 * Checks frame after frame of one segment for what their checksums cannot prove: the meaning of meta, boundaries that
 * never go back. Keeps what is whole as runs of offsets, and where the segment stands behind its last frame.
 */
import { decodeAttach } from '../../journal-format/attach.ts';
import { FormatError } from '../../journal-format/errors.ts';
import type { FrameHeader } from '../../journal-format/frame.ts';
import { decodeReads } from '../../journal-format/reads.ts';
import { decodeSamples } from '../../journal-format/samples.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Micros } from '../core/clock.ts';
import { TimeEvidence } from './evidence.ts';
import type { Frame } from './frames.ts';
import { tailAfter, tailAtStart } from './open-tail.ts';
import type { OpenTail } from './open-tail.ts';
import type { OffsetRange } from './verify-report.ts';

/** Bytes that are whole, and the stamps of the first and last of them. */
export interface Run extends OffsetRange {
  readonly first: Micros;
  readonly last: Micros;
}

export class FrameAudit {
  readonly #visit: (header: FrameHeader) => void;
  readonly #runs: Run[] = [];
  /** What the frames say of time. */
  readonly evidence = new TimeEvidence();
  #tail: OpenTail;

  /** `visit` is told of every frame that is right. */
  constructor(header: SegmentHeader, visit: (header: FrameHeader) => void) {
    this.#tail = tailAtStart(header);
    this.#visit = visit;
  }

  get tail(): OpenTail {
    return this.#tail;
  }

  /** Consecutive frames are one run. */
  get runs(): readonly Run[] {
    return this.#runs;
  }

  /** Takes a frame whose checksums and place are right; FormatError when it is wrong nevertheless. */
  add(frame: Frame): void {
    const { header } = frame;
    checkMeta(frame);
    if (header.boundary < this.#tail.boundary) {
      throw new FormatError('corrupt', `boundaries go back at offset ${header.start}`);
    }
    this.#tail = tailAfter(this.#tail, header, frame.meta);
    this.evidence.add(header, frame.meta);
    if (header.dataLength > 0) this.#extend(header);
    this.#visit(header);
  }

  #extend({ start, end, firstStamp, lastStamp }: FrameHeader): void {
    const run = this.#runs.at(-1);
    if (run?.to === start - 1) this.#runs[this.#runs.length - 1] = { ...run, to: end, last: lastStamp };
    else this.#runs.push({ from: start, to: end, first: firstStamp, last: lastStamp });
  }
}

function checkMeta({ header, meta }: Frame): void {
  switch (header.kind) {
    case 'stream':
      decodeReads(meta, header);
      break;
    case 'sample':
      decodeSamples(meta);
      break;
    case 'attach':
      decodeAttach(meta);
      break;
    case 'tick':
    case 'unknown':
      break;
  }
}
