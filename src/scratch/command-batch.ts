/**
 * Many short commands in few buffers, without an allocation for each: for edits of every key.
 */
import { encodeCommand } from '../redis/commands-out.ts';

const batchBytes = 256 * 1024;
/** No command is longer, or it goes by itself. */
const shortBytesMax = 16 * 1024;

export class CommandBatch {
  #room = Buffer.allocUnsafeSlow(batchBytes);
  #used = 0;
  #full: Buffer[] = [];

  /** It is time to take them. */
  get isFull(): boolean {
    return this.#full.length > 0;
  }

  /** Texts are ASCII. */
  add(...args: readonly (string | Buffer)[]): void {
    let bytes = 0;
    for (const arg of args) bytes += arg.length + 16;
    if (bytes > shortBytesMax) {
      this.#flush();
      this.#full.push(encodeCommand(...args));
      return;
    }
    if (this.#used + bytes + 16 > batchBytes) this.#flush();
    this.#text(`*${args.length}\r\n`);
    for (const arg of args) {
      if (typeof arg === 'string') {
        this.#text(`$${arg.length}\r\n${arg}\r\n`);
      } else {
        this.#text(`$${arg.length}\r\n`);
        arg.copy(this.#room, this.#used);
        this.#used += arg.length;
        this.#text('\r\n');
      }
    }
  }

  /** The full buffers, in order; they stay as they are. */
  take(): Buffer[] {
    const taken = this.#full;
    this.#full = [];
    return taken;
  }

  /** All that is left. */
  finish(): Buffer[] {
    this.#flush();
    return this.take();
  }

  #text(text: string): void {
    this.#used += this.#room.write(text, this.#used, 'latin1');
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#full.push(this.#room.subarray(0, this.#used));
    this.#room = Buffer.allocUnsafeSlow(batchBytes);
    this.#used = 0;
  }
}
