// Restore: how long a dataset takes to come back, beside the least that it could take. A primary with a filled dataset
// and AOF on, a journal attached to it, then a stream of SETs, half of them with a TTL, and HSETs: so the primary's own AOF
// (base, then commands) and the journal (base, then stream) hold the same. Then, in turns:
//
//   cp               the restored files, copied and synced                                  what a disk can do
//   directory        journal restore --to DIR                                               at least 0.5 of cp
//   server's own     a server loads its own AOF                                             what people have today
//   server restored  the same server loads the restored directory                           at most 1.15 of its own
//   truncated        redis-check-aof --truncate-to-timestamp on a copy of the AOF           the server's own way back
//   rdb              through a scratch server: --to rdb:FILE
//   shift, keys      to a directory, with --ttl shift; a ninth of the keys                  150 MB/s
//
// The plan's estimates are judged, too: right within a factor of 2. Everything that a server loads is counted: all must
// have as many keys as the primary had.
//
// What a server takes of small values in a second is less than what it takes of large ones: --value 1000 shows these.
//
//   node bench/restore.ts [--rounds 5] [--base 500000000] [--stream 500000000] [--value 100] [--dir DIR] [--save]
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { RedisServer } from '../test/support/redis-server.ts';
import { pickServer, serverLabel } from '../test/support/servers.ts';
import { attached, caughtUp } from './support/attached.ts';
import { Child } from './support/child.ts';
import { requireBuild, restore, runCommand } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import {
  atLeast,
  atMost,
  type Conditions,
  conditionsOf,
  formatConditions,
  publish,
  table,
  verdict,
} from './support/report.ts';
import { flushDisk } from './support/run.ts';
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

const contestants = [
  'cp',
  'directory',
  'server’s own',
  'server restored',
  'truncated',
  'rdb',
  'shift',
  'keys',
] as const;
type Contestant = (typeof contestants)[number];

interface Settings {
  readonly rounds: number;
  readonly base: number;
  readonly stream: number;
  readonly value: number;
  readonly directory: string;
  readonly save: boolean;
}

/** Seconds, and what the plan had estimated. */
interface Result {
  readonly seconds: number;
  readonly estimated?: number;
}

type Round = Readonly<Partial<Record<Contestant, Result>>>;

interface Report extends Conditions {
  readonly primary: string;
  /** Bytes of each. */
  readonly value: number;
  /** Of base and stream. */
  readonly bytes: number;
  readonly keys: number;
  readonly rounds: readonly Round[];
}

const budgets = { ofCopy: 0.5, ofOwnLoad: 1.15, editedMbPerSecond: 150, estimate: 2 };
/** What a key takes in an RDB besides its value, about; and a command in the stream. */
const keyBytes = 20;
const commandBytes = 50;
const aofConfig = {
  appendonly: 'yes',
  appendfsync: 'no',
  'aof-timestamp-enabled': 'yes',
  'auto-aof-rewrite-percentage': '0',
  'enable-debug-command': 'local',
};

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  requireBuild();
  return readNumbers({ rounds: 5, base: 500_000_000, stream: 500_000_000, value: 100 });
}

/** What all rounds begin with: the folders are below the workspace. */
interface Made {
  readonly aof: string;
  readonly journal: string;
  readonly keys: number;
}

async function measure(asked: Settings, parent: string): Promise<Report> {
  const { rounds: count, value } = asked;
  const made = await makeJournal(parent, asked);
  const rounds: Round[] = [];
  let bytes = 0;
  for (let round = 1; round <= count; round += 1) {
    const directory = path.join(parent, `round-${round}`);
    mkdirSync(directory);
    const results: Partial<Record<Contestant, Result>> = {};
    for (const contestant of contestants) {
      flushDisk();
      const result = await run(contestant, made, directory);
      results[contestant] = result;
      console.error(`round ${round}/${count}  ${contestant.padEnd(15)}  ${result.seconds.toFixed(2)} s`);
    }
    rounds.push(results);
    bytes = folderBytes(path.join(directory, 'restored'));
    rmSync(directory, { recursive: true });
  }
  const conditions = conditionsOf('restore', describeMachine(parent));
  return { ...conditions, primary: serverLabel(pickServer()), value, bytes, keys: made.keys, rounds };
}

/** A primary with its AOF, and a journal of the same: both are stopped, and stay. */
async function makeJournal(parent: string, { base, stream, value }: Settings): Promise<Made> {
  const [aof, journal] = [path.join(parent, 'aof'), path.join(parent, 'journal')];
  mkdirSync(aof);
  await using server = await RedisServer.start(pickServer(), { dir: aof, config: aofConfig });
  await using client = await server.connect();
  await client.text('DEBUG', 'POPULATE', String(Math.ceil(base / (value + keyBytes))), 'key', String(value));
  await client.text('BGREWRITEAOF');
  while (!/aof_rewrite_in_progress:0[^]*aof_rewrite_scheduled:0/.test(await client.text('INFO', 'persistence')))
    continue;
  await using child = new Child('journal', runCommand(journal, server.port));
  await Promise.race([attached(server), child.failed]);
  const requests = String(Math.ceil(stream / (value + commandBytes) / 3));
  const program = server.binary.path.replace(/server$/, 'benchmark');
  const options = ['-p', String(server.port), '-n', requests, '-c', '20', '-P', '16', '-q', '-r', '1000000'];
  for (const load of [
    ['-t', 'set,hset', '-d', String(value)],
    ['SET', 'key:__rand_int__', 'x'.repeat(value), 'EX', '1000000'],
  ]) {
    await Promise.race([promisify(execFile)(program, [...options, ...load]), child.failed]);
  }
  await Promise.race([caughtUp(server, journal), child.failed]);
  const keys = Number(await client.text('DBSIZE'));
  await child.stop();
  await server.stop();
  return { aof, journal, keys };
}

async function run(contestant: Contestant, { aof, journal, keys }: Made, directory: string): Promise<Result> {
  const restored = path.join(directory, 'restored');
  switch (contestant) {
    case 'cp':
      return timedCopy(journal, directory);
    case 'directory':
      return timedRestore(journal, restored);
    case 'server’s own':
      return loaded(copyOf(aof, path.join(directory, 'own')), keys);
    case 'server restored':
      return loaded(copyOf(restored, path.join(directory, 'loaded')), keys);
    case 'truncated':
      return truncated(copyOf(aof, path.join(directory, 'truncated')));
    case 'rdb':
      return timedRestore(journal, `rdb:${path.join(directory, 'rdb')}`);
    case 'shift':
      return timedRestore(journal, path.join(directory, 'shift'), '--ttl', 'shift');
    case 'keys':
      return timedRestore(journal, path.join(directory, 'keys'), '--keys', 'key:1*');
  }
}

async function timedCopy(journal: string, directory: string): Promise<Result> {
  const [whole, copy] = [path.join(directory, 'whole'), path.join(directory, 'copied')];
  await restore(journal, whole, path.join(directory, 'cache'));
  flushDisk();
  const result = await timed(async () => {
    await promisify(execFile)('cp', ['-r', '--reflink=never', whole, copy]);
    await promisify(execFile)('sync', ['-f', directory]);
  });
  for (const folder of [whole, copy]) rmSync(folder, { recursive: true });
  return result;
}

/** The last second of it: the tool only ever cuts the last file. */
async function truncated(data: string): Promise<Result> {
  const program = pickServer().path.replace(/server$/, 'check-aof');
  const at = String(Math.floor(statSync(lastFile(data)).mtimeMs / 1000) - 1);
  return timed(() => promisify(execFile)(program, ['--truncate-to-timestamp', at, manifestOf(data)]));
}

/** Synced, so that writing it is nobody's expense. */
function copyOf(data: string, to: string): string {
  cpSync(data, to, { recursive: true, preserveTimestamps: true });
  flushDisk();
  return to;
}

async function timedRestore(journal: string, to: string, ...options: string[]): Promise<Result> {
  let estimated = 0;
  const { seconds } = await timed(async () => {
    ({ estimatedSeconds: estimated } = await restore(
      journal,
      to,
      path.join(path.dirname(journal), 'cache'),
      ...options,
    ));
  });
  return { seconds, estimated };
}

/** What the server itself says that loading took. */
async function loaded(directory: string, keys: number): Promise<Result> {
  await using server = await RedisServer.startFrom(pickServer(), directory, { readyTimeoutMs: 300_000 });
  await using client = await server.connect();
  const found = Number(await client.text('DBSIZE'));
  if (found !== keys) throw new Error(`${directory} has ${found} keys instead of ${keys}`);
  const said = /DB loaded from append only file: ([\d.]+) seconds/.exec(server.logs());
  if (said?.[1] === undefined) throw new Error('the server does not say how long it loaded');
  return { seconds: Number(said[1]) };
}

async function timed(work: () => Promise<unknown>): Promise<Result> {
  const begun = performance.now();
  await work();
  return { seconds: (performance.now() - begun) / 1000 };
}

function manifestOf(data: string): string {
  return path.join(data, 'appendonlydir', 'appendonly.aof.manifest');
}

function lastFile(data: string): string {
  const name = /file (\S+) seq \d+ type i\s*$/.exec(readFileSync(manifestOf(data), 'utf8'))?.[1];
  if (name === undefined) throw new Error('the manifest names no incremental file');
  return path.join(data, 'appendonlydir', name);
}

function folderBytes(directory: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names.reduce((sum, name) => sum + statSync(path.join(directory, name)).size, 0);
}

function formatReport(result: Report): string[] {
  const { rounds, bytes, keys, value, primary } = result;
  return [
    '# Restore',
    '',
    `${(bytes / 1e9).toFixed(2)} GB of base and stream, ${keys} keys, values of ${value} bytes, ${primary}; median (least–most) of ${rounds.length} rounds.`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['', 's', 'MB/s', 'estimated, s'],
      contestants.flatMap((name) => formatContestant(name, rounds, bytes)),
    ),
    '',
    ...judge(rounds, bytes),
  ];
}

function formatContestant(name: Contestant, rounds: readonly Round[], bytes: number): string[][] {
  const results = rounds.map((round) => round[name]).filter((result) => result !== undefined);
  const [first] = results;
  if (first === undefined) return [];
  const seconds = spreadOf(results.map((result) => result.seconds));
  const speed = (bytes / 1e6 / seconds.median).toFixed(0);
  return [[name, formatSpread(seconds, 2), speed, first.estimated === undefined ? '' : first.estimated.toFixed(0)]];
}

function judge(rounds: readonly Round[], bytes: number): string[] {
  const ratio = (over: Contestant, under: Contestant): Spread =>
    spreadOf(rounds.map((round) => (round[over]?.seconds ?? 0) / (round[under]?.seconds ?? 1)));
  const copy = ratio('cp', 'directory');
  const load = ratio('server restored', 'server’s own');
  const speeds = (['shift', 'keys'] as const).map((name) => ({
    name,
    speed: spreadOf(rounds.map((round) => bytes / 1e6 / (round[name]?.seconds ?? 0))),
  }));
  const estimates = rounds.flatMap((round) =>
    Object.values(round).flatMap(({ seconds, estimated }) =>
      estimated === undefined ? [] : [Math.max(seconds / estimated, estimated / seconds)],
    ),
  );
  const worst = Math.max(...estimates);
  return [
    `- restore to a directory, of the speed of cp: ${formatSpread(copy, 2)}; ${verdict(copy.median, budgets.ofCopy, atLeast)}`,
    `- a server loads it, times its own AOF: ${formatSpread(load, 2)}; ${verdict(load.median, budgets.ofOwnLoad, atMost)}`,
    ...speeds.map(
      ({ name, speed }) =>
        `- ${name}: ${formatSpread(speed, 0)} MB/s; ${verdict(speed.median, budgets.editedMbPerSecond, atLeast)}`,
    ),
    `- estimates, the worst: wrong by a factor of ${worst.toFixed(1)}; ${verdict(worst, budgets.estimate, atMost)}`,
  ];
}
