// Scratch servers when their owner is killed: they end with it, and what even then is left is removed by the next owner.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { PrivateDirectory, removeLeftBehind } from '../../src/scratch/private-directory.ts';
import { ScratchServer } from '../../src/scratch/server.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { leash, temporaryDirectory } from '../support/leash.ts';
import type { ServerBinary } from '../support/servers.ts';

interface Held {
  readonly directory: string;
  /** Processes of ours: the owner, the server that works in the directory, the shell that watches over it. */
  readonly owner: number;
  readonly server: number;
  readonly watchdog: number;
}

async function hold(binary: ServerBinary, parent: string): Promise<Held> {
  const program = path.join(import.meta.dirname, '../support/scratch-holder.ts');
  const { kind, version } = binary;
  const child = spawn(process.execPath, [program, binary.path, kind, version, parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  leash(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const directory = line.toString().trim();
  const server = processes().find((pid) => workingDirectory(pid) === directory) ?? 0;
  const watchdog = processes().find((pid) => commandLine(pid).includes(`\0sh\0${directory}\0`)) ?? 0;
  expect([server, watchdog].every((pid) => pid > 0)).toBe(true);
  return { directory, owner: child.pid ?? 0, server, watchdog };
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`) || commandLine(pid) === '';

describeServers('a scratch server whose owner is killed', (binary) => {
  test('is killed, and its directory removed', async () => {
    const parent = temporaryDirectory('scratch');
    const { owner, server, watchdog } = await hold(binary, parent);
    process.kill(owner, 'SIGKILL');
    await eventually('the server to end', () => isGone(server));
    await eventually('the directory to go', () => readdirSync(parent).length === 0);
    await eventually('the watchdog to end', () => isGone(watchdog));
  });

  test('with everything that watched over it, is removed by the next that comes', async () => {
    const parent = temporaryDirectory('scratch');
    const { directory, owner, server, watchdog } = await hold(binary, parent);
    process.kill(watchdog, 'SIGKILL');
    process.kill(owner, 'SIGKILL');
    await eventually('the owner to let go', () => WriterLock.probe(directory) === undefined);
    expect(isGone(server)).toBe(false);
    await using next = await PrivateDirectory.create(parent, systemClock);
    await eventually('the server to end', () => isGone(server));
    expect(existsSync(directory)).toBe(false);
    expect(readdirSync(parent)).toEqual([path.basename(next.path)]);
  });

  test('is left alone while its owner lives', async () => {
    const parent = temporaryDirectory('scratch');
    const { directory, owner, server } = await hold(binary, parent);
    expect(await removeLeftBehind(parent, systemClock)).toEqual([]);
    expect(existsSync(directory) && !isGone(server)).toBe(true);
    process.kill(owner, 'SIGKILL');
  });
});

describeServers(
  'a scratch server',
  (binary) => {
    test('is reached in a directory whose path is longer than the address of a socket', async () => {
      const parent = path.join(temporaryDirectory('scratch'), 'x'.repeat(100));
      mkdirSync(parent);
      await using directory = await PrivateDirectory.create(parent, systemClock);
      await using server = await ScratchServer.start({
        ...{ program: binary, directory: directory.path, clock: systemClock, readyTimeoutMs: 10_000 },
        signal: new AbortController().signal,
      });
      const client = await server.connect();
      expect(await client.sendCommand(['PING'])).toBe('PONG');
      client.destroy();
    });

    test('tells how it ended when it cannot start', async () => {
      await using directory = await PrivateDirectory.create(temporaryDirectory('scratch'), systemClock);
      const started = ScratchServer.start({
        ...{ program: binary, directory: directory.path, clock: systemClock, readyTimeoutMs: 10_000 },
        ...{ signal: new AbortController().signal, settings: ['appendonly yes', 'appendfilename x/y'] },
      });
      await expect(started).rejects.toMatchObject({ code: 'server-not-ready', exitCode: 1 });
    });

    test('that died at birth is removed after a minute', async () => {
      const parent = temporaryDirectory('scratch');
      const born = path.join(parent, '.journal-scratch-0badcafe');
      mkdirSync(born);
      writeFileSync(path.join(born, 'lock'), '');
      expect(await removeLeftBehind(parent, systemClock)).toEqual([]);
      const minuteAgo = Date.now() / 1000 - 61;
      utimesSync(born, minuteAgo, minuteAgo);
      expect(await removeLeftBehind(parent, systemClock)).toEqual([path.basename(born)]);
      expect(readdirSync(parent)).toEqual([]);
    });

    test("takes a stranger's directory for none of its own, whatever its name", async () => {
      const parent = temporaryDirectory('scratch');
      mkdirSync(path.join(parent, '.journal-scratch-precious'));
      writeFileSync(path.join(parent, '.journal-scratch-precious', 'data'), 'x');
      expect(await removeLeftBehind(parent, systemClock)).toEqual([]);
      expect(readdirSync(parent)).toEqual(['.journal-scratch-precious']);
    });
  },
  { where: ({ kind, major }) => kind === 'redis' && major === 7 },
);
