/**
 * What a plan replays: its base and stream as the output gets them, verbatim, with absolute TTLs, or for a scratch server
 * so that it comes to what it came to at the primary; without what the plan leaves out; for some keys, what these depend
 * on, and where no server takes them out of that, what removes the others behind it; for other TTLs, with these, and what
 * removes the keys that had elapsed. Shared by whatever takes it, files
 * or a scratch server, so that no two of them can get something else.
 */
import { released } from '../../core/slabs.ts';
import type { Slab } from '../../core/slabs.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { Disk } from '../../storage/disk.ts';
import { encodeCommand } from '../../redis/commands-out.ts';
import type { KeyChoice } from '../../redis/key-selection.ts';
import { RdbFilter } from '../../redis/rdb-filter.ts';
import { hashFieldTtlInexactOnAofLoad } from '../../redis/server-version.ts';
import { TtlJudge } from '../../redis/ttl-rule.ts';
import type { TtlRule } from '../../redis/ttl-rule.ts';
import { CameAlong } from '../rewrite/came-along.ts';
import { replayedHpersist } from '../rewrite/hpersist.ts';
import { LeftOut } from '../rewrite/left-out.ts';
import { neededStream } from '../rewrite/needed-stream.ts';
import { otherTimes } from '../rewrite/other-times.ts';
import type { Plan } from '../plan/plan.ts';
import { plannedStream } from '../plan/planned-stream.ts';
import { RelativeTtl } from '../rewrite/relative-ttl.ts';
import type { StreamRewriter } from '../rewrite/stream-rewriter.ts';
import { basePieces } from '../../log/base-pieces.ts';
import type { BasePiece } from '../../log/base-pieces.ts';
import type { PutAside } from './put-aside.ts';

export interface ReplayedPiece {
  readonly bytes: Buffer;
  /** CRC-32 of `bytes`, where it is known. */
  readonly crc?: number | undefined;
  /** Good until the next piece is asked for, unless it is retained; absent: the bytes stay as they are. */
  readonly slab?: Slab | undefined;
}

export interface ReplayOptions {
  /** Takes what comes last, where a plan for some keys goes without a server. */
  readonly aside?: PutAside | undefined;
  /** For a directory of the journal's bytes: when keys and fields are to end, of those that the plan does not say to have elapsed. */
  readonly others?: TtlRule['others'] | undefined;
  /** Which keys of the base are replayed, where the plan says nothing of keys; all that the stream names must be among them. */
  readonly ofBase?: KeyChoice['takes'] | undefined;
  /** Commands that come behind all else. */
  readonly tail?: AsyncIterable<Buffer> | undefined;
}

/** While it is copied a base is not judged: it says nothing of the state at T. */
const nothingElapsed: Omit<TtlRule, 'others'> = { asOfMs: -Infinity, elapsed: 'stays' };

export class PlannedBytes {
  readonly #disk: Disk;
  readonly #plan: Plan;
  readonly #advance: (bytes: number) => void;
  readonly #leftOut: LeftOut;
  readonly #relativeTtl: RelativeTtl | undefined;
  /** Each gets what the one before it makes. */
  readonly #rewriters: readonly StreamRewriter[];
  readonly #along: CameAlong | undefined;
  readonly #aside: PutAside | undefined;
  readonly #ofBase: KeyChoice['takes'] | undefined;
  readonly #others: TtlRule['others'];
  readonly #tail: AsyncIterable<Buffer> | undefined;

  /** `advance` is told of the journal's bytes once what they come to has been taken; it may throw to end it. */
  constructor(
    disk: Disk,
    plan: Plan,
    advance: (bytes: number) => void,
    { aside, others = 'stay', ofBase, tail }: ReplayOptions = {},
  ) {
    this.#disk = disk;
    this.#plan = plan;
    this.#advance = advance;
    this.#leftOut = new LeftOut(plan.undo?.stretches);
    this.#relativeTtl =
      plan.transform === 'relative-ttl' ? new RelativeTtl(plan.base.record, this.#leftOut) : undefined;
    const { scratch, selection } = plan;
    const along = scratch === undefined && selection !== undefined ? new CameAlong(selection) : undefined;
    this.#along = along;
    this.#aside = aside;
    const needed = plan.held?.keys;
    this.#ofBase = needed === undefined ? ofBase : (_db, _type, key): boolean => needed.has(key);
    this.#others = others;
    this.#tail = tail;
    this.#rewriters = [
      ...rewritersOf(plan, along),
      ...(others === 'stay' ? [] : [otherTimes(plan.base.record, others)]),
    ];
  }

  /** Some keys of the base may not be replayed. */
  get isPart(): boolean {
    return this.#ofBase !== undefined;
  }

  /** Whether rdb() is not what the journal holds. */
  get changesBase(): boolean {
    if (this.isPart) return true;
    const { contents } = this.#plan.base.record;
    return this.#others !== 'stay' && (contents?.expires !== 0 || contents.hashFieldExpires !== 0);
  }

  /** The base's RDB, with the needed keys only where these are told, or with other times: before the stream, once. */
  async *rdb(): AsyncGenerator<BasePiece, void, undefined> {
    const { record, rdbPath } = this.#plan.base;
    const filter = this.#filter();
    for await (const piece of basePieces(this.#disk, rdbPath, record)) {
      if (filter === undefined) yield piece;
      else yield* released(filter.push(piece.bytes));
      await this.#putAside();
      this.#advance(piece.bytes.length);
    }
    if (filter !== undefined) yield* released(filter.finish());
  }

  /** This or pieces() is to be read, once. The bytes stay as they are. */
  async *stream(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of plannedStream(this.#disk, this.#plan)) {
      yield* this.#rewritten(chunk);
      await this.#putAside();
      this.#advance(chunk.bytes.length);
    }
  }

  /** The same, for who can give memory back, and wants the checksum of what was checked anyway. */
  async *pieces(): AsyncGenerator<ReplayedPiece, void, undefined> {
    const isVerbatim = this.#relativeTtl === undefined && this.#rewriters.length === 0;
    for await (const chunk of plannedStream(this.#disk, this.#plan, 'slabs')) {
      const { slab, data, dataCrc } = chunk.frame;
      for (const bytes of this.#rewritten(chunk)) {
        yield { bytes, slab, crc: isVerbatim && bytes.length === data.length ? dataCrc : undefined };
      }
      this.#letGo();
      await this.#putAside();
      this.#advance(chunk.bytes.length);
    }
    yield* this.#removals();
  }

  #kept({ start, bytes }: RangeChunk): Buffer[] {
    const kept = this.#leftOut.kept(start, start + bytes.length - 1);
    return kept.map(({ from, to }) => bytes.subarray(from - start, to + 1 - start));
  }

  #rewritten(chunk: RangeChunk): readonly Buffer[] {
    return this.#rewriters.reduce<readonly Buffer[]>(
      (pieces, rewriter) => pieces.flatMap((piece) => rewriter.push(piece)),
      this.#relativeTtl?.push(chunk) ?? this.#kept(chunk),
    );
  }

  #letGo(): void {
    this.#relativeTtl?.letGo();
    for (const rewriter of this.#rewriters) rewriter.letGo();
  }

  #filter(): RdbFilter | undefined {
    const { scratch, selection } = this.#plan;
    if (!this.changesBase) return undefined;
    const takes = this.#ofBase;
    if (takes === undefined)
      return new RdbFilter({ ttl: new TtlJudge({ ...nothingElapsed, others: this.#others }, 0) });
    const takesFunctions = scratch !== undefined || selection?.takesFunctions !== false;
    return new RdbFilter({
      selection: { renames: false, takesFunctions, nameOf: (key) => key, takes },
      onTaken: (db, key) => this.#along?.note(db, key),
    });
  }

  async #putAside(): Promise<void> {
    const noted = this.#along?.noted() ?? [];
    if (noted.length > 0) await this.#aside?.append(noted);
  }

  async *#removals(): AsyncGenerator<ReplayedPiece, void, undefined> {
    yield* this.#elapsed();
    if (this.#tail !== undefined) for await (const bytes of this.#tail) yield { bytes };
    if (this.#along === undefined || this.#aside === undefined) return;
    await this.#putAside();
    for (const bytes of this.#along.back()) yield { bytes };
    yield* this.#aside.read();
    for (const bytes of this.#along.forth()) yield { bytes };
  }

  *#elapsed(): Generator<ReplayedPiece, void, undefined> {
    let selected: number | undefined;
    for (const { db, key } of this.#plan.elapsed?.certain() ?? []) {
      if (db !== selected) yield { bytes: encodeCommand('SELECT', String(db)) };
      selected = db;
      yield { bytes: encodeCommand('UNLINK', key) };
    }
  }

  /** Of a plan for some keys that goes without a server: false if there is none for sure. To be asked at the end. */
  get mayHaveKeys(): boolean {
    return this.#along?.hasWanted ?? true;
  }

  /** To be asked when all of it was read: what could not be converted. */
  warnings(): string[] {
    return this.#relativeTtl?.warnings() ?? [];
  }
}

/** Offsets are their own: whole commands are missing from what they get. */
function rewritersOf(plan: Plan, along: CameAlong | undefined): readonly StreamRewriter[] {
  const { record } = plan.base;
  const keys = plan.held?.keys;
  return [
    ...(keys === undefined ? [] : [neededStream(record, keys, along)]),
    ...(passesOverElapsed(plan) ? [replayedHpersist(record)] : []),
  ];
}

/** By the server that replays; a directory's own is told by hash-field-ttl.ts. */
function passesOverElapsed({ scratch }: Plan): boolean {
  return scratch !== undefined && hashFieldTtlInexactOnAofLoad(scratch.program);
}
