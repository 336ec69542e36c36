/**
 * Decides which of the samples are worth keeping (pure; SPEC.md 12, "Time"). Ten a second are taken, and mostly all that
 * the primary had written was received by the next: then the stamps say it all, and few are kept, to show just that. Where
 * the primary was ahead of us (an outage, a full sync, lag) they are all that is known of when bytes were written.
 *
 *   on time       one a second at least; one in ten seconds while the offset stays, with the last one before it moves
 *   behind        all, with the one before and two behind; the longer it lasts, the wider apart
 *   set back      the last one before the primary's clock was, and the first one behind
 */
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';

/** With the period on top less than a second, which is what readers take as certain. */
const onTimeEvery: Micros = 800_000;
const idleEvery: Micros = 10_000_000;
/** Part of a spell's duration that may lie between two of its samples: 0.6 s after an hour. */
const spellResolution = 1 / 6000;

export class SampleKeeper {
  /** The last one, of which is not known yet whether its bytes come at once. */
  #pending: Sample | undefined;
  /** The one before it, when it was on time and not kept. */
  #before: Sample | undefined;
  #kept: Sample | undefined;
  #behindSince: Micros | undefined;
  /** Those on time since it was behind. */
  #onTimeCount = 0;

  /** Takes the next sample; returns those to be kept. `received`: how far we are at this moment. */
  next(sample: Sample, received: Offset): readonly Sample[] {
    const last = this.#pending ?? this.#kept;
    // Another history: its samples bound nothing of this one.
    if (last !== undefined && sample.primaryOffset < last.primaryOffset) return [];
    if (last !== undefined && sample.primaryTime <= last.primaryTime) return this.#setBack(sample);
    const judged = this.#pending;
    this.#pending = sample;
    if (judged === undefined) return [];
    return received < judged.primaryOffset ? this.#behind(judged) : this.#onTime(judged);
  }

  /** The last sample, when no other will come soon. */
  flush(): readonly Sample[] {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending === undefined ? [] : this.#keep([pending]);
  }

  /** Begins anew: another timeline. */
  reset(): void {
    this.#pending = this.#before = this.#kept = this.#behindSince = undefined;
    this.#onTimeCount = 0;
  }

  /** The primary's clock was: the last sample before that bounds what was written until then, a new row what comes. */
  #setBack(sample: Sample): readonly Sample[] {
    const before = this.flush();
    this.reset();
    this.#pending = sample;
    return before;
  }

  #behind(sample: Sample): readonly Sample[] {
    const before = this.#before;
    this.#behindSince ??= sample.stamp;
    this.#onTimeCount = 0;
    if (before !== undefined) return this.#keep([before, sample]);
    const least = (sample.stamp - this.#behindSince) * spellResolution;
    return this.#kept === undefined || sample.stamp - this.#kept.stamp >= least ? this.#keep([sample]) : [];
  }

  #onTime(sample: Sample): readonly Sample[] {
    this.#behindSince = undefined;
    this.#onTimeCount += 1;
    // The first one was taken before its bytes were here; only the second bounds when all of them were.
    if (this.#kept === undefined || this.#onTimeCount <= 2) return this.#keep([sample]);
    const isIdle = sample.primaryOffset === this.#kept.primaryOffset;
    const before = this.#before?.primaryOffset === this.#kept.primaryOffset ? this.#before : undefined;
    if (sample.stamp - this.#kept.stamp >= (isIdle ? idleEvery : onTimeEvery))
      return this.#keep(isIdle || before === undefined ? [sample] : [before, sample]);
    this.#before = sample;
    return [];
  }

  #keep(samples: readonly Sample[]): readonly Sample[] {
    this.#before = undefined;
    this.#kept = samples.at(-1);
    return samples;
  }
}
