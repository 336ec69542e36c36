/**
 * A base that comes from another journal, as far as it has come: kept beside the timelines (SPEC.md 3, `partial/`) while the link
 * is away and over restarts, so that its transfer goes on where it stopped. Neighbour: base-receiver.ts, which writes it and
 * makes it a base.
 *
 * Invariant: what is said to be held are whole chunks, each right by the checksum that the other journal has of it, or written
 * by this very process.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { decodeBase, encodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { publish } from '../storage/publish.ts';
import { damageIn } from './damaged.ts';
import { readDocumentFile } from './document-file.ts';
import { isNotFound } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';

export interface HeldPart {
  readonly record: BaseRecord;
  readonly bytes: number;
}

export class PartialBase {
  readonly #disk: Disk;
  readonly #directory: string;
  /** Written by us, since the last begin or resumption. */
  #written: number | undefined;

  constructor(disk: Disk, { partial }: SourceTree) {
    this.#disk = disk;
    this.#directory = partial;
  }

  /** Undefined: nothing that is worth going on with. */
  async held(): Promise<HeldPart | undefined> {
    try {
      const record = await readDocumentFile(this.#disk, this.#path('base'), decodeBase);
      await using file = await this.#disk.open(this.#path('rdb'), 'read');
      const chunks = this.#written === undefined ? await rightChunks(file, record) : this.#written / record.chunk;
      // One chunk at least is to come, and with it the end.
      const bytes = Math.min(Math.floor(chunks), record.chunks.length - 1) * record.chunk;
      return bytes > 0 ? { record, bytes } : undefined;
    } catch (error) {
      if (!isNotFound(error) && damageIn(error) === undefined) throw error;
      return undefined;
    }
  }

  /** The file to write to behind `held` bytes; anew without any. */
  async open(record: BaseRecord, held: number): Promise<{ readonly file: DiskFile; readonly size: number }> {
    if (held > 0) {
      const file = await this.#disk.open(this.#path('rdb'), 'write');
      await file.truncate(held);
      return { file, size: held };
    }
    await this.discard();
    await this.#disk.makeDirectory(this.#directory);
    await publish(this.#disk, this.#path('base'), encodeBase(record).bytes);
    return { file: await this.#disk.create(this.#path('rdb')), size: 0 };
  }

  /** The transfer broke off: so many bytes are in the file. */
  kept(bytes: number): void {
    this.#written = bytes;
  }

  async discard(): Promise<void> {
    this.#written = undefined;
    await this.#disk.removeTree(this.#directory);
  }

  #path(name: 'base' | 'rdb'): string {
    return join(this.#directory, name);
  }
}

async function rightChunks(file: DiskFile, { chunk, chunks, size }: BaseRecord): Promise<number> {
  const room = Buffer.allocUnsafe(Math.min(chunk, size));
  for (const [i, crc] of chunks.entries()) {
    const got = await file.read(room, i * chunk);
    if (got < room.length || crc32(room) !== crc) return i;
  }
  return chunks.length;
}
