/**
 * Takes an RDB from the link to the disk at line speed and publishes it as a timeline's base (SPEC.md 8, and 10 step 2).
 * The bytes go out as they come and are synced on the way, so that little is left to sync at the end; checking them is
 * the checker's work, which reads the file behind the writer, off the hot path.
 *
 * Invariant: the base document appears only when every byte is on the medium and the checker has found them right.
 */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { encodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import { baseName, rdbName } from '../../journal-format/names.ts';
import { IntegrityError } from '../core/errors.ts';
import { queueBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { publish, temporaryPath, uniqueHex } from '../storage/publish.ts';

/** Reads the RDB file behind the writer: per-chunk CRC-32, the RDB's own CRC-64, what is in it. */
export interface BaseChecker extends AsyncDisposable {
  /** The first `size` bytes of the file can be read. */
  available(size: number): void;
  /** The file is `size` bytes long; rejects with an IntegrityError when it is not a whole, right RDB. */
  finish(size: number): Promise<BaseChecked>;
}

export type BaseFindings = Pick<BaseRecord, 'crc64' | 'chunk' | 'chunks' | 'contents'>;

/** What its head says. */
export type BaseHead = Pick<BaseRecord, 'magic' | 'version' | 'aux'>;

export interface BaseChecked {
  readonly findings: BaseFindings;
  /** Undefined where it ends before its first key. */
  readonly head: BaseHead | undefined;
}

export interface BaseReceiverOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly offset: Offset;
  /** Opens a checker for a file that is being written. */
  readonly check: (path: string) => BaseChecker;
  /** Goes on with a file that holds the beginning. */
  readonly begun?: { readonly file: DiskFile; readonly size: number } | undefined;
  /** What is to be found in it. */
  readonly expected?: (Pick<BaseFindings, 'crc64' | 'chunk' | 'chunks'> & BaseHead) | undefined;
  /** A write or sync failed. Called at most once. */
  readonly failed: (error: unknown) => void;
}

/** So much is written between two syncs while the RDB arrives. */
const syncEveryBytes = 32 * 1024 * 1024;

export class BaseReceiver implements AsyncDisposable {
  readonly #options: BaseReceiverOptions;
  readonly #file: DiskFile;
  readonly #checker: BaseChecker;
  #parts: Buffer[] = [];
  #slabs: Slab[] = [];
  #queued = 0;
  #written = 0;
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #syncedAt = 0;
  #failure: { readonly error: unknown } | undefined;
  #relief: (() => void)[] = [];

  private constructor(options: BaseReceiverOptions, file: DiskFile) {
    this.#options = options;
    this.#file = file;
    this.#checker = options.check(file.path);
    this.#written = options.begun?.size ?? 0;
    if (this.#written > 0) this.#checker.available(this.#written);
  }

  static async open(options: BaseReceiverOptions): Promise<BaseReceiver> {
    const { disk, directory, begun } = options;
    return new BaseReceiver(options, begun?.file ?? (await disk.create(temporaryPath(directory))));
  }

  /** Bytes taken so far. */
  get received(): number {
    return this.#written + this.#queued;
  }

  /** Bytes in the file. */
  get written(): number {
    return this.#written;
  }

  get congested(): boolean {
    return this.#queued > queueBytesMax;
  }

  /** Resolves when half of the queue is free again, or after a failure. */
  async relieved(): Promise<void> {
    if (this.#failure !== undefined || this.#queued <= queueBytesMax / 2) return;
    await new Promise<void>((resolve) => {
      this.#relief.push(resolve);
    });
  }

  /** Takes the next bytes of the RDB; they stay as they are, and `slab` is retained, until they are written. */
  append(parts: readonly Buffer[], slab: Slab | undefined): void {
    if (this.#failure !== undefined) return;
    for (const part of parts) {
      this.#parts.push(part);
      this.#queued += part.length;
    }
    if (slab !== undefined) this.#slabs.push(slab.retain());
    this.#writing ??= this.#writeQueued();
  }

  /** The RDB is complete: syncs, waits for the checker, publishes. */
  async publish(record: Omit<BaseRecord, 'size' | keyof BaseFindings>): Promise<BaseRecord> {
    const { disk, directory, offset } = this.#options;
    while (this.#writing !== undefined) await this.#writing;
    await this.#syncing;
    // After a failed sync the file is never synced again: it would succeed, and prove nothing.
    this.#check();
    await this.#file.sync();
    const { findings, head } = await this.#checker.finish(this.#written);
    this.#compare(findings, head);
    const unique = uniqueHex();
    await disk.rename(this.#file.path, join(directory, rdbName(offset, unique)));
    await disk.syncDirectory(directory);
    const base: BaseRecord = { ...record, size: this.#written, ...findings };
    await publish(disk, join(directory, baseName(offset, unique)), encodeBase(base).bytes);
    return base;
  }

  /** Closes the file and the checker; an unpublished file stays behind as a temporary one, for recovery to remove. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new RangeError('the base receiver is closed'), false);
    await this.#checker[Symbol.asyncDispose]();
    await this.#file.close();
  }

  async #writeQueued(): Promise<void> {
    try {
      while (this.#parts.length > 0 && this.#failure === undefined) {
        const parts = this.#parts.splice(0);
        const slabs = this.#slabs.splice(0);
        const bytes = this.#queued;
        try {
          await this.#file.write(parts, this.#written);
        } finally {
          for (const slab of slabs) slab.release();
        }
        this.#written += bytes;
        this.#queued -= bytes;
        this.#checker.available(this.#written);
        this.#syncSome();
        if (this.#queued <= queueBytesMax / 2) for (const resolve of this.#relief.splice(0)) resolve();
      }
    } catch (error) {
      this.#fail(error, true);
    }
    this.#writing = undefined;
  }

  #syncSome(): void {
    if (this.#syncing !== undefined || this.#written - this.#syncedAt < syncEveryBytes) return;
    this.#syncedAt = this.#written;
    this.#syncing = this.#file.sync().then(
      () => {
        this.#syncing = undefined;
      },
      (error: unknown) => {
        this.#fail(error, true);
      },
    );
  }

  #compare({ crc64, chunk, chunks }: BaseFindings, head: BaseHead | undefined): void {
    const { expected } = this.#options;
    if (expected === undefined) return;
    const isSame = crc64 === expected.crc64 && chunk === expected.chunk && equalChunks(chunks, expected.chunks);
    if (isSame && head !== undefined && isDeepStrictEqual(head, headOf(expected))) return;
    throw new IntegrityError('base-differs', `${this.#file.path} is not the base that the other journal has`, {
      hint: 'it is fetched anew; a disk that gives back other bytes than were written may be the reason',
    });
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fail(error: unknown, tell: boolean): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    for (const slab of this.#slabs.splice(0)) slab.release();
    for (const resolve of this.#relief.splice(0)) resolve();
    if (tell) this.#options.failed(error);
  }
}

function equalChunks(some: Uint32Array, others: Uint32Array): boolean {
  return some.length === others.length && some.every((crc, i) => crc === others[i]);
}

function headOf({ magic, version, aux }: BaseHead): BaseHead {
  return { magic, version, aux };
}
