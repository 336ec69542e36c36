/**
 * Of a stream, the commands that a replay for some keys must contain; all others are gone, most of them looked at only.
 * What is not decided is held: no more than the beginning of a command, and of a long one nothing, since the plan took all
 * its keys for needed.
 */
import type { Offset } from '../../core/position.ts';
import { neededCommandBytesMax } from '../../core/limits.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { CommandReader } from '../../redis/command-reader.ts';
import { Assembler } from './assembler.ts';
import { ByteWindow } from './byte-window.ts';
import type { NeededKeys } from './needed-keys.ts';

export class NeededStream {
  readonly #keys: NeededKeys;
  readonly #reader: CommandReader;
  readonly #held: ByteWindow;

  /** `state` is the boundary that the first bytes follow. */
  constructor(state: ScannerState, keys: NeededKeys) {
    this.#keys = keys;
    this.#reader = new CommandReader(state, { isMatch: (command) => !keys.passesOver(command) });
    this.#held = new ByteWindow(state.offset + 1);
  }

  /** Bytes must stay as they are until what is returned is used. */
  push(bytes: Buffer): Buffer[] {
    const out = new Assembler();
    this.#held.append(bytes);
    this.#reader.push(bytes);
    for (let command = this.#reader.next(); command !== undefined; command = this.#reader.next()) {
      const isBegun = command.start < this.#held.start;
      if (!isBegun) this.#held.drop(command.start - 1);
      if (isBegun || this.#keys.takes(command)) this.#pass(command.end, out);
    }
    this.#held.drop(this.#reader.end);
    if (this.#held.end - this.#held.start >= neededCommandBytesMax) this.#pass(this.#held.end, out);
    return out.finish();
  }

  #pass(to: Offset, out: Assembler): void {
    if (to < this.#held.start) return;
    for (const bytes of this.#held.take(to)) out.bytes(bytes);
  }
}
