/**
 * What a plan replays: its stream as the output gets it, verbatim, with absolute TTLs, or for a scratch server so that it
 * comes to what it came to at the primary. Shared by whatever takes it, files
 * or a scratch server, so that no two of them can get something else.
 */
import type { Disk } from '../storage/disk.ts';
import { hashFieldTtlInexactOnAofLoad } from '../redis/server-version.ts';
import { ReplayedHpersist } from './hpersist.ts';
import type { Plan } from './plan.ts';
import { plannedStream } from './planned-stream.ts';
import { RelativeTtl } from './relative-ttl.ts';

export class PlannedBytes {
  readonly #disk: Disk;
  readonly #plan: Plan;
  readonly #advance: (bytes: number) => void;
  readonly #relativeTtl: RelativeTtl | undefined;
  readonly #hpersist: ReplayedHpersist | undefined;

  /** `advance` is told of the journal's bytes once what they come to has been taken; it may throw to end it. */
  constructor(disk: Disk, plan: Plan, advance: (bytes: number) => void) {
    this.#disk = disk;
    this.#plan = plan;
    this.#advance = advance;
    this.#relativeTtl = plan.transform === 'relative-ttl' ? new RelativeTtl(plan.base.record) : undefined;
    this.#hpersist = passesOverElapsed(plan) ? new ReplayedHpersist(plan.base.record) : undefined;
  }

  /** To be read once. The bytes stay as they are. */
  async *stream(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of plannedStream(this.#disk, this.#plan)) {
      if (this.#relativeTtl !== undefined) yield* this.#relativeTtl.push(chunk);
      else if (this.#hpersist !== undefined) yield* this.#hpersist.push(chunk.bytes);
      else yield chunk.bytes;
      this.#advance(chunk.bytes.length);
    }
  }

  /** To be asked when all of it was read: what could not be converted. */
  warnings(): string[] {
    return this.#relativeTtl?.warnings() ?? [];
  }
}

/** By the server that replays; a directory's own is told by hash-field-ttl.ts. */
function passesOverElapsed({ scratch }: Plan): boolean {
  return scratch !== undefined && hashFieldTtlInexactOnAofLoad(scratch.program);
}
