/**
 * The keys of an RDB that are wanted, each with its value as it is encoded, as the RDB streams by. rdb-walk.ts tells where
 * records and keys are; all else is stepped over. What is held is the beginning of a record until its key is complete, and
 * of a wanted value no more than it is told to.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { IntegrityError, UsageError } from '../core/errors.ts';
import { entryValueBytesMax } from '../core/limits.ts';
import { millisecondsAt, stringAt } from './rdb-steps.ts';
import { RdbWalk } from './rdb-walk.ts';
import type { RdbListener } from './rdb-walk.ts';
import type { RdbMagic } from './server-version.ts';

export interface RdbKey {
  readonly db: number;
  /** The code of its type and encoding. */
  readonly code: number;
  readonly key: Buffer;
  /** In ms since the epoch; 0: never. */
  readonly endsMs: number;
}

export interface RdbEntry extends RdbKey {
  /** As it is encoded; or of one that is too large to be held, a digest of that. Good until the next push. */
  readonly value: { readonly bytes: Buffer } | { readonly digest: Buffer };
  /** How large it is, encoded. */
  readonly valueBytes: number;
}

/** `magic` is known by then. */
export type WantsKey = (key: RdbKey, magic: RdbMagic) => boolean;

interface OpenEntry extends RdbKey {
  readonly parts: Buffer[];
  bytes: number;
  hash: Hash | undefined;
}

const expiresSeconds = 253;
const expiresMs = 252;
/** What stands before a key and belongs to it: LRU and LFU; metadata, in an RDB of Redis. */
const announcing: ReadonlySet<number> = new Set([expiresSeconds, expiresMs, 248, 249]);
const keyMetadata = 243;
/** From here on codes are no types. */
const firstOpcode = 242;
const noBytes = Buffer.alloc(0);

export class RdbEntries implements RdbListener {
  readonly #wants: WantsKey;
  readonly #valueBytesMax: number;
  readonly #walk = new RdbWalk(this);
  /** What has come and may still be looked at, and where in the RDB that begins. */
  #data: Buffer = noBytes;
  #dataFrom = 0;
  #db = 0;
  #code = -1;
  /** Where a record began that is not decided yet: its key is not complete. */
  #undecidedFrom: number | undefined;
  #isKeyAnnounced = false;
  #expiryFrom = -1;
  #awaited: { readonly start: number; readonly end: number } | undefined;
  #open: OpenEntry | undefined;
  /** Of the open one's value, what comes next. */
  #valueAt = 0;
  #done: RdbEntry[] = [];

  /** Of a value that is larger than that, there is a digest only. */
  constructor(wants: WantsKey, valueBytesMax = entryValueBytesMax) {
    this.#wants = wants;
    this.#valueBytesMax = valueBytesMax;
  }

  /** The entries that are complete; `bytes` must stay as they are until the next call. */
  push(bytes: Buffer): readonly RdbEntry[] {
    this.#data = this.#data.length === 0 ? bytes : Buffer.concat([this.#data, bytes]);
    const end = this.#dataFrom + this.#data.length;
    const awaited = this.#awaited;
    if (awaited !== undefined && awaited.end <= end) {
      this.#awaited = undefined;
      this.onKey(awaited.start, awaited.end);
    }
    this.#walk.push(bytes);
    const stepped = Math.min(this.#walk.offset, end);
    if (this.#open !== undefined) this.#takeValue(this.#open, stepped);
    this.#keepFrom(Math.min(this.#undecidedFrom ?? stepped, stepped));
    return this.#done.splice(0);
  }

  /** Call it when there are no more bytes. */
  finish(): readonly RdbEntry[] {
    const contents = this.#walk.finish();
    if (contents.kind === 'walked' && this.#awaited === undefined) return this.#done.splice(0);
    if (contents.kind === 'walked') throw new IntegrityError('rdb-broken', 'the RDB ends inside a key');
    throw new UsageError('rdb-unknown', `the RDB holds ${contents.what}, which this program does not know`, {
      exitCode: 1,
      hint: 'a newer version of journal may know it',
    });
  }

  onRecord(code: number, offset: number): void {
    if (this.#open !== undefined) this.#close(this.#open, offset);
    if (!this.#isKeyAnnounced) {
      this.#undecidedFrom = offset;
      this.#expiryFrom = -1;
    }
    this.#code = code;
    this.#isKeyAnnounced = announcing.has(code) || (code === keyMetadata && this.#walk.magic === 'REDIS');
    if (code >= firstOpcode && !this.#isKeyAnnounced) this.#undecidedFrom = undefined;
    if (code === expiresMs || code === expiresSeconds) this.#expiryFrom = offset;
  }

  onDb(db: number): void {
    this.#db = db;
  }

  onKey(start: number, end: number): void {
    if (end > this.#dataFrom + this.#data.length) {
      this.#awaited = { start, end };
      return;
    }
    const found = stringAt(this.#data, start - this.#dataFrom, end - this.#dataFrom);
    const entry = { db: this.#db, code: this.#code, key: found, endsMs: this.#endsMs() };
    this.#undecidedFrom = undefined;
    if (!this.#wants(entry, this.#walk.magic ?? 'REDIS')) return;
    this.#open = { ...entry, key: Buffer.from(found), parts: [], bytes: 0, hash: undefined };
    this.#valueAt = end;
  }

  #endsMs(): number {
    if (this.#expiryFrom < 0) return 0;
    const at = this.#expiryFrom - this.#dataFrom;
    if (this.#data[at] === expiresMs) return millisecondsAt(this.#data, at + 1);
    return this.#data.readInt32LE(at + 1) * 1000;
  }

  #takeValue(entry: OpenEntry, to: number): void {
    if (to <= this.#valueAt) return;
    const part = this.#data.subarray(this.#valueAt - this.#dataFrom, to - this.#dataFrom);
    this.#valueAt = to;
    entry.bytes += part.length;
    if (entry.hash === undefined && entry.bytes > this.#valueBytesMax) {
      entry.hash = createHash('sha256');
      for (const held of entry.parts.splice(0)) entry.hash.update(held);
    }
    if (entry.hash === undefined) entry.parts.push(Buffer.from(part));
    else entry.hash.update(part);
  }

  #close(entry: OpenEntry, to: number): void {
    const { db, code, key, endsMs } = entry;
    this.#open = undefined;
    if (entry.bytes === 0 && to - this.#valueAt <= this.#valueBytesMax) {
      const bytes = this.#data.subarray(this.#valueAt - this.#dataFrom, to - this.#dataFrom);
      this.#done.push({ db, code, key, endsMs, value: { bytes }, valueBytes: bytes.length });
      return;
    }
    this.#takeValue(entry, to);
    const value = entry.hash === undefined ? { bytes: Buffer.concat(entry.parts) } : { digest: entry.hash.digest() };
    this.#done.push({ db, code, key, endsMs, value, valueBytes: entry.bytes });
  }

  #keepFrom(from: number): void {
    const at = Math.min(Math.max(0, from - this.#dataFrom), this.#data.length);
    this.#data = Buffer.from(this.#data.subarray(at));
    this.#dataFrom += at;
  }
}
