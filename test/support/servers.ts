// Servers: which real Redis and Valkey servers this machine has, so that tests can run on every one of them.
// They are found on PATH and below the folders that JOURNAL_TEST_SERVERS names (colon-separated; each folder holds
// <anything>/bin/redis-server or valkey-server). redis-server.ts starts them, describe-servers.ts makes suites of them.
// Invariant: one entry for each kind and major.minor, PATH winning; nothing is downloaded here.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import path from 'node:path';

export type ServerKind = 'redis' | 'valkey';

/** What decides which commands and formats a server knows. */
export interface ServerVersion {
  readonly kind: ServerKind;
  /** As the server reports it, for example 7.0.15. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
}

export interface ServerBinary extends ServerVersion {
  readonly path: string;
  readonly cliPath: string;
}

let found: readonly ServerBinary[] | undefined;

/** Every server of this machine, Redis before Valkey, old before new. */
export function availableServers(): readonly ServerBinary[] {
  found ??= discover();
  return found;
}

/** The server for tests that need just one: Redis 7.0 where there is one, else the newest. */
export function pickServer(): ServerBinary {
  const servers = availableServers();
  const preferred = servers.find((server) => isRelease(server, 'redis', 7, 0)) ?? servers.at(-1);
  if (preferred === undefined) throw new Error(noServerMessage);
  return preferred;
}

export const noServerMessage =
  'no redis-server or valkey-server: put one on PATH, or name folders of them in JOURNAL_TEST_SERVERS';

/** Printed in test names: redis 7.0.15. */
export function serverLabel(server: ServerVersion): string {
  return `${server.kind} ${server.version}`;
}

/**
 * Whether the server has what came with these releases; a kind that is left out never has it.
 * A minor version may be left out: `isAtLeast(server, { redis: 7, valkey: 7.2 })` reads as numbers, so no 7.10 exists.
 */
export function isAtLeast(server: ServerVersion, since: Partial<Record<ServerKind, number>>): boolean {
  const wanted = since[server.kind];
  return wanted !== undefined && server.major + server.minor / 10 >= wanted - 1e-9;
}

function isRelease(server: ServerVersion, kind: ServerKind, major: number, minor: number): boolean {
  return server.kind === kind && server.major === major && server.minor === minor;
}

function discover(): readonly ServerBinary[] {
  const byRelease = new Map<string, ServerBinary>();
  for (const directory of [...pathDirectories(), ...configuredDirectories()]) {
    for (const name of ['redis-server', 'valkey-server']) {
      const binary = inspect(directory, name);
      if (binary === undefined) continue;
      const release = `${binary.kind} ${binary.major}.${binary.minor}`;
      if (!byRelease.has(release)) byRelease.set(release, binary);
    }
  }
  return [...byRelease.values()].sort(compareServers);
}

function compareServers(a: ServerVersion, b: ServerVersion): number {
  return a.kind.localeCompare(b.kind) || a.major - b.major || a.minor - b.minor;
}

function pathDirectories(): string[] {
  return splitList(process.env.PATH);
}

function configuredDirectories(): string[] {
  return splitList(process.env.JOURNAL_TEST_SERVERS).flatMap((folder) =>
    readdirSync(folder).map((entry) => path.join(folder, entry, 'bin')),
  );
}

function splitList(value: string | undefined): string[] {
  return (value ?? '').split(path.delimiter).filter((entry) => entry !== '');
}

/** The kind comes from what the program says, not from its name: some systems ship redis-server as a link to Valkey. */
function inspect(directory: string, name: string): ServerBinary | undefined {
  const program = path.join(directory, name);
  if (!isExecutable(program)) return undefined;
  const output = execFileSync(program, ['--version'], { encoding: 'utf8' });
  const match = /^(redis|valkey)[ -]server v=((\d+)\.(\d+)\S*)/i.exec(output);
  const [, kind, version, major, minor] = match ?? [];
  if (kind === undefined || version === undefined) return undefined;
  const ofKind = kind.toLowerCase() === 'valkey' ? 'valkey' : 'redis';
  const cliNames = [name.replace('-server', '-cli'), `${ofKind}-cli`].map((cli) => path.join(directory, cli));
  return {
    kind: ofKind,
    version,
    major: Number(major),
    minor: Number(minor),
    path: program,
    cliPath: cliNames.find(isExecutable) ?? `${ofKind}-cli`,
  };
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
