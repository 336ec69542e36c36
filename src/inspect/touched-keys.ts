/**
 * Which keys the commands of a stretch of the stream may have changed: as bits by hashes, so that more may count as touched
 * than were, and none is missed. A command that acts on keys that it does not name may have changed every key; one that
 * reads such keys may have made what it wrote of any.
 */
import { keysOf, mayWrite, mayWriteAt, mayTouch } from '../redis/command-keys.ts';
import type { IsKey } from '../redis/command-keys.ts';
import type { CommandGlance } from '../redis/command-glance.ts';
import type { StreamCommand } from '../redis/command-reader.ts';

/** 16 MiB: of ten million touched keys, one in fourteen of the others counts as well. */
const bitsLog = 27;

export class TouchedKeys implements Disposable {
  #bits: Uint32Array<ArrayBuffer> | undefined = new Uint32Array(2 ** (bitsLog - 5));

  #readsOthers = false;

  /** The same commands do the same without the keys that were not touched. */
  get isAll(): boolean {
    return this.#bits !== undefined && !this.#readsOthers;
  }

  /** Any key may have been changed. */
  get isEveryKey(): boolean {
    return this.#bits === undefined;
  }

  has(key: Buffer): boolean {
    const hash = hashAt(key, 0, key.length);
    return this.#bits === undefined || ((this.#bits[hash >>> 5] ?? 0) & (1 << (hash & 31))) !== 0;
  }

  /** Gives its memory back at once. */
  [Symbol.dispose](): void {
    this.#bits?.buffer.transfer(0);
  }

  /** For a reader of commands: what is not handed out was taken in where it lay. */
  readonly isMatch = (command: CommandGlance): boolean => mayWriteAt(command) && mayTouch(command, this.#takeAt);

  take(command: StreamCommand): void {
    if (!mayWrite(command)) return;
    const { keys, others } = keysOf(command);
    if (others === 'db' || others === 'all') this.#bits = undefined;
    if (others === 'read') this.#readsOthers = true;
    for (const { key } of keys) this.#takeAt(key, 0, key.length);
  }

  /** Always false: it is taken, and there is nothing to look for. */
  readonly #takeAt: IsKey = (bytes, at, length) => {
    const bits = this.#bits;
    if (bits === undefined) return false;
    const hash = hashAt(bytes, at, length);
    bits[hash >>> 5] = (bits[hash >>> 5] ?? 0) | (1 << (hash & 31));
    return false;
  };
}

function hashAt(bytes: Uint8Array, at: number, length: number): number {
  let hash = length;
  for (let i = at; i < at + length; i += 1) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x5bd1e995) ^ (hash >>> 15);
  return Math.imul(hash, 0x9e3779b1) >>> (32 - bitsLog);
}
