/**
 * Turns an open segment that is complete into a sealed one (SPEC.md 10, step 6): the same frames, verbatim, in zstd
 * blocks, with filters, an index, a footer and a digest. A pure transformation of files: it needs nothing of the writer and runs
 * in a worker of its own (sealer.ts).
 *
 * Invariant: the open file is removed only when the sealed one is whole, synced and has its name.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { decodeAttach } from '../../journal-format/attach.ts';
import { encodeFilters } from '../../journal-format/filters.ts';
import { encodeFooter } from '../../journal-format/footer.ts';
import type { BlockEntry } from '../../journal-format/footer.ts';
import { sealedSegmentName } from '../../journal-format/names.ts';
import type { Encoded } from '../../journal-format/record.ts';
import { encodeBlock, encodeTrailer } from '../../journal-format/sealed.ts';
import { encodeSealedHeader } from '../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { temporaryPath } from '../storage/publish.ts';
import type { KnownCommands } from './block-contents.ts';
import { readDocument } from './document-file.ts';
import { fileProblem } from './format-problem.ts';
import { TimeEvidence } from './evidence.ts';
import { FiltersMaker } from './filters-maker.ts';
import { FrameFile, lastOffset } from './frame-file.ts';
import type { Frame } from './frames.ts';
import { idsAfter } from './open-tail.ts';

/** A block is closed when it holds this much. */
const blockBytes = 1024 * 1024;

export interface Sealed {
  readonly path: string;
  /** Bytes of frames, and of the sealed file. */
  readonly raw: number;
  readonly stored: number;
}

/**
 * Seals the segment at `path`, which must be complete: `end` is the last offset that counts, where the next segment
 * begins less one. Returns undefined where there is nothing to seal: frames lie beyond `end`, or the beginning of one (an
 * abandoned file), or there are none. Such a file stays open for ever. It gets filters where `known` tells of its commands.
 */
export async function sealSegment(
  disk: Disk,
  path: string,
  end: Offset,
  known?: KnownCommands,
): Promise<Sealed | undefined> {
  const temporary = temporaryPath(dirname(path));
  await using target = await disk.create(temporary);
  try {
    const sealed = await writeSealed(disk, path, end, new SealedWriter(target, known));
    if (sealed === undefined) await disk.remove(temporary);
    return sealed;
  } catch (error) {
    await disk.remove(temporary);
    throw error;
  }
}

async function writeSealed(disk: Disk, path: string, end: Offset, writer: SealedWriter): Promise<Sealed | undefined> {
  const directory = dirname(path);
  await using source = await disk.open(path, 'read');
  const walk = await begin(source, writer);
  for (let frame = await walk.next(); frame !== undefined; frame = await walk.next()) await writer.add(frame);
  if (lastOffset(walk.place) > end || writer.isEmpty) return undefined;
  if (lastOffset(walk.place) < end) throw incomplete(path, walk, end);
  const rest = walk.problem?.kind === 'unsupported' ? 'damage' : await walk.rest();
  if (rest === 'damage') throw incomplete(path, walk, end);
  // The write that failed, behind the last whole command: verify takes it for one that was not finished, too.
  if (rest === 'remains') return undefined;
  const { name, raw, stored } = await writer.finish(walk.header);
  await writer.file.sync();
  await disk.rename(writer.file.path, join(directory, name));
  await disk.syncDirectory(directory);
  await disk.remove(path);
  await disk.syncDirectory(directory);
  return { path: join(directory, name), raw, stored };
}

async function begin(source: DiskFile, writer: SealedWriter): Promise<FrameFile> {
  try {
    const walk = await FrameFile.open(source, 'shared');
    await writer.begin(walk.header, (await readDocument(source)).readUInt32LE(12));
    return walk;
  } catch (error) {
    throw fileProblem(source.path, error);
  }
}

function incomplete(path: string, walk: FrameFile, end: Offset): Error {
  if (walk.problem !== undefined) return fileProblem(path, walk.problem, walk.position);
  return new IntegrityError('tail-missing', `${path} ends at offset ${lastOffset(walk.place)} instead of ${end}`, {
    hint: 'the file was left as it is; journal verify shows what is whole',
  });
}

/** What a block will hold. */
type Content = Omit<BlockEntry, 'position' | 'storedLength' | 'rawLength' | 'crc'>;

class SealedWriter {
  readonly file: DiskFile;
  readonly #known: KnownCommands | undefined;
  #filters: FiltersMaker | undefined;
  readonly #digest = createHash('sha256');
  readonly #blocks: BlockEntry[] = [];
  readonly #gathered = Buffer.allocUnsafeSlow(blockBytes);
  #gatheredBytes = 0;
  #position = 0;
  #block: Content | undefined;
  #boundary = 0;
  #db = 0;
  #ids: SegmentHeader['ids'] = [];
  readonly #evidence = new TimeEvidence();
  #durable = 0;
  #frames = 0;
  #raw = 0;
  #first: number | undefined;
  #last = 0;

  constructor(file: DiskFile, known: KnownCommands | undefined) {
    this.file = file;
    this.#known = known;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  async begin(header: SegmentHeader, chain: number): Promise<void> {
    this.#boundary = header.start - 1;
    this.#db = header.db;
    this.#ids = header.ids;
    if (this.#known !== undefined) {
      this.#filters = new FiltersMaker(this.#known, { offset: header.start - 1, db: header.db });
    }
    await this.#write(encodeSealedHeader({ ...header, codec: 'zstd', chain }).bytes);
  }

  async add(frame: Frame): Promise<void> {
    const { header } = frame;
    if (this.#gatheredBytes + header.length > blockBytes) await this.#closeBlock();
    const { start, end, firstStamp, lastStamp } = header;
    this.#block ??= { start, end, boundary: this.#boundary, db: this.#db, firstStamp, lastStamp };
    this.#block = { ...this.#block, end, lastStamp };
    this.#filters?.push(frame.data);
    if (header.length > blockBytes) {
      await this.#writeBlock(this.#block, frame.bytes);
    } else {
      // A copy: the reader's memory is that of the next frame, too.
      this.#gatheredBytes += frame.bytes.copy(this.#gathered, this.#gatheredBytes);
    }
    this.#boundary = header.boundary;
    this.#db = header.db;
    this.#durable = Math.max(this.#durable, header.durable);
    this.#first ??= firstStamp;
    this.#last = lastStamp;
    this.#frames += 1;
    this.#evidence.add(header, frame.meta);
    if (header.kind === 'attach') this.#ids = idsAfter(this.#ids, decodeAttach(frame.meta).id, start);
  }

  async finish(header: SegmentHeader): Promise<{ name: string; raw: number; stored: number }> {
    await this.#closeBlock();
    const end = this.#blocks.at(-1)?.end ?? header.start - 1;
    const first = this.#first ?? header.stamp;
    const last = Math.max(first, this.#last);
    const filters = this.#encodeFilters();
    const footer = encodeFooter({
      start: header.start,
      end,
      first,
      last,
      db: this.#db,
      ids: this.#ids,
      durable: this.#durable,
      frames: this.#frames,
      raw: this.#raw,
      blocks: this.#blocks,
      attaches: this.#evidence.attaches,
      samples: this.#evidence.samples,
      filters: filters && { position: this.#position, length: filters.bytes.length, crc: filters.crc },
      sha256: this.#digest.digest(),
    }).bytes;
    const position = this.#position + (filters?.bytes.length ?? 0);
    const trailer = encodeTrailer({ position, length: footer.length });
    await this.file.write([...(filters === undefined ? [] : [filters.bytes]), footer, trailer], this.#position);
    const stored = position + footer.length + trailer.length;
    this.#gathered.buffer.transfer(0);
    return {
      name: sealedSegmentName({ start: header.start, end, first, last }, header.segment),
      raw: this.#raw,
      stored,
    };
  }

  #encodeFilters(): Encoded | undefined {
    const filters = this.#filters?.finish();
    return filters && encodeFilters(filters);
  }

  async #closeBlock(): Promise<void> {
    if (this.#block === undefined) return;
    await this.#writeBlock(this.#block, this.#gathered.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  async #writeBlock(block: Content, raw: Buffer): Promise<void> {
    const { stored, crc } = encodeBlock(raw);
    const { length: storedLength } = stored;
    this.#blocks.push({ position: this.#position, storedLength, rawLength: raw.length, crc, ...block });
    await this.#write(stored);
    // Its memory goes back now: the collector, which sees little garbage in this thread, would let 50 MB pile up.
    stored.buffer.transfer(0);
    this.#raw += raw.length;
    this.#filters?.endBlock(block.end);
    this.#block = undefined;
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#digest.update(bytes);
    await this.file.write([bytes], this.#position);
    this.#position += bytes.length;
  }
}
