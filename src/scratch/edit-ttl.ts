/**
 * Edits what expires in a scratch dataset. What is there, elapsed or not, is read from an RDB that the server saves: by its
 * commands a replica does not tell of what has elapsed (on every version: SCAN, PEXPIRETIME and HPEXPIRETIME pass over it).
 * The edits go over the replication link, where they find elapsed keys and fields like any other: UNLINK, PEXPIREAT and
 * PERSIST on Redis 6.0 to 8.0 and Valkey 8.0 to 9.1, HDEL, HPEXPIREAT and HPERSIST on Redis 8.0 and Valkey 9.1.
 *
 * Memory is bounded: the RDB is walked, and its keys are edited as they come.
 */
import type { Clock } from '../core/clock.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { RdbExpiries } from '../redis/rdb-expiries.ts';
import type { Expiry } from '../redis/rdb-expiries.ts';
import { hashFieldExpiryMsMax } from '../redis/server-version.ts';
import type { Disk } from '../storage/disk.ts';
import { filePieces } from '../storage/file-pieces.ts';
import { CommandBatch } from './command-batch.ts';
import type { ScratchDataset } from './dataset.ts';

/** What becomes of what expires. Instants in ms since the epoch. */
export interface TtlRule {
  /** What ended before this had elapsed. */
  readonly asOfMs: number;
  readonly elapsed: 'stays' | 'goes';
  /** Of all else: it keeps its instant, has none any more, or ends that much later. */
  readonly others: 'stay' | 'persist' | { readonly laterByMs: number };
}

export interface Expiring {
  keys: number;
  fields: number;
}

/** Of keys and hash fields that expire. A field of a key that had elapsed is not counted. */
export interface TtlCount {
  /** They had elapsed at the instant of the rule. */
  readonly elapsed: Expiring;
  /** They had not, but have by now, unless the rule let them be. */
  readonly elapsedSince: Expiring;
  /** They end later. */
  readonly ahead: Expiring;
}

export interface EditOptions {
  readonly clock: Clock;
  /** Other keys are left as they are, and not counted. */
  readonly selection?: KeySelection | undefined;
  readonly advance?: () => void;
}

export async function editTtl(
  disk: Disk,
  dataset: ScratchDataset,
  rule: TtlRule,
  { clock, selection, advance }: EditOptions,
): Promise<TtlCount> {
  const changes = rule.elapsed === 'goes' || rule.others !== 'stay';
  const saved = await dataset.save(!changes);
  const editor = new TtlEditor(rule, Math.floor(clock.wall() / 1000), selection);
  const commands = editor.commands(expiriesIn(disk, saved, advance));
  if (changes) await dataset.edit(commands);
  else for await (const _none of commands);
  return editor.count;
}

/** Piece by piece of the file. */
async function* expiriesIn(
  disk: Disk,
  path: string,
  advance: (() => void) | undefined,
): AsyncGenerator<Iterable<Expiry>, void, undefined> {
  const expiries = new RdbExpiries();
  await using file = await disk.open(path, 'read');
  for await (const piece of filePieces(file)) {
    advance?.();
    yield expiries.push(piece);
  }
  yield expiries.finish();
}

class TtlEditor {
  readonly count: TtlCount = {
    elapsed: { keys: 0, fields: 0 },
    elapsedSince: { keys: 0, fields: 0 },
    ahead: { keys: 0, fields: 0 },
  };
  readonly #rule: TtlRule;
  readonly #nowMs: number;
  readonly #selection: KeySelection | undefined;
  readonly #batch = new CommandBatch();
  #db: number | undefined;
  /** Had elapsed, with all its fields. */
  #elapsedKey: Buffer | undefined;

  constructor(rule: TtlRule, nowMs: number, selection: KeySelection | undefined) {
    this.#rule = rule;
    this.#nowMs = nowMs;
    this.#selection = selection;
  }

  async *commands(pieces: AsyncIterable<Iterable<Expiry>>): AsyncGenerator<Buffer, void, undefined> {
    for await (const piece of pieces) {
      for (const expiry of piece) {
        this.#take(expiry);
        if (this.#batch.isFull) yield* this.#batch.take();
      }
    }
    yield* this.#batch.finish();
  }

  #take(expiry: Expiry): void {
    const { db, type, key, field, atMs } = expiry;
    if (this.#selection?.takes(db, type, key) === false) return;
    const { asOfMs, elapsed, others } = this.#rule;
    const what = field === undefined ? 'keys' : 'fields';
    if (field !== undefined && key === this.#elapsedKey) return;
    if (atMs < asOfMs) {
      this.count.elapsed[what] += 1;
      if (field === undefined) this.#elapsedKey = key;
      if (elapsed === 'goes') this.#remove(expiry);
      return;
    }
    (atMs < this.#nowMs ? this.count.elapsedSince : this.count.ahead)[what] += 1;
    if (others === 'persist') this.#persist(expiry);
    else if (others !== 'stay') this.#move(expiry, atMs + others.laterByMs);
  }

  #remove({ db, key, field }: Expiry): void {
    this.#select(db);
    if (field === undefined) this.#batch.add(unlink, key);
    else this.#batch.add(hdel, key, field);
  }

  #persist({ db, key, field }: Expiry): void {
    this.#select(db);
    if (field === undefined) this.#batch.add(persist, key);
    else {
      // Redis 8.0 finds no elapsed field to be persisted, not even over the link; but to be given another time.
      this.#batch.add(hpexpireat, key, String(hashFieldExpiryMsMax), fields, one, field);
      this.#batch.add(hpersist, key, fields, one, field);
    }
  }

  #move({ db, key, field }: Expiry, toMs: number): void {
    // So far ahead, in more than 2000 years, an instant is as good as never.
    if (toMs > (field === undefined ? Number.MAX_SAFE_INTEGER : hashFieldExpiryMsMax)) return;
    this.#select(db);
    if (field === undefined) this.#batch.add(pexpireat, key, String(toMs));
    else this.#batch.add(hpexpireat, key, String(toMs), fields, one, field);
  }

  #select(db: number): void {
    if (db === this.#db) return;
    this.#db = db;
    this.#batch.add(select, String(db));
  }
}

const select = 'SELECT';
const unlink = 'UNLINK';
const pexpireat = 'PEXPIREAT';
const persist = 'PERSIST';
const hdel = 'HDEL';
const hpexpireat = 'HPEXPIREAT';
const hpersist = 'HPERSIST';
const fields = 'FIELDS';
const one = '1';
