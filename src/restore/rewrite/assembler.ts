/**
 * Puts bytes together out of small pieces, without making garbage of each; large pieces go through as they are.
 */

/** What a part of the result keeps in memory at least, however little of it is used. */
const blockBytes = 16 * 1024;
/** Up to this size a piece is copied: the disk takes few large parts more gladly than many small ones. */
const smallBytesMax = 1024;

export class Assembler {
  readonly #parts: Buffer[] = [];
  #block: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  /** Latin-1: a character each byte. */
  text(text: string): void {
    this.#makeRoom(text.length);
    this.#to += this.#block.write(text, this.#to, 'latin1');
  }

  /** Larger ones must stay as they are. */
  bytes(bytes: Buffer): void {
    if (bytes.length > smallBytesMax) {
      this.#cut();
      this.#parts.push(bytes);
      return;
    }
    this.#makeRoom(bytes.length);
    this.#block.set(bytes, this.#to);
    this.#to += bytes.length;
  }

  finish(): Buffer[] {
    this.#cut();
    return this.#parts;
  }

  #makeRoom(length: number): void {
    if (this.#to + length <= this.#block.length) return;
    this.#cut();
    this.#block = Buffer.allocUnsafe(Math.max(blockBytes, length));
    this.#from = this.#to = 0;
  }

  #cut(): void {
    if (this.#to > this.#from) this.#parts.push(this.#block.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
