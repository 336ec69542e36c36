/**
 * Many small pieces to standard output in few large ones, in their order; nothing more is made than the reader takes.
 */
import type { TextSender } from '../text-sender.ts';
import type { Piece } from './rows.ts';

const bytesTogether = 64 * 1024;

export class PieceSender {
  readonly #sender: TextSender;
  #text = '';
  #parts: Buffer[] = [];
  #bytes = 0;
  #isRead = true;

  constructor(sender: TextSender) {
    this.#sender = sender;
  }

  /** It is time to flush. */
  get isFull(): boolean {
    return this.#bytes + this.#text.length >= bytesTogether;
  }

  /** Bytes must stay as they are until they are flushed. */
  add(piece: Piece): void {
    if (typeof piece === 'string') {
      this.#text += piece;
      return;
    }
    this.#endText();
    this.#parts.push(piece);
    this.#bytes += piece.length;
  }

  /** Resolves when all is taken; false: nobody reads any more. */
  async flush(): Promise<boolean> {
    this.#endText();
    const [only, ...more] = this.#parts.splice(0);
    this.#bytes = 0;
    if (only !== undefined && this.#isRead) {
      this.#isRead = await this.#sender.send(more.length === 0 ? only : Buffer.concat([only, ...more]));
    }
    return this.#isRead;
  }

  #endText(): void {
    if (this.#text === '') return;
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }
}
