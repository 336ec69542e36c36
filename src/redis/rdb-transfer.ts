/**
 * The payload of a full sync, between `+FULLRESYNC` and the stream: keep-alive newlines, a header, the RDB. It comes in
 * one of two forms: `$<length>` from a file, or `$EOF:<mark>` when the primary does not know the length, and then the
 * same forty bytes end it. Slices of the RDB are handed on without copying; what follows it is handed back untouched.
 *
 * The mark counts as the end only where the byte nine before it is 0xFF, the RDB's EOF opcode before its checksum, so
 * that forty equal bytes inside a value are data. At most 39 bytes, those that may be the mark's beginning, are held
 * back between calls.
 */
import { LinkError } from '../core/errors.ts';
import { replyLineBytesMax } from '../core/limits.ts';
import { printable, refused } from './refusals.ts';

export interface TransferProgress {
  /** Bytes of the RDB, in order. Views of what was pushed, but for held-back bytes. */
  readonly rdb: readonly Buffer[];
  /** Set once the RDB is complete: the bytes behind it, the first of the stream. */
  readonly rest: Buffer | undefined;
}

const LF = 10;
const MARK_BYTES = 40;
/** The EOF opcode and the checksum. */
const TRAILER_BYTES = 9;
const EOF_OPCODE = 0xff;

export class RdbTransfer {
  #phase: 'header' | 'length' | 'mark' | 'done' = 'header';
  #header: Buffer = Buffer.alloc(0);
  #size: number | undefined;
  #received = 0;
  #mark: Buffer = Buffer.alloc(0);
  /** The mark's possible beginning, at most 39 bytes, and the nine bytes before it. */
  #held: Buffer = Buffer.alloc(0);
  #before: Buffer = Buffer.alloc(0);

  /** Bytes of the RDB handed on so far. */
  get received(): number {
    return this.#received;
  }

  /** Size of the RDB where the header said it. */
  get size(): number | undefined {
    return this.#size;
  }

  get form(): 'length' | 'mark' | undefined {
    if (this.#phase === 'header') return undefined;
    return this.#size === undefined ? 'mark' : 'length';
  }

  get isDone(): boolean {
    return this.#phase === 'done';
  }

  /** Takes bytes of the primary. Throws a LinkError where it gives up or makes no sense. */
  push(bytes: Buffer): TransferProgress {
    const rdb: Buffer[] = [];
    let at = bytes;
    if (this.#phase === 'header') {
      const behind = this.#takeHeader(bytes);
      if (behind === undefined) return { rdb, rest: undefined };
      at = behind;
    }
    if (this.#phase === 'length') return { rdb, rest: this.#takeLength(at, rdb) };
    if (this.#phase === 'mark') return { rdb, rest: this.#takeMark(at, rdb) };
    throw new LinkError('protocol-broken', 'bytes after the end of the full sync', 'soon');
  }

  /** Returns the bytes behind the header line, or undefined while it is incomplete. */
  #takeHeader(bytes: Buffer): Buffer | undefined {
    let from = 0;
    if (this.#header.length === 0) while (bytes[from] === LF) from += 1;
    const end = bytes.indexOf(LF, from);
    const upTo = end < 0 ? bytes.length : end + 1;
    if (this.#header.length + upTo - from > replyLineBytesMax) throw malformedHeader('a line without end');
    this.#header = Buffer.concat([this.#header, bytes.subarray(from, upTo)]);
    const first = this.#header[0];
    if (first !== undefined && first !== 0x24 && first !== 0x2d) throw malformedHeader(this.#header.toString('latin1'));
    if (end < 0) return undefined;
    this.#readHeader(this.#header.toString('latin1'));
    this.#header = Buffer.alloc(0);
    return bytes.subarray(upTo);
  }

  #readHeader(line: string): void {
    const error = /^-(.*)\r\n$/.exec(line)?.[1];
    if (error !== undefined) throw refused('the full sync', error);
    const mark = /^\$EOF:([^\r\n]{40})\r\n$/.exec(line)?.[1];
    if (mark !== undefined) {
      this.#mark = Buffer.from(mark, 'latin1');
      this.#phase = 'mark';
      return;
    }
    const size = Number(/^\$([1-9]\d{0,15})\r\n$/.exec(line)?.[1]);
    if (!Number.isSafeInteger(size)) throw malformedHeader(line);
    this.#size = size;
    this.#phase = 'length';
  }

  #takeLength(bytes: Buffer, rdb: Buffer[]): Buffer | undefined {
    const left = (this.#size ?? 0) - this.#received;
    this.#emit(bytes.subarray(0, left), rdb);
    if (bytes.length < left) return undefined;
    this.#phase = 'done';
    return bytes.subarray(left);
  }

  #takeMark(bytes: Buffer, rdb: Buffer[]): Buffer | undefined {
    if (this.#held.length > 0) {
      const settled = this.#settleHeld(bytes, rdb);
      if (settled !== 'data') return settled.rest;
    }
    for (let at = bytes.indexOf(this.#mark); at >= 0; at = bytes.indexOf(this.#mark, at + 1)) {
      if (this.#isEnd(bytes, at)) return this.#finish(bytes, at, at + MARK_BYTES, rdb);
    }
    const kept = this.#possibleBeginning(bytes, Math.max(0, bytes.length - MARK_BYTES + 1));
    this.#emit(bytes.subarray(0, kept), rdb);
    this.#held = Buffer.from(bytes.subarray(kept));
    return undefined;
  }

  /**
   * Decides about the held bytes, now that more are here: the end, still the possible beginning of the mark, or data,
   * which is handed on. Works on a copy of at most 39 held and 40 new bytes.
   */
  #settleHeld(bytes: Buffer, rdb: Buffer[]): 'data' | { rest: Buffer | undefined } {
    const held = this.#held;
    const joined = Buffer.concat([held, bytes.subarray(0, MARK_BYTES)]);
    for (let at = 0; at < held.length; at++) {
      const candidate = joined.subarray(at, at + MARK_BYTES);
      if (!this.#mark.subarray(0, candidate.length).equals(candidate)) continue;
      if (candidate.length < MARK_BYTES) {
        this.#emit(joined.subarray(0, at), rdb);
        this.#held = joined.subarray(at);
        return { rest: undefined };
      }
      if (!this.#isEnd(joined, at)) continue;
      this.#finish(joined, at, joined.length, rdb);
      return { rest: bytes.subarray(at + MARK_BYTES - held.length) };
    }
    this.#held = Buffer.alloc(0);
    this.#emit(held, rdb);
    return 'data';
  }

  /** The first index from `from` on where all that follows is the mark's beginning; the length if there is none. */
  #possibleBeginning(bytes: Buffer, from: number): number {
    for (let at = bytes.indexOf(this.#mark[0] ?? 0, from); at >= 0; at = bytes.indexOf(this.#mark[0] ?? 0, at + 1)) {
      if (this.#mark.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return at;
    }
    return bytes.length;
  }

  /** Whether the mark at `at` ends the RDB: the byte nine before it is the EOF opcode. */
  #isEnd(bytes: Buffer, at: number): boolean {
    const opcodeAt = at - TRAILER_BYTES;
    const opcode = opcodeAt >= 0 ? bytes[opcodeAt] : this.#before[this.#before.length + opcodeAt];
    return opcode === EOF_OPCODE;
  }

  #finish(bytes: Buffer, end: number, next: number, rdb: Buffer[]): Buffer {
    this.#emit(bytes.subarray(0, end), rdb);
    this.#phase = 'done';
    return bytes.subarray(next);
  }

  #emit(bytes: Buffer, rdb: Buffer[]): void {
    if (bytes.length === 0) return;
    rdb.push(bytes);
    this.#received += bytes.length;
    this.#before =
      bytes.length >= TRAILER_BYTES
        ? Buffer.from(bytes.subarray(-TRAILER_BYTES))
        : Buffer.concat([this.#before, bytes]).subarray(-TRAILER_BYTES);
  }
}

function malformedHeader(line: string): LinkError {
  const message = `the primary announced the full sync with '${printable(line.trimEnd())}'`;
  return new LinkError('protocol-broken', message, 'soon');
}
