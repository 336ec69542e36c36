/**
 * What a plan replays: its stream as the output gets it, verbatim, with absolute TTLs, or for a scratch server so that it
 * comes to what it came to at the primary; without what the plan leaves out. Shared by whatever takes it, files
 * or a scratch server, so that no two of them can get something else.
 */
import type { Slab } from '../../core/slabs.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { Disk } from '../../storage/disk.ts';
import { hashFieldTtlInexactOnAofLoad } from '../../redis/server-version.ts';
import { replayedHpersist } from '../rewrite/hpersist.ts';
import { LeftOut } from '../rewrite/left-out.ts';
import { neededStream } from '../rewrite/needed-stream.ts';
import type { Plan } from '../plan/plan.ts';
import { plannedStream } from '../plan/planned-stream.ts';
import { RelativeTtl } from '../rewrite/relative-ttl.ts';
import type { StreamRewriter } from '../rewrite/stream-rewriter.ts';

export interface ReplayedPiece {
  readonly bytes: Buffer;
  /** CRC-32 of `bytes`, where it is known. */
  readonly crc?: number | undefined;
  /** Good until the next piece is asked for, unless it is retained; absent: the bytes stay as they are. */
  readonly slab?: Slab | undefined;
}

export class PlannedBytes {
  readonly #disk: Disk;
  readonly #plan: Plan;
  readonly #advance: (bytes: number) => void;
  readonly #leftOut: LeftOut;
  readonly #relativeTtl: RelativeTtl | undefined;
  /** Each gets what the one before it makes. */
  readonly #rewriters: readonly StreamRewriter[];

  /** `advance` is told of the journal's bytes once what they come to has been taken; it may throw to end it. */
  constructor(disk: Disk, plan: Plan, advance: (bytes: number) => void) {
    this.#disk = disk;
    this.#plan = plan;
    this.#advance = advance;
    this.#leftOut = new LeftOut(plan.undo?.stretches);
    this.#relativeTtl =
      plan.transform === 'relative-ttl' ? new RelativeTtl(plan.base.record, this.#leftOut) : undefined;
    this.#rewriters = rewritersOf(plan);
  }

  /** This or pieces() is to be read, once. The bytes stay as they are. */
  async *stream(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of plannedStream(this.#disk, this.#plan)) {
      for (const bytes of this.#relativeTtl?.push(chunk) ?? this.#kept(chunk)) yield* this.#rewritten(bytes);
      this.#advance(chunk.bytes.length);
    }
  }

  /** The same, for who can give memory back, and wants the checksum of what was checked anyway. */
  async *pieces(): AsyncGenerator<ReplayedPiece, void, undefined> {
    if (this.#relativeTtl !== undefined || this.#rewriters.length > 0) {
      for await (const bytes of this.stream()) yield { bytes };
      return;
    }
    for await (const chunk of plannedStream(this.#disk, this.#plan, 'slabs')) {
      const { slab, data, dataCrc } = chunk.frame;
      for (const bytes of this.#kept(chunk)) {
        yield { bytes, slab, crc: bytes.length === data.length ? dataCrc : undefined };
      }
      this.#advance(chunk.bytes.length);
    }
  }

  #kept({ start, bytes }: RangeChunk): Buffer[] {
    const kept = this.#leftOut.kept(start, start + bytes.length - 1);
    return kept.map(({ from, to }) => bytes.subarray(from - start, to + 1 - start));
  }

  #rewritten(bytes: Buffer): readonly Buffer[] {
    return this.#rewriters.reduce<readonly Buffer[]>(
      (pieces, rewriter) => pieces.flatMap((piece) => rewriter.push(piece)),
      [bytes],
    );
  }

  /** To be asked when all of it was read: what could not be converted. */
  warnings(): string[] {
    return this.#relativeTtl?.warnings() ?? [];
  }
}

/** Offsets are their own: whole commands are missing from what they get. */
function rewritersOf(plan: Plan): readonly StreamRewriter[] {
  const { record } = plan.base;
  const keys = plan.held?.keys;
  return [
    ...(keys === undefined ? [] : [neededStream(record, keys)]),
    ...(passesOverElapsed(plan) ? [replayedHpersist(record)] : []),
  ];
}

/** By the server that replays; a directory's own is told by hash-field-ttl.ts. */
function passesOverElapsed({ scratch }: Plan): boolean {
  return scratch !== undefined && hashFieldTtlInexactOnAofLoad(scratch.program);
}
