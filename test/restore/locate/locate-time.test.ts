// Times of journals whose bytes came late: an outage, a full sync, a lag. What was written when is known here, for the
// test made it up; the journal has only stamps and samples of it.
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../../journal-format/samples.ts';
import { CoverageError } from '../../../src/core/errors.ts';
import { locate } from '../../../src/restore/locate/locate.ts';
import type { Cut, CutMode, UncertaintyRule } from '../../../src/restore/locate/locate.ts';
import { uncertainSpans } from '../../../src/restore/locate/uncertain.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';
import type { TimelineBuilder } from '../../support/journal-builder.ts';

const id = 'ab'.repeat(20);
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const second = 1_000_000;
const set = command('SET', 'key', 'value');
const base = 1000;

/** The offset behind the first `count` commands. */
function after(count: number): number {
  return base + count * set.length;
}

/** One command a second is written from `from` on, `count` of them; sampled ten times a second. */
function samplesOfWrites(from: number, seconds: number, before = 0, skew = 0): Sample[] {
  return Array.from({ length: seconds * 10 }, (_, i) => ({
    stamp: from + (i * second) / 10 + 300,
    primaryTime: from + (i * second) / 10 + 200 - skew,
    primaryOffset: after(before + Math.floor(i / 10) + (i === 0 ? 0 : 1)),
    roundTripMicros: 200,
  }));
}

async function cutAt(
  journal: JournalBuilder,
  at: number,
  mode: CutMode = 'at',
  uncertainty: UncertaintyRule = 'refuse',
): Promise<Cut | CoverageError> {
  try {
    return await locate(localDisk, await journal.catalog(), { kind: 'time', at }, mode, uncertainty);
  } catch (error) {
    if (error instanceof CoverageError) return error;
    throw error;
  }
}

/** Five commands received as they were written, an outage of 20 s with one command a second, then five more. */
async function withOutage(journal: JournalBuilder, samples: readonly Sample[], skew = 0): Promise<TimelineBuilder> {
  const timeline = await journal.timeline({ id, offset: base, completed: t0 });
  for (let i = 1; i <= 5; i += 1) timeline.read(set, t0 + i * second);
  await timeline.commit();
  timeline.samples([
    {
      stamp: t0 + 5 * second + 100,
      primaryTime: t0 + 5 * second - skew,
      primaryOffset: after(5),
      roundTripMicros: 200,
    },
    ...samples,
  ]);
  timeline.attach(id, t0 + 25 * second);
  for (let i = 6; i <= 25; i += 1) timeline.read(set, t0 + 25 * second + i);
  const caughtUp = t0 + 25.1 * second;
  if (samples.length > 0) {
    timeline.samples([
      { stamp: caughtUp, primaryTime: caughtUp - 100 - skew, primaryOffset: after(25), roundTripMicros: 200 },
    ]);
  }
  for (let i = 26; i <= 30; i += 1) timeline.read(set, t0 + i * second);
  await timeline.commit();
  return timeline;
}

describe.each(['open', 'sealed'] as const)('in %s segments, what was written in an outage', (kind) => {
  test('is found when it was written, where the primary was sampled', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await withOutage(journal, samplesOfWrites(t0 + 5 * second, 20, 5));
    if (kind === 'sealed') await timeline.seal(1);
    for (const [seconds, count] of [
      [5.5, 6],
      [7.5, 8],
      [24.5, 25],
      [26.5, 26],
    ] as const) {
      expect(await cutAt(journal, t0 + seconds * second)).toMatchObject({ offset: after(count) });
    }
    expect(await cutAt(journal, t0 + 7.5 * second)).toMatchObject({
      time: { basis: 'samples', resolution: second / 10 },
    });
    expect(await cutAt(journal, t0 + 26.5 * second)).toMatchObject({ time: { basis: 'receipt' } });
    expect(await uncertainSpans(localDisk, (await journal.catalog()).timelines, Infinity)).toEqual([]);
  });

  test('of a primary that died is not taken for what the promoted one wrote at the same offsets', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    for (let i = 1; i <= 5; i += 1) timeline.read(set, t0 + i * second);
    await timeline.commit();
    // It wrote ten commands more, a second each; three of them were known to the one that took over at second 16.
    timeline.samples(samplesOfWrites(t0 + 5 * second, 10, 5));
    timeline.attach('cd'.repeat(20), t0 + 17 * second);
    for (let i = 6; i <= 12; i += 1) timeline.read(set, t0 + 17 * second + i);
    const caughtUp = t0 + 17.1 * second;
    const sample = { stamp: caughtUp, primaryTime: caughtUp - 100, roundTripMicros: 200 };
    timeline.samples([{ ...sample, primaryOffset: after(12) }]);
    await timeline.commit();
    if (kind === 'sealed') await timeline.seal(1);
    for (const seconds of [7.5, 12.5, 14.5]) {
      expect(await cutAt(journal, t0 + seconds * second)).toMatchObject({
        code: 'time-uncertain',
        hint: expect.stringContaining(`--at ${id}:${after(5)} to`) as string,
      });
    }
    expect(await cutAt(journal, t0 + 4.5 * second)).toMatchObject({ offset: after(4) });
  });

  test('may be beyond the end of what has come of it, and the refusal says so', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    for (let i = 1; i <= 5; i += 1) timeline.read(set, t0 + i * second);
    timeline.attach(id, t0 + 25 * second);
    for (let i = 6; i <= 9; i += 1) timeline.read(set, t0 + 25 * second + i);
    await timeline.commit();
    if (kind === 'sealed') await timeline.seal(1);
    expect(await cutAt(journal, t0 + 12 * second)).toMatchObject({
      code: 'time-uncertain',
      hint: expect.stringContaining(`${id}:${after(9)}, where this timeline ends, or beyond it`) as string,
    });
  });

  test('is uncertain where it was not, and both states that it may mean are named', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await withOutage(journal, []);
    if (kind === 'sealed') await timeline.seal(1);
    for (const seconds of [5, 12, 25.5]) {
      expect(await cutAt(journal, t0 + seconds * second)).toMatchObject({
        code: 'time-uncertain',
        exitCode: 5,
        hint: expect.stringContaining(`--at ${id}:${after(5)} to`) as string,
      });
      expect(await cutAt(journal, t0 + seconds * second, 'at', 'accept')).toMatchObject({
        offset: after(5),
        time: { uncertain: { from: after(5) } },
      });
    }
    expect(await cutAt(journal, t0 + 4.5 * second)).toMatchObject({ offset: after(4) });
    const spans = await uncertainSpans(localDisk, (await journal.catalog()).timelines, Infinity);
    expect(spans).toMatchObject([{ timeline: 1, from: t0 + 5 * second, offset: after(5), cause: 'interruption' }]);
  });
});

test('the primary’s clock is the one that a target means, when ours is an hour ahead of it', async () => {
  await using journal = await JournalBuilder.create();
  const hour = 3600 * second;
  await withOutage(journal, samplesOfWrites(t0 + 5 * second, 20, 5, hour), hour);
  expect(await cutAt(journal, t0 - hour + 7.5 * second)).toMatchObject({ offset: after(8), time: { skew: hour } });
  expect(await cutAt(journal, t0 - hour + 26.5 * second)).toMatchObject({ offset: after(26) });
  expect(await cutAt(journal, t0 + 7.5 * second)).toBeInstanceOf(CoverageError);
});

test('what was written behind a sample is not taken for earlier when our clock was set between two', async () => {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: base, completed: t0 });
  const sample = (stamp: number, primaryTime: number, count: number): Sample => ({
    ...{ stamp: t0 + stamp * second, primaryTime: t0 + primaryTime * second },
    ...{ primaryOffset: after(count), roundTripMicros: 200 },
  });
  // Our clock is three seconds ahead, and set right behind the first sample: stamps stand nearly still.
  timeline.samples([sample(5.5, 2.5, 0)]);
  for (let i = 1; i <= 6; i += 1) timeline.read(set, t0 + 5.5 * second + i * 1000);
  timeline.samples([sample(5.502, 3.2, 2), sample(5.51, 5.5, 6)]);
  timeline.read(set, t0 + 9 * second);
  await timeline.commit();
  expect(await cutAt(journal, t0 + 2.9 * second)).toMatchObject({ offset: after(2), time: { basis: 'samples' } });
});

describe('of clocks that were set, over 40 minutes of segments,', () => {
  const minutes = 40;

  /** One command a second, received at once, with a sample behind each; the clocks show what is said. */
  async function written(
    journal: JournalBuilder,
    clocks: (i: number) => { readonly ours: number; readonly primary: number },
  ): Promise<void> {
    const timeline = await journal.timeline({ id, offset: base, completed: t0 + clocks(0).ours });
    for (let i = 1; i <= minutes * 60; i += 1) {
      const { ours, primary } = clocks(i * second);
      timeline.read(set, t0 + ours);
      timeline.samples([
        { stamp: t0 + ours + 200, primaryTime: t0 + primary + 100, primaryOffset: after(i), roundTripMicros: 200 },
      ]);
      if (i % 30 === 0) await timeline.commit();
    }
    await timeline.commit();
    await timeline.seal(2);
  }

  const step = 10 * 60 * second;
  const day = 86_400 * second;

  test.each([
    ['ours a day forward', (at: number) => (at < step ? at : at + day)],
    ['ours a day back, and its stamps go at half speed', (at: number) => (at < step ? at : step + (at - step) / 2)],
    ['ours 30 years behind all along', (at: number) => at - 30 * 365 * day],
  ])('a time is found by the samples: %s', async (_title, ours) => {
    await using journal = await JournalBuilder.create();
    await written(journal, (at) => ({ ours: ours(at), primary: at }));
    for (const minute of [1, 9, 11, 20, 39]) {
      const cut = await cutAt(journal, t0 + (minute * 60 + 0.7) * second);
      expect(cut).not.toBeInstanceOf(CoverageError);
      if (!(cut instanceof CoverageError))
        expect(Math.abs(cut.offset - after(minute * 60))).toBeLessThanOrEqual(set.length);
    }
  });

  test('a time that the primary’s clock showed twice is refused, with both places', async () => {
    await using journal = await JournalBuilder.create();
    const back = 15 * 60 * second;
    await written(journal, (at) => ({ ours: at, primary: at < 2 * step ? at : at - back }));
    // At 6 and at 21 minutes; what it showed once is certain.
    const refused = await cutAt(journal, t0 + (6 * 60 + 0.7) * second);
    expect(refused).toMatchObject({ code: 'time-ambiguous', exitCode: 5 });
    for (const count of [6 * 60, 21 * 60]) {
      expect(refused).toMatchObject({ hint: expect.stringContaining(`${id}:${after(count)}`) as string });
    }
    expect(await cutAt(journal, t0 + (6 * 60 + 0.7) * second, 'at', 'accept')).toMatchObject({
      offset: after(6 * 60),
      time: { uncertain: { from: after(6 * 60), to: after(21 * 60) } },
    });
    expect(await cutAt(journal, t0 + (4 * 60 + 0.7) * second)).toMatchObject({ offset: after(4 * 60) });
    expect(await cutAt(journal, t0 + (22 * 60 + 0.7) * second)).toMatchObject({ offset: after(37 * 60) });
  });
});

test('a full sync that had waited for us is dated by the first sample, not by its arrival', async () => {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: base, stamp: t0, completed: t0 + 2000 });
  timeline.samples([{ stamp: t0 + 300, primaryTime: t0 + 200, primaryOffset: after(20), roundTripMicros: 200 }]);
  for (let i = 1; i <= 20; i += 1) timeline.read(set, t0 + 2000 + i);
  await timeline.commit();
  expect(await cutAt(journal, t0 + 1000)).toMatchObject({ offset: after(20), time: { basis: 'samples' } });
});

describe('what was written during a full sync', () => {
  const script = { id, offset: base, stamp: t0, completed: t0 + 20 * second };

  test('is found when it was written, where the primary was sampled', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline(script);
    timeline.samples(samplesOfWrites(t0, 20));
    for (let i = 1; i <= 20; i += 1) timeline.read(set, t0 + 20 * second + i);
    await timeline.commit();
    expect(await cutAt(journal, t0)).toMatchObject({ offset: base });
    expect(await cutAt(journal, t0 + 7.5 * second)).toMatchObject({ offset: after(8) });
  });

  test('is found when it was written up to the last moment before it was received', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline(script);
    timeline.samples(samplesOfWrites(t0, 20));
    for (let i = 1; i <= 20; i += 1) timeline.read(set, t0 + 20 * second + i);
    await timeline.commit();
    expect(await cutAt(journal, t0 + 20 * second - 1)).toMatchObject({ offset: after(20) });
  });

  test('is uncertain where it was not, and never given for an instant before it', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline(script);
    for (let i = 1; i <= 20; i += 1) timeline.read(set, t0 + 20 * second + i);
    await timeline.commit();
    expect(await cutAt(journal, t0 - 1)).toMatchObject({ code: 'time-not-covered' });
    expect(await cutAt(journal, t0 + 7.5 * second)).toMatchObject({ code: 'time-uncertain', exitCode: 5 });
    expect(await cutAt(journal, t0 + 7.5 * second, 'at', 'accept')).toMatchObject({ offset: base });
    const spans = await uncertainSpans(localDisk, (await journal.catalog()).timelines, Infinity);
    expect(spans).toMatchObject([{ from: t0, offset: base, cause: 'full-sync' }]);
  });
});

describe('lag', () => {
  test('does not move what was written before: samples say how far the primary was', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    // Written one a second; received three seconds late.
    timeline.samples(samplesOfWrites(t0, 10));
    for (let i = 1; i <= 9; i += 1) timeline.read(set, t0 + (i + 3) * second);
    await timeline.commit();
    expect(await cutAt(journal, t0 + 4.5 * second)).toMatchObject({ offset: after(5), time: { basis: 'samples' } });
  });

  test('that lasted to the end is no coverage: the primary had written more', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    timeline.samples(samplesOfWrites(t0, 10));
    for (let i = 1; i <= 4; i += 1) timeline.read(set, t0 + (i + 3) * second);
    await timeline.commit();
    expect(await cutAt(journal, t0 + 6.5 * second)).toMatchObject({ code: 'time-not-covered', exitCode: 4 });
  });

  test('is told from a sample that was the first behind an outage, however soon after it the bytes came', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    for (let i = 1; i <= 5; i += 1) timeline.read(set, t0 + i * second);
    timeline.attach(id, t0 + 25 * second);
    const asked = t0 + 25.02 * second;
    timeline.samples([{ stamp: asked, primaryTime: asked - 20, primaryOffset: after(25), roundTripMicros: 40 }]);
    for (let i = 6; i <= 25; i += 1) timeline.read(set, t0 + 25.05 * second + i);
    await timeline.commit();
    expect(await cutAt(journal, t0 + 25.03 * second)).toMatchObject({ offset: after(25) });
  });

  test.each([-5000, 5000])(
    'is not taken for granted where clocks differ by %d µs: a printed stamp means its command',
    async (skew) => {
      await using journal = await JournalBuilder.create();
      const timeline = await journal.timeline({ id, offset: base, completed: t0 });
      const samples: Sample[] = [];
      for (let i = 1; i <= 8; i += 1) {
        for (const [at, count] of [
          [i * second - 2000, i - 1],
          [i * second + 2000, i],
        ] as const) {
          samples.push({
            stamp: t0 + at,
            primaryTime: t0 + at - 20 - skew,
            primaryOffset: after(count),
            roundTripMicros: 40,
          });
        }
        timeline.read(set, t0 + i * second);
      }
      timeline.samples(samples);
      await timeline.commit();
      for (let i = 1; i <= 8; i += 1) {
        expect(await cutAt(journal, t0 + i * second, 'at')).toMatchObject({ offset: after(i) });
        expect(await cutAt(journal, t0 + i * second, 'before')).toMatchObject({ offset: after(i - 1) });
      }
    },
  );

  test('of less than the sampling period leaves the order to the stamps', async () => {
    await using journal = await JournalBuilder.create();
    const timeline = await journal.timeline({ id, offset: base, completed: t0 });
    for (let i = 1; i <= 4; i += 1) timeline.read(set, t0 + i * second);
    // Asked between the write and its arrival.
    const primaryTime = t0 + 3 * second - 30;
    timeline.samples([{ stamp: primaryTime + 20, primaryTime, primaryOffset: after(3), roundTripMicros: 40 }]);
    await timeline.commit();
    expect(await cutAt(journal, t0 + 3 * second, 'before')).toMatchObject({ offset: after(2) });
    expect(await cutAt(journal, t0 + 3 * second, 'at')).toMatchObject({ offset: after(3) });
  });
});
