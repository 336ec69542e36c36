// Random histories of a primary, of a link that is lost and comes back, and of a sampler that is sometimes refused: every
// instant is restored as it was, to what the samples are good for, or refused; and what is taken in spite of uncertainty
// lies in the range that is named. The truth is the list of writes; the journal has stamps and samples, chosen by the
// real decider.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Micros } from '../../src/core/clock.ts';
import { CoverageError } from '../../src/core/errors.ts';
import { SampleKeeper } from '../../src/log/sample-keeper.ts';
import { locate } from '../../src/restore/locate/locate.ts';
import type { Cut, UncertaintyRule } from '../../src/restore/locate/locate.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { command } from '../redis-protocol/bytes.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';

const id = 'ab'.repeat(20);
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const ms = 1000;
const second = 1000 * ms;
const set = command('SET', 'key', 'value');
const base = 1000;
const end = 30 * second;

interface Script {
  /** Between one write and the next, in ms. */
  readonly pauses: readonly number[];
  /** Pairs: how long the link is up, and then down, in ms. */
  readonly links: readonly (readonly [up: number, down: number])[];
  /** The same of the sampler. */
  readonly samplers: readonly (readonly [up: number, down: number])[];
  readonly fullSyncMs: number;
  /** Our clock less the primary's. */
  readonly skew: Micros;
  /** Of each byte on an intact link. */
  readonly latencyMs: number;
}

const spells = (most: number): fc.Arbitrary<(readonly [number, number])[]> =>
  fc.array(fc.tuple(fc.integer({ min: 300, max: 12_000 }), fc.integer({ min: 50, max: most })), { maxLength: 4 });

const script: fc.Arbitrary<Script> = fc.record({
  pauses: fc.array(fc.integer({ min: 25, max: 700 }), { minLength: 5, maxLength: 40 }),
  links: spells(9000),
  samplers: spells(15_000),
  fullSyncMs: fc.constantFrom(0, 300, 2500, 6000),
  skew: fc.constantFrom(0, 0, 20 * ms, -3 * second, 3600 * second),
  latencyMs: fc.integer({ min: 0, max: 30 }),
});

/** Whether something that comes and goes is there, and if not, when it is again. */
function isUp(
  pairs: readonly (readonly [number, number])[],
  at: Micros,
): { readonly up: boolean; readonly since: Micros; readonly back: Micros } {
  let from = 0;
  for (const [up, down] of pairs) {
    if (at < from + up * ms) return { up: true, since: from, back: at };
    const back = from + (up + down) * ms;
    if (at < back) return { up: false, since: from + up * ms, back };
    from = back;
  }
  return { up: true, since: from, back: at };
}

interface World {
  /** When each command was written, on the true clock from 0 on. */
  readonly writes: readonly Micros[];
  readonly lastReceived: Micros;
}

/** Plays the script against the log, moment by moment. */
async function play(
  timeline: TimelineBuilder,
  { pauses, links, samplers, fullSyncMs, skew, latencyMs }: Script,
): Promise<World> {
  const writes: Micros[] = [];
  for (let at = 0, i = 0; at < end; i += 1) writes.push((at += pauses[i % pauses.length]! * ms));
  const synced = fullSyncMs * ms;
  const arrivals = writes.map((at) => {
    const { up, back } = isUp(links, at);
    return Math.max(synced, up ? at : back) + latencyMs * ms;
  });
  for (let i = 1; i < arrivals.length; i += 1) arrivals[i] = Math.max(arrivals[i]!, arrivals[i - 1]!);
  const keeper = new SampleKeeper();
  const held = [];
  let received = 0;
  let wasUp = true;
  for (let at = 0; at < end; at += 10 * ms) {
    const link = isUp(links, at);
    if (at >= synced && link.up && !wasUp) timeline.attach(id, t0 + at);
    if (at >= synced) wasUp = link.up;
    for (; received < writes.length && arrivals[received]! <= at; received += 1) {
      if (at === 0) break;
      timeline.read(set, t0 + Math.max(arrivals[received]!, at - 10 * ms + 1));
    }
    if (at % (100 * ms) !== 0 || !isUp(samplers, at).up) continue;
    const written = writes.findLastIndex((one) => one <= at) + 1;
    const sample = {
      stamp: t0 + at + 200,
      primaryTime: t0 + at - skew,
      primaryOffset: base + written * set.length,
      roundTripMicros: 400,
    };
    const kept = keeper.next(sample, base + received * set.length);
    if (at < synced) held.push(...kept);
    else {
      const all = [...held.splice(0), ...kept];
      if (all.length > 0) timeline.samples(all);
    }
  }
  await timeline.commit();
  return { writes, lastReceived: arrivals.findLast((at) => at < end) ?? 0 };
}

async function cutAt(journal: JournalBuilder, at: Micros, uncertainty: UncertaintyRule): Promise<Cut | CoverageError> {
  try {
    return await locate(localDisk, await journal.catalog(), { kind: 'time', at }, 'at', uncertainty);
  } catch (error) {
    if (error instanceof CoverageError) return error;
    throw error;
  }
}

test('every instant is restored as it was, or refused', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(script, async (one) => {
      await using journal = await JournalBuilder.create();
      const timeline = await journal.timeline({
        ...{ id, offset: base, stamp: t0, completed: t0 + one.fullSyncMs * ms, segmentBytes: 3000 },
      });
      const { writes } = await play(timeline, one);
      await timeline.seal(1);
      const offsetAt = (at: Micros): number => base + writes.filter((write) => write <= at).length * set.length;
      for (let at = 50 * ms; at < end; at += 1370 * ms) {
        const label = `at ${at / ms} ms`;
        const target = t0 + at - one.skew;
        const cut = await cutAt(journal, target, 'refuse');
        if (cut instanceof CoverageError && cut.code !== 'time-uncertain') continue;
        const taken = cut instanceof CoverageError ? await cutAt(journal, target, 'accept') : cut;
        if (taken instanceof CoverageError) throw taken;
        const { resolution, uncertain } = taken.time!;
        if (cut instanceof CoverageError) {
          expect(uncertain!.from, label).toBeLessThanOrEqual(offsetAt(at));
          expect(uncertain!.to, label).toBeGreaterThanOrEqual(offsetAt(at - 60 * ms));
          continue;
        }
        expect(taken.offset, label).toBeLessThanOrEqual(offsetAt(at + 60 * ms));
        expect(taken.offset, label).toBeGreaterThanOrEqual(offsetAt(at - 200 * ms - resolution));
        expect(resolution, label).toBeLessThanOrEqual(1.1 * second);
      }
    }),
    { numRuns: 30, seed: 7, endOnFailure: true },
  );
});
