/**
 * Which keys had elapsed at an instant and were still there, told by commands alone (pure): of a key with a time that had
 * passed by then, each later command on it was seen. Most such keys a primary has deleted soon, and said so.
 *
 * A command was replicated because it took effect. So what gave a key a time, or took it, is certain; in doubt is only one
 * that may have become empty since, and have come anew without a time, and a hash of which fields had a time that passed.
 *
 * Invariant: what is told to have elapsed had, and was there; what is neither told nor in doubt had not. Memory is bounded
 * by elapsedKeysBytesMax.
 */
import { elapsedKeysBytesMax } from '../../core/limits.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import { keysOf, mayTouch } from '../../redis/command-keys.ts';
import type { IsKey, KeyArgument } from '../../redis/command-keys.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { commonTimeIndex, mayHaveTime, numberAt, timeOf } from '../../redis/command-times.ts';
import type { CommandTime } from '../../redis/command-times.ts';
import type { Expiry } from '../../redis/rdb-expiries.ts';

export interface KeyInDb {
  readonly db: number;
  readonly key: Buffer;
}

/** What is known of a key: it ends before the instant; it did, or is another one now; fields of it did or do. */
const ENDS = 1;
const MAY_END = 2;
const FIELDS_MAY_END = 4;

/** What a name takes besides its bytes. */
const nameOverheadBytes = 96;
/** Of the marks that tell most keys from those that are known, without a look at their names. */
const markCount = 2 ** 22;

/** They leave the time of a key that is there as it is, and the key there. */
const keeping = new Set([
  ...[
    'APPEND',
    'INCR',
    'INCRBY',
    'INCRBYFLOAT',
    'DECR',
    'DECRBY',
    'SETRANGE',
    'SETBIT',
    'BITFIELD',
    'PFADD',
    'PFMERGE',
  ],
  ...[
    'HSET',
    'HMSET',
    'HSETNX',
    'HINCRBY',
    'HINCRBYFLOAT',
    'HPERSIST',
    'HPEXPIREAT',
    'HEXPIREAT',
    'SADD',
    'ZADD',
    'ZINCRBY',
  ],
  ...['LPUSH', 'RPUSH', 'LPUSHX', 'RPUSHX', 'LINSERT', 'LSET', 'GEOADD'],
  ...['XADD', 'XACK', 'XCLAIM', 'XDEL', 'XTRIM', 'XSETID', 'XGROUP'],
]);

export class ElapsedKeys {
  readonly #asOfMs: number;
  /** By `db key`, of each that is not certain not to have elapsed; the db is the one that it is at home in. */
  readonly #keys = new Map<string, number>();
  #bytes = 0;
  readonly #marks = new Uint8Array(markCount / 8);
  /** Where the keys of a db are at home: in another one after SWAPDB, in none that was there before after FLUSHDB. */
  readonly #homes = new Map<number, number>();
  #lastHome = 2 ** 31;

  constructor(asOfMs: number) {
    this.#asOfMs = asOfMs;
  }

  /** Keys and fields of the base, before all commands. False: there are too many. */
  begin({ db, key, field, atMs }: Expiry): boolean {
    if (atMs >= this.#asOfMs) return true;
    const name = this.#nameOf({ db, key });
    return this.#put(name, this.#known(name) | (field === undefined ? ENDS : FIELDS_MAY_END));
  }

  /** Whether take() has to see it: false for most. */
  mayMatter(command: CommandGlance): boolean {
    if (mayHaveTime(command) && !this.#isLaterTimeOfOther(command)) return true;
    return mayTouch(command, this.#mayKnow);
  }

  /** Follows the stream. Gives why it cannot be told any more, if so. */
  take(command: StreamCommand): string | undefined {
    const name = nameOf(command);
    const shown = name.slice(0, 64);
    const { keys, others } = keysOf(command);
    if (others === 'db' || others === 'all') {
      return this.#takeDbs(name, command) ? undefined : `${shown} at offset ${command.end} may let any key expire`;
    }
    const time = timeOf(command);
    if (time === 'untold') return `the time that ${shown} gives cannot be told, at offset ${command.end}`;
    return this.#takeKeys(name, command, keys, time) ? undefined : 'too many keys may have elapsed';
  }

  /** Those that had elapsed, by dbs. */
  certain(): KeyInDb[] {
    return this.#those((known) => known === ENDS);
  }

  /** Those of which commands alone do not tell. */
  inDoubt(): KeyInDb[] {
    return this.#those((known) => known !== ENDS);
  }

  /** Whether a key of that name is in doubt, in any db. To be asked at the end. */
  get isInDoubt(): IsKey {
    const names = new Set(this.inDoubt().map(({ key }) => key.toString('latin1')));
    return (bytes, at, length) =>
      this.#mayKnow(bytes, at, length) && names.has(bytes.toString('latin1', at, at + length));
  }

  #those(are: (known: number) => boolean): KeyInDb[] {
    const found: KeyInDb[] = [];
    const dbs = new Map([...this.#homes].map(([db, home]) => [home, db]));
    for (const [name, known] of this.#keys) {
      if (!are(known)) continue;
      const space = name.indexOf(' ');
      const home = Number(name.slice(0, space));
      const db = this.#homes.has(home) ? dbs.get(home) : (dbs.get(home) ?? home);
      if (db !== undefined) found.push({ db, key: Buffer.from(name.slice(space + 1), 'latin1') });
    }
    return found.sort((a, b) => a.db - b.db);
  }

  /** False for what is not known to act on whole dbs. */
  #takeDbs(name: string, { db, args }: StreamCommand): boolean {
    switch (name) {
      case 'FLUSHALL':
        this.#keys.clear();
        this.#bytes = 0;
        return true;
      case 'FLUSHDB':
        this.#homes.set(db, (this.#lastHome += 1));
        return true;
      case 'SWAPDB': {
        const [a, b] = [Number(args[1]?.toString('latin1')), Number(args[2]?.toString('latin1'))];
        const [ofA, ofB] = [this.#homeOf(a), this.#homeOf(b)];
        this.#homes.set(a, ofB).set(b, ofA);
        return true;
      }
      default:
        return false;
    }
  }

  #takeKeys(name: string, { args }: StreamCommand, keys: readonly KeyArgument[], time: CommandTime | 'none'): boolean {
    const [first, second] = keys;
    switch (name) {
      case 'RENAME':
      case 'RENAMENX':
      case 'MOVE':
      case 'COPY': {
        if (first === undefined || second === undefined) return true;
        const known = this.#known(this.#nameOf(first));
        if (name !== 'COPY') this.#put(this.#nameOf(first), 0);
        return this.#put(this.#nameOf(second), known);
      }
      case 'SET':
        if (time === 'none' && args.slice(3).some((arg) => /^KEEPTTL$/i.test(arg.toString('latin1', 0, 8))))
          return true;
        return keys.every((key) => this.#give({ ...key, access: 'ow' }, time));
      case 'GETSET':
        return keys.every((key) => this.#give({ ...key, access: 'ow' }, time));
      case 'PERSIST':
        return keys.every((key) => this.#give(key, time));
      case 'GETEX':
        return (time === 'none' && args.length === 2) || keys.every((key) => this.#give(key, time));
      default:
        return keys.every((key) => this.#touch(name, key, time));
    }
  }

  #touch(name: string, key: KeyArgument, time: CommandTime | 'none'): boolean {
    if (key.access === 'ro') return true;
    if (key.access !== 'rw' || (time !== 'none' && time.of === 'keys')) return this.#give(key, time);
    const named = this.#nameOf(key);
    let known = this.#known(named);
    if (time !== 'none' && time.atMs < this.#asOfMs) known |= FIELDS_MAY_END;
    if (!keeping.has(name) && (known & ENDS) !== 0) known = (known & ~ENDS) | MAY_END;
    return this.#put(named, known);
  }

  /** The key has that time now; a key that is not written anew keeps its fields. */
  #give(key: KeyArgument, time: CommandTime | 'none'): boolean {
    const name = this.#nameOf(key);
    const fields = key.access === 'rw' ? this.#known(name) & FIELDS_MAY_END : 0;
    const ends = time !== 'none' && time.atMs < this.#asOfMs ? ENDS : 0;
    return this.#put(name, fields | ends);
  }

  #known(name: string): number {
    return this.#keys.get(name) ?? 0;
  }

  #put(name: string, known: number): boolean {
    const bytes = name.length + nameOverheadBytes;
    if (known === 0) {
      if (this.#keys.delete(name)) this.#bytes -= bytes;
      return true;
    }
    if (!this.#keys.has(name)) {
      this.#bytes += bytes;
      const mark = markOf(Buffer.from(name.slice(name.indexOf(' ') + 1), 'latin1'));
      this.#marks[mark >>> 3] = (this.#marks[mark >>> 3] ?? 0) | (1 << (mark & 7));
    }
    this.#keys.set(name, known);
    return this.#bytes <= elapsedKeysBytesMax;
  }

  /** The commonest of all, of a key of which nothing is known. */
  #isLaterTimeOfOther(command: CommandGlance): boolean {
    const index = commonTimeIndex(command);
    if (index < 0 || this.#mayKnow(command.bytes, command.at[1] ?? 0, command.length[1] ?? 0)) return false;
    return numberAt(command, index) >= this.#asOfMs;
  }

  readonly #mayKnow: IsKey = (bytes, at, length) => {
    const mark = markOf(bytes, at, length);
    return ((this.#marks[mark >>> 3] ?? 0) & (1 << (mark & 7))) !== 0;
  };

  #nameOf({ db, key }: KeyInDb): string {
    return `${this.#homeOf(db)} ${key.toString('latin1')}`;
  }

  #homeOf(db: number): number {
    return this.#homes.get(db) ?? db;
  }
}

function markOf(bytes: Buffer, at = 0, length: number = bytes.length): number {
  let hash = length;
  for (let i = at; i < at + length; i += 1) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) & (markCount - 1);
}
