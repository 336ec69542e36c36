/**
 * Replies of a server to what we asked: the handshake, and the side connection that asks INFO, ROLE, TIME and EXEC.
 *
 * Each reply is cut out of the bytes here first, with its length and depth bounded before anything is allocated, and
 * only then given, whole, to redis-parser: on its own that library takes a bare newline for the end of the connection,
 * reads on into whatever follows a reply, and recurses as deep as the server likes. What follows the last reply taken
 * stays untouched and is handed over by `rest`.
 */
import Parser from 'redis-parser';
import { LinkError } from '../core/errors.ts';
import { bulkBytesMax, replyBytesMax, replyDepthMax, replyLineBytesMax } from '../core/limits.ts';

export type Reply =
  | { readonly kind: 'status'; readonly value: string }
  | { readonly kind: 'error'; readonly value: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'bulk'; readonly value: Buffer }
  | { readonly kind: 'array'; readonly value: readonly Reply[] }
  | { readonly kind: 'null'; readonly value: null };

export interface ReplyReaderOptions {
  /** Bare newlines between replies are keep-alives, as while a primary prepares a full sync; otherwise a violation. */
  readonly skipNewlines?: boolean;
}

const CR = 13;
const LF = 10;

export class ReplyReader {
  skipNewlines: boolean;
  /** Bytes not yet taken are #bytes[#from, #to); of these, [#from, #scanned) belong to the reply being cut. */
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  #scanned = 0;
  /** How many elements are still to come in each array that is open, outermost first. */
  readonly #open: number[] = [];

  constructor(options: ReplyReaderOptions = {}) {
    this.skipNewlines = options.skipNewlines ?? false;
  }

  /** Takes more bytes; they are copied. */
  push(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#to);
    this.#to += bytes.length;
  }

  /** The next complete reply, or undefined when more bytes are needed. Throws a LinkError at what is not a reply. */
  next(): Reply | undefined {
    if (this.skipNewlines && this.#open.length === 0 && this.#scanned === this.#from) this.#dropNewlines();
    while (this.#scanned < this.#to) {
      const isComplete = this.#cutToken();
      if (isComplete === undefined) return undefined;
      if (isComplete) {
        const reply = decode(this.#bytes.subarray(this.#from, this.#scanned));
        this.#from = this.#scanned;
        return reply;
      }
    }
    return undefined;
  }

  /** Everything pushed behind the last reply taken. The reader is empty afterwards. */
  rest(): Buffer {
    const rest = this.#bytes.subarray(this.#from, this.#to);
    this.#bytes = Buffer.alloc(0);
    this.#from = 0;
    this.#to = 0;
    this.#scanned = 0;
    this.#open.length = 0;
    return rest;
  }

  /** Replies handed out are views, so bytes are never moved within their buffer: a new one is begun. */
  #makeRoom(wanted: number): void {
    if (this.#bytes.length - this.#to >= wanted) return;
    const held = this.#to - this.#from;
    const grown = Buffer.alloc(Math.max(1024, 2 * held, held + wanted));
    this.#bytes.copy(grown, 0, this.#from, this.#to);
    this.#bytes = grown;
    this.#scanned -= this.#from;
    this.#from = 0;
    this.#to = held;
  }

  #dropNewlines(): void {
    while (this.#from < this.#to && this.#bytes[this.#from] === LF) this.#from += 1;
    this.#scanned = this.#from;
  }

  /** Takes one line, with its bulk if it announces one. True: that ended the reply; undefined: more bytes are needed. */
  #cutToken(): boolean | undefined {
    const line = this.#line();
    if (line === undefined) return undefined;
    const { type, text, end } = line;
    let elements = 0;
    let tokenEnd = end;
    switch (type) {
      case '+':
      case '-':
        break;
      case ':':
        if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) throw broken(`integer '${shown(text)}'`);
        break;
      case '$': {
        const length = lengthIn(text);
        if (length >= 0) tokenEnd = end + length + 2;
        if (tokenEnd - this.#from > replyBytesMax) throw tooLong();
        if (tokenEnd > this.#to) return undefined;
        if (length >= 0 && (this.#bytes[tokenEnd - 2] !== CR || this.#bytes[tokenEnd - 1] !== LF)) {
          throw broken('bulk string not followed by CR LF');
        }
        break;
      }
      case '*':
        elements = Math.max(0, lengthIn(text));
        // Each element takes at least three bytes, so an honest count says that the reply fits.
        if (end - this.#from + 3 * elements > replyBytesMax) throw tooLong();
        break;
      default:
        throw notAReply(type);
    }
    if (tokenEnd - this.#from > replyBytesMax) throw tooLong();
    this.#scanned = tokenEnd;
    return this.#close(elements);
  }

  /** Counts a token into the arrays around it; true when none is left open. */
  #close(elements: number): boolean {
    if (elements > 0) {
      if (this.#open.length === replyDepthMax) throw broken(`arrays nested deeper than ${replyDepthMax}`);
      this.#open.push(elements);
      return false;
    }
    while (this.#open.length > 0) {
      const left = (this.#open.pop() ?? 0) - 1;
      if (left > 0) {
        this.#open.push(left);
        return false;
      }
    }
    return true;
  }

  #line(): { type: string; text: string; end: number } | undefined {
    const limit = Math.min(this.#to, this.#scanned + replyLineBytesMax);
    const first = this.#bytes[this.#scanned] ?? 0;
    if (!'+-:$*'.includes(String.fromCharCode(first))) throw notAReply(String.fromCharCode(first));
    const found = this.#bytes.subarray(this.#scanned, limit).indexOf(LF);
    if (found < 0) {
      if (limit - this.#scanned >= replyLineBytesMax) throw broken(`reply line longer than ${replyLineBytesMax} bytes`);
      return undefined;
    }
    const end = this.#scanned + found + 1;
    const text = this.#bytes.toString('latin1', this.#scanned + 1, end - 2);
    if (found < 2 || this.#bytes[end - 2] !== CR || text.includes('\r')) {
      throw broken('reply line without CR LF');
    }
    return { type: String.fromCharCode(first), text, end };
  }
}

/** Decimal, or −1 for a null. */
function lengthIn(text: string): number {
  if (text === '-1') return -1;
  const length = /^(?:0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (length > bulkBytesMax) throw broken(`length '${shown(text)}'`);
  return length;
}

/** `bytes` is exactly one reply, checked. */
function decode(bytes: Buffer): Reply {
  let decoded: unknown;
  const parser = new Parser({
    returnBuffers: true,
    returnReply: (reply) => {
      decoded = reply as unknown;
    },
    returnError: (error) => {
      decoded = error;
    },
  });
  parser.execute(bytes);
  if (bytes[0] === 0x2b && Buffer.isBuffer(decoded)) return { kind: 'status', value: decoded.toString() };
  return replyOf(decoded);
}

/** What redis-parser makes of a reply says its kind by type; a status inside an array is a bulk here. */
function replyOf(decoded: unknown): Reply {
  if (decoded === null) return { kind: 'null', value: null };
  if (typeof decoded === 'number') return { kind: 'integer', value: decoded };
  if (Buffer.isBuffer(decoded)) return { kind: 'bulk', value: decoded };
  if (decoded instanceof Error) return { kind: 'error', value: decoded.message };
  if (Array.isArray(decoded)) return { kind: 'array', value: decoded.map(replyOf) };
  throw broken('reply that cannot be decoded');
}

function notAReply(type: string): LinkError {
  if (type === '\x15') {
    return new LinkError('protocol-broken', 'the server answered with a TLS alert', 'later', {
      hint: 'it expects TLS: use a rediss:// address',
    });
  }
  return broken(`a reply cannot begin with '${shown(type)}'`);
}

function tooLong(): LinkError {
  return broken(`reply longer than ${replyBytesMax} bytes`);
}

function broken(what: string): LinkError {
  return new LinkError('protocol-broken', `the server broke the protocol: ${what}`, 'soon', {
    hint: 'is this address a Redis or Valkey server?',
  });
}

/** Printable and short. */
function shown(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
