/**
 * The arguments of one command out of its bytes, wherever these are cut (pure): short ones whole, long ones part by part, so
 * that a command of any size goes through in little memory. The bytes passed a reader of commands before.
 */

/** Of an argument some bytes, in order; the name is argument 0. */
export interface ArgumentPart {
  readonly index: number;
  /** Of the whole argument. */
  readonly length: number;
  /** Where in the argument `bytes` begin. */
  readonly from: number;
  readonly bytes: Buffer;
}

const LF = 10;
const DOLLAR = 36;
const lineEndBytes = 2;

export class ArgumentParts {
  readonly #wholeBytes: number;
  /** The line being read, up to where the bytes were cut. */
  #line: Buffer[] = [];
  #index = -1;
  #length = 0;
  #from = 0;
  /** Of the argument being read, with the line end behind it; none is being read where it is 0. */
  #left = 0;
  #held: Buffer[] = [];

  /** Arguments up to this size are handed out whole. */
  constructor(wholeBytes: number) {
    this.#wholeBytes = wholeBytes;
  }

  /** Parts are views of `bytes`, where nothing was cut. */
  push(bytes: Buffer): ArgumentPart[] {
    const parts: ArgumentPart[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = this.#left > 0 ? Math.min(bytes.length, at + this.#left) : lineEnd(bytes, at);
      const some = bytes.subarray(at, end);
      if (this.#left > 0) this.#body(some, parts);
      else this.#head(some);
      at = end;
    }
    return parts;
  }

  #head(some: Buffer): void {
    this.#line.push(some);
    if (some.at(-1) !== LF) return;
    const line = Buffer.concat(this.#line);
    this.#line = [];
    // The first line only says how many there are.
    if (line[0] !== DOLLAR) return;
    this.#index += 1;
    this.#length = Number(line.toString('latin1', 1, line.length - lineEndBytes));
    this.#from = 0;
    this.#left = this.#length + lineEndBytes;
  }

  #body(some: Buffer, parts: ArgumentPart[]): void {
    const own = Math.max(0, Math.min(some.length, this.#left - lineEndBytes));
    const isNew = this.#left === this.#length + lineEndBytes;
    this.#left -= some.length;
    if (own > 0 || (isNew && this.#length === 0)) this.#take(some.subarray(0, own), parts);
  }

  #take(bytes: Buffer, parts: ArgumentPart[]): void {
    const [index, length] = [this.#index, this.#length];
    if (length > this.#wholeBytes) {
      parts.push({ index, length, from: this.#from, bytes });
      this.#from += bytes.length;
      return;
    }
    this.#held.push(bytes);
    if (this.#left > lineEndBytes) return;
    const [only, more] = this.#held;
    const whole = only !== undefined && more === undefined ? only : Buffer.concat(this.#held);
    this.#held = [];
    parts.push({ index, length, from: 0, bytes: whole });
  }
}

/** Behind the line that goes on there, or all there is. */
function lineEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(LF, from);
  return at < 0 ? bytes.length : at + 1;
}
