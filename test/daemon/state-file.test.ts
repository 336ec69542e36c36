// The writer's last words: when they are written, what is in them, and that nobody stumbles over what is not.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readRunState, StateWriter } from '../../src/daemon/state-file.ts';
import type { RunChange, RunState } from '../../src/daemon/state-file.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Desk {
  readonly clock: ManualClock;
  readonly file: string;
  readonly writer: StateWriter;
  readonly failures: unknown[];
  read(): RunState;
}

function desk(options: { readonly file?: string; readonly poll?: () => RunChange } = {}): Desk {
  const clock = new ManualClock('2026-11-20T14:30:00Z');
  const file = options.file ?? path.join(temporaryDirectory('state'), 'state.json');
  const failures: unknown[] = [];
  const writer = new StateWriter({
    disk: localDisk,
    clock,
    path: file,
    source: '10.0.0.5:6379',
    startedAt: '2026-11-20T14:30:00.000000Z',
    failed: (error) => void failures.push(error),
    ...(options.poll !== undefined && { poll: options.poll }),
  });
  return { clock, file, writer, failures, read: () => JSON.parse(readFileSync(file, 'utf8')) as RunState };
}

function written(at: Desk, what: Partial<RunState>): Promise<unknown> {
  return eventually(`the state file to have ${JSON.stringify(what)}`, () => {
    expect(at.read()).toMatchObject(what);
    return true;
  });
}

describe('the state file', () => {
  test('is there from the first moment, and says connecting', async () => {
    const at = desk();
    await written(at, { state: 'connecting', pid: process.pid, source: '10.0.0.5:6379', position: null });
    await at.writer[Symbol.asyncDispose]();
  });

  test('is written at once when the state changes, and when the link fails', async () => {
    const at = desk();
    at.writer.update({ state: 'syncing' });
    await written(at, { state: 'syncing' });
    const lastError = { code: 'unreachable', message: 'no route', hint: null, at: '2026-11-20T14:30:00Z' };
    at.writer.update({ lastError });
    await written(at, { lastError });
    await at.writer[Symbol.asyncDispose]();
  });

  test('is written once a second otherwise, with what is polled then', async () => {
    let polls = 0;
    const at = desk({ poll: () => ({ sealing: (polls += 1) }) });
    await written(at, { sealing: 1 });
    for (let i = 0; i < 100; i += 1) at.writer.update({ timeline: i });
    at.clock.advance(999);
    expect(polls).toBe(1);
    at.clock.advance(1);
    await written(at, { sealing: 2, timeline: 99, updatedAt: '2026-11-20T14:30:01.000000Z' });
    await at.writer[Symbol.asyncDispose]();
  });

  test('grows no older than a second while nothing happens at all', async () => {
    const at = desk();
    for (let second = 1; second <= 3; second += 1) {
      at.clock.advance(1000);
      await written(at, { updatedAt: `2026-11-20T14:30:0${second}.000000Z` });
    }
    await at.writer[Symbol.asyncDispose]();
  });

  test('keeps the last state after the end, and no timer', async () => {
    const at = desk();
    at.writer.update({ state: 'stopping', position: { received: '20', durable: '20' } });
    await at.writer[Symbol.asyncDispose]();
    expect(at.read()).toMatchObject({ state: 'stopping', position: { received: '20', durable: '20' } });
    expect(at.clock.pending).toBe(0);
    await at.writer[Symbol.asyncDispose]();
  });

  test('that cannot be written is told of once, and stops nothing', async () => {
    const at = desk({ file: path.join(temporaryDirectory('state'), 'missing', 'state.json') });
    at.writer.update({ state: 'syncing' });
    at.writer.update({ state: 'streaming' });
    await at.writer[Symbol.asyncDispose]();
    expect(at.failures).toHaveLength(1);
  });
});

describe('reading it', () => {
  test('gives what was written', async () => {
    const at = desk();
    at.writer.update({
      state: 'streaming',
      server: { kind: 'valkey', version: '8.1.0' },
      timeline: 3,
      id: 'a'.repeat(40),
      position: { received: '9007199254740991', durable: '0' },
      lastStamp: '2026-11-20T14:30:00.000001Z',
      sync: { received: 1, size: null },
      lastError: { code: 'silent', message: 'nothing came', hint: 'wait', at: '2026-11-20T14:30:00Z' },
      nextAttemptAt: '2026-11-20T14:30:09Z',
    });
    await at.writer[Symbol.asyncDispose]();
    expect(await readRunState(localDisk, at.file)).toEqual(at.writer.state);
  });

  test.each([
    ['nothing', undefined],
    ['an empty file', ''],
    ['half a document', '{"version": 1, "pid":'],
    ['another document', '[]'],
    ['one of a later version', '{"version": 2}'],
    ['garbage', '\u0000\u0001\u0002'],
  ])('%s is no state, and no error', async (_, content) => {
    const file = path.join(temporaryDirectory('state'), 'state.json');
    if (content !== undefined) writeFileSync(file, content);
    expect(await readRunState(localDisk, file)).toBeUndefined();
  });

  test('refuses offsets and times that are none', async () => {
    const at = desk();
    await at.writer[Symbol.asyncDispose]();
    const good = at.read();
    for (const wrong of [
      { position: { received: '-1', durable: '0' } },
      { updatedAt: 'yesterday' },
      { state: 'fine' },
    ]) {
      writeFileSync(at.file, JSON.stringify({ ...good, ...wrong }));
      expect(await readRunState(localDisk, at.file)).toBeUndefined();
    }
  });
});
