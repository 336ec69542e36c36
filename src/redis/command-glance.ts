/**
 * A whole command as it lies in the stream: where its arguments are, and nothing made of them. One object serves for one
 * command after the other, so what is to be kept of it must be taken while it is looked at.
 */
import type { Offset } from '../core/position.ts';

/** A command with more arguments is looked at as a command, where it costs as much as its arguments do. */
const argumentsMost = 4096;
/** More than the lines in front of a name, and the end behind the last argument. */
const lineBytesMost = 64;

export class CommandGlance {
  bytes: Buffer = Buffer.alloc(0);
  /** How many arguments there are, the name among them. */
  count = 0;
  /** The db that the command runs in. */
  db = 0;
  /** Offsets of its first and of its last byte. */
  start: Offset = 0;
  end: Offset = 0;
  /** Argument i is bytes[at[i], at[i] + length[i]). */
  readonly at: Int32Array = new Int32Array(argumentsMost);
  readonly length: Int32Array = new Int32Array(argumentsMost);

  get argumentsMost(): number {
    return argumentsMost;
  }

  /** It is no longer than that: its arguments, and what stands before each. */
  get bytesAtMost(): number {
    const last = this.count - 1;
    return this.at[last]! + this.length[last]! - this.at[0]! + lineBytesMost;
  }
}
