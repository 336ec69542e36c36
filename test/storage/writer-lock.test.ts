// One writer per source: across processes, for as long as the process lives, and not a moment longer.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StorageError } from '../../src/core/errors.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';

const since = '2026-11-20T14:30:00.000000Z';
let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'journal-lock-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** Another process that takes the lock, says so, and keeps it until it is killed. */
async function otherHolder(): Promise<ChildProcess> {
  const module = pathToFileURL(path.resolve('src/storage/writer-lock.ts')).href;
  const script = `
    import { WriterLock } from ${JSON.stringify(module)};
    globalThis.lock = WriterLock.acquire(${JSON.stringify(directory)}, ${JSON.stringify(since)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

function refusal(): StorageError {
  try {
    WriterLock.acquire(directory, since)[Symbol.dispose]();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error('the lock was given to two');
}

test('a second process is refused, with exit code 8 and the name of the first', async () => {
  const { pid } = await otherHolder();
  const error = refusal();
  expect(error).toMatchObject({ code: 'locked', exitCode: 8 });
  expect(error.message).toContain(`process ${pid ?? 0} on `);
  expect(error.message).toContain(since);
  expect(error.hint).toContain('--name');
});

test('a killed process holds nothing', async () => {
  const child = await otherHolder();
  child.kill('SIGKILL');
  await once(child, 'exit');
  using lock = WriterLock.acquire(directory, since);
  expect(lock).toBeInstanceOf(WriterLock);
  expect(WriterLock.probe(directory)?.pid).toBe(process.pid);
});

test('a second writer in the same process is refused', () => {
  using lock = WriterLock.acquire(directory, since);
  expect(refusal().code).toBe('locked');
  expect(lock).toBeDefined();
  expect(refusal().code, 'the refused attempt let go of the lock').toBe('locked');
});

test('what was let go can be taken again', () => {
  WriterLock.acquire(directory, since)[Symbol.dispose]();
  expect(WriterLock.probe(directory)).toBeUndefined();
  using lock = WriterLock.acquire(directory, since);
  expect(lock).toBeDefined();
  lock[Symbol.dispose]();
  lock[Symbol.dispose]();
});

test('a probe tells who writes and disturbs nobody', async () => {
  expect(WriterLock.probe(directory), 'nobody has ever written').toBeUndefined();
  const { pid } = await otherHolder();
  for (let i = 0; i < 20; i += 1) expect(WriterLock.probe(directory)).toMatchObject({ pid, since });
  expect(refusal().code).toBe('locked');
});

test('probing in the process that holds the lock does not let go of it', async () => {
  using lock = WriterLock.acquire(directory, since);
  expect(lock).toBeDefined();
  expect(WriterLock.probe(directory)?.pid).toBe(process.pid);
  await expect(otherHolderFails()).resolves.toContain('another journal writes to');
});

test('a directory that is not there is a storage error, not a crash', () => {
  rmSync(directory, { recursive: true });
  expect(refusal()).toMatchObject({ code: 'io', exitCode: 9 });
  expect(WriterLock.probe(directory)).toBeUndefined();
});

test('lock and holder can be read by their owner alone', () => {
  using lock = WriterLock.acquire(directory, since);
  expect(lock).toBeDefined();
  const modes = ['lock', 'holder.json'].map((name) => statSync(path.join(directory, name)).mode & 0o777);
  expect(modes).toEqual([0o600, 0o600]);
  expect(JSON.parse(readFileSync(path.join(directory, 'holder.json'), 'utf8'))).toMatchObject({
    pid: process.pid,
    since,
  });
});

/** What a process says that tries to take the lock and cannot. */
async function otherHolderFails(): Promise<string> {
  const module = pathToFileURL(path.resolve('src/storage/writer-lock.ts')).href;
  const script = `
    import { WriterLock } from ${JSON.stringify(module)};
    try { WriterLock.acquire(${JSON.stringify(directory)}, 'now'); console.log('held'); }
    catch (error) { console.log(error.message); }`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const chunks = await child.stdout.toArray();
  return Buffer.concat(chunks as Buffer[]).toString();
}
