/**
 * A file in the place of standard output: it appears when all is in it, synced, or not at all (restore/outputs/new-file.ts).
 */
import type { Micros } from '../../core/clock.ts';
import { NewFile } from '../../restore/outputs/new-file.ts';
import { OutputFile } from '../../restore/outputs/output-file.ts';
import type { Disk } from '../../storage/disk.ts';
import type { TextStream } from '../io.ts';
import type { Progress } from '../progress.ts';

export class FileStream implements TextStream, AsyncDisposable {
  readonly #target: NewFile;
  readonly #file: OutputFile;
  readonly #progress: Progress;
  #written = 0;

  private constructor(target: NewFile, file: OutputFile, progress: Progress) {
    this.#target = target;
    this.#file = file;
    this.#progress = progress;
  }

  /** UsageError when something is in the way (exit 7). */
  static async open(disk: Disk, path: string, now: Micros, progress: Progress): Promise<FileStream> {
    const target = await NewFile.open(disk, path, now);
    try {
      return new FileStream(target, await OutputFile.create(disk, target.path), progress);
    } catch (error) {
      await target[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where it will be. */
  get to(): string {
    return this.#target.to;
  }

  /** Copies: whoever writes may use the bytes again as soon as they are taken. */
  write(text: string | Uint8Array, taken: (error?: Error | null) => void = () => undefined): void {
    const bytes = Buffer.from(text);
    this.#file.append(bytes);
    this.#progress.update((this.#written += bytes.length), undefined);
    this.#file.room().then(
      () => {
        taken();
      },
      (error: unknown) => {
        taken(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  /** Gives its size. */
  async publish(): Promise<number> {
    const size = await this.#file.finish();
    await this.#target.appear();
    return size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#progress.stop();
    await this.#file[Symbol.asyncDispose]();
    await this.#target[Symbol.asyncDispose]();
  }
}
