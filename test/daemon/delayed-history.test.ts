// A delayed copy, on a clock that the test moves: nothing comes before its time, PINGs keep their places, a pause holds over
// a restart, and a base of the journal is gone over to when it is due.
import { writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../src/core/errors.ts';
import { delayedPingRunsMax } from '../../src/core/limits.ts';
import { DelayedHistory } from '../../src/daemon/delayed-history.ts';
import type { Standing } from '../../src/daemon/delayed-history.ts';
import { PauseFile } from '../../src/daemon/pause-file.ts';
import type { ServedTimeline, Shift } from '../../src/downstream/history.ts';
import { ping } from '../../src/downstream/own-numbering.ts';
import { ServedStream } from '../../src/downstream/served-stream.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { loadTimeline } from '../../src/log/catalog.ts';
import { applyRetention } from '../../src/log/removal.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { laterTimes } from '../../src/restore/rewrite/later-times.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';
import { ManualClock } from '../support/manual-clock.ts';

const start = 1000;
const id = 'a'.repeat(40);
const otherId = 'b'.repeat(40);
const minute = 60_000_000;
const delay = 15 * minute;

class Rig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly failures: unknown[] = [];
  begun = 0;
  shift: Shift | undefined;
  readonly journal: JournalBuilder;
  timeline: TimelineBuilder;
  #history: DelayedHistory | undefined;
  #served: ServedTimeline | undefined;

  private constructor(journal: JournalBuilder, timeline: TimelineBuilder) {
    this.journal = journal;
    this.timeline = timeline;
  }

  /** A journal that begins now. */
  static async start(): Promise<Rig> {
    const journal = await JournalBuilder.create();
    const completed = new ManualClock().wall();
    const rig = new Rig(journal, await journal.timeline({ id, offset: start, completed }));
    await rig.load();
    return rig;
  }

  get history(): DelayedHistory {
    if (this.#history === undefined) throw new Error('it is not open');
    return this.#history;
  }

  get standing(): Standing {
    return this.history.standing;
  }

  get reached(): number | undefined {
    return this.standing.reached?.offset;
  }

  get ownId(): string | undefined {
    return this.history.now()?.ids[0]?.id;
  }

  get pauseFile(): PauseFile {
    return new PauseFile(localDisk, path.join(this.journal.tree.directory, 'delayed.json'));
  }

  async open(): Promise<void> {
    const upstream = { sources: [], host: 'h', port: 1, isUp: false, since: 0, server: undefined };
    this.#history = await DelayedHistory.open({
      ...{ disk: localDisk, clock: this.clock, tree: this.journal.tree, delay, pauseFile: this.pauseFile },
      kept: { now: () => this.#served, upstream: () => upstream },
      shift: () => Promise.resolve(this.shift),
      events: { begun: () => (this.begun += 1), failed: (error) => void this.failures.push(error) },
    });
  }

  /** The process is gone, and another one begins. */
  async restart(): Promise<void> {
    await this.history[Symbol.asyncDispose]();
    await this.open();
  }

  /** What whoever knows the journal sees of it. */
  async load(): Promise<void> {
    const timeline = await loadTimeline(localDisk, this.journal.tree, this.timeline.number);
    if (timeline === undefined) throw new Error('there is no timeline');
    const { number, directory, base, ids, end } = timeline;
    this.#served = { number, directory, base, ids, durable: end };
  }

  /** A command that is received now. */
  async write(key: string): Promise<number> {
    this.timeline.read(encodeCommand('SET', key, 'value'), this.clock.wall());
    await this.timeline.commit();
    await this.load();
    return this.timeline.end;
  }

  /** Time goes by, in looks. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 200) {
      this.clock.advance(Math.min(200, ms - passed));
      await this.looked();
    }
  }

  /** Time goes by in one piece, as it does for whoever looks seldom. */
  async jump(ms: number): Promise<void> {
    this.clock.skip(ms);
    await this.pass(400);
  }

  /** Something that changes nothing is done in its turn. */
  async looked(): Promise<void> {
    if (this.standing.state === 'paused') await this.history.pause();
    else await this.history.resume();
    await setImmediate();
  }

  /** All that is served, from there on. */
  async bytes(from = start + 1): Promise<Buffer> {
    const served = this.history.now();
    if (served === undefined) return Buffer.alloc(0);
    await using stream = new ServedStream(localDisk, from, new BlockCache());
    const parts: Buffer[] = [];
    for (let piece = await stream.read(served); piece !== undefined; piece = await stream.read(served)) {
      parts.push(Buffer.from(piece.bytes));
    }
    return Buffer.concat(parts);
  }

  step(text: { readonly at?: number; readonly before?: number }): Promise<unknown> {
    const offset = text.at ?? text.before ?? 0;
    const target = { kind: 'position', idPrefix: this.timeline.script.id, offset } as const;
    const mode = text.at === undefined ? 'before' : 'at';
    return this.history.step({ target, mode, uncertainty: 'refuse' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#history?.[Symbol.asyncDispose]();
    await this.journal[Symbol.asyncDispose]();
  }
}

async function codeOf(doing: Promise<unknown>): Promise<unknown> {
  return doing.then(
    () => 'done',
    (error: unknown) => (error instanceof JournalError ? error.code : error),
  );
}

describe('a delayed copy', () => {
  test('has no base before that is due, and then each command when it is', async () => {
    await using rig = await Rig.start();
    await rig.open();
    const first = await rig.write('first');
    await rig.jump(10_000);
    const second = await rig.write('second');
    expect(rig.standing.state).toBe('waiting');
    expect(rig.history.now()).toBeUndefined();
    expect(await codeOf(rig.history.pause())).toBe('nothing-served');
    await rig.jump(delay / 1000 - 12_000);
    expect(rig.standing.state).toBe('waiting');
    await rig.pass(2000);
    expect(rig.reached).toBe(first);
    await rig.pass(8_800);
    expect(rig.reached).toBe(first);
    await rig.pass(1_000);
    expect(rig.reached).toBe(second);
    expect(await rig.bytes()).toEqual(rig.timeline.stream);
    expect(rig.begun).toBe(1);
    expect(rig.failures).toEqual([]);
  });

  test('does not believe a wall clock that leaps, and goes back for none', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.jump(delay / 1000);
    const later = await rig.write('later');
    rig.clock.stepWall(3_600_000);
    await rig.pass(5_000);
    expect(rig.reached).toBe(start);
    rig.clock.stepWall(-3_600_000);
    await rig.jump(delay / 1000);
    expect(rig.reached).toBe(later);
    rig.clock.stepWall(-7_200_000);
    await rig.pass(1_000);
    expect(rig.reached).toBe(later);
  });

  test('puts in PINGs while somebody follows and nothing comes, and counts them for ever', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    const before = rig.history.now()?.durable;
    await rig.jump(60_000);
    expect(rig.history.now()?.durable).toBe(before);
    const leave = rig.history.watch(() => undefined);
    await rig.pass(31_000);
    const second = await rig.write('second');
    await rig.jump(delay / 1000);
    leave();
    const [one, other] = [
      rig.timeline.stream.subarray(0, (before ?? 0) - start),
      rig.timeline.stream.subarray((before ?? 0) - start),
    ];
    const served = await rig.bytes();
    const pings = (served.length - rig.timeline.stream.length) / ping.length;
    expect(pings).toBeGreaterThanOrEqual(2);
    expect(served).toEqual(Buffer.concat([one, ...Array.from({ length: pings }, () => ping), other]));
    expect(rig.reached).toBe(second);
    expect(rig.history.now()?.durable).toBe(start + served.length);
    for (let at = 0; at <= served.length; at += 1) expect(await rig.bytes(start + 1 + at)).toEqual(served.subarray(at));
  });

  test('that is paused stays where it is, over a restart, and so do the PINGs; without a pause its history begins anew', async () => {
    await using rig = await Rig.start();
    await rig.open();
    const first = await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    await rig.write('second');
    await rig.history.pause();
    const { ownId } = rig;
    const leave = rig.history.watch(() => undefined);
    await rig.pass(4_000);
    leave();
    const served = await rig.bytes();
    expect(served.length).toBe(first - start + ping.length);
    await rig.jump(2 * (delay / 1000));
    await rig.restart();
    await rig.jump(delay / 1000);
    expect(rig.standing).toMatchObject({ state: 'paused', reached: { offset: first } });
    expect(rig.ownId).toBe(ownId);
    expect(await rig.bytes()).toEqual(served);
    await rig.history.resume();
    expect(rig.standing.state).toBe('following');
    expect(rig.reached).toBe(rig.timeline.end);
    expect(rig.ownId).toBe(ownId);
    await rig.restart();
    expect(rig.standing.state).toBe('following');
    expect(rig.ownId).not.toBe(ownId);
  });

  test('that is paused begins its history anew where its times are others than before', async () => {
    await using rig = await Rig.start();
    await rig.open();
    const first = await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    await rig.history.pause();
    const { ownId } = rig;
    rig.shift = { laterByMs: 1000, baseBytes: 1, stream: (offset) => laterTimes({ offset, db: 0 }, 1000) };
    await rig.restart();
    expect(rig.standing).toMatchObject({ state: 'paused', reached: { offset: first } });
    expect(rig.ownId).not.toBe(ownId);
  });

  test('begins its history anew before it has PINGs at more places than it keeps', async () => {
    await using rig = await Rig.start();
    await rig.write('x'.repeat(2 * delayedPingRunsMax));
    rig.clock.skip(delay / 1000 + 1000);
    const { end } = rig.timeline;
    const pings = Array.from({ length: delayedPingRunsMax }, (_, i) => ({ behind: start + 1 + i, count: 1 }));
    const reached = { offset: end, stamp: rig.timeline.lastStamp };
    const [since, instant] = [rig.clock.wall(), rig.clock.wall() - delay];
    await rig.pauseFile.write({ timeline: 1, id: otherId, pings, laterByMs: 0, reached, since, instant });
    await rig.open();
    expect(rig.history.now()?.durable).toBe(end + pings.length * ping.length);
    await rig.history.resume();
    const leave = rig.history.watch(() => undefined);
    await rig.pass(16_000);
    leave();
    expect(rig.ownId).not.toBe(otherId);
    expect(await rig.bytes()).toEqual(rig.timeline.stream);
  });

  test('steps to exactly a target and no further, never back, and is paused by it', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    const second = await rig.write('second');
    const third = await rig.write('third');
    await rig.step({ before: third });
    expect(rig.standing).toMatchObject({ state: 'paused', reached: { offset: second } });
    await rig.jump(delay / 1000);
    expect(rig.reached).toBe(second);
    expect(await codeOf(rig.step({ before: second }))).toBe('already-served');
    expect(rig.reached).toBe(second);
    await rig.restart();
    expect(rig.reached).toBe(second);
    await rig.step({ at: third });
    expect(rig.reached).toBe(third);
    expect(await rig.bytes()).toEqual(rig.timeline.stream);
  });

  test('goes over to a new base when that is due, under another history', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    const last = await rig.write('last');
    await rig.timeline.close();
    const { ownId } = rig;
    await rig.jump(60_000);
    rig.timeline = await rig.journal.timeline({ id: otherId, offset: 5000, completed: rig.clock.wall() });
    await rig.write('of the other');
    await rig.jump(delay / 1000 - 30_000);
    expect(rig.standing.reached).toMatchObject({ timeline: 1, offset: last });
    expect(rig.ownId).toBe(ownId);
    // A target there is to be had by a full sync only.
    expect(await codeOf(rig.step({ at: 5000 }))).toBe('other-timeline');
    await rig.history.resume();
    await rig.jump(31_000);
    expect(rig.standing.reached).toMatchObject({ timeline: 2, offset: rig.timeline.end });
    expect(rig.ownId).not.toBe(ownId);
    expect(rig.failures).toEqual([]);
  });

  test('follows over a switch of the name of the history', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    const { ownId } = rig;
    rig.timeline.attach(otherId, rig.clock.wall());
    await rig.write('second');
    await rig.jump(delay / 1000);
    expect(rig.standing.reached?.position).toBe(`${otherId}:${rig.timeline.end}`);
    expect(rig.ownId).toBe(ownId);
    expect(await rig.bytes()).toEqual(rig.timeline.stream);
  });

  test('tells that the journal removed what it stands on, and runs on from what is left only when told to', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    await rig.history.pause();
    await rig.timeline.close();
    await rig.jump(60_000);
    rig.timeline = await rig.journal.timeline({ id: otherId, offset: 5000, completed: rig.clock.wall() });
    await rig.write('of the other');
    await rig.jump(delay / 1000);
    const { tree } = rig.journal;
    const keep = { rule: { kind: 'size', bytes: 1 }, words: '--keep-local 1MB' } as const;
    await applyRetention(localDisk, tree, (await rig.journal.catalog()).timelines, keep, rig.clock.wall());
    await rig.pass(400);
    expect(rig.standing).toMatchObject({ state: 'paused', trouble: { code: 'position-removed' } });
    expect(rig.failures).toHaveLength(1);
    await rig.restart();
    expect(rig.standing).toMatchObject({ state: 'paused', reached: undefined, trouble: { code: 'position-removed' } });
    expect(await codeOf(rig.step({ at: rig.timeline.end }))).toBe('position-removed');
    await rig.history.resume();
    await rig.pass(400);
    expect(rig.standing).toMatchObject({ state: 'following', reached: { timeline: 2 }, trouble: undefined });
  });

  test('is resumed although what it stood on is gone, and nobody has told it yet of what came behind', async () => {
    await using rig = await Rig.start();
    await rig.open();
    await rig.write('first');
    await rig.jump(delay / 1000 + 1000);
    await rig.history.pause();
    await rig.timeline.close();
    rig.timeline = await rig.journal.timeline({ id: otherId, offset: 5000, completed: rig.clock.wall() });
    const { tree } = rig.journal;
    const keep = { rule: { kind: 'size', bytes: 1 }, words: '--keep-local 1MB' } as const;
    await applyRetention(localDisk, tree, (await rig.journal.catalog()).timelines, keep, rig.clock.wall());
    await rig.history.resume();
    await rig.load();
    await rig.jump(delay / 1000 + 1000);
    expect(rig.standing).toMatchObject({ state: 'following', reached: { timeline: 2 }, trouble: undefined });
  });

  test('does not start where it cannot tell whether it was paused', async () => {
    await using rig = await Rig.start();
    writeFileSync(rig.pauseFile.path, '{"version": 1, "timel');
    expect(await codeOf(rig.open())).toBe('pause-unreadable');
  });
});
