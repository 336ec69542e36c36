/**
 * A file being written in order: what is appended goes out behind the caller's back, one write at a time, and is synced
 * on the way, so that reading, checking and writing overlap and little is left to sync at the end. The caller waits for
 * room(), which bounds what is in memory.
 */
import type { Slab } from '../../core/slabs.ts';
import type { Disk, DiskFile } from '../../storage/disk.ts';

/** What may wait to be written; the caller's next piece comes on top. */
const queuedBytesMax = 4 * 1024 * 1024;
/** One write takes at most so many parts. */
const partsMax = 1024;
/** So much is written between two syncs. */
const syncEveryBytes = 64 * 1024 * 1024;

export class OutputFile implements AsyncDisposable {
  readonly path: string;
  readonly #file: DiskFile;
  #parts: Buffer[] = [];
  #slabs: Slab[] = [];
  #queued = 0;
  #written: number;
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #syncedAt = 0;
  #failure: { readonly error: unknown } | undefined;
  #relief: (() => void)[] = [];

  private constructor(file: DiskFile, at: number) {
    this.path = file.path;
    this.#file = file;
    this.#written = at;
  }

  static async create(disk: Disk, path: string): Promise<OutputFile> {
    return new OutputFile(await disk.create(path), 0);
  }

  /** Goes on behind the first `at` bytes of a file. */
  static async reopen(disk: Disk, path: string, at: number): Promise<OutputFile> {
    return new OutputFile(await disk.open(path, 'write'), at);
  }

  /** `bytes` must stay as they are until they are written: `slab`, if given, is retained until then. */
  append(bytes: Buffer, slab?: Slab): void {
    if (bytes.length === 0 || this.#failure !== undefined) return;
    this.#parts.push(bytes);
    this.#queued += bytes.length;
    if (slab !== undefined) this.#slabs.push(slab.retain());
    this.#writing ??= this.#write();
  }

  /** Resolves when more may be appended; rejects when a write or sync has failed. */
  async room(): Promise<void> {
    while (this.#failure === undefined && this.#isFull)
      await new Promise<void>((resolve) => void this.#relief.push(resolve));
    this.#check();
  }

  /** Everything is written and synced on return; gives the size of the file. */
  async finish(): Promise<number> {
    await this.#writing;
    await this.#syncing;
    this.#check();
    await this.#file.sync();
    return this.#written;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new RangeError('the file is closed'));
    await this.#writing;
    await this.#syncing;
    await this.#file.close();
  }

  get #isFull(): boolean {
    return this.#queued > queuedBytesMax || this.#parts.length >= partsMax;
  }

  async #write(): Promise<void> {
    try {
      while (this.#parts.length > 0 && this.#failure === undefined) {
        const parts = this.#parts.splice(0, partsMax);
        const slabs = this.#slabs.splice(0);
        const bytes = parts.reduce((sum, part) => sum + part.length, 0);
        await this.#file.write(parts, this.#written);
        for (const slab of slabs) slab.release();
        this.#written += bytes;
        this.#queued -= bytes;
        this.#syncSome();
        if (!this.#isFull) this.#relieve();
      }
    } catch (error) {
      this.#fail(error);
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
        this.#fail(error);
      },
    );
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#relieve();
  }

  #relieve(): void {
    for (const resolve of this.#relief.splice(0)) resolve();
  }
}
