/**
 * An RDB made of another one as it streams by: with only the keys that are wanted, or with other expiries, or both. What is
 * taken is taken over as it is, undecoded, so that nothing can get lost on the way; written anew are only the name of a key
 * that is renamed, an expiry, and a hash whose fields expire. Where keys are chosen, what says how much there is, or where
 * in a replication history it was, would not be true of a part, and is left out.
 *
 * rdb-walk.ts tells where records and keys are. Undecided is what lies behind the last decision: the beginning of an item
 * (what announces its expiry, its type, its name) until the name is complete, and a hash that is written anew until its
 * end. No more than that is held back.
 */
import { IntegrityError, UsageError } from '../core/errors.ts';
import { hashHeldBytesMax } from '../core/limits.ts';
import type { KeyChoice } from './key-selection.ts';
import { NameSet } from './name-set.ts';
import { isHashWithTtl, judgedHash } from './rdb-hash-ttl.ts';
import { BrokenStep, millisecondsAt, stringAt, stringEnd } from './rdb-steps.ts';
import { RdbWalk } from './rdb-walk.ts';
import type { RdbListener } from './rdb-walk.ts';
import { encodeLength, RdbWriter, writeMilliseconds } from './rdb-writer.ts';
import type { WrittenChunk } from './rdb-writer.ts';
import { GOES, NEVER } from './ttl-rule.ts';
import type { TtlJudge } from './ttl-rule.ts';

export interface SameName {
  readonly db: number;
  readonly name: Buffer;
  /** The later of the two that have it. */
  readonly key: Buffer;
}

export interface FilterOptions {
  /** Undefined: everything. */
  readonly selection?: KeyChoice | undefined;
  /** Of the keys that are wanted; undefined: expiries stay, and are not counted. */
  readonly ttl?: TtlJudge | undefined;
  /** Of each key that is taken, where there is a selection. */
  readonly onTaken?: (db: number, key: Buffer, name: Buffer) => void;
}

const Code = {
  FUNCTION: 245,
  EARLY_FUNCTION: 246,
  MODULE_AUX: 247,
  IDLE: 248,
  FREQUENCY: 249,
  AUX: 250,
  EXPIRES_MS: 252,
  EXPIRES: 253,
  DB: 254,
  END: 255,
} as const;
/** From here on codes are no types. */
const firstOpcode = 242;
/** In an RDB of Redis: metadata of the key that follows. In one of Valkey: of slots. */
const keyMeta = 243;
const expiresMsBytes = 9;
const expiresBytes = 5;
const sameNamesMax = 100;
/** What is not decided is hardly ever longer than that: a name. */
const spareBytes = 64 * 1024;
const ofHistory = Buffer.from('repl-');
const empty: Buffer = Buffer.alloc(0);

/** A key that is not written yet. */
interface Item {
  /** Where its name is. */
  readonly start: number;
  readonly end: number;
  /** When it ends, undefined where it did not before. */
  readonly toMs: number | undefined;
}

export class RdbFilter implements RdbListener {
  /** Keys, but for those whose time has passed, where these go. */
  taken = 0;
  total = 0;
  /** Keys whose name another key seems to have as well; at most 100 of them. */
  readonly sameNames: SameName[] = [];
  readonly #selection: KeyChoice | undefined;
  readonly #ttl: TtlJudge | undefined;
  readonly #onTaken: FilterOptions['onTaken'];
  readonly #walk = new RdbWalk(this);
  readonly #names: NameSet | undefined;
  readonly #writer = new RdbWriter();

  /** What is not decided and what has come since, and where in the RDB that begins: in a room that is used again. */
  #data = empty;
  #dataFrom = 0;
  #room = empty;
  /** What is taken and not written yet begins here, and goes on to the item, or beyond. */
  #from = 0;
  #itemFrom = 0;
  #state: 'taken' | 'left' | 'undecided' = 'taken';
  #code = -1;
  #isKeyAnnounced = false;
  /** Of the item: what announces its expiry begins here; −1: nothing. */
  #expiryFrom = -1;
  #awaited: { readonly start: number; readonly end: number } | undefined;
  /** A hash that is written anew, and what has come of it since its item began. */
  #hash: Item | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #db = 0;
  #dbWritten = -1;

  constructor({ selection, ttl, onTaken }: FilterOptions) {
    this.#selection = selection;
    this.#ttl = ttl;
    this.#onTaken = onTaken;
    this.#names = selection?.renames === true ? new NameSet() : undefined;
  }

  /** Takes the RDB from its beginning on, and returns what is done; `bytes` may be used again afterwards. */
  push(bytes: Buffer): WrittenChunk[] {
    this.#append(bytes);
    const awaited = this.#awaited;
    if (awaited !== undefined && awaited.end <= this.#end) {
      this.#awaited = undefined;
      this.onKey(awaited.start, awaited.end);
    }
    this.#walk.push(bytes);
    this.#settle();
    if (this.#hash === undefined) this.#keepFrom(this.#from);
    else this.#hold();
    return this.#writer.take();
  }

  /** Call it when there are no more bytes. */
  finish(): WrittenChunk[] {
    const contents = this.#walk.finish();
    if (contents.kind === 'unknown') throw unknown(contents.what, this.#selection !== undefined);
    if (this.#awaited !== undefined) throw new IntegrityError('rdb-broken', 'the RDB ends inside a key');
    this.#settle();
    return this.#writer.finish();
  }

  onRecord(code: number, offset: number): void {
    if (this.#hash !== undefined) this.#endHash(this.#hash, offset);
    if (this.#code === Code.AUX && this.#selection !== undefined && this.#isOfHistory()) this.#leave();
    const goesOn = this.#isKeyAnnounced;
    this.#isKeyAnnounced = this.#announcesKey(code);
    this.#code = code;
    if (!goesOn) this.#begin(code, offset);
    if (code === Code.EXPIRES_MS || code === Code.EXPIRES) this.#expiryFrom = offset;
  }

  onDb(db: number): void {
    this.#db = db;
  }

  onKey(start: number, end: number): void {
    if (end > this.#end) {
      this.#awaited = { start, end };
      return;
    }
    if (this.#selection?.takes(this.#db, this.#code, this.#string(start, end), this.#expiryFrom >= 0) === false) {
      this.total += 1;
      this.#leave();
      return;
    }
    const item = { start, end, toMs: this.#expiry() };
    if (item.toMs === GOES) this.#leave();
    else if (this.#ttl?.changes === true && isHashWithTtl(this.#walk.magic, this.#code)) this.#hash = item;
    else this.#take(item);
  }

  #begin(code: number, offset: number): void {
    if (this.#state === 'left') this.#from = offset;
    this.#itemFrom = offset;
    this.#expiryFrom = -1;
    this.#state = 'undecided';
    if (code < firstOpcode || this.#isKeyAnnounced || code === Code.AUX) return;
    const isTaken = this.#selection === undefined || (this.#selection.takesFunctions && isProgram(code));
    if (isTaken && code !== Code.END) this.#state = 'taken';
    else this.#leave();
  }

  #take({ start, end, toMs }: Item): void {
    this.taken += 1;
    this.total += 1;
    this.#state = 'taken';
    if (this.#selection === undefined) {
      this.#giveExpiry(toMs);
      return;
    }
    const key = this.#string(start, end);
    const name = this.#selection.nameOf(key);
    this.#note(key, name);
    if (this.#db !== this.#dbWritten) {
      this.#writeUpTo(this.#itemFrom);
      this.#writer.write(Buffer.concat([Buffer.from([Code.DB]), encodeLength(this.#db)]));
      this.#dbWritten = this.#db;
    }
    this.#giveExpiry(toMs);
    if (name === key || name.equals(key)) return;
    this.#writeUpTo(start);
    this.#writer.write(encodeLength(name.length));
    this.#writer.write(name);
    this.#from = end;
  }

  #endHash(item: Item, offset: number): void {
    this.#hash = undefined;
    if (this.#held.length > 0) {
      this.#data = Buffer.concat([...this.#held.splice(0), this.#data]);
      this.#dataFrom = this.#itemFrom;
      this.#heldBytes = 0;
    }
    const value = this.#data.subarray(item.end - this.#dataFrom, offset - this.#dataFrom);
    const judged = judgedHash({ type: this.#code, value }, this.#ttl!);
    if (judged === undefined) {
      this.#leave();
      return;
    }
    this.#data[item.start - 1 - this.#dataFrom] = judged.type;
    this.#take(item);
    if (judged.value === value) return;
    this.#writeUpTo(item.end);
    this.#writer.write(judged.value);
    this.#from = offset;
  }

  #note(key: Buffer, name: Buffer): void {
    this.#onTaken?.(this.#db, key, name);
    if (this.#names?.add(this.#db, name) === true && this.sameNames.length < sameNamesMax) {
      this.sameNames.push({ db: this.#db, name: Buffer.from(name), key: Buffer.from(key) });
    }
  }

  /** When the key of the item ends by the rule; undefined: it did not before. */
  #expiry(): number | undefined {
    if (this.#ttl === undefined || this.#expiryFrom < 0) return undefined;
    const at = this.#expiryFrom - this.#dataFrom;
    const isMs = this.#data[at] === Code.EXPIRES_MS;
    return this.#ttl.take('keys', isMs ? millisecondsAt(this.#data, at + 1) : this.#data.readInt32LE(at + 1) * 1000);
  }

  #giveExpiry(toMs: number | undefined): void {
    if (toMs === undefined) return;
    const at = this.#expiryFrom - this.#dataFrom;
    const isMs = this.#data[at] === Code.EXPIRES_MS;
    if (isMs && toMs !== NEVER) {
      writeMilliseconds(this.#data, at + 1, toMs);
      return;
    }
    this.#writeUpTo(this.#expiryFrom);
    if (toMs !== NEVER) {
      const announced = Buffer.alloc(expiresMsBytes, Code.EXPIRES_MS);
      writeMilliseconds(announced, 1, toMs);
      this.#writer.write(announced);
    }
    this.#from = this.#expiryFrom + (isMs ? expiresMsBytes : expiresBytes);
  }

  #announcesKey(code: number): boolean {
    if (code === keyMeta) return this.#walk.magic === 'REDIS';
    return code === Code.EXPIRES_MS || code === Code.EXPIRES || code === Code.IDLE || code === Code.FREQUENCY;
  }

  /** Of a field that ends here: where in a replication history the whole was. */
  #isOfHistory(): boolean {
    const from = this.#itemFrom + 1;
    const name = this.#string(from, stringEnd(this.#data, from - this.#dataFrom) + this.#dataFrom);
    return name.subarray(0, ofHistory.length).equals(ofHistory);
  }

  #string(start: number, end: number): Buffer {
    try {
      return stringAt(this.#data, start - this.#dataFrom, end - this.#dataFrom);
    } catch (error) {
      if (!(error instanceof BrokenStep)) throw error;
      throw new IntegrityError('rdb-broken', `the RDB is broken at byte ${start}: ${error.message}`, { cause: error });
    }
  }

  get #end(): number {
    return this.#dataFrom + this.#data.length;
  }

  #leave(): void {
    this.#writeUpTo(this.#itemFrom);
    this.#state = 'left';
  }

  /** Nothing that is decided stays behind. */
  #settle(): void {
    if (this.#state === 'undecided') {
      this.#writeUpTo(this.#itemFrom);
      return;
    }
    const offset = Math.min(this.#walk.offset, this.#end);
    if (this.#state === 'taken') this.#writeUpTo(offset);
    else this.#from = offset;
  }

  #append(bytes: Buffer): void {
    const { length } = this.#data;
    if (length + bytes.length > this.#room.length) {
      this.#room = Buffer.allocUnsafeSlow(Math.max(2 * length, length + bytes.length + spareBytes));
      this.#data.copy(this.#room);
    }
    bytes.copy(this.#room, length);
    this.#data = this.#room.subarray(0, length + bytes.length);
  }

  #keepFrom(from: number): void {
    const kept = this.#data.subarray(from - this.#dataFrom);
    if (kept.length > this.#room.length) this.#room = Buffer.allocUnsafeSlow(kept.length);
    kept.copy(this.#room);
    this.#data = this.#room.subarray(0, kept.length);
    this.#dataFrom = from;
  }

  /** In pieces, so that a large one is not copied with each that comes. */
  #hold(): void {
    this.#keepFrom(Math.max(this.#from, this.#dataFrom));
    this.#held.push(Buffer.from(this.#data));
    this.#heldBytes += this.#data.length;
    if (this.#heldBytes > hashHeldBytesMax) throw tooLarge();
    this.#dataFrom += this.#data.length;
    this.#data = empty;
  }

  #writeUpTo(offset: number): void {
    if (offset <= this.#from) return;
    this.#writer.write(this.#data.subarray(this.#from - this.#dataFrom, offset - this.#dataFrom));
    this.#from = offset;
  }
}

function isProgram(code: number): boolean {
  return code === Code.FUNCTION || code === Code.EARLY_FUNCTION || code === Code.MODULE_AUX;
}

function unknown(what: string, isPart: boolean): UsageError {
  const message = `this RDB cannot be looked into: ${what} is not known`;
  const hint = isPart ? 'restore everything, and take the keys out of that' : 'with --ttl keep it is not looked into';
  return new UsageError('unknown-rdb', message, { hint, exitCode: 1 });
}

function tooLarge(): UsageError {
  const message = `a hash with expiring fields takes more than ${hashHeldBytesMax} bytes in an RDB`;
  return new UsageError('hash-too-large', message, { hint: 'with --ttl keep it is passed on as it is', exitCode: 1 });
}
