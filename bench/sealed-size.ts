// Sealed size: what sealed segments take of the disk, beside the server's own append-only file of the same commands. A
// real primary with AOF on (commands only, never rewritten), a journal attached to it, and three redis-benchmarks at
// once: SET, HSET and ZADD, over many random keys. Budget: at most 0.25 of the AOF.
//
// redis-benchmark sends one and the same value with every command, and keys are all that differs. So there is a third
// workload, which nothing compresses well: values of random digits. It has no budget; it shows what to expect at worst.
//
//   node bench/sealed-size.ts [--requests 1000000] [--keys 1000000] [--dir DIR] [--save]
//
// --requests is for each of the three commands.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { sealSegment } from '../src/log/sealing.ts';
import { knownCommands } from '../src/redis/command-scan.ts';
import { localDisk } from '../src/storage/local-disk.ts';
import { RedisServer } from '../test/support/redis-server.ts';
import { pickServer, serverLabel } from '../test/support/servers.ts';
import { attached, caughtUp } from './support/attached.ts';
import { Child } from './support/child.ts';
import { aofBytes } from './support/contestants.ts';
import { listFiles, onlyTimeline, requireBuild, requireSound, runCommand } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

interface Workload {
  readonly label: string;
  readonly hasBudget: boolean;
  /** Arguments of the redis-benchmarks that run at once. */
  readonly benchmarks: readonly (readonly string[])[];
}

interface Settings {
  readonly requests: number;
  readonly keys: number;
  readonly directory: string;
  readonly save: boolean;
}

interface Size {
  readonly workload: string;
  readonly hasBudget: boolean;
  readonly commands: number;
  readonly streamBytes: number;
  readonly aofBytes: number;
  readonly sealedBytes: number;
  readonly segments: number;
}

interface Report extends Conditions {
  readonly primary: string;
  readonly settings: Pick<Settings, 'requests' | 'keys'>;
  readonly sizes: readonly Size[];
}

const budget = 0.25;
const mix = ['set', 'hset', 'zadd'];
const random = '__rand_int__';
/** The stream may have PINGs and GETACKs more than the AOF, and another SELECT; not more than that. */
const toleratedDifference = 0.001;

const aofConfig = {
  appendonly: 'yes',
  appendfsync: 'no',
  'aof-use-rdb-preamble': 'no',
  'auto-aof-rewrite-percentage': '0',
};

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  requireBuild();
  return readNumbers({ requests: 1_000_000, keys: 1_000_000 });
}

function makeWorkloads(keys: number): readonly Workload[] {
  const ofMix = (...sizes: readonly string[]): (readonly string[])[] =>
    mix.map((test) => ['-r', String(keys), '-t', test, ...sizes]);
  const digits = ['-r', '2147483647', 'SET', `key:${random}`, random.repeat(8)];
  return [
    { label: 'SET, HSET, ZADD, values of 3 bytes (the default)', hasBudget: true, benchmarks: ofMix() },
    { label: 'SET, HSET, ZADD, values of 100 bytes', hasBudget: true, benchmarks: ofMix('-d', '100') },
    { label: 'SET, values of 96 digits, most of them random', hasBudget: false, benchmarks: [digits] },
  ];
}

async function measure({ requests, keys }: Settings, parent: string): Promise<Report> {
  const binary = pickServer();
  const sizes: Size[] = [];
  for (const workload of makeWorkloads(keys)) {
    const directory = path.join(parent, String(sizes.length));
    const size = await measureWorkload(workload, requests, directory);
    console.error(`${workload.label}: ${(size.sealedBytes / size.aofBytes).toFixed(3)}`);
    sizes.push(size);
  }
  const conditions = conditionsOf('sealed-size', describeMachine(parent));
  return { ...conditions, primary: serverLabel(binary), settings: { requests, keys }, sizes };
}

async function measureWorkload(workload: Workload, requests: number, directory: string): Promise<Size> {
  const [data, journal] = [path.join(directory, 'data'), path.join(directory, 'journal')];
  mkdirSync(data, { recursive: true });
  await using server = await RedisServer.start(pickServer(), { dir: data, config: aofConfig });
  await using child = new Child('journal', runCommand(journal, server.port));
  await Promise.race([attached(server), child.failed]);
  await Promise.race([
    Promise.all(workload.benchmarks.map((args) => runBenchmark(server, args, requests))),
    child.failed,
  ]);
  await Promise.race([caughtUp(server, journal), child.failed]);
  await child.stop();
  await server.stop();
  await sealRest(journal);
  await requireSound(journal);
  const { base, end } = await onlyTimeline(journal);
  const files = listFiles(journal);
  const size = {
    workload: workload.label,
    hasBudget: workload.hasBudget,
    commands: requests * workload.benchmarks.length,
    streamBytes: end - base.record.offset,
    aofBytes: aofBytes(data),
    sealedBytes: files.sealedBytes,
    segments: files.sealedSegments,
  };
  requireSameCommands(size);
  return size;
}

async function runBenchmark(server: RedisServer, args: readonly string[], requests: number): Promise<void> {
  const program = server.binary.path.replace(/server$/, 'benchmark');
  const common = ['-p', String(server.port), '-n', String(requests), '-c', '20', '-P', '16', '-q'];
  await promisify(execFile)(program, [...common, ...args]);
}

/** The last segment of a stopped journal stays open, so that a next run can go on with it: here none will come. */
async function sealRest(journal: string): Promise<void> {
  const { segments } = await onlyTimeline(journal);
  for (const { kind, path: file, end } of segments) {
    if (kind === 'open') await sealSegment(localDisk, file, end, knownCommands);
  }
}

function requireSameCommands(size: Size): void {
  const difference = Math.abs(size.streamBytes / size.aofBytes - 1);
  if (difference <= toleratedDifference) return;
  throw new Error(`the AOF has ${size.aofBytes} bytes, the stream ${size.streamBytes}: not the same commands`);
}

function formatReport(result: Report): string[] {
  const { sizes, primary } = result;
  const { requests, keys } = result.settings;
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const heads = ['', 'AOF, MB', 'sealed, MB', 'segments', 'sealed to AOF'];
  return [
    '# Sealed size',
    '',
    `redis-benchmark, ${requests} of each command, -r ${keys}; ${primary} with AOF, never rewritten.`,
    '',
    formatConditions(result),
    '',
    ...table(
      heads,
      sizes.map(({ workload, hasBudget, aofBytes: aof, sealedBytes: sealed, segments }) => {
        const ratio = sealed / aof;
        const judged = hasBudget ? `${ratio.toFixed(3)}; ${verdict(ratio, budget, atMost)}` : ratio.toFixed(3);
        return [workload, mb(aof), mb(sealed), segments, judged];
      }),
    ),
  ];
}
