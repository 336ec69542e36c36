/**
 * Finds real servers on this machine: redis-server and valkey-server on PATH, or the program that the user names; each is
 * asked for its version. can-load.ts chooses among them, server.ts starts one.
 */
import { execFile } from 'node:child_process';
import { access, constants, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { UsageError } from '../core/errors.ts';
import type { ServerVersion } from '../redis/server-version.ts';

export interface ServerProgram extends ServerVersion {
  readonly path: string;
}

const names = ['redis-server', 'valkey-server'] as const;
const answerTimeoutMs = 10_000;

/** The first that PATH has; UsageError when there is none, or none that runs. */
export async function findServer(searchPath: string | undefined): Promise<ServerProgram> {
  const [first] = await findServers(searchPath);
  if (first !== undefined) return first;
  throw new UsageError('no-server', 'neither redis-server nor valkey-server is on PATH', {
    hint: 'install one, for example: apt-get install redis-server',
    exitCode: 1,
  });
}

/** All that PATH has and that run, each once, in the order of PATH; with `named` that one only, or UsageError. */
export async function findServers(searchPath: string | undefined, named?: string): Promise<ServerProgram[]> {
  if (named !== undefined) return [await namedServer(named)];
  const programs: ServerProgram[] = [];
  const seen = new Set<string>();
  for (const name of names) {
    for (const directory of (searchPath ?? '').split(delimiter)) {
      const path = join(directory, name);
      if (directory === '' || !(await isExecutable(path))) continue;
      const real = await realpath(path);
      if (seen.has(real)) continue;
      seen.add(real);
      const version = await askVersion(path);
      if (version !== undefined) programs.push({ ...version, path });
    }
  }
  return programs;
}

async function namedServer(path: string): Promise<ServerProgram> {
  const version = (await isExecutable(path)) ? await askVersion(path) : undefined;
  if (version !== undefined) return { ...version, path };
  throw new UsageError('bad-server-bin', `${path} is no redis-server or valkey-server that runs here`, {
    hint: 'name the program itself, for example /usr/bin/redis-server',
  });
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** From `Redis server v=7.0.15 sha=…` or `Valkey server v=8.0.1 …`. */
async function askVersion(path: string): Promise<ServerVersion | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: answerTimeoutMs });
    const found = /^(Redis|Valkey) server v=((\d+)\.(\d+)\.\S+)/.exec(stdout);
    if (found?.[2] === undefined) return undefined;
    const kind = found[1] === 'Valkey' ? 'valkey' : 'redis';
    return { kind, version: found[2], major: Number(found[3]), minor: Number(found[4]) };
  } catch {
    return undefined;
  }
}
