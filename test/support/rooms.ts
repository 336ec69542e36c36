// The rooms of the house: which folder may import which, and which packages each may use, with the reason that a
// violation is told. One table for the linter (which marks the line as it is written) and for the tidy test (which
// follows the files and finds cycles as well), so that the two cannot disagree.
//
// It is plain erasable TypeScript without imports, because the linter's configuration loads it as it is.

export interface Room {
  /** The room's name in messages. */
  readonly name: string;
  /** Its folder or file, from the root of the repository. */
  readonly path: string;
  /** The rooms it may import, beside itself. */
  readonly mayImport: readonly string[];
  /** Single files of other rooms that it may import. */
  readonly mayImportFiles?: readonly RegExp[];
  /** Why no others: it ends the message of a refused import. */
  readonly reason: string;
}

const foundation = ['core', 'journal-format'];
const bytes = [...foundation, 'redis', 'storage', 'log'];
const belowRestore = [...bytes, 'downstream', 'scratch'];
const belowCli = [...belowRestore, 'upstream', 'restore', 'inspect', 'archive', 'http', 'daemon'];

export const rooms: readonly Room[] = [
  {
    name: 'journal-format',
    path: 'journal-format',
    mayImport: [],
    reason: 'the format is a library of its own: whoever reads a journal years from now needs nothing else of ours',
  },
  {
    name: 'core',
    path: 'src/core',
    mayImport: ['journal-format'],
    reason: 'core is what everything stands on: it knows neither Redis nor disks nor any room above it',
  },
  {
    name: 'redis',
    path: 'src/redis',
    mayImport: foundation,
    reason: 'the protocol takes bytes and returns values: without I/O every split and corruption can be tested',
  },
  {
    name: 'storage',
    path: 'src/storage',
    mayImport: ['core'],
    reason: 'storage keeps named immutable objects and must not know what is in them',
  },
  {
    name: 'log',
    path: 'src/log',
    mayImport: [...foundation, 'storage'],
    reason:
      'the log is one of bytes with boundaries told to it: what it must know of Redis is handed in by the daemon, ' +
      'so that a journal can be checked and recovered without understanding commands',
  },
  {
    name: 'upstream',
    path: 'src/upstream',
    mayImport: ['core', 'redis'],
    reason:
      'bytes flow one way: upstream hands them to a queue and hears back only Progress; if it saw the log, ' +
      'it could acknowledge something else than what is durable',
  },
  {
    name: 'downstream',
    path: 'src/downstream',
    mayImport: bytes,
    reason: 'a feed reads the log and nothing else: serving replicas must work without a primary',
  },
  {
    name: 'scratch',
    path: 'src/scratch',
    mayImport: [...bytes, 'downstream'],
    reason: 'scratch runs a server and feeds it: what the server is for is decided by those above',
  },
  {
    name: 'restore',
    path: 'src/restore',
    mayImport: belowRestore,
    reason: 'a restore reads a journal: it must work where no primary, daemon or archive job exists',
  },
  {
    name: 'inspect',
    path: 'src/inspect',
    mayImport: [...belowRestore, 'restore'],
    reason:
      'inspection reads a journal, and knows targets as restore does: it must work where no primary, daemon or ' +
      'archive job exists',
  },
  {
    name: 'archive',
    path: 'src/archive',
    mayImport: [...belowRestore, 'restore'],
    reason: 'archive ships, rebases and prunes what the log holds: it must not reach into capture or presentation',
  },
  {
    name: 'http',
    path: 'src/http',
    mayImport: ['core', 'log', 'inspect'],
    mayImportFiles: [/^src\/restore\/(locate|plan)\//],
    reason:
      "http shows and plans, it never does: of restore only the pure planner, so that no request can start what isn't " +
      'seen in a plan first',
  },
  {
    name: 'daemon',
    path: 'src/daemon',
    mayImport: belowCli.filter((name) => name !== 'daemon'),
    reason: 'the daemon wires everything and is started by the command line, never the reverse',
  },
  {
    name: 'cli',
    path: 'src/cli',
    mayImport: belowCli,
    reason: 'the command line uses the modules themselves; the public face is for others',
  },
  {
    name: 'the public face',
    path: 'src/index.ts',
    mayImport: belowCli,
    reason: 'what others import must not bring a command line with it',
  },
];

export interface PackageRule {
  /** Names of packages or Node modules; everything below them (`node:fs/promises`) is meant too. */
  readonly packages: readonly string[];
  /** The rooms that may import them; tests and benchmarks may import everything. */
  readonly allowedIn: readonly string[];
  /** Single files that may as well. */
  readonly allowedInFiles?: readonly RegExp[];
  readonly reason: string;
}

export const packageRules: readonly PackageRule[] = [
  {
    packages: ['@msgpack/msgpack'],
    allowedIn: ['journal-format'],
    reason: 'what is written with MessagePack is part of the format, and the format is written down in one place',
  },
  {
    packages: ['redis-parser'],
    allowedIn: ['redis'],
    reason: 'redis-parser trusts its input: only our splitter, which bounds length and depth first, may feed it',
  },
  {
    packages: ['redis', '@redis/client'],
    allowedIn: ['upstream', 'restore', 'scratch'],
    allowedInFiles: [/^src\/cli\/(.*\/)?demo[a-z-]*\.ts$/],
    reason: 'a client is for side connections and live targets; the replication link is ours, byte for byte',
  },
  {
    packages: ['pino'],
    allowedIn: ['daemon', 'cli'],
    reason: 'the composition root chooses the logger and hands it down; the rooms below report events and errors',
  },
  {
    packages: ['commander', 'cli-progress'],
    allowedIn: ['cli'],
    reason: 'arguments and progress bars belong to the command line: everything below it also runs without a terminal',
  },
  {
    packages: ['zod', 'yaml'],
    allowedIn: ['daemon'],
    reason: 'configuration is read and checked once, in daemon/config, and handed down as plain values',
  },
  {
    packages: ['@aws-sdk', '@smithy'],
    allowedIn: [],
    allowedInFiles: [/^src\/storage\/s3(\/|[a-z-]*\.ts$)/],
    reason: 'only storage/s3 sees the AWS client: everything else works on the storage interface',
  },
  {
    packages: ['node:net', 'node:tls'],
    allowedIn: ['upstream', 'downstream', 'http', 'scratch'],
    reason: 'sockets are at the edges, and handed in, so that the network can be simulated',
  },
  {
    packages: ['node:fs'],
    allowedIn: ['storage', 'cli', 'daemon', 'scratch'],
    reason: 'the disk is handed in (storage), so that crashes can be simulated as well as performed',
  },
];

/** The room a file is in, by its path from the root of the repository with forward slashes. */
export function roomOf(file: string): Room | undefined {
  return rooms.find((room) => file === room.path || file.startsWith(`${room.path}/`));
}

/** The rule that an import of a package breaks, if it does. */
export function brokenPackageRule(file: string, specifier: string): PackageRule | undefined {
  const room = roomOf(file);
  if (room === undefined) return undefined;
  return packageRules.find(
    (rule) =>
      rule.packages.some((name) => specifier === name || specifier.startsWith(`${name}/`)) &&
      !isExempt(rule, room, file),
  );
}

function isExempt(rule: PackageRule, room: Room, file: string): boolean {
  return rule.allowedIn.includes(room.name) || (rule.allowedInFiles ?? []).some((pattern) => pattern.test(file));
}
