// The control socket: who asks gets one answer; whoever sends anything else costs nothing and is let go; only its owner can
// open it, and it is nobody else's to take.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../src/core/errors.ts';
import { ControlDoor, askAtDoor } from '../../src/downstream/control-door.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { ManualClock } from '../support/manual-clock.ts';

const signal = new AbortController().signal;

async function withDoor(use: (file: string, clock: ManualClock, asked: unknown[]) => Promise<void>): Promise<void> {
  const file = path.join(temporaryDirectory('door'), 'delayed.sock');
  const clock = new ManualClock();
  const asked: unknown[] = [];
  await using _door = await ControlDoor.open(file, localDisk, clock, async (request) => {
    asked.push(request);
    return Promise.resolve({ heard: request ?? null });
  });
  await use(file, clock, asked);
}

/** What comes until the end. */
async function heard(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => void parts.push(part));
  socket.on('error', () => undefined);
  await eventually('the end', () => socket.closed);
  return Buffer.concat(parts).toString();
}

function codeOf(asking: Promise<unknown>): Promise<unknown> {
  return asking.then(
    () => 'no error',
    (error: unknown) => (error instanceof JournalError ? [error.code, error.exitCode] : error),
  );
}

describe('the control socket', () => {
  test('answers one line with one line, and belongs to its owner alone', async () => {
    await withDoor(async (file) => {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(await askAtDoor(file, { verb: 'status', n: 1 }, signal)).toEqual({ heard: { verb: 'status', n: 1 } });
      const socket = connect(file);
      socket.end('{"a":1}\n{"b":2}\n');
      expect(await heard(socket)).toBe('{"heard":{"a":1}}\n');
    });
  });

  test('takes what is no JSON for no request, and lets go of whoever sends too much or nothing', async () => {
    await withDoor(async (file, clock, asked) => {
      const garbage = connect(file);
      garbage.write(Buffer.from([0xff, 0x00, 0x0a]));
      expect(await heard(garbage)).toBe('{"heard":null}\n');
      const flood = connect(file);
      flood.write('x'.repeat(200_000));
      expect(await heard(flood)).toBe('');
      const silent = connect(file);
      await once(silent, 'connect');
      await eventually('its patience to run', () => clock.pending > 0);
      clock.advance(10_000);
      expect(await heard(silent)).toBe('');
      expect(asked).toEqual([undefined]);
      expect(await askAtDoor(file, 'still here', signal)).toEqual({ heard: 'still here' });
    });
  });

  test('has room for some who say nothing, and for others as soon as they are gone', async () => {
    await withDoor(async (file, clock) => {
      const crowd = Array.from({ length: 40 }, () => connect(file));
      for (const socket of crowd) socket.on('error', () => undefined);
      await eventually(
        'those who are too many to be let go',
        () => crowd.filter(({ destroyed }) => destroyed).length >= 24,
      );
      clock.advance(10_000);
      await eventually('all to be gone', () => crowd.every(({ destroyed }) => destroyed));
      expect(await askAtDoor(file, 1, signal)).toEqual({ heard: 1 });
    });
  });

  test('is not taken from a process that listens there, and is from one that is gone', async () => {
    const file = path.join(temporaryDirectory('door'), 'delayed.sock');
    const answer = (): Promise<unknown> => Promise.resolve(1);
    const open = (): Promise<ControlDoor> => ControlDoor.open(file, localDisk, new ManualClock(), answer);
    const first = await open();
    expect(await codeOf(open())).toEqual(['locked', 8]);
    await first[Symbol.asyncDispose]();
    expect(await codeOf(askAtDoor(file, 1, signal))).toEqual(['nobody-serves', 11]);
    // As a killed process leaves it.
    const leave = `require('net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', leave], { stdio: 'ignore' })).toThrow();
    expect(await codeOf(askAtDoor(file, 1, signal))).toEqual(['nobody-serves', 11]);
    await using _second = await open();
    expect(await askAtDoor(file, 1, signal)).toBe(1);
  });

  test('is refused where there is a file, or a path that no socket can have', async () => {
    const directory = temporaryDirectory('door');
    const file = path.join(directory, 'file');
    writeFileSync(file, 'precious');
    const answer = (): Promise<unknown> => Promise.resolve(1);
    const open = (at: string): Promise<unknown> => codeOf(ControlDoor.open(at, localDisk, new ManualClock(), answer));
    expect(await open(file)).toEqual(['cannot-control', 2]);
    expect(statSync(file).size).toBe(8);
    expect(await open(path.join(directory, 'x'.repeat(120)))).toEqual(['control-too-long', 2]);
    expect(await open(path.join(directory, 'nowhere', 'x'))).toEqual(['cannot-control', 2]);
  });
});
