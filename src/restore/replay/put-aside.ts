/**
 * Bytes that are to come later than they come about: a few are held, more go to a file. In their order when they are read.
 */
import type { Disk } from '../../storage/disk.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import type { FilePiece } from '../../storage/file-pieces.ts';
import { OutputFile } from '../outputs/output-file.ts';

/** Held before a file is made. */
const heldBytesMax = 1024 * 1024;

export class PutAside implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #path: string;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #output: OutputFile | undefined;

  /** `path` is where a file may be made; it stays the caller's. */
  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  async append(pieces: readonly Buffer[]): Promise<void> {
    for (const piece of pieces) {
      this.#held.push(piece);
      this.#heldBytes += piece.length;
    }
    if (this.#heldBytes < heldBytesMax) return;
    this.#output ??= await OutputFile.create(this.#disk, this.#path);
    this.#output.append(this.#takeHeld());
    await this.#output.room();
  }

  /** All of it, once. */
  async *read(): AsyncGenerator<FilePiece | { readonly bytes: Buffer }, void, undefined> {
    if (this.#output !== undefined) {
      await this.#output.finish();
      await using file = await this.#disk.open(this.#path, 'read');
      yield* filePieces(file);
    }
    yield { bytes: this.#takeHeld() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output?.[Symbol.asyncDispose]();
  }

  #takeHeld(): Buffer {
    const held = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }
}
