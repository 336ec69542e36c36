// PlainChecker: the checker of a base as the daemon has it, without its thread: it reads what was written at the end.
import { BaseCheck, chunkBytes } from '../../src/daemon/base-check.ts';
import type { BaseChecker } from '../../src/log/base-receiver.ts';
import type { Disk } from '../../src/storage/disk.ts';

export class PlainChecker implements BaseChecker {
  readonly #disk: Disk;
  readonly #path: string;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  available(): void {
    // All is read at the end.
  }

  async finish(size: number): ReturnType<BaseChecker['finish']> {
    await using file = await this.#disk.open(this.#path, 'read');
    const check = new BaseCheck(this.#path);
    for (let at = 0; at < size; at += chunkBytes) {
      const chunk = Buffer.alloc(Math.min(chunkBytes, size - at));
      await file.read(chunk, at);
      check.push(chunk);
    }
    return check.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // There is no thread to end.
  }
}
