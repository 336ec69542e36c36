/**
 * What is known of commands by their names as they lie in the stream, remembered: names are few, and come again and again,
 * so that two loads tell them apart. Nothing is made of a name that was seen before.
 */
import { knownCommandAt } from './command-keys.ts';
import type { KnownCommand } from './command-keys.ts';
import { controlCommandAt } from './control-commands.ts';

export interface NamedCommand {
  /** Undefined when no server of the table knows it. */
  readonly known: KnownCommand | undefined;
  readonly control: number;
}

interface Remembered extends NamedCommand {
  readonly length: number;
  readonly head: number;
  readonly tail: number;
}

/** Within these lengths, four bytes from the beginning and four up to the end are all of it; CR may be the fourth. */
const lengthMin = 3;
const lengthMax = 8;
const placeBits = 8;

export class CommandNames {
  readonly #places: (Remembered | undefined)[] = Array.from({ length: 1 << placeBits }, () => undefined);

  /** That of the name in bytes[at, at + length), behind which CR LF follows; `view` is of the same bytes. */
  at(bytes: Buffer, view: DataView, at: number, length: number): NamedCommand {
    if (length < lengthMin || length > lengthMax) return { ...lookUp(bytes, at, length) };
    const head = view.getInt32(at, true);
    const tail = length > 4 ? view.getInt32(at + length - 4, true) : 0;
    const place = Math.imul(head ^ Math.imul(tail, 31), 0x9e37_79b1) >>> (32 - placeBits);
    const found = this.#places[place];
    if (found?.head === head && found.tail === tail && found.length === length) return found;
    const looked = { ...lookUp(bytes, at, length), length, head, tail };
    this.#places[place] = looked;
    return looked;
  }
}

function lookUp(bytes: Buffer, at: number, length: number): NamedCommand {
  return { known: knownCommandAt(bytes, at, length), control: controlCommandAt(bytes, at, length) };
}
