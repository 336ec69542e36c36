/**
 * Checks an RDB as it arrives: CRC-32 of each chunk, the RDB's own CRC-64, and what is in it. Bytes in, findings out; the
 * worker (base-check-worker.ts) reads them from the file behind the writer.
 */
import { crc32 } from 'node:zlib';
import { IntegrityError } from '../core/errors.ts';
import type { BaseChecked, BaseHead } from '../log/base-receiver.ts';
import { Crc64 } from '../redis/crc64.ts';
import { RdbHeadReader } from '../redis/rdb-head.ts';
import { RdbWalk } from '../redis/rdb-walk.ts';

export const chunkBytes: number = 1024 * 1024;

/** The checksum that an RDB ends with; it covers all before itself. */
const footerBytes = 8;
const noChecksum = '0000000000000000';

export class BaseCheck {
  readonly #path: string;
  readonly #crc64 = new Crc64();
  readonly #walk = new RdbWalk();
  readonly #headReader = new RdbHeadReader();
  readonly #chunks: number[] = [];
  #head: BaseHead | undefined;
  /** The last bytes so far: the footer, if nothing follows. */
  #footer = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** The next chunk: chunkBytes long, but for the last. */
  push(chunk: Buffer): void {
    this.#chunks.push(crc32(chunk));
    this.#walk.push(chunk);
    this.#readHead(chunk);
    const held = Buffer.concat([this.#footer, chunk.subarray(-footerBytes)]);
    const settled = Math.max(0, chunk.length - footerBytes);
    this.#crc64.update(held.subarray(0, held.length - footerBytes));
    this.#crc64.update(chunk.subarray(0, settled));
    this.#footer = Buffer.from(held.subarray(-footerBytes));
  }

  /** Throws an IntegrityError when the RDB is not whole or not right. */
  finish(): BaseChecked {
    const walked = this.#walk.finish();
    const stored = Buffer.from(this.#footer).reverse().toString('hex');
    const computed = this.#crc64.hex();
    if (stored !== noChecksum && stored !== computed) {
      throw new IntegrityError(
        'base-checksum',
        `${this.#path}: the RDB's checksum is ${stored}, its bytes give ${computed}`,
        {
          hint: 'it was damaged on the way or while it was written; another full sync is needed',
        },
      );
    }
    const findings = { crc64: stored, chunk: chunkBytes, chunks: Uint32Array.from(this.#chunks) };
    if (walked.kind !== 'walked') return { findings, head: this.#head };
    const { keys, expires, hashFieldExpires, minHashFieldExpireMs } = walked;
    const contents = { keys, expires, hashFieldExpires, minHashFieldExpireMs };
    return { findings: { ...findings, contents }, head: this.#head };
  }

  #readHead(chunk: Buffer): void {
    if (this.#head !== undefined) return;
    const head = this.#headReader.push(chunk);
    if (head !== undefined) this.#head = { ...head, aux: Object.fromEntries(head.aux) };
  }
}
