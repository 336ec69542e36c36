/**
 * A command put together of pieces as they come, in memory of its own: for the few that are cut, or have more arguments
 * than can be looked at in place. It is bounded: of an argument only the beginning is kept, and not all of very many.
 */
import { IntegrityError } from '../core/errors.ts';
import { argumentCountMax, bulkBytesMax, collectedArgumentBytesMax, collectedBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { CommandArguments } from './command-keys.ts';

const CR = 13;
const LF = 10;
const ASTERISK = 42;
const DOLLAR = 36;
/** What an argument takes besides its bytes. */
const ARGUMENT_OVERHEAD_BYTES = 16;
const firstRoomBytes = 64 * 1024;

/** What the next byte is part of. */
const COUNT = 0;
const LENGTH = 1;
const BODY = 2;

export class CollectedCommand implements Omit<CommandArguments, 'db'> {
  args: Buffer[] = [];
  argumentCount = 0;
  shortened: Map<number, number> | undefined;

  #room = Buffer.alloc(firstRoomBytes);
  #filled = 0;
  /** What the kept ones count. */
  #kept = 0;
  #offset: Offset = 0;
  #state = COUNT;
  #left = 0;
  /** In a line: how many of its bytes have come, the number in it; in a body: its length, and what is to come with CR LF. */
  #seen = 0;
  #number = 0;
  #length = 0;
  #bodyLeft = 0;
  /** Where the argument that is coming was begun in #room; its bytes there. */
  #from = 0;

  /** Forgets the one before. Its first byte will be the one behind `before`. */
  begin(before: Offset): void {
    this.args = [];
    this.argumentCount = 0;
    this.shortened = undefined;
    this.#filled = 0;
    this.#kept = 0;
    this.#offset = before;
    this.#state = COUNT;
    this.#seen = 0;
    this.#number = 0;
  }

  /** Takes bytes[from…] up to the command's end: the index behind it, or undefined when there is more to come. */
  take(bytes: Buffer, from: number): number | undefined {
    let at = from;
    while (at < bytes.length) {
      if (this.#state === BODY) at = this.#takeBody(bytes, at);
      else this.#takeLineByte(bytes[at++]!);
      if (this.#state === LENGTH && this.#left === 0) return at;
    }
    this.#offset += at - from;
    return undefined;
  }

  /** `*` or `$`, digits, CR, LF. */
  #takeLineByte(byte: number): void {
    const type = this.#state === COUNT ? ASTERISK : DOLLAR;
    this.#seen += 1;
    if (this.#seen === 1) {
      if (byte !== type) throw this.#broken();
    } else if (byte === LF) {
      this.#endLine();
    } else if (byte !== CR) {
      if (byte < 48 || byte > 57) throw this.#broken();
      this.#number = this.#number * 10 + byte - 48;
      if (this.#number > (type === ASTERISK ? argumentCountMax : bulkBytesMax)) throw this.#broken();
    }
  }

  #endLine(): void {
    if (this.#state === COUNT) {
      if (this.#number === 0) throw this.#broken();
      this.argumentCount = this.#number;
      this.#left = this.#number;
      this.#state = LENGTH;
    } else {
      this.#length = this.#number;
      this.#bodyLeft = this.#number + 2;
      this.#from = this.#filled;
      this.#state = BODY;
    }
    this.#seen = 0;
    this.#number = 0;
  }

  #takeBody(bytes: Buffer, from: number): number {
    const here = Math.min(this.#bodyLeft, bytes.length - from);
    const content = Math.min(here, Math.max(0, this.#bodyLeft - 2));
    const wanted = Math.min(content, collectedArgumentBytesMax - (this.#filled - this.#from));
    if (wanted > 0 && this.#kept < collectedBytesMax) this.#keep(bytes, from, wanted);
    this.#bodyLeft -= here;
    if (this.#bodyLeft > 0) return from + here;
    if (bytes[from + here - 1] !== LF) throw this.#broken();
    this.#endArgument();
    return from + here;
  }

  #keep(bytes: Buffer, from: number, count: number): void {
    if (this.#filled + count > this.#room.length) {
      const larger = Buffer.alloc(2 * (this.#filled + count));
      this.#room.copy(larger, 0, 0, this.#filled);
      this.#room = larger;
      // Those that are complete stay where they are, in what was the room before.
    }
    this.#filled += bytes.copy(this.#room, this.#filled, from, from + count);
  }

  #endArgument(): void {
    if (this.#kept < collectedBytesMax) {
      const argument = this.#room.subarray(this.#from, this.#filled);
      if (argument.length < this.#length) (this.shortened ??= new Map()).set(this.args.length, this.#length);
      this.args.push(argument);
      this.#kept += argument.length + ARGUMENT_OVERHEAD_BYTES;
    }
    this.#left -= 1;
    this.#state = LENGTH;
  }

  #broken(): IntegrityError {
    return new IntegrityError('stream-broken', `the journaled stream is broken behind offset ${this.#offset}`, {
      hint: 'verify the journal; the primary would not have sent this',
    });
  }
}
