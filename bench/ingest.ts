// Ingest: how fast a stream of 100-byte SETs becomes durable and acknowledged, by `journal run`, by the least C
// program that could do it, and by a real replica. The three take turns within a round, and only ratios within a round
// count: between rounds the machine may be another. Budgets (README, "Budgets"): at least 0.5 of the C program and 6
// times the replica.
//
//   node bench/ingest.ts [--rounds 5] [--bytes 1000000000] [--dir DIR] [--only receiver,journal,replica] [--save]
//
// DIR should be on the disk that is to be measured (default: the system's folder for temporary files). Prints the
// result as Markdown; --save keeps it, and the numbers of every round, in bench/results/.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type ContestantName, contestantNames, makeContestants } from './support/contestants.ts';
import { describeMachine, type Machine } from './support/machine.ts';
import { compilePrograms } from './support/programs.ts';
import { runOnce, type RunResult } from './support/run.ts';
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';

type Round = Readonly<Partial<Record<ContestantName, RunResult>>>;

interface Settings {
  readonly rounds: number;
  readonly bytes: number;
  readonly directory: string;
  readonly names: readonly ContestantName[];
  readonly save: boolean;
}

interface Report {
  readonly benchmark: 'ingest';
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: readonly Round[];
}

const budgets = { ofReceiver: 0.5, ofReplica: 6 };
const journalMain = path.join(import.meta.dirname, '..', 'dist', 'src', 'cli', 'main.js');
const resultsDirectory = path.join(import.meta.dirname, 'results');

const settings = readSettings();
const report = await measure(settings);
const markdown = formatReport(report);
console.log(markdown);
if (settings.save) save(report, markdown);

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      bytes: { type: 'string', default: '1000000000' },
      dir: { type: 'string', default: os.tmpdir() },
      only: { type: 'string', default: contestantNames.join(',') },
      save: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only.split(',');
  const names = contestantNames.filter((name) => wanted.includes(name));
  if (names.length !== wanted.length) throw new Error(`--only takes a list of ${contestantNames.join(', ')}`);
  if (names.includes('journal') && !existsSync(journalMain)) throw new Error('no journal is built: npm run build');
  return {
    rounds: Number(values.rounds),
    bytes: Number(values.bytes),
    directory: values.dir,
    names,
    save: values.save,
  };
}

async function measure({ rounds: count, bytes, directory, names }: Settings): Promise<Report> {
  const parent = mkdtempSync(path.join(directory, 'journal-bench-'));
  try {
    const machine = describeMachine(parent);
    if (machine.fileSystem === 'tmpfs') console.error('warning: memory is no disk; --dir names another folder');
    const { firehose, receiver } = compilePrograms(parent);
    const contestants = makeContestants(receiver, journalMain);
    const rounds: Round[] = [];
    for (let round = 1; round <= count; round += 1) {
      const results: Partial<Record<ContestantName, RunResult>> = {};
      for (const name of names) {
        const result = await runOnce(contestants[name], { firehose, bytes, parent, timeoutSeconds: 300 });
        console.error(`round ${round}/${count}  ${name.padEnd(8)}  ${result.mbPerSecond.toFixed(1)} MB/s`);
        results[name] = result;
      }
      rounds.push(results);
    }
    return { benchmark: 'ingest', date: new Date().toISOString(), machine, rounds };
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** One number of every round in which it exists. */
function collect(rounds: readonly Round[], pick: (round: Round) => number | undefined): Spread | undefined {
  const values = rounds.map(pick).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : spreadOf(values);
}

function formatReport({ machine, rounds, date }: Report): string {
  const { commands = 0, bytes = 0 } = Object.values(rounds[0] ?? {})[0] ?? {};
  const { cores, processor, memoryGb, system, fileSystem, node, server } = machine;
  const lines = [
    '# Ingest',
    '',
    `${commands} SETs of 100 bytes (${(bytes / 1e9).toFixed(2)} GB of stream), until durable and acknowledged;`,
    `median (least–most) of ${rounds.length} rounds, ${date.slice(0, 10)}.`,
    '',
    `${cores} cores of ${processor}, ${memoryGb} GB, ${system}, ${fileSystem}; Node ${node}, redis-server ${server}.`,
    'Sender and receiver share the cores.',
    '',
    '| | MB/s | million commands/s | peak memory, MB |',
    '|---|---|---|---|',
    ...contestantNames.flatMap((name) => formatContestant(name, rounds)),
    '',
    ...formatRatios(rounds),
  ];
  return lines.join('\n');
}

function formatContestant(name: ContestantName, rounds: readonly Round[]): string[] {
  const speed = collect(rounds, (round) => round[name]?.mbPerSecond);
  const commands = collect(rounds, (round) => {
    const result = round[name];
    return result === undefined ? undefined : result.commandsPerSecond / 1e6;
  });
  if (speed === undefined || commands === undefined) return [];
  const memory = collect(rounds, (round) => round[name]?.peakMemoryMb);
  const label = makeContestants('', '')[name].label;
  const cells = [label, formatSpread(speed, 0), formatSpread(commands, 2), memory === undefined ? '' : memory.max];
  return [`| ${cells.join(' | ')} |`];
}

function formatRatios(rounds: readonly Round[]): string[] {
  const ratio = (over: ContestantName, under: ContestantName): Spread | undefined =>
    collect(rounds, (round) => {
      const [a, b] = [round[over], round[under]];
      return a === undefined || b === undefined ? undefined : a.mbPerSecond / b.mbPerSecond;
    });
  const line = (spread: Spread | undefined, what: string, budget?: number): string[] => {
    if (spread === undefined) return [];
    const verdict = budget === undefined ? '' : `; budget ${budget}: ${spread.median >= budget ? 'met' : 'missed'}`;
    return [`- ${what}: ${formatSpread(spread, 2)}${verdict}`];
  };
  return [
    ...line(ratio('journal', 'receiver'), 'journal to C program', budgets.ofReceiver),
    ...line(ratio('journal', 'replica'), 'journal to replica', budgets.ofReplica),
    ...line(ratio('receiver', 'replica'), 'C program to replica'),
  ];
}

function save(result: Report, text: string): void {
  mkdirSync(resultsDirectory, { recursive: true });
  writeFileSync(path.join(resultsDirectory, 'ingest.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(path.join(resultsDirectory, 'ingest.md'), `${text}\n`);
}
