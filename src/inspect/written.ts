/**
 * When a command was written, as far as can be told. Its stamp says when it was received; samples of the primary's clock
 * and offset say how far the primary was when, and so bound when a byte was written (SPEC.md 12, "Time").
 */
import type { Interruption } from '../../journal-format/footer.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { SegmentEntry, Timeline } from '../log/catalog.ts';
import { damageIn } from '../log/damaged.ts';
import { readEvidence } from '../log/evidence.ts';
import { skewOf } from '../restore/locate/certainty.ts';
import { ofWhatSurvived } from '../restore/locate/time-evidence.ts';
import type { Disk } from '../storage/disk.ts';

/** By the primary's clock, both ends included. */
export interface Written {
  /** Undefined: nothing says that it was not there already. */
  readonly from: Micros | undefined;
  readonly to: Micros;
}

/** `samples` in the order in which they were taken, all of one history. Pure. */
export function writtenBetween(samples: readonly Sample[], offset: Offset, stamp: Micros): Written {
  const index = firstWith(samples, offset);
  const before = samples[index - 1];
  const after = samples[index];
  const received = stamp - skewOf(after ?? before);
  const to = Math.min(received, after?.primaryTime ?? Infinity);
  return { from: before === undefined ? undefined : Math.min(before.primaryTime, to), to };
}

/** The first sample of a primary that had written the byte. */
function firstWith(samples: readonly Sample[], offset: Offset): number {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((samples[middle]?.primaryOffset ?? Infinity) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Evidence {
  readonly samples: readonly Sample[];
  readonly attaches: readonly Interruption[];
}

/** A sample is kept at most this long before its frame is written. */
const evidenceSlack: Micros = 15_000_000;

/** Asked about commands in their order, it reads what the segments around say of time, once. */
export class WrittenTimes {
  readonly #disk: Disk;
  readonly #timeline: Timeline;
  readonly #read = new Map<SegmentEntry, Evidence>();
  #segment: SegmentEntry | undefined;
  #samples: readonly Sample[] = [];

  constructor(disk: Disk, timeline: Timeline) {
    this.#disk = disk;
    this.#timeline = timeline;
  }

  /** Whether all is known of commands that end at this offset; else goTo() comes first. */
  isAt(offset: Offset): boolean {
    return this.#segment !== undefined && this.#segment.start <= offset && offset <= this.#segment.end;
  }

  async goTo(offset: Offset): Promise<void> {
    const { segments } = this.#timeline;
    const segment = segments.find(({ end }) => offset <= end);
    if (segment === undefined) throw new RangeError(`offset ${offset} is not on timeline ${this.#timeline.number}`);
    const near = segments.filter(
      ({ first, last }) => last >= segment.first - evidenceSlack && first <= segment.last + evidenceSlack,
    );
    for (const known of this.#read.keys()) if (!near.includes(known)) this.#read.delete(known);
    for (const one of near) if (!this.#read.has(one)) this.#read.set(one, await this.#evidenceOf(one));
    const found = near.map((one) => this.#read.get(one));
    const samples = found.flatMap((one) => one?.samples ?? []);
    const attaches = found.flatMap((one) => one?.attaches ?? []);
    this.#samples = ofWhatSurvived(samples, attaches, this.#timeline, near.at(-1)?.end ?? offset);
    this.#segment = segment;
  }

  of(offset: Offset, stamp: Micros): Written {
    return writtenBetween(this.#samples, offset, stamp);
  }

  /** What is damaged says nothing here; whoever reads its bytes is told. */
  async #evidenceOf(segment: SegmentEntry): Promise<Evidence> {
    try {
      return await readEvidence(this.#disk, segment);
    } catch (error) {
      if (damageIn(error) === undefined) throw error;
      return { samples: [], attaches: [] };
    }
  }
}
