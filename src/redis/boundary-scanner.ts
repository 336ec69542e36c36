/**
 * Finds the boundaries in a replication stream: the offsets where a command, and any MULTI…EXEC around it, is complete.
 * Everything received passes through it once, between the socket and the stamper, so it runs at memory speed: lengths
 * are read, arguments are skipped by arithmetic, nothing is decoded, copied or allocated.
 *
 * Two paths share one state. The fast one takes whole tokens that lie inside the given bytes and steps aside at
 * anything else; the slow one takes single bytes, so it alone deals with reads that end anywhere, with the few commands
 * that mean something here (SELECT, MULTI, EXEC, DISCARD, REPLCONF GETACK), and with every violation.
 */
import { LinkError } from '../core/errors.ts';
import { argumentCountMax, bulkBytesMax } from '../core/limits.ts';
import { offsetMax } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import {
  controlCommandAt,
  controlNameBytesMax,
  controlViolation,
  dbAt,
  dbDigitsMax,
  DISCARD,
  EXEC,
  isGetAckAt,
  MULTI,
  ORDINARY,
  REPLCONF,
  SELECT,
} from './control-commands.ts';

export interface ScannerState {
  /** A boundary: the next byte is the first of a command, outside MULTI. */
  readonly offset: Offset;
  /** The db selected there. */
  readonly db: number;
}

const CR = 13;
const LF = 10;
/** Both, as a little-endian number. */
const CR_LF = 0x0a0d;
const ASTERISK = 42;
const DOLLAR = 36;

/** What the next byte must be. The fast path runs only from COMMAND and ARGUMENT. */
const COMMAND = 0;
const COUNT_FIRST_DIGIT = 1;
const COUNT_DIGITS = 2;
const COUNT_LF = 3;
const ARGUMENT = 4;
const LENGTH_FIRST_DIGIT = 5;
const LENGTH_DIGITS = 6;
const LENGTH_LF = 7;
const BODY = 8;
const BODY_CR = 9;
const BODY_LF = 10;

/** The longest line that the fast path reads: eight digits, so that all its sums stay small integers. */
const LINE_BYTES = 11;
const FAST_DIGITS = 8;
/** Bytes kept of an argument that matters. */
const CARRY_BYTES = Math.max(controlNameBytesMax, dbDigitsMax);

export class BoundaryScanner {
  #offset: Offset;
  #boundary: Offset;
  #boundaryDb: number;
  #db: number;
  #inMulti = false;
  #acksWanted = 0;
  #broken: LinkError | undefined;

  #expect = COMMAND;
  /** The number being read in a `*` or `$` line, then the bytes of the body still to come. */
  #number = 0;
  #argumentCount = 0;
  #argumentsLeft = 0;
  #command = ORDINARY;
  /** REPLCONF was followed by GETACK. */
  #isGetAck = false;
  /** The current argument, where it matters: its length (−1: it does not) and as much of it as has come. */
  #carryLength = -1;
  #carryFilled = 0;
  readonly #carry = new Uint8Array(CARRY_BYTES);

  constructor(state: ScannerState) {
    this.#offset = state.offset;
    this.#boundary = state.offset;
    this.#boundaryDb = state.db;
    this.#db = state.db;
  }

  /** The offset of the last byte consumed. */
  get offset(): Offset {
    return this.#offset;
  }

  /** The last boundary at or below `offset`. */
  get boundary(): Offset {
    return this.#boundary;
  }

  /** The db selected at `boundary`. */
  get boundaryDb(): number {
    return this.#boundaryDb;
  }

  /** How many times `REPLCONF GETACK *` has been seen to its last byte. */
  get acksWanted(): number {
    return this.#acksWanted;
  }

  /**
   * Consumes `bytes[from, to)`. A byte that no primary sends throws a LinkError with its offset; `offset` is then the
   * last good byte, `boundary` stays right, and every further call throws the same.
   */
  scan(bytes: Uint8Array, from = 0, to = bytes.length): void {
    if (this.#broken !== undefined) throw this.#broken;
    // Of a byte at index i, the offset is base + i + 1; of the last byte before index i, base + i.
    const base = this.#offset - from;
    if (base + to > offsetMax) throw this.#tooFar(base + to);
    let at = from;
    while (at < to) {
      if (this.#command === ORDINARY && (this.#expect === COMMAND || this.#expect === ARGUMENT)) {
        at = this.#takeTokens(bytes, at, to, base);
      }
      if (at < to) at = this.#takeBytes(bytes, at, to, base);
    }
    this.#offset = base + to;
  }

  /**
   * The fast path: whole `*n` lines and whole arguments, as many as lie in bytes[from, to). Returns the index of the
   * first token that it left alone. One loop on local variables, because every call and every field written per
   * command would show: a command takes some 20 ns here.
   */
  #takeTokens(bytes: Uint8Array, from: number, to: number, base: number): number {
    const lastLine = to - LINE_BYTES;
    if (lastLine < from) return from;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const inMulti = this.#inMulti;
    let token = from;
    let boundary = -1;
    let left = this.#expect === ARGUMENT ? this.#argumentsLeft : 0;
    let count = this.#argumentCount;
    while (token <= lastLine) {
      // The four bytes behind the '*' or '$' in one load: nearly every number has one digit or two. A digit from 0 to 9,
      // `>>> 0` making what is below '0' large; 0 only where no other digit follows.
      const line = view.getInt32(token + 1, true);
      let value = (line & 0xff) - 48;
      if (value >>> 0 > 9) break;
      let at = token;
      if ((line & 0xffff00) === CR_LF << 8) {
        at += 4;
      } else if (line >>> 16 === CR_LF) {
        const digit = ((line >>> 8) & 0xff) - 48;
        if (value === 0 || digit >>> 0 > 9) break;
        value = value * 10 + digit;
        at += 5;
      } else if (line >>> 24 === CR) {
        const second = ((line >>> 8) & 0xff) - 48;
        const third = ((line >>> 16) & 0xff) - 48;
        if (value === 0 || second >>> 0 > 9 || third >>> 0 > 9 || bytes[token + 5] !== LF) break;
        value = value * 100 + second * 10 + third;
        at += 6;
      } else {
        if (value === 0) break;
        const lastDigit = token + FAST_DIGITS;
        at += 2;
        let byte = bytes[at]!;
        do {
          const digit = byte - 48;
          if (digit >>> 0 > 9 || at > lastDigit) break;
          value = value * 10 + digit;
          byte = bytes[++at]!;
        } while (byte !== CR);
        if (byte !== CR || bytes[at + 1] !== LF) break;
        at += 2;
      }

      if (left === 0) {
        if (bytes[token] !== ASTERISK || value === 0 || value > argumentCountMax) break;
        count = value;
        left = value;
        token = at;
        continue;
      }
      if (bytes[token] !== DOLLAR) break;
      const end = at + value;
      if (end + 2 > to || view.getInt16(end, true) !== CR_LF) break;
      if (left === count && controlCommandAt(bytes, at, value) !== ORDINARY) break;
      token = end + 2;
      if (--left === 0 && !inMulti) boundary = token;
    }
    if (boundary >= 0) this.#boundary = base + boundary;
    this.#expect = left === 0 ? COMMAND : ARGUMENT;
    this.#argumentCount = count;
    this.#argumentsLeft = left;
    return token;
  }

  /** The slow path: bytes up to the next place where the fast one may try, or to the end. Returns the index reached. */
  #takeBytes(bytes: Uint8Array, from: number, to: number, base: number): number {
    let at = from;
    do {
      if (this.#expect === BODY) {
        at = this.#takeBody(bytes, at, to);
      } else {
        const byte = bytes[at]!;
        const complaint = this.#takeByte(byte, base + at + 1);
        if (complaint !== undefined) throw this.#breakAt(base + at + 1, byte, complaint);
        at += 1;
      }
    } while (at < to && this.#expect !== COMMAND && this.#expect !== ARGUMENT);
    return at;
  }

  #takeBody(bytes: Uint8Array, from: number, to: number): number {
    const take = Math.min(this.#number, to - from);
    if (this.#carryLength >= 0) {
      for (let i = 0; i < take; i++) this.#carry[this.#carryFilled + i] = bytes[from + i]!;
      this.#carryFilled += take;
    }
    this.#number -= take;
    if (this.#number === 0) this.#expect = BODY_CR;
    return from + take;
  }

  /** One byte outside a body. Returns what is wrong with it, if anything. */
  #takeByte(byte: number, offset: Offset): string | undefined {
    switch (this.#expect) {
      case COMMAND:
        if (byte !== ASTERISK) return "a command must begin with '*'";
        this.#expect = COUNT_FIRST_DIGIT;
        return undefined;
      case ARGUMENT:
        if (byte !== DOLLAR) return "an argument must begin with '$'";
        this.#expect = LENGTH_FIRST_DIGIT;
        return undefined;
      case COUNT_FIRST_DIGIT:
      case COUNT_DIGITS:
        return this.#takeDigit(byte, COUNT_DIGITS, argumentCountMax, 'argument count');
      case LENGTH_FIRST_DIGIT:
      case LENGTH_DIGITS:
        return this.#takeDigit(byte, LENGTH_DIGITS, bulkBytesMax, 'argument length');
      case COUNT_LF:
        if (byte !== LF) return 'an argument count must end with CR LF';
        return this.#beginCommand();
      case LENGTH_LF:
        if (byte !== LF) return 'an argument length must end with CR LF';
        this.#beginArgument();
        return undefined;
      case BODY_CR:
        if (byte !== CR) return 'an argument must be followed by CR LF';
        this.#expect = BODY_LF;
        return undefined;
      default:
        if (byte !== LF) return 'an argument must be followed by CR LF';
        return this.#endArgument(offset);
    }
  }

  /** Decimal, without sign or leading zeros, at least one digit, at most `max`; CR ends it. */
  #takeDigit(byte: number, digits: number, max: number, what: string): string | undefined {
    const isFirst = this.#expect !== digits;
    if (byte === CR && !isFirst) {
      this.#expect = digits + 1;
      return undefined;
    }
    const digit = byte - 48;
    if (digit < 0 || digit > 9) return `an ${what} must be decimal`;
    if (!isFirst && this.#number === 0) return `an ${what} must not begin with 0`;
    this.#number = isFirst ? digit : this.#number * 10 + digit;
    if (this.#number > max) return `an ${what} above ${max}`;
    this.#expect = digits;
    return undefined;
  }

  #beginCommand(): string | undefined {
    if (this.#number === 0) return 'a command must have arguments';
    this.#argumentCount = this.#number;
    this.#argumentsLeft = this.#number;
    this.#expect = ARGUMENT;
    return undefined;
  }

  #beginArgument(): void {
    const index = this.#argumentCount - this.#argumentsLeft;
    const matters = index === 0 || (index === 1 && (this.#command === SELECT || this.#command === REPLCONF));
    this.#carryLength = matters && this.#number <= CARRY_BYTES ? this.#number : -1;
    this.#carryFilled = 0;
    this.#expect = this.#number === 0 ? BODY_CR : BODY;
  }

  #endArgument(offset: Offset): string | undefined {
    const index = this.#argumentCount - this.#argumentsLeft;
    if (index === 0) {
      const command = controlCommandAt(this.#carry, 0, this.#carryLength);
      const complaint = controlViolation(command, this.#argumentCount, this.#inMulti);
      if (complaint !== undefined) return complaint;
      this.#command = command;
    } else if (index === 1 && this.#command === SELECT) {
      const db = dbAt(this.#carry, 0, this.#carryLength);
      if (db === undefined) return 'SELECT without a db number';
      this.#db = db;
    } else if (index === 1 && this.#command === REPLCONF) {
      this.#isGetAck = isGetAckAt(this.#carry, 0, this.#carryLength);
    }
    this.#argumentsLeft -= 1;
    this.#expect = ARGUMENT;
    if (this.#argumentsLeft === 0) this.#endCommand(offset);
    return undefined;
  }

  #endCommand(offset: Offset): void {
    if (this.#command === MULTI) this.#inMulti = true;
    if (this.#command === EXEC) this.#inMulti = false;
    if (this.#command === DISCARD) {
      // What was queued never ran, SELECT included.
      this.#inMulti = false;
      this.#db = this.#boundaryDb;
    }
    if (this.#isGetAck) this.#acksWanted += 1;
    this.#isGetAck = false;
    this.#command = ORDINARY;
    this.#expect = COMMAND;
    if (this.#inMulti) return;
    this.#boundary = offset;
    this.#boundaryDb = this.#db;
  }

  #tooFar(offset: Offset): LinkError {
    this.#broken = new LinkError('offset-limit', `offset ${offset} is beyond what can be journaled`, 'later', {
      hint: 'no primary that counts its bytes honestly comes that far: restart it, so that it begins a new history',
    });
    return this.#broken;
  }

  #breakAt(offset: Offset, byte: number, complaint: string): LinkError {
    this.#offset = offset - 1;
    const shown = `0x${byte.toString(16).padStart(2, '0')}`;
    this.#broken = new LinkError(
      'protocol-broken',
      `the replication stream is broken at offset ${offset}: ${complaint} (byte ${shown})`,
      'soon',
      { hint: 'something between here and the primary, or the primary itself, altered the stream' },
    );
    return this.#broken;
  }
}
