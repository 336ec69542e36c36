/**
 * The newest stretch of the stream, read from the disk once for all feeds that are up to date, however many they are. A feed
 * that is further behind reads for itself until it is here (feed.ts), and takes nobody's memory but its own.
 *
 *   durable offset moves ──► follower ──► chunks ──► every feed that waits
 *
 * Nothing is read while nobody waits. Bounded by liveTailBytesMax.
 */
import { liveTailBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import { Share } from '../core/turns.ts';
import type { Turns } from '../core/turns.ts';
import { BlockCache } from '../log/block-cache.ts';

import type { Disk } from '../storage/disk.ts';
import type { History } from './history.ts';
import { ServedStream } from './served-stream.ts';
import type { ServedPiece } from './served-stream.ts';

interface Chunk {
  readonly start: Offset;
  readonly bytes: Buffer;
  /** Retained; absent: the bytes are a copy. */
  readonly slab: Slab | undefined;
}

export interface TailReader {
  /** There may be more, or another history. */
  changed(): void;
  /** The journal cannot be read. */
  failed(error: unknown): void;
}

/** What is smaller is copied: a slab may be much larger than what is wanted of it. */
const copiedBytesMax = 32 * 1024;

export class LiveTail implements AsyncDisposable {
  /** Blocks of sealed segments that several feeds read. */
  readonly blocks = new BlockCache();
  readonly #disk: Disk;
  readonly #history: History;
  readonly #share: Share;
  readonly #readers = new Set<TailReader>();
  #unwatch: (() => void) | undefined;
  #follower: { readonly name: string; readonly stream: ServedStream } | undefined;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;
  #reading: Promise<void> | undefined;
  /** There may be something new. */
  #isDue = false;

  constructor(disk: Disk, history: History, turns: Turns) {
    this.#disk = disk;
    this.#history = history;
    this.#share = new Share(turns);
  }

  get isFollowed(): boolean {
    return this.#readers.size > 0;
  }

  /** The result ends it. */
  join(reader: TailReader): () => void {
    this.#readers.add(reader);
    this.#unwatch ??= this.#history.watch(() => {
      this.#wake();
    });
    this.#wake();
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      this.#unwatch?.();
      this.#unwatch = undefined;
      void this.#rest();
    };
  }

  /** Whether the bytes from `offset` on are further back than what is held; they are not when they are still to come. */
  isBehind(offset: Offset): boolean {
    const stream = this.#follower?.stream;
    return stream !== undefined && offset < stream.position && this.#chunkOf(offset) === undefined;
  }

  /** The bytes from `from` on, as far as they lie together; undefined: they are not held. */
  from(from: Offset): ServedPiece | undefined {
    const chunk = this.#chunkOf(from);
    return chunk && { start: from, bytes: chunk.bytes.subarray(from - chunk.start), slab: chunk.slab };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch?.();
    this.#readers.clear();
    await this.#rest();
  }

  #chunkOf(offset: Offset): Chunk | undefined {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle];
      if (chunk === undefined || offset < chunk.start) high = middle - 1;
      else if (offset >= chunk.start + chunk.bytes.length) low = middle + 1;
      else return chunk;
    }
    return undefined;
  }

  #wake(): void {
    this.#isDue = true;
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
      // It may have become due behind the last look.
      if (this.#isDue && this.#readers.size > 0) this.#wake();
    });
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#isDue && this.#readers.size > 0) {
        this.#isDue = false;
        await this.#read();
        this.#tell();
      }
    } catch (error) {
      await this.#forget();
      for (const reader of [...this.#readers]) reader.failed(error);
    }
  }

  async #read(): Promise<void> {
    const served = this.#history.now();
    if (served === undefined) return;
    const { directory, ids, durable } = served;
    const name = `${directory} ${ids.at(-1)?.id ?? ''}`;
    if (this.#follower?.name !== name) {
      await this.#forget();
      // What is older is for those to read who lack it.
      this.#follower = { name, stream: new ServedStream(this.#disk, durable + 1, this.blocks) };
    }
    const { stream } = this.#follower;
    for (let piece = await stream.read(served); piece !== undefined; piece = await stream.read(served)) {
      this.#keep(piece);
      if (!this.#share.spend(piece.bytes.length)) continue;
      this.#tell();
      await this.#share.next();
    }
  }

  #tell(): void {
    for (const reader of this.#readers) reader.changed();
  }

  #keep({ start, bytes, slab }: ServedPiece): void {
    const isCopied = slab === undefined || bytes.length <= copiedBytesMax;
    this.#chunks.push(
      isCopied ? { start, bytes: Buffer.from(bytes), slab: undefined } : { start, bytes, slab: slab.retain() },
    );
    this.#bytes += bytes.length;
    let dropped = 0;
    for (const chunk of this.#chunks) {
      if (this.#bytes <= liveTailBytesMax) break;
      this.#bytes -= chunk.bytes.length;
      chunk.slab?.release();
      dropped += 1;
    }
    if (dropped > 0) this.#chunks.splice(0, dropped);
  }

  /** Nobody waits any more. */
  async #rest(): Promise<void> {
    await this.#reading;
    if (this.#readers.size === 0) await this.#forget();
  }

  async #forget(): Promise<void> {
    for (const { slab } of this.#chunks.splice(0)) slab?.release();
    this.#bytes = 0;
    const follower = this.#follower;
    this.#follower = undefined;
    await follower?.stream[Symbol.asyncDispose]();
  }
}
