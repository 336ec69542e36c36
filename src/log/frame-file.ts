/**
 * Walks the frames of an open segment's file from the front, with or without their bodies, up to the last valid one, and
 * tells what is behind it. Neighbours: recovery.ts and verify-segment.ts judge the rest, segment-reader.ts reads for
 * everybody else. Memory is bounded by the largest frame. The file may be growing: nothing is damage before it was
 * looked at twice.
 */
import { basename, dirname } from 'node:path';
import { decodeDocument } from '../../journal-format/document.ts';
import { FormatError, isFormatError } from '../../journal-format/errors.ts';
import {
  checkFollows,
  decodeFrameHeader,
  decodeFrameHeaderUnsalted,
  findFrame,
  frameHeaderBytes,
  placeAfter,
} from '../../journal-format/frame.ts';
import type { FrameHeader, FramePlace } from '../../journal-format/frame.ts';
import { frameDataBytesMax, frameMetaBytesMax } from '../../journal-format/limits.ts';
import { parseTimelineEntry, parseTimelineFolder } from '../../journal-format/names.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Offset } from '../core/position.ts';
import { Slab } from '../core/slabs.ts';
import type { DiskFile } from '../storage/disk.ts';
import { readDocument } from './document-file.ts';
import { takeFrame } from './frames.ts';
import type { Frame } from './frames.ts';

/** Read at once: in the headers-only walk a whole frame is skipped when it is larger than this. */
const windowBytes = 64 * 1024;
const scanBytes = 4 * 1024 * 1024;
const frameBytesMax: number = frameHeaderBytes + frameMetaBytesMax + frameDataBytesMax;

/**
 * What is behind the last valid frame. `damage`: a frame there proves that something is wrong before it, by being out of
 * place, or by saying that bytes which are not whole had been durable (SPEC.md 11, step 5).
 */
export type Rest = 'nothing' | 'zeros' | 'remains' | 'damage';

/** Where a walk stands, to come back to. */
export interface WalkMark {
  readonly position: number;
  readonly place: FramePlace;
}

/**
 * `own`: what a frame points to may be kept. `shared`: it is good until the next frame is asked for. `slabs`: so it is
 * unless the frame's slab is retained.
 */
export type FrameMemory = 'own' | 'shared' | 'slabs';

export class FrameFile implements Disposable {
  readonly header: SegmentHeader;
  readonly #file: DiskFile;
  readonly #memory: FrameMemory;
  #place: FramePlace;
  #position: number;
  #room = Buffer.alloc(0);
  #slab: Slab | undefined;
  #window = Buffer.alloc(0);
  #windowAt = 0;
  #sizeSeen = 0;
  #problem: FormatError | undefined;

  private constructor(file: DiskFile, memory: FrameMemory, header: SegmentHeader, length: number, crc: number) {
    this.#file = file;
    this.#memory = memory;
    this.header = header;
    this.#place = { crc, nextOffset: header.start, lastStamp: 0 };
    this.#position = length;
  }

  /** Reads the header document; FormatError when it is not right, or another file's. The file stays the caller's. */
  static async open(file: DiskFile, memory: FrameMemory = 'own'): Promise<FrameFile> {
    const bytes = await readDocument(file);
    const { record, length, crc } = decodeSegmentHeader(bytes);
    checkIdentity(file.path, record);
    return new FrameFile(file, memory, record, length, crc);
  }

  /** File position behind the last frame taken. */
  get position(): number {
    return this.#position;
  }

  /** What the next frame has to follow. */
  get place(): FramePlace {
    return this.#place;
  }

  /** Why there was no further frame; undefined when the file just ends. */
  get problem(): FormatError | undefined {
    return this.#problem;
  }

  get mark(): WalkMark {
    return { position: this.#position, place: this.#place };
  }

  goTo(mark: WalkMark): void {
    this.#position = mark.position;
    this.#place = mark.place;
    this.#problem = undefined;
  }

  /** Lets go of its slab; the file stays the caller's. */
  [Symbol.dispose](): void {
    this.#slab?.release();
    this.#slab = undefined;
  }

  /** The next frame with its body, all checked; undefined behind the last valid one. */
  async next(): Promise<Frame | undefined> {
    const frame = await this.#attempt(() => this.#frame());
    if (frame !== undefined) this.#pass(frame.header);
    return frame;
  }

  /** The header of the next frame, chained to the one before; of the bodies only those of attach frames are checked. */
  async nextHeader(): Promise<FrameHeader | undefined> {
    const header = await this.#attempt(async () => {
      const found = await this.#header();
      if (found.kind === 'attach') return (await this.#frame()).header;
      return (await this.#reaches(this.#position + found.length)) ? found : undefined;
    });
    if (header !== undefined) this.#pass(header);
    return header;
  }

  /** The meta of the frame that nextHeader() just passed; of other kinds than attach unchecked but for its place. */
  async metaOf(header: FrameHeader): Promise<Buffer> {
    const meta = Buffer.alloc(header.metaLength);
    const at = this.#position - header.length + frameHeaderBytes;
    return meta.subarray(0, await this.#file.read(meta, at));
  }

  /**
   * To be asked when a walk has ended. False: this is the end of the file, or of what is whole in it. True: the writer
   * went on meanwhile, and so may the walk. Throws the FormatError of damage, and of frames of a newer kind.
   */
  async hasMore(): Promise<boolean> {
    const problem = this.#problem;
    if (problem === undefined) return false;
    if (problem.kind !== 'unsupported') {
      if ((await this.rest()) !== 'damage') return false;
      // A frame is written when the one before it is: what was found behind may be younger than what was seen here.
      if (await this.canGoOn()) return true;
    }
    throw this.#problem ?? problem;
  }

  /** Whether a whole frame is next: looked at anew. */
  async canGoOn(): Promise<boolean> {
    return (await this.#attempt(() => this.#frame())) !== undefined;
  }

  /** Judges what is behind the last valid frame. */
  async rest(): Promise<Rest> {
    const size = await this.#file.size();
    if (size <= this.#position) return 'nothing';
    let zeros = true;
    for await (const { bytes, at } of this.#windows(this.#position)) {
      if (this.#provesDamage(bytes, at)) return 'damage';
      zeros &&= isZero(bytes);
    }
    return zeros ? 'zeros' : 'remains';
  }

  /** Behind damage: goes to the next whole frame of this segment that lies further on in the stream, if there is one. */
  async skipDamage(): Promise<boolean> {
    const { salt } = this.header;
    const before = this.mark;
    for await (const { bytes, at } of this.#windows(before.position + 1)) {
      for (let i = findFrame(bytes, 0, salt); i !== -1; i = findFrame(bytes, i + 1, salt)) {
        this.goTo({ position: at + i, place: placeOf(bytes, i, before.place) });
        if (lastOffset(this.#place) < lastOffset(before.place)) continue;
        if (await this.canGoOn()) return true;
      }
    }
    this.goTo(before);
    return false;
  }

  /** The file from a position on, in pieces that overlap by a frame header less one byte. */
  async *#windows(from: number): AsyncGenerator<{ readonly bytes: Buffer; readonly at: number }, void, undefined> {
    const window = Buffer.allocUnsafe(scanBytes);
    for (let at = from; ; at += scanBytes - (frameHeaderBytes - 1)) {
      const got = await this.#file.read(window, at);
      if (got > 0) yield { bytes: window.subarray(0, got), at };
      if (got < scanBytes) return;
    }
  }

  /** A right header checksum is this segment's alone: the salt is in no other file. */
  #provesDamage(bytes: Buffer, at: number): boolean {
    const { salt } = this.header;
    for (let i = findFrame(bytes, 0, salt); i !== -1; i = findFrame(bytes, i + 1, salt)) {
      if (this.#isProof(bytes, i, at + i === this.#position)) return true;
    }
    return false;
  }

  #isProof(bytes: Buffer, at: number, isNext: boolean): boolean {
    try {
      const header = decodeFrameHeader(bytes, at, this.header.salt);
      const end = lastOffset(this.#place);
      if (!isNext) return header.start > end && header.durable > end;
      checkFollows(header, this.#place);
      return false;
    } catch (error) {
      if (isFormatError(error)) return true;
      throw error;
    }
  }

  async #attempt<T>(take: () => Promise<T>): Promise<T | undefined> {
    this.#problem = undefined;
    for (const look of ['first', 'fresh'] as const) {
      try {
        return await take();
      } catch (error) {
        if (!isFormatError(error)) throw error;
        // The writer may have been in the middle of this frame: look once more at what is there now.
        this.#window = Buffer.alloc(0);
        if (look === 'fresh' && (await this.#file.size()) > this.#position) this.#problem = error;
      }
    }
    return undefined;
  }

  async #frame(): Promise<Frame> {
    const header = await this.#header();
    const frame = takeFrame(await this.#bytes(header.length), 0, this.header.salt, this.#place);
    return this.#slab === undefined ? frame : { ...frame, slab: this.#slab };
  }

  async #header(): Promise<FrameHeader> {
    const header = decodeFrameHeader(await this.#bytes(frameHeaderBytes), 0, this.header.salt);
    checkFollows(header, this.#place);
    return header;
  }

  /** Whether the file goes as far as that; its size is asked for only where it may have grown. */
  async #reaches(position: number): Promise<boolean> {
    if (position > this.#sizeSeen) this.#sizeSeen = await this.#file.size();
    return position <= this.#sizeSeen;
  }

  #pass(header: FrameHeader): void {
    this.#position += header.length;
    this.#place = placeAfter(header);
  }

  /** At least `length` bytes from the current position on, fewer only at the end of the file. */
  async #bytes(length: number): Promise<Buffer> {
    const from = this.#position - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from);
    const wanted = Math.min(Math.max(length, windowBytes), frameBytesMax);
    this.#makeRoom(wanted);
    const got = await this.#file.read(this.#room.subarray(0, wanted), this.#position);
    this.#window = this.#room.subarray(0, got);
    this.#windowAt = this.#position;
    return this.#window;
  }

  #makeRoom(bytes: number): void {
    if (this.#memory === 'shared' && this.#room.length >= bytes) return;
    const room = Buffer.allocUnsafeSlow(bytes);
    this.#room = room;
    if (this.#memory !== 'slabs') return;
    this.#slab?.release();
    this.#slab = Slab.ofOwn(room);
  }
}

/** The place that the frame at `at` claims for itself; stamps still may not go back. */
function placeOf(bytes: Buffer, at: number, before: FramePlace): FramePlace {
  return { crc: bytes.readUInt32LE(at + 72), nextOffset: uint64At(bytes, at + 16), lastStamp: before.lastStamp };
}

const frameMagic = Buffer.from('JFRM', 'latin1');

/**
 * Of an open segment's file whose header document is not whole: whether there is also nothing behind it that says
 * something of this segment had been durable (SPEC.md 11, step 6). Without the header its frames cannot be checked; one
 * that was forged inside a value only makes this refuse.
 */
export async function holdsNothingDurable(file: DiskFile): Promise<boolean> {
  const entry = parseTimelineEntry(basename(file.path));
  if (entry.kind !== 'open' || (await hasHeader(file))) return false;
  const window = Buffer.allocUnsafe(scanBytes);
  for (let at = 0; ; at += scanBytes - (frameHeaderBytes - 1)) {
    const bytes = window.subarray(0, await file.read(window, at));
    for (let i = bytes.indexOf(frameMagic); i !== -1; i = bytes.indexOf(frameMagic, i + 1)) {
      if (i + frameHeaderBytes > bytes.length) break;
      if (claimsDurable(bytes, i, entry.start)) return false;
    }
    if (bytes.length < scanBytes) return true;
  }
}

/** What no frame of a segment could have is a torn sector of one, and claims nothing. */
function claimsDurable(bytes: Buffer, at: number, segmentStart: Offset): boolean {
  try {
    const { start, durable } = decodeFrameHeaderUnsalted(bytes, at);
    return start >= segmentStart && durable >= segmentStart;
  } catch (error) {
    // One of a newer kind cannot be judged.
    if (isFormatError(error)) return error.kind === 'unsupported';
    throw error;
  }
}

/** Any whole document will do: one that is none of a segment was put there, and is not a torn write. */
async function hasHeader(file: DiskFile): Promise<boolean> {
  try {
    decodeDocument(await readDocument(file));
    return true;
  } catch (error) {
    if (isFormatError(error) && error.kind !== 'unsupported') return false;
    throw error;
  }
}

/** Unchecked, and so not refused when it is too large to be exact. */
function uint64At(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at);
}

/** The last offset that frames so far cover. */
export function lastOffset(place: FramePlace): Offset {
  return place.nextOffset - 1;
}

/** A segment knows its own name and place: what was renamed, moved or copied is recognised (SPEC.md 6). */
export function checkIdentity(path: string, header: SegmentHeader): void {
  const entry = parseTimelineEntry(basename(path));
  const timeline = parseTimelineFolder(basename(dirname(path)));
  const isNamedSo =
    (entry.kind === 'open' || entry.kind === 'sealed') &&
    entry.unique === header.segment &&
    entry.start === header.start &&
    timeline === header.timeline;
  if (isNamedSo) return;
  const which = `segment ${header.segment} of timeline ${header.timeline}, which begins at offset ${header.start}`;
  throw new FormatError('corrupt', `the file's name and place are not those of what is in it: ${which}`);
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
