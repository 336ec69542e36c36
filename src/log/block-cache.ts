/**
 * Decoded blocks of sealed segments, for those of this process who read the same ones at about the same time: feeds of
 * several replicas, searches beside each other. Each block is read and decompressed once, also where several ask for it
 * before it is there. Who reads a journal once from front to end passes this by (FramesIn `slabs`).
 *
 * A block that has to make room goes on as long as somebody reads in it: the cache is only one of its holders. A failure
 * is told to all who waited for it, and is not kept.
 *
 * Neighbour: segment-reader.ts, which fills it and checks every frame for each reader anew.
 */
import { LRUCache } from 'lru-cache';
import { blockCacheBytesMax } from '../core/limits.ts';
import { Slab } from '../core/slabs.ts';

interface Loading {
  /** One holder for each of these. */
  waiting: number;
  readonly slab: Promise<Slab>;
}

export class BlockCache {
  readonly #blocks: LRUCache<string, Slab>;
  readonly #loading = new Map<string, Loading>();

  constructor(bytesMax: number = blockCacheBytesMax) {
    this.#blocks = new LRUCache({
      maxSize: bytesMax,
      sizeCalculation: ({ bytes }) => bytes.length,
      dispose: (slab) => {
        slab.release();
      },
    });
  }

  /** Bytes that it holds by itself; what only readers hold comes on top. */
  get bytes(): number {
    return this.#blocks.calculatedSize;
  }

  /**
   * The block at this place of a file that never changes, decoded by `decode` into memory that nothing else has a part of
   * unless it is there. The caller is one of its holders, and releases it.
   */
  async take(path: string, position: number, decode: () => Promise<Buffer<ArrayBuffer>>): Promise<Slab> {
    const name = `${position} ${path}`;
    const kept = this.#blocks.get(name);
    if (kept !== undefined) return kept.retain();
    let loading = this.#loading.get(name);
    if (loading === undefined) {
      loading = { waiting: 0, slab: this.#load(name, decode) };
      this.#loading.set(name, loading);
    }
    loading.waiting += 1;
    return loading.slab;
  }

  /** Retained for all who wait before any of them goes on: another block may push it out by then. */
  async #load(name: string, decode: () => Promise<Buffer<ArrayBuffer>>): Promise<Slab> {
    try {
      const slab = Slab.ofOwn(await decode());
      for (let i = this.#loading.get(name)?.waiting ?? 0; i > 0; i -= 1) slab.retain();
      if (slab.bytes.length <= this.#blocks.maxSize) this.#blocks.set(name, slab);
      else slab.release();
      return slab;
    } finally {
      this.#loading.delete(name);
    }
  }
}
