// Where a journal stands, in every state that it and its writer can be in, on real files.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatInstant } from '../../src/core/instant.ts';
import type { RunState } from '../../src/daemon/state-file.ts';
import { readStatus } from '../../src/daemon/status.ts';
import type { Status } from '../../src/daemon/status.ts';
import { createSourceTree, sourceTree } from '../../src/log/source-tree.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { firstId, MadeJournal, secondId } from '../support/made-journal.ts';
import { ManualClock } from '../support/manual-clock.ts';

const startedAt = '2026-11-20T14:30:00.000000Z';

async function emptySource(): Promise<SourceTree> {
  const root = temporaryDirectory('status');
  const tree = sourceTree(root, 'shop');
  await createSourceTree(localDisk, root, tree);
  return tree;
}

function statusOf(tree: SourceTree, clock = new ManualClock()): Promise<Status> {
  return readStatus(localDisk, tree, clock);
}

/** The state file of a writer in this process. */
function say(tree: SourceTree, clock: ManualClock, words: Partial<RunState>): void {
  const state: RunState = {
    version: 1,
    writer: 'journal/test',
    pid: process.pid,
    startedAt,
    updatedAt: formatInstant(clock.wall()),
    state: 'streaming',
    source: '10.0.0.5:6379',
    isTls: false,
    degraded: null,
    ack: 'local',
    link: null,
    server: { kind: 'redis', version: '7.2.4' },
    timeline: null,
    id: null,
    position: null,
    head: null,
    lastStamp: null,
    sync: null,
    clock: { skew: null, sampledAt: null, wallError: 0 },
    unended: null,
    sealing: 0,
    lastError: null,
    nextAttemptAt: null,
    disk: null,
    retention: null,
    replicas: [],
    ...words,
  };
  writeFileSync(tree.state, JSON.stringify(state));
}

test('an empty source is told as empty, with every key there', async () => {
  const tree = await emptySource();
  const status = await statusOf(tree);
  expect(status).toEqual({
    source: 'shop',
    state: 'empty',
    healthy: false,
    checkedAt: '2026-11-20T14:30:00.000000Z',
    address: null,
    server: null,
    timeline: null,
    position: { id: null, received: null, durable: null, shipped: null },
    lastReceived: null,
    lag: { seconds: null, bytes: null },
    sync: null,
    intervals: [],
    gaps: [],
    damaged: [],
    orphans: [],
    uncertain: [],
    clock: { skew: null, sampledAt: null, wallError: null },
    lastBase: null,
    segments: { open: 0, sealed: 0, bytes: 0 },
    bases: { count: 0, bytes: 0 },
    unended: null,
    marks: 0,
    sealingBacklog: 0,
    removed: [],
    retention: null,
    ack: null,
    link: null,
    replicas: [],
    copies: [],
    disk: null,
    freeBytes: expect.any(Number) as number,
    writer: null,
    degraded: null,
    error: null,
    nextAttemptAt: null,
    warnings: [],
  });
});

describe('a stopped journal', () => {
  test('tells what it covers, from files alone', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    journal.clock.advance(2000);
    const end = await journal.write(['SET', 'a', '1'], ['SET', 'b', '2']);
    await journal.stop();
    journal.clock.advance(60_000);
    const status = await statusOf(journal.tree, journal.clock);
    expect(status).toMatchObject({
      state: 'stopped',
      healthy: false,
      address: '10.0.0.5:6379',
      server: { kind: 'redis', version: '7.0.15' },
      timeline: 1,
      position: { id: firstId, received: String(end), durable: String(end), shipped: null },
      lastReceived: '2026-11-20T14:30:03.000000Z',
      lag: { seconds: 60, bytes: 0 },
      intervals: [
        {
          timeline: 1,
          from: '2026-11-20T14:30:01.000000Z',
          to: '2026-11-20T14:30:03.000000Z',
          fromPosition: `${firstId}:1000`,
          toPosition: `${firstId}:${end}`,
        },
      ],
      gaps: [],
      uncertain: [],
      lastBase: { timeline: 1, position: `${firstId}:1000`, time: '2026-11-20T14:30:01.000000Z', version: 10 },
      segments: { open: 1, sealed: 0 },
      bases: { count: 1 },
      writer: null,
    });
    expect(status.segments.bytes).toBeGreaterThan(0);
  });

  test('tells its gaps with their length and cause', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const end = await journal.write(['SET', 'a', '1']);
    journal.clock.advance(131_000);
    await journal.fullSync(secondId, 50);
    const { gaps, intervals, timeline } = await statusOf(journal.tree, journal.clock);
    expect(timeline).toBe(2);
    expect(intervals.map((interval) => interval.timeline)).toEqual([1, 2]);
    expect(gaps).toEqual([
      {
        timeline: 2,
        from: '2026-11-20T14:30:01.000000Z',
        to: '2026-11-20T14:32:12.000000Z',
        fromPosition: `${firstId}:${end}`,
        toPosition: `${secondId}:50`,
        seconds: 131,
        cause: 'history-changed',
        detail: expect.any(String) as string,
      },
    ]);
  });

  test('warns when its writer ended without stopping in good order', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.stop();
    say(journal.tree, journal.clock, { state: 'streaming', timeline: 1 });
    expect((await statusOf(journal.tree, journal.clock)).warnings).toEqual([expect.stringContaining('good order')]);
    say(journal.tree, journal.clock, { state: 'stopping', timeline: 1 });
    expect((await statusOf(journal.tree, journal.clock)).warnings).toEqual([]);
  });

  test('with a missing segment says that it is damaged, and answers all the same', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.write(['SET', 'a', '1']);
    await journal.stop();
    const folder = path.join(journal.tree.timelines, '00000001');
    const base = readdirSync(folder).find((name) => name.endsWith('.base')) ?? '';
    writeFileSync(path.join(folder, base), 'not a document');
    const status = await statusOf(journal.tree, journal.clock);
    expect(status).toMatchObject({ healthy: false, intervals: [], warnings: [expect.stringContaining('damaged')] });
  });
});

describe('with a writer that lives', () => {
  interface Scene extends AsyncDisposable {
    readonly journal: MadeJournal;
    readonly end: number;
    readonly lock: WriterLock;
  }

  async function scene(): Promise<Scene> {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const end = await journal.write(['SET', 'a', '1']);
    const lock = WriterLock.acquire(journal.tree.directory, startedAt);
    return {
      journal,
      end,
      lock,
      [Symbol.asyncDispose]: async () => {
        lock[Symbol.dispose]();
        await journal[Symbol.asyncDispose]();
      },
    };
  }

  test('streaming is healthy, and what it received beyond the disk is lag', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    say(tree, clock, {
      timeline: 1,
      position: { received: String(at.end + 500), durable: String(at.end) },
      lastStamp: formatInstant(clock.wall()),
      sealing: 2,
    });
    clock.advance(400);
    expect(await statusOf(tree, clock)).toMatchObject({
      state: 'streaming',
      healthy: true,
      server: { kind: 'redis', version: '7.2.4' },
      position: { received: String(at.end + 500), durable: String(at.end) },
      lag: { seconds: 0.4, bytes: 500 },
      sealingBacklog: 2,
      writer: { pid: process.pid, host: hostname(), since: startedAt },
      warnings: [],
    });
  });

  test('a command or MULTI that has not ended is told, with where it began and since when', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    const unended = { behind: '1023', since: '2026-11-20T14:30:01.000000Z', bytes: 200 * 1024 * 1024 };
    say(tree, clock, { timeline: 1, unended });
    const status = await statusOf(tree, clock);
    expect(status.unended).toEqual(unended);
    expect(status.warnings).toEqual([
      'a command or MULTI that has not ended has been coming in since 2026-11-20T14:30:01.000000Z, behind offset 1023: ' +
        '200 MiB so far, which no restore reaches until it ends',
    ]);
  });

  test.each(['connecting', 'syncing', 'disconnected'] as const)('%s is told, and not healthy', async (state) => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    const lastError = { code: 'unreachable', message: 'no route', hint: null, at: startedAt };
    say(tree, clock, { state, lastError, nextAttemptAt: startedAt, sync: { received: 10, size: 100 } });
    const status = await statusOf(tree, clock);
    expect(status).toMatchObject({ state, healthy: false, error: lastError, nextAttemptAt: startedAt });
    expect(status.sync).toEqual(state === 'syncing' ? { received: 10, size: 100 } : null);
    // What was covered before is covered still.
    expect(status.intervals).toHaveLength(1);
  });

  test('one that has said nothing for five seconds is stalled', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    say(tree, clock, { timeline: 1 });
    clock.advance(5000);
    expect((await statusOf(tree, clock)).state).toBe('streaming');
    clock.advance(1);
    expect(await statusOf(tree, clock)).toMatchObject({ state: 'stalled', healthy: false });
  });

  test('one whose disk does not keep up is stalled, however much it says', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    const lastStamp = formatInstant(clock.wall());
    clock.advance(6000);
    say(tree, clock, { timeline: 1, position: { received: String(at.end + 1), durable: String(at.end) }, lastStamp });
    expect(await statusOf(tree, clock)).toMatchObject({ state: 'stalled', healthy: false });
    // An idle primary is no such case.
    say(tree, clock, { timeline: 1, position: { received: String(at.end), durable: String(at.end) }, lastStamp });
    expect((await statusOf(tree, clock)).state).toBe('streaming');
  });

  test.each(['streaming', 'syncing', 'disconnected'] as const)(
    'one whose disk is full is stalled, and says so while it is %s',
    async (state) => {
      await using at = await scene();
      const { tree, clock } = at.journal;
      const trouble = { code: 'disk-full', message: 'full', hint: null, since: formatInstant(clock.wall()) } as const;
      const told = { freeBytes: 5, growthBytesPerSecond: 1, fullInSeconds: 5, trouble };
      say(tree, clock, { timeline: 1, state, disk: told });
      expect(await statusOf(tree, clock)).toMatchObject({ state: 'stalled', healthy: false, disk: told });
    },
  );

  test('one that has gone silent is said to have a disk that may not answer, since its last words', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    const told = { freeBytes: 5, growthBytesPerSecond: null, fullInSeconds: null, trouble: null };
    const since = formatInstant(clock.wall());
    say(tree, clock, { timeline: 1, disk: told });
    clock.advance(6000);
    expect((await statusOf(tree, clock)).disk?.trouble).toMatchObject({ code: 'disk-silent', since });
  });

  test('the words of the writer before it are not taken for its own', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    say(tree, clock, { timeline: 1, startedAt: '2026-11-20T14:29:00.000000Z' });
    expect((await statusOf(tree, clock)).state).toBe('connecting');
    say(tree, clock, { timeline: 1, pid: process.pid + 1 });
    expect((await statusOf(tree, clock)).state).toBe('connecting');
  });

  test('one that says nothing at all is connecting at first, then stalled; what is durable is unknown', async () => {
    await using at = await scene();
    const { tree, clock } = at.journal;
    rmSync(tree.state, { force: true });
    expect(await statusOf(tree, clock)).toMatchObject({
      state: 'connecting',
      position: { id: firstId, received: null, durable: null },
      lag: { bytes: null },
    });
    clock.advance(6000);
    expect((await statusOf(tree, clock)).state).toBe('stalled');
  });

  test('one that is stopping counts as stopped', async () => {
    await using at = await scene();
    say(at.journal.tree, at.journal.clock, { state: 'stopping' });
    expect(await statusOf(at.journal.tree, at.journal.clock)).toMatchObject({ state: 'stopped', healthy: false });
  });
});
