/**
 * Finds what a timeline knows of the moments at which the primary's clock showed an instant. Segments are in the order of
 * our stamps, and our clock may have been anywhere; but their samples have the primary's time, too, so that segments are
 * searched by it. Only footers, and headers of open segments, are read for that.
 *
 * A clock that was set back has shown some instants twice. Where the samples that the search came across show that the
 * clocks did not go on alike, those of all segments are looked through; otherwise a dozen footers are read, of however
 * many. Neighbours: certainty.ts decides what the evidence means; locate-time.ts makes a cut of it.
 */
import type { Interruption } from '../../../journal-format/footer.ts';
import type { Sample } from '../../../journal-format/samples.ts';
import type { Micros } from '../../core/clock.ts';
import type { Offset } from '../../core/position.ts';
import type { SegmentEntry, Timeline } from '../../log/catalog.ts';
import { damageIn } from '../../log/damaged.ts';
import { readEvidence } from '../../log/evidence.ts';
import type { Disk } from '../../storage/disk.ts';
import { certainWithin, difference } from './certainty.ts';
import type { Evidence } from './certainty.ts';

/** A sample is kept at most this long before its frame is written. */
const evidenceSlack: Micros = 15_000_000;
/** Where there is nothing near, the next segments may know: samples come behind the bytes that they are about. */
const segmentsFurther = 2;

/** What is known around each moment at which the primary's clock showed `at`: one, unless it was set back. */
export async function evidenceAt(disk: Disk, timeline: Timeline, at: Micros): Promise<readonly Evidence[]> {
  const search = new ClockSearch(disk, timeline);
  const index = await search.segmentAt(at);
  if (!search.isUnsteady) return [await search.around(index, index, at)];
  const evidence: Evidence[] = [];
  for (const crossing of await search.crossings(at)) {
    const { samples, interruptions } = await search.around(crossing.from, crossing.to, at);
    evidence.push({ samples: inOneSweep(samples, crossing), interruptions });
  }
  return evidence.length === 0 ? [await search.around(index, index, at)] : evidence;
}

/**
 * What these segments say, and the full sync that the timeline began with. A damaged one says nothing here: an instant
 * that depends on it has its cut behind bytes of it, and is refused when they are read.
 */
export async function gather(disk: Disk, timeline: Timeline, segments: readonly SegmentEntry[]): Promise<Evidence> {
  const { offset, stamp: lostStamp, completed: stamp } = timeline.base.record;
  const found = await Promise.all(segments.map((segment) => read(disk, segment)));
  const attaches = found.flatMap((one) => one.attaches);
  const samples = found.flatMap((one) => one.samples);
  const end = segments.at(-1)?.end ?? offset;
  return {
    samples: ofWhatSurvived(samples, attaches, timeline, end),
    interruptions: [{ offset, lostStamp, stamp }, ...attaches],
  };
}

/**
 * Without the samples that were taken before a switch and speak of bytes behind it: the primary that was asked had written
 * them, but the one that took over may never have had them. `end`: of the segments that all this is from.
 */
export function ofWhatSurvived(
  samples: readonly Sample[],
  attaches: readonly Interruption[],
  { ids }: Timeline,
  end: Offset,
): readonly Sample[] {
  return ids.slice(1).reduce((kept, { offset: first }) => {
    const last = first - 1;
    const switchedAt = attaches.findLast(({ offset }) => offset === last)?.stamp ?? (end <= last ? Infinity : 0);
    return kept.filter((sample) => sample.stamp >= switchedAt || sample.primaryOffset <= last);
  }, samples);
}

interface Found {
  readonly samples: readonly Sample[];
  readonly attaches: readonly Interruption[];
}

async function read(disk: Disk, segment: SegmentEntry): Promise<Found> {
  try {
    return await readEvidence(disk, segment);
  } catch (error) {
    if (damageIn(error) === undefined) throw error;
    return { samples: [], attaches: [] };
  }
}

/** Between two samples that follow each other the clock went past an instant; or before the first, or behind the last. */
interface Crossing {
  /** The segments that the two are in. */
  readonly from: number;
  readonly to: number;
  readonly before: Sample | undefined;
  readonly after: Sample | undefined;
}

class ClockSearch {
  readonly #disk: Disk;
  readonly #timeline: Timeline;
  readonly #segments: readonly SegmentEntry[];
  readonly #read = new Map<number, Promise<Found>>();
  /** Of our clock and the primary's, as far as was seen. */
  #least = Infinity;
  #most = -Infinity;
  #last: Micros | undefined;

  constructor(disk: Disk, timeline: Timeline) {
    this.#disk = disk;
    this.#timeline = timeline;
    this.#segments = timeline.segments;
  }

  /** Whether the clocks are known not to have gone on alike. */
  get isUnsteady(): boolean {
    return this.#most - this.#least > certainWithin;
  }

  /** The last segment that began when the primary's clock showed no more than that; the first one where none did. */
  async segmentAt(at: Micros): Promise<number> {
    let low = 0;
    let high = this.#segments.length;
    await this.#beganAt(high - 1);
    await this.#beganAt(0);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.#beganAt(middle)) <= at) low = middle;
      else high = middle;
    }
    return low;
  }

  /** All that is known around segments `from` to `to`, and somewhat further where that says nothing of what came then. */
  async around(from: number, to: number, at: Micros): Promise<Evidence> {
    const segments = this.#segments;
    const start = (segments[from]?.first ?? 0) - evidenceSlack;
    const end = (segments[to + 1]?.first ?? segments[to]?.last ?? 0) + evidenceSlack;
    const first = Math.max(
      0,
      segments.findLastIndex((one) => one.first <= start),
    );
    const behind = segments.findIndex((one, i) => i > to && one.first > end);
    const near = segments.slice(first, behind === -1 ? segments.length : behind);
    const evidence = await gather(this.#disk, this.#timeline, near);
    if (evidence.samples.some(({ primaryTime }) => primaryTime > at)) return evidence;
    const further = segments.slice(first, first + near.length + segmentsFurther);
    return further.length === near.length ? evidence : await gather(this.#disk, this.#timeline, further);
  }

  /** Every place in the timeline at which its samples went past the instant. */
  async crossings(at: Micros): Promise<Crossing[]> {
    const crossings: Crossing[] = [];
    let before: { readonly sample: Sample; readonly index: number } | undefined;
    for (const [index, segment] of this.#segments.entries()) {
      const { samples } = await read(this.#disk, segment);
      for (const sample of samples) {
        if ((before?.sample.primaryTime ?? 0) <= at && at < sample.primaryTime) {
          crossings.push({ from: before?.index ?? index, to: index, before: before?.sample, after: sample });
        }
        before = { sample, index };
      }
    }
    if (before !== undefined && before.sample.primaryTime <= at) {
      crossings.push({ from: before.index, to: before.index, before: before.sample, after: undefined });
    }
    return crossings;
  }

  /** What the primary's clock showed when the segment began, as far as samples tell. */
  async #beganAt(index: number): Promise<Micros> {
    const segment = this.#segments[index];
    if (segment === undefined) return 0;
    const sample = await this.#sampleNear(index);
    if (sample !== undefined) this.#last = difference(sample);
    return segment.first - (this.#last ?? 0);
  }

  /** The first sample in it, or in one next to it. */
  async #sampleNear(index: number): Promise<Sample | undefined> {
    for (const i of [index, index + 1, index - 1, index + 2, index - 2]) {
      const [sample] = (await this.#evidenceIn(i)).samples;
      if (sample !== undefined) return sample;
    }
    return undefined;
  }

  async #evidenceIn(index: number): Promise<Found> {
    const segment = this.#segments[index];
    if (segment === undefined) return { samples: [], attaches: [] };
    const known = this.#read.get(index) ?? read(this.#disk, segment);
    this.#read.set(index, known);
    const found = await known;
    for (const sample of found.samples) {
      this.#least = Math.min(this.#least, difference(sample));
      this.#most = Math.max(this.#most, difference(sample));
    }
    return found;
  }
}

/** Of samples taken while the clock was set back and forth, those around the crossing between which it only went on. */
function inOneSweep(samples: readonly Sample[], { before, after }: Crossing): readonly Sample[] {
  const indexOf = (wanted: Sample | undefined): number => samples.findIndex(({ stamp }) => stamp === wanted?.stamp);
  const at = Math.max(indexOf(before), indexOf(after));
  if (at === -1) return samples;
  let from = at;
  while (isAscending(samples[from - 1], samples[from])) from -= 1;
  let to = at;
  while (isAscending(samples[to], samples[to + 1])) to += 1;
  return samples.slice(from, to + 1);
}

function isAscending(one: Sample | undefined, next: Sample | undefined): boolean {
  return one !== undefined && next !== undefined && one.primaryTime <= next.primaryTime;
}
