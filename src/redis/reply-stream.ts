/**
 * Replies of a server of our own, whatever their size (pure): of a value nothing is held but the value itself, in one buffer
 * that is made when its length is known. replies.ts is for servers that are not to be trusted, and for small replies.
 */
import { LinkError } from '../core/errors.ts';
import { argumentCountMax, bulkBytesMax, replyLineBytesMax } from '../core/limits.ts';

/** Bulk strings are bytes. An error is one wherever it stands. */
export type StreamedReply = string | number | Buffer | null | Error | readonly StreamedReply[];

const LF = 10;
const crlfBytes = 2;
const noBytes: Buffer = Buffer.alloc(0);

export class ReplyStream {
  readonly #take: (reply: StreamedReply) => void;
  /** Of a line that is not complete. */
  #line = noBytes;
  /** A bulk string with its CR LF, of which so much is there. */
  #bulk: Buffer | undefined;
  #filled = 0;
  /** Arrays that are not complete, outermost first. */
  readonly #open: { readonly items: StreamedReply[]; left: number }[] = [];

  /** `take` gets each reply once it is complete. */
  constructor(take: (reply: StreamedReply) => void) {
    this.#take = take;
  }

  /** What is taken of `bytes` is copied. Throws a LinkError at what is no reply. */
  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#bulk !== undefined) {
        at += this.#fill(this.#bulk, bytes.subarray(at));
        continue;
      }
      const end = bytes.indexOf(LF, at) + 1;
      const part = bytes.subarray(at, end === 0 ? bytes.length : end);
      const line = this.#line.length === 0 ? part : Buffer.concat([this.#line, part]);
      if (line.length > replyLineBytesMax) throw broken('a line that is too long');
      if (end === 0) {
        this.#line = Buffer.from(line);
        return;
      }
      this.#line = noBytes;
      this.#begin(line);
      at = end;
    }
  }

  #fill(bulk: Buffer, bytes: Buffer): number {
    const taken = bytes.copy(bulk, this.#filled, 0, bulk.length - this.#filled);
    this.#filled += taken;
    if (this.#filled === bulk.length) {
      this.#bulk = undefined;
      this.#end(bulk.subarray(0, -crlfBytes));
    }
    return taken;
  }

  #begin(line: Buffer): void {
    const text = line.toString('latin1', 1, line.length - crlfBytes);
    switch (String.fromCharCode(line[0] ?? 0)) {
      case '$':
        this.#beginBulk(number(text, bulkBytesMax));
        return;
      case '*':
        this.#beginArray(number(text, argumentCountMax));
        return;
      case ':':
        this.#end(number(text, Number.MAX_SAFE_INTEGER));
        return;
      case '+':
        this.#end(text);
        return;
      case '-':
        this.#end(new Error(text));
        return;
      default:
        throw broken('what is no reply');
    }
  }

  #beginBulk(length: number): void {
    if (length < 0) {
      this.#end(null);
      return;
    }
    this.#bulk = Buffer.allocUnsafe(length + crlfBytes);
    this.#filled = 0;
  }

  #beginArray(count: number): void {
    if (count > 0) this.#open.push({ items: [], left: count });
    else this.#end(count < 0 ? null : []);
  }

  #end(reply: StreamedReply): void {
    let ended = reply;
    for (let array = this.#open.at(-1); array !== undefined; array = this.#open.at(-1)) {
      array.items.push(ended);
      array.left -= 1;
      if (array.left > 0) return;
      this.#open.pop();
      ended = array.items;
    }
    this.#take(ended);
  }
}

function number(text: string, max: number): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Infinity;
  if (value > max) throw broken('a number that is none');
  return value;
}

function broken(what: string): LinkError {
  return new LinkError('protocol-broken', `the server broke the protocol: it sent ${what}`, 'never');
}
