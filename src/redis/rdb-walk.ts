/**
 * Walks over a whole RDB as it streams by, without decoding or holding it: is its structure whole, to the last byte;
 * which dbs have how many keys; what expires; which checksum does it carry. The meaning of bytes is in rdb-grammar.ts.
 *
 * Every step looks at no more than LOOKAHEAD bytes and is taken only where that many are there; values are skipped by
 * arithmetic. So at most LOOKAHEAD bytes are ever kept from one call to the next, and the last steps are taken by
 * `finish`, over padding that they must not have touched.
 */
import { IntegrityError } from '../core/errors.ts';
import { Op, rdbProgram } from './rdb-grammar.ts';
import type { RdbProgram } from './rdb-grammar.ts';
import { parseMagic } from './rdb-head.ts';
import { BrokenStep, lengthAt, lengthEnd, LOOKAHEAD, millisecondsAt, moduleValueEnd, stringEnd } from './rdb-steps.ts';
import type { RdbMagic } from './server-version.ts';

export interface RdbDatabase {
  readonly db: number;
  readonly keys: number;
  readonly expires: number;
}

export type RdbContents =
  | {
      readonly kind: 'walked';
      readonly magic: RdbMagic;
      readonly version: number;
      readonly databases: readonly RdbDatabase[];
      readonly keys: number;
      /** Keys with a TTL. */
      readonly expires: number;
      /** Fields with a TTL; a small hash of Redis 7.4 and later counts as one, its fields are not looked at. */
      readonly hashFieldExpires: number;
      /** The earliest of these, in ms since the epoch; 0: none. */
      readonly minHashFieldExpireMs: number;
      /** The checksum that the RDB ends with, as Crc64.hex prints it; all zeros where the server wrote none. */
      readonly storedCrc64: string;
    }
  /** It holds something newer than this program: fit to be kept, not to be looked into. */
  | { readonly kind: 'unknown'; readonly what: string };

const MAGIC_BYTES = 9;
/** Where a program counter is when the next byte is an opcode or a type. */
const NEXT_RECORD = -1;
const NESTING_MAX = 8;
const firstVersionWithChecksum = 5;

/** Is told what the walk goes over, as it does: where in the RDB records and keys are, in bytes from its beginning. */
export interface RdbListener {
  /** At an opcode or a type; the record before it ends here. */
  onRecord(code: number, offset: number): void;
  /** The db of the keys that follow. */
  onDb(db: number): void;
  /** A key, encoded as it is, from `start` up to `end`, which may lie beyond what was pushed. */
  onKey(start: number, end: number): void;
}

interface MutableDatabase {
  db: number;
  keys: number;
  expires: number;
}

export class RdbWalk {
  /** Of the RDB: what was pushed and not kept, up to the beginning of the bytes being run over. */
  #offset = 0;
  #skip = 0;
  /** Index of the first byte being run over, for messages. */
  #runFrom = 0;
  #kept = Buffer.alloc(0);
  #head: { magic: RdbMagic; version: number } | undefined;
  #program: RdbProgram = { code: new Int32Array(0), starts: new Int32Array(0) };
  #counter = NEXT_RECORD;
  #depth = 0;
  readonly #timesLeft = new Float64Array(NESTING_MAX);

  readonly #databases = new Map<number, MutableDatabase>();
  #database: MutableDatabase | undefined;
  #nextKeyExpires = false;
  #hashFieldExpires = 0;
  #minHashFieldExpireMs = 0;
  #earliestFieldExpiry = 0;
  #storedCrc64 = '0'.repeat(16);
  #isEnded = false;
  #unknown: string | undefined;
  readonly #listener: RdbListener | undefined;

  constructor(listener?: RdbListener) {
    this.#listener = listener;
  }

  /** Every byte before this has been stepped over; it may lie beyond what was pushed. */
  get offset(): number {
    return this.#offset + this.#skip;
  }

  get magic(): RdbMagic | undefined {
    return this.#head?.magic;
  }

  /** Takes bytes from the beginning of an RDB on. Throws an IntegrityError where they cannot be one. */
  push(bytes: Buffer): void {
    if (this.#unknown !== undefined) return;
    let at = Math.min(this.#skip, bytes.length);
    this.#skip -= at;
    this.#offset += at;
    if (this.#kept.length > 0) at = this.#joinKept(bytes, at);
    if (at >= bytes.length) return;
    const end = this.#run(bytes, at, bytes.length);
    this.#offset += Math.min(end, bytes.length) - at;
    if (end > bytes.length) this.#skip = end - bytes.length;
    else this.#keep(bytes.subarray(end));
  }

  /** Call it when there are no more bytes. */
  finish(): RdbContents {
    if (this.#unknown === undefined) this.#runLast();
    if (this.#unknown !== undefined) return { kind: 'unknown', what: this.#unknown };
    if (this.#head === undefined) throw this.#broken('it ends in its head', this.#offset);
    const databases = [...this.#databases.values()].filter(({ keys }) => keys > 0);
    return {
      kind: 'walked',
      ...this.#head,
      databases,
      keys: databases.reduce((sum, { keys }) => sum + keys, 0),
      expires: databases.reduce((sum, { expires }) => sum + expires, 0),
      hashFieldExpires: this.#hashFieldExpires,
      minHashFieldExpireMs: this.#minHashFieldExpireMs,
      storedCrc64: this.#storedCrc64,
    };
  }

  /** Runs over the kept bytes with enough new ones behind them. Returns where to go on in `bytes`. */
  #joinKept(bytes: Buffer, from: number): number {
    const kept = this.#kept.length;
    const joined = Buffer.concat([this.#kept, bytes.subarray(from, from + 2 * LOOKAHEAD)]);
    this.#kept = Buffer.alloc(0);
    const end = this.#run(joined, 0, joined.length);
    if (end < kept) {
      // Too few bytes came to take all steps in the kept ones, so all of them are in `joined`.
      this.#offset += end;
      this.#keep(joined.subarray(end));
      return bytes.length;
    }
    const next = from + end - kept;
    this.#offset += Math.min(end, kept + bytes.length - from);
    if (next > bytes.length) this.#skip = next - bytes.length;
    return next;
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0 || this.#unknown !== undefined) return;
    if (this.#isEnded) throw this.#broken('bytes follow its end', this.#offset);
    this.#kept = Buffer.from(bytes);
  }

  #runLast(): void {
    const real = this.#kept.length;
    const end = this.#run(Buffer.concat([this.#kept, Buffer.alloc(LOOKAHEAD)]), 0, real + LOOKAHEAD);
    if (this.#unknown !== undefined) return;
    if (!this.#isEnded || end > real || this.#skip > 0) throw this.#broken('it ends too early', this.#offset + real);
    if (end < real) throw this.#broken('bytes follow its end', this.#offset + end);
  }

  /**
   * Takes steps in bytes[from, to) while LOOKAHEAD bytes are left. Returns where the next step begins, which may lie
   * beyond `to`.
   */
  #run(bytes: Buffer, from: number, to: number): number {
    this.#runFrom = from;
    let at = from;
    if (this.#head === undefined) {
      if (to - at < LOOKAHEAD) return at;
      this.#begin(bytes, at);
      at += MAGIC_BYTES;
    }
    if (this.#unknown !== undefined) return to;
    try {
      return this.#steps(bytes, at, to);
    } catch (error) {
      throw error instanceof BrokenStep ? this.#broken(error.message, this.#offset + error.at - from) : error;
    }
  }

  #steps(bytes: Buffer, from: number, to: number): number {
    let at = from;
    const { code, starts } = this.#program;
    const last = to - LOOKAHEAD;
    let counter = this.#counter;
    while (at <= last && !this.#isEnded) {
      if (counter === NEXT_RECORD) {
        counter = starts[bytes[at]!]!;
        if (counter < 0)
          return this.#giveUp(`opcode or type ${bytes[at]!} at byte ${this.#offset + at - this.#runFrom}`, to);
        this.#listener?.onRecord(bytes[at]!, this.#offset + at - this.#runFrom);
        at += 1;
      }
      const operand = code[counter + 1]!;
      switch (code[counter]!) {
        case Op.DONE:
          counter = NEXT_RECORD;
          continue;
        case Op.KEY:
          this.#countKey();
          at = this.#keyEnd(bytes, at);
          break;
        case Op.STRING:
        case Op.FIELD:
        case Op.FIELD_LISTPACK:
          at = stringEnd(bytes, at);
          break;
        case Op.LENGTH:
          at = lengthEnd(bytes, at);
          break;
        case Op.SKIP:
          at += operand;
          break;
        case Op.BEGIN: {
          const times = lengthAt(bytes, at);
          at = lengthEnd(bytes, at);
          if (times > 0) {
            this.#timesLeft[this.#depth++] = times;
            break;
          }
          counter = operand;
          continue;
        }
        case Op.AGAIN:
          if (--this.#timesLeft[this.#depth - 1]! > 0) {
            counter = operand;
            continue;
          }
          this.#depth -= 1;
          break;
        case Op.MODULE: {
          const isLast = lengthAt(bytes, at) === 0;
          at = moduleValueEnd(bytes, at);
          if (isLast) break;
          continue;
        }
        default:
          at = this.#note(code[counter]!, bytes, at);
      }
      counter += 2;
    }
    this.#counter = counter;
    return at;
  }

  #begin(bytes: Buffer, at: number): void {
    this.#head = parseMagic(bytes.toString('latin1', at, at + MAGIC_BYTES));
    const { magic, version } = this.#head;
    const program = rdbProgram(magic, version);
    if (program === undefined) this.#unknown = `${magic} version ${version}`;
    else this.#program = program;
  }

  #giveUp(what: string, to: number): number {
    this.#unknown = what;
    return to;
  }

  /** What counts for more than its length. */
  #note(op: number, bytes: Buffer, at: number): number {
    switch (op) {
      case Op.EXPIRES_SECONDS:
        this.#nextKeyExpires = true;
        return at + 4;
      case Op.EXPIRES_MS:
        this.#nextKeyExpires = true;
        return at + 8;
      case Op.DB:
        this.#selectDatabase(lengthAt(bytes, at));
        return lengthEnd(bytes, at);
      case Op.SCORE:
        // 253 to 255 stand for NaN and the infinities, without characters.
        return bytes[at]! >= 253 ? at + 1 : at + 1 + bytes[at]!;
      case Op.EARLIEST_FIELD_EXPIRY:
        this.#earliestFieldExpiry = millisecondsAt(bytes, at);
        return at + 8;
      case Op.RELATIVE_FIELD_EXPIRY: {
        const after = lengthAt(bytes, at);
        if (after > 0) this.#countFieldExpiry(this.#earliestFieldExpiry + after - 1);
        return lengthEnd(bytes, at);
      }
      case Op.ONLY_FIELD_EXPIRY:
      case Op.FIELD_EXPIRY: {
        const expiry = millisecondsAt(bytes, at);
        if (expiry > 0) this.#countFieldExpiry(expiry);
        return at + 8;
      }
      default:
        return this.#end(bytes, at);
    }
  }

  #end(bytes: Buffer, at: number): number {
    this.#isEnded = true;
    if (this.#head?.magic === 'REDIS' && this.#head.version < firstVersionWithChecksum) return at;
    this.#storedCrc64 = bytes.readBigUInt64LE(at).toString(16).padStart(16, '0');
    return at + 8;
  }

  #selectDatabase(db: number): void {
    this.#database = this.#databases.get(db) ?? { db, keys: 0, expires: 0 };
    this.#databases.set(db, this.#database);
    this.#listener?.onDb(db);
  }

  #countKey(): void {
    if (this.#database === undefined) this.#selectDatabase(0);
    this.#database!.keys += 1;
    if (this.#nextKeyExpires) this.#database!.expires += 1;
    this.#nextKeyExpires = false;
  }

  #countFieldExpiry(ms: number): void {
    this.#hashFieldExpires += 1;
    if (this.#minHashFieldExpireMs === 0 || ms < this.#minHashFieldExpireMs) this.#minHashFieldExpireMs = ms;
  }

  #keyEnd(bytes: Buffer, at: number): number {
    const end = stringEnd(bytes, at);
    const before = this.#offset - this.#runFrom;
    this.#listener?.onKey(before + at, before + end);
    return end;
  }

  #broken(what: string, offset: number): IntegrityError {
    return new IntegrityError('rdb-broken', `the RDB is broken at byte ${offset}: ${what}`);
  }
}
