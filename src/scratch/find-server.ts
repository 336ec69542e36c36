/**
 * Finds a real server on this machine: redis-server or valkey-server on PATH, asked for its version. server.ts starts it.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
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
  for (const name of names) {
    for (const directory of (searchPath ?? '').split(delimiter)) {
      const path = join(directory, name);
      const version = directory === '' || !(await isExecutable(path)) ? undefined : await askVersion(path);
      if (version !== undefined) return { ...version, path };
    }
  }
  throw new UsageError('no-server', 'neither redis-server nor valkey-server is on PATH', {
    hint: 'install one, for example: apt-get install redis-server',
    exitCode: 1,
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
