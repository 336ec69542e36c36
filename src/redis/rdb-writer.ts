/**
 * An RDB as it is put together out of pieces, in large chunks, with its checksum; and how lengths and instants are written.
 */
import { SlabPool } from '../core/slabs.ts';
import type { Slab } from '../core/slabs.ts';
import { Crc64 } from './crc64.ts';

const chunkBytes = 1024 * 1024;
/** Buffers that go around between writing here and there: left to the collector, they pile up. */
const chunksKept = 8;
const end = 255;

export interface WrittenChunk {
  readonly bytes: Buffer;
  /** What `bytes` are in: whoever gets it releases it. */
  readonly slab: Slab;
}

export class RdbWriter {
  readonly #crc = new Crc64();
  readonly #pool = new SlabPool(chunkBytes, chunksKept);
  #slab = this.#pool.take();
  #filled = 0;
  #ready: WrittenChunk[] = [];

  /** `bytes` are copied. */
  write(bytes: Uint8Array): void {
    if (this.#filled + bytes.length < chunkBytes) {
      this.#slab.bytes.set(bytes, this.#filled);
      this.#filled += bytes.length;
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + chunkBytes - this.#filled);
      this.#slab.bytes.set(part, this.#filled);
      at += part.length;
      this.#filled += part.length;
      if (this.#filled === chunkBytes) this.#hand();
    }
  }

  /** The chunks that are full since the last time. */
  take(): WrittenChunk[] {
    return this.#ready.splice(0);
  }

  /** All that is left, with the end of the file. */
  finish(): WrittenChunk[] {
    this.write(Buffer.from([end]));
    this.#hand();
    this.write(Buffer.from(this.#crc.hex(), 'hex').reverse());
    this.#hand();
    return this.take();
  }

  #hand(): void {
    const bytes = this.#slab.bytes.subarray(0, this.#filled);
    this.#crc.update(bytes);
    this.#ready.push({ bytes, slab: this.#slab });
    this.#slab = this.#pool.take();
    this.#filled = 0;
  }
}

export function encodeLength(value: number): Buffer {
  if (value < 0x40) return Buffer.from([value]);
  if (value < 0x4000) return Buffer.from([0x40 | (value >> 8), value & 0xff]);
  if (value < 2 ** 32) {
    const wide = Buffer.alloc(5, 0x80);
    wide.writeUInt32BE(value, 1);
    return wide;
  }
  const wider = Buffer.alloc(9, 0x81);
  wider.writeUInt32BE(Math.floor(value / 2 ** 32), 1);
  wider.writeUInt32BE(value % 2 ** 32, 5);
  return wider;
}

/** Signed, little-endian, as millisecondsAt() reads them. */
export function writeMilliseconds(bytes: Buffer, at: number, ms: number): void {
  bytes.writeUInt32LE(ms >>> 0, at);
  bytes.writeInt32LE(Math.floor(ms / 2 ** 32), at + 4);
}
