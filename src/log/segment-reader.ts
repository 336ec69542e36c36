/**
 * Reads a segment, open or sealed, as verified frames in stream order. Neighbours: catalog.ts says which file, frames.ts
 * and frame-file.ts check each frame. Nothing unverified leaves this file.
 *
 * An open segment may still be growing: its frames end at the last valid one. That is only an end when nothing behind
 * proves otherwise; damage in the middle is an IntegrityError, never a shorter history. It may also be sealed at any
 * time: whoever was told of the open file gets the sealed one.
 */
import { basename, dirname, join } from 'node:path';
import { FormatError } from '../../journal-format/errors.ts';
import { placeAfter } from '../../journal-format/frame.ts';
import type { FramePlace } from '../../journal-format/frame.ts';
import { decodeFiltersOf } from '../../journal-format/filters.ts';
import type { Filters } from '../../journal-format/filters.ts';
import type { BlockEntry, Footer } from '../../journal-format/footer.ts';
import { decodeFooter } from '../../journal-format/footer.ts';
import { parseTimelineEntry } from '../../journal-format/names.ts';
import { checkSealed, decodeBlock, decodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import type { Trailer } from '../../journal-format/sealed.ts';
import { decodeSealedHeader } from '../../journal-format/segment-header.ts';
import type { SealedHeader, SegmentHeader } from '../../journal-format/segment-header.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import { Slab } from '../core/slabs.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { BlockCache } from './block-cache.ts';
import { readDocument } from './document-file.ts';
import { fileProblem } from './format-problem.ts';
import { FrameFile, checkIdentity } from './frame-file.ts';
import { takeFrame } from './frames.ts';
import type { Frame } from './frames.ts';
import { namedSegments } from './segment-order.ts';
import { isNotFound, listOrEmpty } from './source-tree.ts';

export interface SegmentReader extends AsyncDisposable {
  readonly path: string;
  readonly header: SegmentHeader;
  /**
   * Frames in order, beginning at the latest with the one that holds `from`, and ending with the one that holds `to` at the
   * earliest; there may be more on both sides.
   */
  frames(from?: Offset, to?: Offset): AsyncGenerator<Frame, void, undefined>;
}

/**
 * What frames are in: memory that is not used again, or, of sealed segments, slabs that are given back behind the caller's
 * back once it goes on, its own or those that it shares with others.
 */
export type FramesIn = 'memory' | 'slabs' | BlockCache;

export async function openSegmentReader(
  disk: Disk,
  path: string,
  kind: 'open' | 'sealed',
  framesIn: FramesIn = 'memory',
): Promise<SegmentReader> {
  const listed = await openListed(disk, path, kind);
  try {
    if (listed.kind === 'open') return await OpenReader.over(listed.file);
    return await SealedReader.over(listed.file, framesIn);
  } catch (error) {
    await listed.file.close();
    throw fileProblem(listed.file.path, error);
  }
}

/** A segment as it was listed, or, where it has been sealed since then, as it is now. */
export async function openListed(
  disk: Disk,
  path: string,
  kind: 'open' | 'sealed',
): Promise<{ readonly file: DiskFile; readonly kind: 'open' | 'sealed' }> {
  try {
    return { file: await disk.open(path, 'read'), kind };
  } catch (error) {
    const sealed = kind === 'open' && isNotFound(error) ? await findSealed(disk, path) : undefined;
    if (sealed === undefined) throw error;
    return openListed(disk, sealed, 'sealed');
  }
}

/** The sealed file that was made of the open one at `path`. */
export async function findSealed(disk: Disk, path: string): Promise<string | undefined> {
  const directory = dirname(path);
  const [open] = namedSegments([basename(path)]);
  const sealed = namedSegments(await listOrEmpty(disk, directory)).find(
    ({ kind, unique, start }) => kind === 'sealed' && unique === open?.unique && start === open.start,
  );
  return sealed === undefined ? undefined : join(directory, sealed.name);
}

class OpenReader implements SegmentReader {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly #file: DiskFile;

  private constructor(file: DiskFile, header: SegmentHeader) {
    this.path = file.path;
    this.header = header;
    this.#file = file;
  }

  static async over(file: DiskFile): Promise<OpenReader> {
    return new OpenReader(file, (await FrameFile.open(file)).header);
  }

  async *frames(from: Offset = 0): AsyncGenerator<Frame, void, undefined> {
    const walk = await FrameFile.open(this.#file);
    await skipTo(walk, from);
    do {
      for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) yield frame;
    } while (await this.#hasMore(walk));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  async #hasMore(walk: FrameFile): Promise<boolean> {
    try {
      return await walk.hasMore();
    } catch (error) {
      throw fileProblem(this.path, error, walk.position);
    }
  }
}

/** Bodies that end before that offset are not even read. */
async function skipTo(walk: FrameFile, from: Offset): Promise<void> {
  for (let { mark } = walk; ; { mark } = walk) {
    const header = await walk.nextHeader();
    if (header !== undefined && header.end < from) continue;
    walk.goTo(mark);
    return;
  }
}

/** A sealed segment: header and footer are read at once, blocks when they are needed. */
export class SealedReader implements SegmentReader {
  readonly path: string;
  readonly header: SealedHeader;
  readonly footer: Footer;
  readonly #file: DiskFile;
  readonly #framesIn: FramesIn;

  private constructor(file: DiskFile, header: SealedHeader, footer: Footer, framesIn: FramesIn) {
    this.path = file.path;
    this.header = header;
    this.footer = footer;
    this.#file = file;
    this.#framesIn = framesIn;
  }

  /** Takes over the file. FormatError when header, footer and trailer do not fit together. */
  static async over(file: DiskFile, framesIn: FramesIn = 'memory'): Promise<SealedReader> {
    const trailer = await readTrailer(file);
    const footer = decodeFooter(await readDocument(file, trailer.position)).record;
    const header = decodeSealedHeader(await readDocument(file));
    checkSealed(header.record, header.length, footer, trailer);
    checkSealedName(file.path, header.record, footer);
    return new SealedReader(file, header.record, footer, framesIn);
  }

  async *frames(from: Offset = 0, to: Offset = Infinity): AsyncGenerator<Frame, void, undefined> {
    const { start, salt, chain } = this.header;
    // In the middle of a segment the frame before is not known; from the second one on the chain is checked.
    const { blocks } = this.footer;
    const first = Math.min(blocks.filter(({ end }) => end < from).length, blocks.length - 1);
    let place: FramePlace | undefined = first > 0 ? undefined : { crc: chain, nextOffset: start, lastStamp: 0 };
    const wanted = blocks.slice(first).filter((block) => block.start <= to);
    for await (const { block, raw, slab } of this.#rawBlocks(wanted)) {
      for (let at = 0; at < raw.length;) {
        const frame = this.#frame(raw, at, salt, place, block);
        at += frame.header.length;
        place = placeAfter(frame.header);
        yield slab === undefined ? frame : { ...frame, slab };
      }
      if (place !== undefined && place.nextOffset !== block.end + 1) throw this.#disagrees(block);
    }
  }

  /** What need not be looked for in which block; undefined where nothing is said. FormatError when it is damaged. */
  async filters(): Promise<Filters | undefined> {
    const { filters } = this.footer;
    if (filters === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(filters.length);
    const got = await this.#file.read(bytes, filters.position);
    return decodeFiltersOf(this.footer, bytes.subarray(0, got));
  }

  /** The stored bytes of a block, as they are in the file. */
  async storedBlock(block: BlockEntry): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(block.storedLength);
    return bytes.subarray(0, await this.#file.read(bytes, block.position));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  async *#rawBlocks(blocks: readonly BlockEntry[]): AsyncGenerator<RawBlock, void, undefined> {
    const framesIn = this.#framesIn;
    if (framesIn instanceof BlockCache) {
      for (const block of blocks) {
        const decode = async (): Promise<Buffer<ArrayBuffer>> => this.#raw(block, await this.storedBlock(block));
        using slab = await framesIn.take(this.path, block.position, decode);
        yield { block, raw: slab.bytes, slab };
      }
      return;
    }
    for await (const { block, stored } of this.#storedBlocks(blocks)) {
      const raw = this.#raw(block, stored);
      using slab = framesIn === 'slabs' ? Slab.ofOwn(raw) : undefined;
      yield { block, raw, slab };
    }
  }

  /** The next block is read while one is used. */
  async *#storedBlocks(
    blocks: readonly BlockEntry[],
  ): AsyncGenerator<{ readonly block: BlockEntry; readonly stored: Buffer }, void, undefined> {
    let ahead: Promise<Buffer> | undefined;
    for (const [i, block] of blocks.entries()) {
      const stored = await (ahead ?? this.storedBlock(block));
      const next = blocks[i + 1];
      ahead = next && this.storedBlock(next);
      // A failure is told when it is that block's turn, if it comes.
      ahead?.catch(() => undefined);
      yield { block, stored };
    }
  }

  #raw(block: BlockEntry, stored: Buffer): Buffer<ArrayBuffer> {
    try {
      return decodeBlock(block, stored);
    } catch (error) {
      throw fileProblem(this.path, error, block.position);
    }
  }

  #frame(raw: Buffer, at: number, salt: number, place: FramePlace | undefined, block: BlockEntry): Frame {
    try {
      const frame = takeFrame(raw, at, salt, place);
      if (at === 0 && frame.header.start !== block.start) throw this.#disagrees(block);
      return frame;
    } catch (error) {
      throw fileProblem(this.path, error, block.position);
    }
  }

  #disagrees(block: BlockEntry): IntegrityError {
    return new IntegrityError(
      'corrupt',
      `${this.path}: the block at byte ${block.position} holds other offsets than its index says`,
    );
  }
}

interface RawBlock {
  readonly block: BlockEntry;
  readonly raw: Buffer;
  readonly slab: Slab | undefined;
}

function checkSealedName(path: string, header: SealedHeader, footer: Footer): void {
  checkIdentity(path, header);
  const name = parseTimelineEntry(basename(path));
  const agrees =
    name.kind === 'sealed' && name.end === footer.end && name.first === footer.first && name.last === footer.last;
  if (!agrees) throw new FormatError('corrupt', 'the file is named for other offsets or stamps than it holds');
}

async function readTrailer(file: DiskFile): Promise<Trailer> {
  const size = await file.size();
  const last = Buffer.alloc(Math.min(trailerBytes, size));
  await file.read(last, size - last.length);
  return decodeTrailer(last, size);
}
