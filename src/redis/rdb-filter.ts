/**
 * An RDB with only the keys that are wanted, made of one as it streams by: their bytes are taken over as they are, expiry
 * and all, undecoded, so that nothing can get lost on the way; only the name of one that is renamed is written anew. What
 * says how much there is, or where in a replication history it was, would not be true of a part, and is left out.
 *
 * rdb-walk.ts tells where records and keys are. Undecided is what lies behind the last decision: the beginning of an item
 * (what announces its expiry, its type, its name) until the name is complete. No more than that is held back.
 */
import { IntegrityError, UsageError } from '../core/errors.ts';
import { Crc64 } from './crc64.ts';
import type { KeySelection } from './key-selection.ts';
import { lzfDecompress } from './lzf.ts';
import { NameSet } from './name-set.ts';
import { RdbWalk } from './rdb-walk.ts';
import type { RdbListener } from './rdb-walk.ts';

export interface SameName {
  readonly db: number;
  readonly name: Buffer;
  /** The later of the two that have it. */
  readonly key: Buffer;
}

export interface FilterOptions {
  /** Of each key that is taken. */
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
const chunkBytes = 1024 * 1024;
const sameNamesMax = 100;

export class RdbFilter implements RdbListener {
  taken = 0;
  total = 0;
  /** Keys whose name another key seems to have as well; at most 100 of them. */
  readonly sameNames: SameName[] = [];
  readonly #selection: KeySelection;
  readonly #options: FilterOptions;
  readonly #walk = new RdbWalk(this);
  readonly #names: NameSet | undefined;
  readonly #crc = new Crc64();

  /** What is not decided and what has come since, and where in the RDB that begins. */
  #data: Buffer = Buffer.alloc(0);
  #dataFrom = 0;
  /** What is taken and not written yet begins here, and goes on to the item, or beyond. */
  #from = 0;
  #itemFrom = 0;
  #state: 'taken' | 'left' | 'undecided' = 'taken';
  #code = -1;
  #isKeyAnnounced = false;
  #awaited: { readonly start: number; readonly end: number } | undefined;
  #db = 0;
  #dbWritten = -1;

  #chunk = Buffer.allocUnsafe(chunkBytes);
  #filled = 0;
  #ready: Buffer[] = [];

  constructor(selection: KeySelection, options: FilterOptions = {}) {
    this.#selection = selection;
    this.#options = options;
    this.#names = selection.renames ? new NameSet() : undefined;
  }

  /** Takes the RDB from its beginning on, and returns what is done; `bytes` may be used again afterwards. */
  push(bytes: Buffer): Buffer[] {
    this.#data = this.#data.length === 0 ? bytes : Buffer.concat([this.#data, bytes]);
    if (this.#awaited !== undefined) {
      const { start, end } = this.#awaited;
      if (end <= this.#end) {
        this.#awaited = undefined;
        this.onKey(start, end);
      }
    }
    this.#walk.push(bytes);
    this.#settle();
    this.#data = Buffer.from(this.#data.subarray(this.#from - this.#dataFrom));
    this.#dataFrom = this.#from;
    return this.#takeReady();
  }

  /** Call it when there are no more bytes. */
  finish(): Buffer[] {
    const contents = this.#walk.finish();
    if (contents.kind === 'unknown') {
      throw new UsageError('unknown-rdb', `the keys of this RDB cannot be told apart: ${contents.what} is not known`, {
        hint: 'restore everything, and take the keys out of that',
        exitCode: 1,
      });
    }
    if (this.#awaited !== undefined) throw new IntegrityError('rdb-broken', 'the RDB ends inside a key');
    this.#write(Buffer.from([Code.END]));
    this.#hand();
    const checksum = Buffer.from(this.#crc.hex(), 'hex').reverse();
    return [...this.#takeReady(), checksum];
  }

  onRecord(code: number, offset: number): void {
    if (this.#code === Code.AUX && this.#isOfHistory()) this.#leave();
    const goesOn = this.#isKeyAnnounced;
    this.#isKeyAnnounced = this.#announcesKey(code);
    this.#code = code;
    if (goesOn) return;
    if (this.#state === 'left') this.#from = offset;
    this.#itemFrom = offset;
    this.#state = 'undecided';
    if (code < firstOpcode || this.#isKeyAnnounced || code === Code.AUX) return;
    if (this.#selection.takesFunctions && isProgram(code)) this.#state = 'taken';
    else this.#leave();
  }

  onDb(db: number): void {
    this.#db = db;
  }

  onKey(start: number, end: number): void {
    if (end > this.#end) {
      this.#awaited = { start, end };
      return;
    }
    this.total += 1;
    const key = decodeString(this.#data, start - this.#dataFrom);
    if (this.#selection.takes(this.#db, this.#code, key)) this.#take(key, start, end);
    else this.#leave();
  }

  #take(key: Buffer, start: number, end: number): void {
    const name = this.#selection.nameOf(key);
    this.#state = 'taken';
    this.taken += 1;
    this.#options.onTaken?.(this.#db, key, name);
    if (this.#names?.add(this.#db, name) === true && this.sameNames.length < sameNamesMax) {
      this.sameNames.push({ db: this.#db, name: Buffer.from(name), key: Buffer.from(key) });
    }
    if (this.#db !== this.#dbWritten) {
      this.#writeUpTo(this.#itemFrom);
      this.#write(Buffer.concat([Buffer.from([Code.DB]), encodeLength(this.#db)]));
      this.#dbWritten = this.#db;
    }
    if (name === key || name.equals(key)) return;
    this.#writeUpTo(start);
    this.#write(encodeLength(name.length));
    this.#write(name);
    this.#from = end;
  }

  #announcesKey(code: number): boolean {
    if (code === keyMeta) return this.#walk.magic === 'REDIS';
    return code === Code.EXPIRES_MS || code === Code.EXPIRES || code === Code.IDLE || code === Code.FREQUENCY;
  }

  /** Of a field that ends here: where in a replication history the whole was. */
  #isOfHistory(): boolean {
    const name = decodeString(this.#data, this.#itemFrom - this.#dataFrom + 1);
    return name.subarray(0, ofHistory.length).equals(ofHistory);
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

  #writeUpTo(offset: number): void {
    if (offset <= this.#from) return;
    this.#write(this.#data.subarray(this.#from - this.#dataFrom, offset - this.#dataFrom));
    this.#from = offset;
  }

  #write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const copied = bytes.copy(this.#chunk, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled === chunkBytes) this.#hand();
    }
  }

  #hand(): void {
    const chunk = this.#chunk.subarray(0, this.#filled);
    this.#crc.update(chunk);
    this.#ready.push(chunk);
    this.#chunk = Buffer.allocUnsafe(chunkBytes);
    this.#filled = 0;
  }

  #takeReady(): Buffer[] {
    return this.#ready.splice(0);
  }
}

const ofHistory = Buffer.from('repl-');

function isProgram(code: number): boolean {
  return code === Code.FUNCTION || code === Code.EARLY_FUNCTION || code === Code.MODULE_AUX;
}

/** Of a string that is complete. */
function decodeString(bytes: Buffer, at: number): Buffer {
  const first = bytes[at]!;
  if (first < 0x40) return bytes.subarray(at + 1, at + 1 + first);
  if (first < 0xc0) {
    const { value, end } = decodeLength(bytes, at);
    return bytes.subarray(end, end + value);
  }
  if (first < 0xc3) return Buffer.from(String(bytes.readIntLE(at + 1, 1 << (first & 3))));
  const packed = decodeLength(bytes, at + 1);
  const size = decodeLength(bytes, packed.end);
  const text = lzfDecompress(bytes.subarray(size.end, size.end + packed.value), size.value);
  if (text === undefined) throw new IntegrityError('rdb-broken', 'the RDB is broken: a compressed key');
  return text;
}

/** Where the walk has been already, and has refused what is none. */
function decodeLength(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  const first = bytes[at]!;
  if (first < 0x40) return { value: first, end: at + 1 };
  if (first < 0x80) return { value: ((first & 0x3f) << 8) | bytes[at + 1]!, end: at + 2 };
  if (first === 0x80) return { value: bytes.readUInt32BE(at + 1), end: at + 5 };
  return { value: bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5), end: at + 9 };
}

function encodeLength(value: number): Buffer {
  if (value < 0x40) return Buffer.from([value]);
  if (value < 0x4000) return Buffer.from([0x40 | (value >> 8), value & 0xff]);
  const wide = Buffer.alloc(5, 0x80);
  wide.writeUInt32BE(value, 1);
  return wide;
}
