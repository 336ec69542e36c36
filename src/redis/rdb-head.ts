/**
 * The beginning of an RDB: magic, version, and the AUX fields up to the first other opcode. They say which server wrote
 * it, which db the stream goes on in, and which position it is exact at, which must be the one that was announced.
 */
import { IntegrityError } from '../core/errors.ts';
import { formatPosition } from '../core/position.ts';
import type { Position } from '../core/position.ts';
import { dbMax } from './control-commands.ts';
import { rdbHeadBytesMax } from '../core/limits.ts';
import { lzfDecompress } from './lzf.ts';
import { printable } from './refusals.ts';
import type { RdbMagic } from './server-version.ts';

export interface RdbHead {
  readonly magic: RdbMagic;
  readonly version: number;
  readonly aux: ReadonlyMap<string, string>;
}

const AUX = 250;
const MAGIC_BYTES = 9;

export class RdbHeadReader {
  #bytes = Buffer.alloc(1024);
  #filled = 0;
  /** The next field to read begins here; everything before it is in #aux. */
  #at = 0;
  #magic: { magic: RdbMagic; version: number } | undefined;
  readonly #aux = new Map<string, string>();
  #decodedLength = 0;

  /** Takes bytes from the beginning of an RDB on, until it returns the head; those behind the head do not matter. */
  push(bytes: Uint8Array): RdbHead | undefined {
    this.#append(bytes.subarray(0, rdbHeadBytesMax + 1 - this.#filled));
    if (this.#magic === undefined) {
      if (this.#filled < MAGIC_BYTES) return undefined;
      this.#magic = parseMagic(this.#bytes.toString('latin1', 0, MAGIC_BYTES));
      this.#at = MAGIC_BYTES;
    }
    while (this.#at < this.#filled) {
      if (this.#bytes[this.#at] !== AUX) return { ...this.#magic, aux: this.#aux };
      if (!this.#takeField()) break;
    }
    if (this.#filled > rdbHeadBytesMax) throw tooMuch();
    return undefined;
  }

  #append(bytes: Uint8Array): void {
    if (this.#filled + bytes.length > this.#bytes.length) {
      const grown = Buffer.alloc(2 * (this.#filled + bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#filled);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #takeField(): boolean {
    const held = this.#bytes.subarray(0, this.#filled);
    const key = stringAt(held, this.#at + 1);
    if (key === undefined) return false;
    const value = stringAt(held, key.end);
    if (value === undefined) return false;
    // Compression could make a gigabyte of what fits the bound above.
    this.#decodedLength += key.text.length + value.text.length;
    if (this.#decodedLength > rdbHeadBytesMax) throw tooMuch();
    // No server writes this name, and no document of the journal can hold it.
    if (key.text !== '__proto__') this.#aux.set(key.text, value.text);
    this.#at = value.end;
    return true;
  }
}

/**
 * Asserts that an RDB is the state at `announced`. One made by SAVE has no position, and is accepted. That of a journal may be
 * older than the name that the history has by now, or has there.
 */
export function checkPosition(aux: ReadonlyMap<string, string>, announced: Position, isOfJournal = false): void {
  const id = isOfJournal ? announced.id : (aux.get('repl-id') ?? announced.id);
  const offset = aux.get('repl-offset') ?? String(announced.offset);
  if (id === announced.id && offset === String(announced.offset)) return;
  throw new IntegrityError(
    'base-position',
    `the RDB says that it is the state at ${printable(`${id}:${offset}`)}, but ${formatPosition(announced)} was announced`,
    { hint: 'the stream would not continue this RDB; a new full sync is needed' },
  );
}

/** The db that the stream behind an RDB begins in. */
export function streamDb(aux: ReadonlyMap<string, string>): number {
  const text = aux.get('repl-stream-db') ?? '0';
  if (!/^\d{1,10}$/.test(text) || Number(text) > dbMax) throw broken(`AUX repl-stream-db '${printable(text)}'`);
  return Number(text);
}

/** The nine bytes that every RDB begins with: REDIS and four digits, or VALKEY and three. */
export function parseMagic(text: string): { magic: RdbMagic; version: number } {
  const found = /^(?:(REDIS)(\d{4})|VALKEY(\d{3}))$/.exec(text);
  if (found === null) throw broken('it does not begin with REDIS or VALKEY');
  const version = Number(found[2] ?? found[3]);
  return { magic: found[1] === undefined ? 'VALKEY' : 'REDIS', version };
}

/** A string of an RDB, decoded; undefined when it is not complete. */
function stringAt(bytes: Buffer, at: number): { text: string; end: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0xc0) {
    const length = lengthAt(bytes, at);
    if (length === undefined || length.end + length.value > bytes.length) return undefined;
    const end = length.end + length.value;
    return { text: bytes.toString('utf8', length.end, end), end };
  }
  if (first === 0xc3) return compressedStringAt(bytes, at + 1);
  const width = { 0xc0: 1, 0xc1: 2, 0xc2: 4 }[first];
  if (width === undefined) throw broken(`string encoding ${first}`);
  const end = at + 1 + width;
  if (end > bytes.length) return undefined;
  return { text: String(bytes.readIntLE(at + 1, width)), end };
}

function compressedStringAt(bytes: Buffer, at: number): { text: string; end: number } | undefined {
  const packed = lengthAt(bytes, at);
  const size = packed === undefined ? undefined : lengthAt(bytes, packed.end);
  if (packed === undefined || size === undefined) return undefined;
  const end = size.end + packed.value;
  if (end > bytes.length) return undefined;
  const text = lzfDecompress(bytes.subarray(size.end, end), size.value);
  if (text === undefined) throw broken('a compressed AUX field');
  return { text: text.toString(), end };
}

/** A length of at most rdbHeadBytesMax; undefined when it is not complete. */
function lengthAt(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const width = first < 0x40 ? 1 : first < 0x80 ? 2 : first === 0x80 ? 5 : first === 0x81 ? 9 : undefined;
  if (width === undefined) throw broken(`length encoding ${first}`);
  const end = at + width;
  if (end > bytes.length) return undefined;
  let value = width <= 2 ? first & 0x3f : 0;
  for (let i = at + 1; i < end; i++) value = value * 256 + bytes[i]!;
  if (value > rdbHeadBytesMax) throw broken(`an AUX field of ${value} bytes`);
  return { value, end };
}

function tooMuch(): IntegrityError {
  return broken(`more than ${rdbHeadBytesMax} bytes of AUX fields`);
}

function broken(what: string): IntegrityError {
  return new IntegrityError('rdb-broken', `the head of the RDB is broken: ${what}`);
}
