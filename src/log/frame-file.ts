/**
 * Walks the frames of an open segment's file from the front, with or without their bodies, up to the last valid one, and
 * tells what is behind it. Neighbours: recovery.ts and verify.ts judge the rest, segment-reader.ts reads for everybody
 * else. Memory is bounded by the largest frame.
 */
import { isFormatError } from '../../journal-format/errors.ts';
import type { FormatError } from '../../journal-format/errors.ts';
import { documentHeaderBytes, documentLength } from '../../journal-format/document.ts';
import { checkFollows, decodeFrameHeader, findFrame, frameHeaderBytes, placeAfter } from '../../journal-format/frame.ts';
import type { FrameHeader, FramePlace } from '../../journal-format/frame.ts';
import { frameDataBytesMax, frameMetaBytesMax } from '../../journal-format/limits.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Offset } from '../core/position.ts';
import type { DiskFile } from '../storage/disk.ts';
import { takeFrame } from './frames.ts';
import type { Frame } from './frames.ts';

/** Read at once: in the headers-only walk a whole frame is skipped when it is larger than this. */
const windowBytes = 64 * 1024;
const scanBytes = 4 * 1024 * 1024;
const frameBytesMax: number = frameHeaderBytes + frameMetaBytesMax + frameDataBytesMax;

/** What is behind the last valid frame. */
export type Rest = 'nothing' | 'zeros' | 'remains' | 'frames';

export class FrameFile {
  readonly header: SegmentHeader;
  readonly #file: DiskFile;
  #place: FramePlace;
  #position: number;
  #window = Buffer.alloc(0);
  #windowAt = 0;
  #problem: FormatError | undefined;

  private constructor(file: DiskFile, header: SegmentHeader, length: number, crc: number) {
    this.#file = file;
    this.header = header;
    this.#place = { crc, nextOffset: header.start, lastStamp: 0 };
    this.#position = length;
  }

  /** Reads the header document; FormatError when it is not right. The file stays the caller's. */
  static async open(file: DiskFile): Promise<FrameFile> {
    const bytes = await readDocument(file);
    const { record, length, crc } = decodeSegmentHeader(bytes);
    return new FrameFile(file, record, length, crc);
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

  /** The next frame with its body, all checked; undefined behind the last valid one. */
  async next(): Promise<Frame | undefined> {
    return this.#attempt(async () => {
      const header = await this.#header();
      const bytes = await this.#bytes(header.length);
      const frame = takeFrame(bytes, 0, this.header.salt, this.#place);
      this.#pass(header);
      return frame;
    });
  }

  /** The header of the next frame, chained to the one before; its body is neither read nor checked. */
  async nextHeader(): Promise<FrameHeader | undefined> {
    return this.#attempt(async () => {
      const header = await this.#header();
      if (this.#position + header.length > (await this.#file.size())) return undefined;
      this.#pass(header);
      return header;
    });
  }

  /** The meta of the frame that nextHeader() just passed; unchecked but for its place. */
  async metaOf(header: FrameHeader): Promise<Buffer> {
    const meta = Buffer.alloc(header.metaLength);
    const at = this.#position - header.length + frameHeaderBytes;
    return meta.subarray(0, await this.#file.read(meta, at));
  }

  /** Judges what is behind the last valid frame: is there any later frame of this very segment? */
  async rest(): Promise<Rest> {
    const size = await this.#file.size();
    if (size <= this.#position) return 'nothing';
    const bytes = Buffer.allocUnsafe(scanBytes);
    let zeros = true;
    for (let at = this.#position; at < size; at += scanBytes - (frameHeaderBytes - 1)) {
      const got = bytes.subarray(0, await this.#file.read(bytes, at));
      if (this.#holdsLaterFrame(got, at)) return 'frames';
      zeros &&= isZero(got);
    }
    return zeros ? 'zeros' : 'remains';
  }

  /** A frame at the very position where the walk stopped is the one that is damaged, not a later one. */
  #holdsLaterFrame(bytes: Buffer, at: number): boolean {
    const { salt } = this.header;
    for (let i = findFrame(bytes, 0, salt); i !== -1; i = findFrame(bytes, i + 1, salt)) {
      if (at + i > this.#position && bytes.readUInt32LE(i + 4) !== 0) return true;
    }
    return false;
  }

  async #attempt<T>(take: () => Promise<T>): Promise<T | undefined> {
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

  async #header(): Promise<FrameHeader> {
    const header = decodeFrameHeader(await this.#bytes(frameHeaderBytes), 0, this.header.salt);
    checkFollows(header, this.#place);
    return header;
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
    const bytes = Buffer.allocUnsafe(wanted);
    const got = await this.#file.read(bytes, this.#position);
    this.#window = bytes.subarray(0, got);
    this.#windowAt = this.#position;
    return this.#window;
  }
}

/** The document at the beginning of a file, with room for all of it. */
export async function readDocument(file: DiskFile, at = 0): Promise<Buffer> {
  const head = Buffer.alloc(documentHeaderBytes);
  const got = await file.read(head, at);
  const bytes = Buffer.alloc(documentLength(head.subarray(0, got)));
  return bytes.subarray(0, await file.read(bytes, at));
}

/** The last offset that frames so far cover. */
export function lastOffset(place: FramePlace): Offset {
  return place.nextOffset - 1;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
