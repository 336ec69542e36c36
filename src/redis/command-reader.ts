/**
 * Commands out of a range of the stream that begins at a boundary: for looking into the past, and for a restore that
 * changes or leaves out some of them. The bytes come from the journal, where they passed the boundary scanner once, so
 * whatever is wrong with them now is damage.
 *
 * What it holds is bounded: of an argument no more than `keepBytes`, of a command no more than keptCommandBytesMax. What
 * is left out is told, and offsets always say where the whole command is.
 */
import { IntegrityError } from '../core/errors.ts';
import { argumentCountMax, bulkBytesMax, keptArgumentBytesDefault, keptCommandBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { ScannerState } from './boundary-scanner.ts';
import { CommandGlance } from './command-glance.ts';
import {
  controlCommandAt,
  controlViolation,
  dbAt,
  DISCARD,
  EXEC,
  MULTI,
  ORDINARY,
  SELECT,
} from './control-commands.ts';

export interface StreamCommand {
  /** Offset of the first byte. */
  readonly start: Offset;
  /** Offset of the last byte: the command's position. */
  readonly end: Offset;
  /** The name, then its arguments: views of what was pushed, or copies where a cut or the limit made that necessary. */
  readonly args: readonly Buffer[];
  /** How many there are; more than `args` holds when the command as a whole is too large. */
  readonly argumentCount: number;
  /** Full lengths by index, of those arguments of which only the beginning is here. */
  readonly shortened: ReadonlyMap<number, number> | undefined;
  /** The db that it runs in; for SELECT, the one selected. */
  readonly db: number;
  /** Part of a group: from MULTI to EXEC, both included. */
  readonly inMulti: boolean;
}

/** A boundary, or where a command begins inside MULTI. */
export interface ReaderState extends ScannerState {
  /** Inside MULTI: the db that was selected before it. */
  readonly multiDb?: number | undefined;
}

export interface CommandReaderOptions {
  /** Most that is kept of one argument, at least 64 bytes; Infinity for all of it. */
  readonly keepBytes?: number;
  /**
   * Whether a command that is named by bytes[at, at + length) is wanted: others are passed over where that is cheap, but
   * handed out nonetheless where they are cut. SELECT, MULTI, EXEC and DISCARD always are.
   */
  readonly isWanted?: IsWanted;
  /** Of commands with a wanted name, which are wanted: those that lie whole in what was pushed are looked at in place. */
  readonly isMatch?: IsMatch;
}

export type IsWanted = (bytes: Buffer, at: number, length: number) => boolean;
export type IsMatch = (command: CommandGlance) => boolean;

const CR = 13;
const LF = 10;
const ASTERISK = 42;
const DOLLAR = 36;
/** What an argument costs besides its bytes. */
const ARGUMENT_OVERHEAD_BYTES = 256;
/** Enough of a name, or of a db number, to know what the command is. */
const KEPT_BYTES_MIN = 64;
const NO_BODY = -1;
const NO_BYTES: Buffer = Buffer.alloc(0);
/** A line with more is left for a closer look, so that sums stay small integers. */
const LINE_DIGITS = 8;

export class CommandReader {
  readonly #keepBytes: number;
  readonly #isWanted: IsWanted | undefined;
  readonly #isMatch: IsMatch | undefined;
  readonly #glance: CommandGlance = new CommandGlance();
  readonly #queue: Buffer[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  /** Index in #bytes of the next byte; the offset of the byte before #bytes[0]. */
  #at = 0;
  #base: Offset;

  #db: number;
  #inMulti = false;
  /** What DISCARD goes back to. */
  #dbBeforeMulti: number;

  /** The command being read: none when #left is 0. */
  #start: Offset = 0;
  #count = 0;
  #left = 0;
  #args: Buffer[] = [];
  #shortened: Map<number, number> | undefined;
  #roomBytes = 0;
  /** How many of them are not in what was pushed. */
  #argsOwn = 0;

  /** The argument being read, where it did not lie whole in #bytes: its length, what is to come, and what is kept. */
  #length = 0;
  #bodyLeft = NO_BODY;
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  #piecesOwn = 0;

  /** `state` is what the first pushed byte follows. */
  constructor(state: ReaderState, options: CommandReaderOptions = {}) {
    this.#base = state.offset;
    this.#db = state.db;
    this.#inMulti = state.multiDb !== undefined;
    this.#dbBeforeMulti = state.multiDb ?? state.db;
    this.#keepBytes = Math.max(options.keepBytes ?? keptArgumentBytesDefault, KEPT_BYTES_MIN);
    this.#isWanted = options.isWanted;
    this.#isMatch = options.isMatch;
  }

  /** The last byte of the last complete command, handed out or passed over. */
  get end(): Offset {
    return this.#left > 0 ? this.#start - 1 : this.#base + this.#at;
  }

  /** Takes the next bytes of the range. They must not change while commands made of them are in use. */
  push(bytes: Buffer): void {
    if (bytes.length > 0) this.#queue.push(bytes);
  }

  /** To be called when next() has no more: what was pushed may go then, and of a command that is cut a copy is kept. */
  letGo(): void {
    this.#base += this.#at;
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#at));
    this.#at = 0;
    if (this.#left === 0) return;
    for (; this.#argsOwn < this.#args.length; this.#argsOwn += 1) this.#own(this.#args, this.#argsOwn);
    for (; this.#piecesOwn < this.#pieces.length; this.#piecesOwn += 1) this.#own(this.#pieces, this.#piecesOwn);
  }

  #own(buffers: Buffer[], index: number): void {
    buffers[index] = Buffer.from(buffers[index]!);
  }

  /** The next complete command, or undefined when more bytes are needed. */
  next(): StreamCommand | undefined {
    while (true) {
      const command = this.#read();
      if (command !== undefined) return command;
      const more = this.#queue.shift();
      if (more === undefined) return undefined;
      this.#base += this.#at;
      // What is left is less than a line, or the CR of a CR LF.
      this.#bytes = this.#at === this.#bytes.length ? more : Buffer.concat([this.#bytes.subarray(this.#at), more]);
      this.#at = 0;
    }
  }

  #read(): StreamCommand | undefined {
    if (this.#left === 0) {
      if (this.#isWanted !== undefined || this.#isMatch !== undefined) this.#at = this.#endOfUnwanted(this.#at);
      const start = this.#base + this.#at + 1;
      const count = this.#line(ASTERISK, argumentCountMax);
      if (count < 0) return undefined;
      if (count === 0) throw this.#broken('a command without arguments');
      this.#start = start;
      this.#count = count;
      this.#left = count;
      this.#args = [];
      this.#argsOwn = 0;
      this.#shortened = undefined;
      this.#roomBytes = keptCommandBytesMax;
    }
    while (this.#left > 0) {
      const argument = this.#argument();
      if (argument === undefined) return undefined;
      const index = this.#count - this.#left;
      if (this.#roomBytes > 0) {
        this.#args.push(argument);
        if (argument.length < this.#length) (this.#shortened ??= new Map()).set(index, this.#length);
      }
      this.#roomBytes -= argument.length + ARGUMENT_OVERHEAD_BYTES;
      this.#left -= 1;
    }
    return this.#complete();
  }

  /** Where the unwanted commands end that lie whole in #bytes from there on: nothing is made of them, and state does not depend on them. */
  #endOfUnwanted(from: number): number {
    const bytes = this.#bytes;
    const glance = this.#glance;
    const isMatch = this.#isMatch;
    glance.bytes = bytes;
    glance.db = this.#db;
    for (let command = from; ;) {
      let at = lineEnd(bytes, command, ASTERISK);
      if (at < 0) return command;
      const count = lineValue(bytes, command);
      let isNamed = false;
      for (let i = 0; i < count; i += 1) {
        const end = lineEnd(bytes, at, DOLLAR);
        if (end < 0) return command;
        const length = lineValue(bytes, at);
        if (i === 0) {
          if (controlCommandAt(bytes, end, length) !== ORDINARY) return command;
          isNamed = this.#isWanted?.(bytes, end, length) ?? true;
          if (isNamed && (isMatch === undefined || count > glance.argumentsMost)) return command;
        }
        if (isNamed) {
          glance.at[i] = end;
          glance.length[i] = length;
        }
        at = end + length + 2;
        if (at > bytes.length || bytes[at - 2] !== CR || bytes[at - 1] !== LF) return command;
      }
      if (count === 0) return command;
      glance.count = count;
      glance.start = this.#base + command + 1;
      glance.end = this.#base + at;
      if (isNamed && isMatch?.(glance) === true) return command;
      command = at;
    }
  }

  #complete(): StreamCommand {
    const name = this.#args[0]!;
    const control = controlCommandAt(name, 0, name.length);
    const wasInMulti = this.#inMulti;
    if (control !== ORDINARY) this.#follow(control);
    return {
      start: this.#start,
      end: this.#base + this.#at,
      args: this.#args,
      argumentCount: this.#count,
      shortened: this.#shortened,
      db: this.#db,
      inMulti: wasInMulti || this.#inMulti,
    };
  }

  #follow(control: number): void {
    const violation = controlViolation(control, this.#count, this.#inMulti);
    if (violation !== undefined) throw this.#broken(violation);
    if (control === MULTI) {
      this.#inMulti = true;
      this.#dbBeforeMulti = this.#db;
    } else if (control === EXEC) {
      this.#inMulti = false;
    } else if (control === DISCARD) {
      this.#inMulti = false;
      this.#db = this.#dbBeforeMulti;
    } else if (control === SELECT) {
      const text = this.#args[1]!;
      const db = dbAt(text, 0, text.length);
      if (db === undefined) throw this.#broken('SELECT without a db number');
      this.#db = db;
    }
  }

  /** The next argument, or as much of it as is kept; its full length is in #length then. */
  #argument(): Buffer | undefined {
    if (this.#bodyLeft === NO_BODY) {
      const length = this.#line(DOLLAR, bulkBytesMax);
      if (length < 0) return undefined;
      this.#length = length;
      this.#bodyLeft = length;
      const end = this.#at + length;
      if (length <= this.#keepBytes && end + 2 <= this.#bytes.length) {
        // Of a command without end nothing is made of what is not kept.
        const argument = this.#roomBytes > 0 ? this.#bytes.subarray(this.#at, end) : NO_BYTES;
        this.#at = end;
        this.#endArgument();
        return argument;
      }
    }
    this.#takePiece();
    if (this.#bodyLeft > 0 || this.#at + 2 > this.#bytes.length) return undefined;
    this.#endArgument();
    const argument = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#piecesOwn = 0;
    return argument;
  }

  #takePiece(): void {
    const here = Math.min(this.#bodyLeft, this.#bytes.length - this.#at);
    const kept = Math.min(here, this.#keepBytes - this.#piecesBytes);
    // Where the command as a whole has run out of room, the argument will not be handed out.
    if (kept > 0 && this.#piecesBytes < this.#roomBytes) {
      this.#pieces.push(this.#bytes.subarray(this.#at, this.#at + kept));
      this.#piecesBytes += kept;
    }
    this.#bodyLeft -= here;
    this.#at += here;
  }

  #endArgument(): void {
    if (this.#bytes[this.#at] !== CR || this.#bytes[this.#at + 1] !== LF) {
      throw this.#broken('an argument that is not followed by CR LF');
    }
    this.#at += 2;
    this.#bodyLeft = NO_BODY;
  }

  /** The number in a line of this type, or −1 while the line is not complete. */
  #line(type: number, max: number): number {
    const bytes = this.#bytes;
    let at = this.#at;
    if (at >= bytes.length) return -1;
    if (bytes[at] !== type)
      throw this.#broken(`${type === ASTERISK ? 'a command' : 'an argument'} that does not begin as one`);
    let value = 0;
    for (at += 1; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === CR) break;
      const digit = byte - 48;
      const isLeadingZero = value === 0 && at > this.#at + 1;
      value = value * 10 + digit;
      if (digit < 0 || digit > 9 || isLeadingZero || value > max) throw this.#broken('a count or length that is none');
    }
    if (at + 1 >= bytes.length) return -1;
    if (bytes[at + 1] !== LF || at === this.#at + 1) throw this.#broken('a count or length that is none');
    this.#at = at + 2;
    return value;
  }

  #broken(what: string): IntegrityError {
    const offset = this.#base + this.#at + 1;
    return new IntegrityError('stream-broken', `the journaled stream is broken at or after offset ${offset}: ${what}`, {
      hint: 'verify the journal; the primary would not have sent this',
    });
  }
}

/** Behind the line of this type that begins there, or −1 where there is none, or one for a closer look. */
function lineEnd(bytes: Buffer, from: number, type: number): number {
  if (bytes[from] !== type) return -1;
  let at = from + 1;
  while (at < from + LINE_DIGITS && bytes[at]! >= 48 && bytes[at]! <= 57) at += 1;
  return at > from + 1 && bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : -1;
}

/** Of a line that is one. */
function lineValue(bytes: Buffer, from: number): number {
  let value = 0;
  for (let at = from + 1; bytes[at] !== CR; at += 1) value = value * 10 + bytes[at]! - 48;
  return value;
}

/** A command's name in upper case, as documentation writes it. */
export function nameOf(command: StreamCommand): string {
  return command.args[0]!.toString('latin1').toUpperCase();
}

/** The same as bytes: what is no letter stays as it is. */
export function nameBytesOf(command: StreamCommand): Buffer {
  const name = command.args[0]!.toString('latin1');
  return Buffer.from(
    name.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
    'latin1',
  );
}
