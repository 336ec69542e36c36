/**
 * Everything in an RDB that expires, keys and hash fields, in order, as it streams by: the way to see what a server hides
 * because it has elapsed. The meaning of bytes is in rdb-grammar.ts; that the RDB is whole, rdb-walk.ts shows.
 *
 * Held from one call to the next: the name that is being read, or the hash of one listpack, and no more than LOOKAHEAD
 * bytes besides.
 */
import { IntegrityError } from '../core/errors.ts';
import { listpackElements } from './listpack.ts';
import { Op, rdbProgram } from './rdb-grammar.ts';
import type { RdbProgram } from './rdb-grammar.ts';
import { parseMagic } from './rdb-head.ts';
import {
  BrokenStep,
  lengthAt,
  lengthEnd,
  LOOKAHEAD,
  millisecondsAt,
  moduleValueEnd,
  stringAt,
  stringEnd,
} from './rdb-steps.ts';

/** A key that expires, before the fields of it that do. */
export interface Expiry {
  readonly db: number;
  /** The code of the key's type in an RDB. */
  readonly type: number;
  /** The same object for all fields of a key, and for the key itself, up to letGo(). */
  readonly key: Buffer;
  /** Undefined: the key itself. */
  readonly field: Buffer | undefined;
  /** Since the epoch. */
  readonly atMs: number;
}

const magicBytes = 9;
const nextRecord = -1;
const nestingMax = 8;
const empty: Buffer = Buffer.alloc(0);
export class RdbExpiries {
  #rest = empty;
  #skip = 0;
  #program: RdbProgram | undefined;
  #counter = nextRecord;
  #depth = 0;
  readonly #timesLeft = new Float64Array(nestingMax);
  #isEnded = false;

  #db = 0;
  #type = 0;
  #keyAtMs: number | undefined;
  #key = empty;
  #field = empty;
  #earliestMs = 0;
  #fieldAtMs = 0;
  /** Of the name that was taken last. */
  #atMs = 0;

  /** Takes bytes from the beginning of an RDB on; they are to stay as they are until letGo(). */
  *push(bytes: Buffer): Generator<Expiry, void, undefined> {
    const from = Math.min(this.#skip, bytes.length);
    this.#skip -= from;
    if (from === bytes.length) return;
    const window = this.#rest.length === 0 ? bytes.subarray(from) : Buffer.concat([this.#rest, bytes]);
    yield* this.#run(window);
  }

  /** To be called when what push() told is taken: what was pushed may go then, and of what is cut a copy is kept. */
  letGo(): void {
    this.#rest = Buffer.from(this.#rest);
    this.#key = Buffer.from(this.#key);
    this.#field = Buffer.from(this.#field);
  }

  /** To be called when there are no more bytes. */
  *finish(): Generator<Expiry, void, undefined> {
    const real = this.#rest.length;
    yield* this.#run(Buffer.concat([this.#rest, Buffer.alloc(LOOKAHEAD)]), real);
    if (!this.#isEnded || this.#skip > 0) throw new IntegrityError('rdb-broken', 'the RDB ends too early');
  }

  *#run(bytes: Buffer, end: number = bytes.length): Generator<Expiry, void, undefined> {
    try {
      const at = yield* this.#steps(bytes);
      this.#skip = Math.max(0, at - end);
      this.#rest = at < end ? bytes.subarray(at) : empty;
    } catch (error) {
      if (!(error instanceof BrokenStep)) throw error;
      throw new IntegrityError('rdb-broken', `the RDB is broken: ${error.message}`, { cause: error });
    }
  }

  /** Returns where the next step begins, which may lie beyond the bytes. */
  *#steps(bytes: Buffer): Generator<Expiry, number, undefined> {
    const last = bytes.length - LOOKAHEAD;
    if (last < 0) return 0;
    let at = this.#program === undefined ? magicBytes : 0;
    const { code, starts } = (this.#program ??= programOf(bytes));
    const timesLeft = this.#timesLeft;
    let counter = this.#counter;
    scan: while (at <= last && !this.#isEnded) {
      if (counter === nextRecord) {
        counter = starts[bytes[at]!]!;
        if (counter < 0) throw unknown(`opcode or type ${bytes[at]!}`);
        this.#type = bytes[at]!;
        at += 1;
      }
      const operand = code[counter + 1]!;
      const op = code[counter]!;
      switch (op) {
        case Op.DONE:
          counter = nextRecord;
          continue;
        case Op.KEY:
        case Op.FIELD:
        case Op.FIELD_LISTPACK: {
          const stop = stringEnd(bytes, at);
          if (this.#isWanted(op, code, counter)) {
            // The whole of it has to be there first.
            if (stop > bytes.length) break scan;
            const name = stringAt(bytes, at, stop);
            if (op === Op.FIELD_LISTPACK) yield* this.#takeListpack(name);
            else if (this.#takeName(op, name)) {
              yield this.#expiry(op === Op.KEY ? undefined : name, this.#atMs);
            }
          }
          at = stop;
          break;
        }
        case Op.BEGIN: {
          const times = lengthAt(bytes, at);
          at = lengthEnd(bytes, at);
          if (times === 0) {
            counter = operand;
            continue;
          }
          timesLeft[this.#depth++] = times;
          break;
        }
        case Op.AGAIN:
          if (--timesLeft[this.#depth - 1]! > 0) {
            counter = operand;
            continue;
          }
          this.#depth -= 1;
          break;
        case Op.MODULE:
          // Again and again, up to the kind that ends the value.
          if (lengthAt(bytes, at) !== 0) counter -= 2;
          at = moduleValueEnd(bytes, at);
          break;
        case Op.FIELD_EXPIRY: {
          const atMs = millisecondsAt(bytes, at);
          at += 8;
          if (atMs > 0) yield this.#expiry(this.#field, atMs);
          break;
        }
        default:
          at = this.#stepOver(op, operand, bytes, at);
      }
      counter += 2;
    }
    this.#counter = counter;
    return at;
  }

  #stepOver(op: number, operand: number, bytes: Buffer, at: number): number {
    switch (op) {
      case Op.STRING:
        return stringEnd(bytes, at);
      case Op.LENGTH:
        return lengthEnd(bytes, at);
      case Op.SKIP:
        return at + operand;
      case Op.SCORE:
        return bytes[at]! >= 253 ? at + 1 : at + 1 + bytes[at]!;
      case Op.EXPIRES_MS:
        this.#keyAtMs = millisecondsAt(bytes, at);
        return at + 8;
      case Op.EXPIRES_SECONDS:
        this.#keyAtMs = bytes.readInt32LE(at) * 1000;
        return at + 4;
      case Op.DB:
        this.#db = lengthAt(bytes, at);
        return lengthEnd(bytes, at);
      case Op.EARLIEST_FIELD_EXPIRY:
        this.#earliestMs = millisecondsAt(bytes, at);
        return at + 8;
      case Op.ONLY_FIELD_EXPIRY:
        return at + 8;
      case Op.RELATIVE_FIELD_EXPIRY: {
        const after = lengthAt(bytes, at);
        this.#fieldAtMs = after === 0 ? 0 : this.#earliestMs + after - 1;
        return lengthEnd(bytes, at);
      }
      default:
        this.#isEnded = true;
        return at;
    }
  }

  #expiry(field: Buffer | undefined, atMs: number): Expiry {
    return { db: this.#db, type: this.#type, key: this.#key, field, atMs };
  }

  /** Most keys, and most fields, are stepped over. */
  #isWanted(op: number, code: Int32Array, counter: number): boolean {
    if (op === Op.FIELD_LISTPACK) return true;
    // A field's time stands before it (Redis), or behind its value (Valkey).
    if (op === Op.FIELD) return this.#fieldAtMs > 0 || code[counter + 4] === Op.FIELD_EXPIRY;
    return this.#keyAtMs !== undefined || hasFields(code, counter + 2);
  }

  /** Whether it is known by now when it expires. */
  #takeName(op: number, name: Buffer): boolean {
    if (op === Op.KEY) {
      this.#key = name;
      const expires = this.#keyAtMs !== undefined;
      this.#atMs = this.#keyAtMs ?? 0;
      this.#keyAtMs = undefined;
      return expires;
    }
    // Its value may be on the next bytes, and large.
    this.#field = name;
    this.#atMs = this.#fieldAtMs;
    this.#fieldAtMs = 0;
    return this.#atMs > 0;
  }

  *#takeListpack(listpack: Buffer): Generator<Expiry, void, undefined> {
    const elements = listpackElements(listpack);
    for (let i = 0; i + 2 < elements.length; i += 3) {
      const atMs = Number(elements[i + 2]!.toString('latin1'));
      if (atMs > 0) yield this.#expiry(elements[i], atMs);
    }
  }
}

/** Whether the value that begins there in the code is a hash whose fields may expire. */
function hasFields(code: Int32Array, counter: number): boolean {
  const op = code[counter]!;
  if (op === Op.EARLIEST_FIELD_EXPIRY || op === Op.ONLY_FIELD_EXPIRY) return true;
  return op === Op.BEGIN && code[counter + 2] === Op.FIELD;
}

function programOf(bytes: Buffer): RdbProgram {
  const { magic, version } = parseMagic(bytes.toString('latin1', 0, magicBytes));
  const program = rdbProgram(magic, version);
  if (program === undefined) throw unknown(`${magic} version ${version}`);
  return program;
}

function unknown(what: string): IntegrityError {
  return new IntegrityError('rdb-unknown', `the RDB of the scratch server holds ${what}, which is not known here`, {
    exitCode: 1,
    hint: 'with --ttl keep it is not looked into',
  });
}
