/**
 * One open segment being written: header document, then frames, each chained to the one before (SPEC.md 6). It knows
 * nothing of when to write or sync; stream-writer.ts decides that.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { DataSum } from '../../journal-format/data-sum.ts';
import { encodeFrame } from '../../journal-format/frame.ts';
import type { FrameFields, FrameKind } from '../../journal-format/frame.ts';
import { openSegmentName } from '../../journal-format/names.ts';
import { encodeSegmentHeader } from '../../journal-format/segment-header.ts';
import type { SegmentHeader } from '../../journal-format/segment-header.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { uniqueHex } from '../storage/publish.ts';

/** Where an open segment ends: what is needed to append to it. */
export interface SegmentTail {
  readonly path: string;
  /** Offset of its first stream byte. */
  readonly start: Offset;
  /** File position behind the last frame. */
  readonly position: number;
  /** Header checksum of the last frame, or of the header document. */
  readonly chain: number;
  readonly salt: number;
  /** Stamp of the first read in it, or when it was begun. */
  readonly firstStamp: Micros;
}

export interface NewFrame {
  readonly kind: FrameKind;
  readonly fields: FrameFields;
  readonly meta: Uint8Array;
  readonly data: readonly Uint8Array[];
  /** Of `data`. */
  readonly sum: DataSum;
}

export class SegmentFile {
  readonly path: string;
  readonly firstStamp: Micros;
  readonly #file: DiskFile;
  readonly #salt: number;
  #position: number;
  #chain: number;
  /** Goes out with the first frame, in the same write. */
  #headerBytes: Buffer | undefined;

  private constructor(file: DiskFile, tail: SegmentTail, headerBytes: Buffer | undefined) {
    this.path = tail.path;
    this.firstStamp = tail.firstStamp;
    this.#file = file;
    this.#salt = tail.salt;
    this.#position = tail.position;
    this.#chain = tail.chain;
    this.#headerBytes = headerBytes;
  }

  /** Creates the file. Nothing in it, nor its name, is durable before it and its directory are synced. */
  static async create(
    disk: Disk,
    directory: string,
    header: Omit<SegmentHeader, 'segment' | 'salt'>,
  ): Promise<SegmentFile> {
    const segment = uniqueHex();
    const salt = randomInt(0, 2 ** 32);
    const encoded = encodeSegmentHeader({ ...header, segment, salt });
    const path = join(directory, openSegmentName(header.start, segment));
    const file = await disk.create(path);
    const tail = { path, start: header.start, position: 0, chain: encoded.crc, salt, firstStamp: header.stamp };
    return new SegmentFile(file, tail, encoded.bytes);
  }

  /** Goes on behind the last frame of a recovered segment. */
  static async reopen(disk: Disk, tail: SegmentTail): Promise<SegmentFile> {
    return new SegmentFile(await disk.open(tail.path, 'write'), tail, undefined);
  }

  /** Bytes of the file so far. */
  get bytes(): number {
    return this.#position;
  }

  /** In one write, not synced. More may be appended before it has returned. */
  append(frames: readonly NewFrame[]): Promise<void> {
    const at = this.#position;
    const parts: Uint8Array[] = this.#headerBytes === undefined ? [] : [this.#headerBytes];
    for (const { kind, fields, meta, data, sum } of frames) {
      const { header, crc } = encodeFrame(kind, fields, meta, sum, this.#salt, this.#chain);
      parts.push(header, meta, ...data);
      this.#chain = crc;
    }
    this.#position += parts.reduce((bytes, part) => bytes + part.length, 0);
    this.#headerBytes = undefined;
    return this.#file.write(parts, at);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
