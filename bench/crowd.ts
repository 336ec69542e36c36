// Capture while replicas are fed: how fast a stream becomes durable and acknowledged with nobody attached, and with a crowd
// of replicas at different places of it that take all they can get. The two take turns within a round, and only the
// ratio within a round counts. Budget: capture keeps 0.9 of its speed. The replicas run at the lowest priority: they
// would be other machines.
//
//   node bench/crowd.ts [--rounds 5] [--bytes 5000000000] [--replicas 20] [--dir DIR] [--save]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../test/support/redis-server.ts';
import { Child } from './support/child.ts';
import { Firehose } from './support/firehose.ts';
import { requireBuild, requireSound, runCommand } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import { compilePrograms } from './support/programs.ts';
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
import { type CommonSettings, readNumbers } from './support/settings.ts';
import { formatSpread, spreadOf } from './support/statistics.ts';
import { withWorkspace } from './support/workspace.ts';

interface Settings extends CommonSettings {
  readonly rounds: number;
  readonly bytes: number;
  readonly replicas: number;
}

interface Run {
  readonly mbPerSecond: number;
  readonly peakMemoryMb: number;
  /** What all replicas got while the stream came in. */
  readonly fedMb: number;
}

interface Report extends Conditions {
  readonly bytes: number;
  readonly replicas: number;
  readonly rounds: readonly { readonly alone: Run; readonly fed: Run }[];
}

const speedKept = 0.9;
/** As for capture alone, and what the socket of a replica holds, and the block that it is in. */
const memoryMb = 200;
const memoryMbAReplica = 3;
const password = 'of-the-bench';
/** The replicas come one after the other, while most of the stream is still to come. */
const withinMs = 1500;

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  requireBuild();
  return readNumbers({ rounds: 5, bytes: 5_000_000_000, replicas: 20 });
}

async function measure({ rounds: count, bytes, replicas }: Settings, parent: string): Promise<Report> {
  const { firehose } = compilePrograms(parent);
  const passwordFile = path.join(parent, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const rounds: Report['rounds'][number][] = [];
  for (let round = 1; round <= count; round += 1) {
    const alone = await runWith(0, { firehose, bytes, parent, passwordFile });
    const fed = await runWith(replicas, { firehose, bytes, parent, passwordFile });
    rounds.push({ alone, fed });
    console.error(
      `round ${round}/${count}  alone ${alone.mbPerSecond.toFixed(0)} MB/s  with ${replicas} replicas ` +
        `${fed.mbPerSecond.toFixed(0)} MB/s, ${fed.peakMemoryMb} MB, ${fed.fedMb.toFixed(0)} MB to them`,
    );
  }
  return { ...conditionsOf('crowd', describeMachine(parent)), bytes, replicas, rounds };
}

interface RunOptions {
  readonly firehose: string;
  readonly bytes: number;
  readonly parent: string;
  readonly passwordFile: string;
}

async function runWith(replicas: number, { firehose: program, bytes, parent, passwordFile }: RunOptions): Promise<Run> {
  const directory = mkdtempSync(path.join(parent, 'crowd-'));
  try {
    await using firehose = await Firehose.start(program, { bytes });
    const port = await freePort();
    const listen = ['--listen', String(port), '--listen-password-file', passwordFile];
    await using journal = new Child('journal', [...runCommand(directory, firehose.listening.port), ...listen]);
    const acknowledged = Promise.race([firehose.next('acknowledged'), journal.failed]);
    await using crowd = replicas === 0 ? undefined : receivers(replicas, port);
    const { bytes: taken, secondsFromFirstByteToFinalAck: seconds } = await acknowledged;
    const peak = journal.memory()?.peak ?? 0;
    const fed = crowd === undefined ? [] : await gotBy(crowd);
    await journal.stop();
    await requireSound(directory);
    return {
      mbPerSecond: taken / 1e6 / seconds,
      peakMemoryMb: Math.round(peak / 1e6),
      fedMb: fed.reduce((sum, got) => sum + got, 0) / 1e6,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
    flushDisk();
  }
}

/** Those who take: niced, so that on a few cores it is the journal that is measured. */
function receivers(replicas: number, port: number): Child {
  const program = path.join(import.meta.dirname, 'support', 'receivers.ts');
  const words = [port, replicas, withinMs].map(String);
  return new Child('receivers', ['nice', '-n', '19', process.execPath, program, ...words, password], {
    reads: 'lines',
  });
}

async function gotBy(crowd: Child): Promise<number[]> {
  const line = crowd.nextLine();
  await crowd.stop();
  return JSON.parse(await line) as number[];
}

function formatReport(result: Report): string[] {
  const { rounds, bytes, replicas } = result;
  const spread = (of: (round: Report['rounds'][number]) => number, digits = 0): string =>
    formatSpread(spreadOf(rounds.map(of)), digits);
  const row = (name: string, which: 'alone' | 'fed'): string[] => [
    name,
    spread((round) => round[which].mbPerSecond),
    spread((round) => round[which].peakMemoryMb),
    spread((round) => round[which].fedMb),
  ];
  const kept = spreadOf(rounds.map(({ alone, fed }) => fed.mbPerSecond / alone.mbPerSecond));
  const memory = Math.max(...rounds.map(({ fed }) => fed.peakMemoryMb));
  const memoryMost = memoryMb + replicas * memoryMbAReplica;
  return [
    '# Crowd',
    '',
    `${(bytes / 1e9).toFixed(2)} GB of SETs as fast as they are taken, until durable and acknowledged, and ${replicas} replicas`,
    `that attach meanwhile and take all they can get. Median (least–most) of ${rounds.length} rounds.`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['journal run', 'MB/s captured', 'peak memory, MB', 'MB to the replicas meanwhile'],
      [row('alone', 'alone'), row(`with ${replicas} replicas`, 'fed')],
    ),
    '',
    `- speed kept: ${formatSpread(kept, 2)}; ${verdict(kept.median, speedKept, atLeast)}`,
    `- most memory: ${memory} MB; ${verdict(memory, memoryMost, atMost)}`,
  ];
}
