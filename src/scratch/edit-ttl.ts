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
import { GOES, NEVER, TtlJudge } from '../redis/ttl-rule.ts';
import type { TtlCount, TtlRule } from '../redis/ttl-rule.ts';
import type { Disk } from '../storage/disk.ts';
import { filePieces } from '../storage/file-pieces.ts';
import { CommandBatch } from './command-batch.ts';
import type { ScratchDataset } from './dataset.ts';

interface LookOptions {
  /** Other keys are left as they are, and not counted. */
  readonly selection?: Pick<KeySelection, 'takes'> | undefined;
  readonly advance?: () => void;
}

export interface EditOptions extends LookOptions {
  readonly clock: Clock;
}

export async function editTtl(
  disk: Disk,
  dataset: ScratchDataset,
  rule: TtlRule,
  { clock, selection, advance }: EditOptions,
): Promise<TtlCount> {
  const judge = new TtlJudge(rule, Math.floor(clock.wall() / 1000));
  const commands = ttlEdits(disk, dataset, judge, { selection, ...(advance && { advance }) });
  if (judge.changes) await dataset.edit(commands);
  else for await (const _none of commands);
  return judge.count;
}

/** The commands that do what the judge says, from a SELECT on; it has counted when they end. */
export async function* ttlEdits(
  disk: Disk,
  dataset: ScratchDataset,
  judge: TtlJudge,
  { selection, advance }: LookOptions,
): AsyncGenerator<Buffer, void, undefined> {
  yield* new TtlEditor(judge, selection).commands(expiriesIn(disk, await dataset.save(), advance));
}

/** Piece by piece of the file. */
async function* expiriesIn(
  disk: Disk,
  path: string,
  advance: (() => void) | undefined,
): AsyncGenerator<Iterable<Expiry>, void, undefined> {
  const expiries = new RdbExpiries();
  await using file = await disk.open(path, 'read');
  for await (const { bytes } of filePieces(file)) {
    advance?.();
    // Names in it are looked at later.
    yield expiries.push(Buffer.from(bytes));
  }
  yield expiries.finish();
}

class TtlEditor {
  readonly #judge: TtlJudge;
  readonly #selection: LookOptions['selection'];
  readonly #batch = new CommandBatch();
  #db: number | undefined;
  /** Had elapsed, with all its fields. */
  #elapsedKey: Buffer | undefined;

  constructor(judge: TtlJudge, selection: LookOptions['selection']) {
    this.#judge = judge;
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
    if (field !== undefined && key === this.#elapsedKey) return;
    if (field === undefined && this.#judge.hasElapsed(atMs)) this.#elapsedKey = key;
    const toMs = this.#judge.take(field === undefined ? 'keys' : 'fields', atMs);
    if (toMs === GOES) this.#remove(expiry);
    else if (toMs === NEVER) this.#persist(expiry);
    else if (toMs !== atMs) this.#move(expiry, toMs);
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
