// Ingest: how fast a stream of 100-byte SETs becomes durable and acknowledged, by `journal run`, by the least C
// program that could do it, and by a real replica. The three take turns within a round, and only ratios within a round
// count: between rounds the machine may be another. Budgets: at least 0.5 of the C program and 6 times the replica.
// Afterwards what each kept is compared with what was sent, and `journal verify` must be content.
//
//   node bench/ingest.ts [--rounds 5] [--bytes 1000000000] [--dir DIR] [--only receiver,journal,replica] [--save]
//
// DIR should be on the disk that is to be measured (default: the system's folder for temporary files). Prints the
// result as Markdown; --save keeps it, and the numbers of every round, in bench/results/.
import os from 'node:os';
import { parseArgs } from 'node:util';
import { type ContestantName, makeContestants } from './support/contestants.ts';
import { requireBuild } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import { compilePrograms } from './support/programs.ts';
import { atLeast, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { runOnce, type RunResult } from './support/run.ts';
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';
import { withWorkspace } from './support/workspace.ts';

const names = ['receiver', 'journal', 'replica'] as const satisfies readonly ContestantName[];
type Name = (typeof names)[number];
type Round = Readonly<Partial<Record<Name, Omit<RunResult, 'lagMicros' | 'senderLateMicros'>>>>;

interface Settings {
  readonly rounds: number;
  readonly bytes: number;
  readonly directory: string;
  readonly names: readonly Name[];
  readonly save: boolean;
}

interface Report extends Conditions {
  readonly rounds: readonly Round[];
}

const budgets = { ofReceiver: 0.5, ofReplica: 6 };

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      bytes: { type: 'string', default: '1000000000' },
      dir: { type: 'string', default: os.tmpdir() },
      only: { type: 'string', default: names.join(',') },
      save: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only.split(',');
  const chosen = names.filter((name) => wanted.includes(name));
  if (chosen.length !== wanted.length) throw new Error(`--only takes a list of ${names.join(', ')}`);
  if (chosen.includes('journal')) requireBuild();
  return {
    rounds: Number(values.rounds),
    bytes: Number(values.bytes),
    directory: values.dir,
    names: chosen,
    save: values.save,
  };
}

async function measure({ rounds: count, bytes, names: chosen }: Settings, parent: string): Promise<Report> {
  const { firehose, receiver } = compilePrograms(parent);
  const contestants = makeContestants(receiver);
  const rounds: Round[] = [];
  for (let round = 1; round <= count; round += 1) {
    const results: Partial<Record<Name, Round[Name]>> = {};
    for (const name of chosen) {
      const options = { firehose, flow: { bytes }, parent, timeoutSeconds: 300 };
      const { lagMicros: _lag, senderLateMicros: _late, ...result } = await runOnce(contestants[name], options);
      console.error(`round ${round}/${count}  ${name.padEnd(8)}  ${result.mbPerSecond.toFixed(1)} MB/s`);
      results[name] = result;
    }
    rounds.push(results as Round);
  }
  return { ...conditionsOf('ingest', describeMachine(parent)), rounds };
}

/** One number of every round in which it exists. */
function collect(rounds: readonly Round[], pick: (round: Round) => number | undefined): Spread | undefined {
  const values = rounds.map(pick).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : spreadOf(values);
}

function formatReport(result: Report): string[] {
  const { rounds } = result;
  const { commands = 0, bytes = 0 } = Object.values(rounds[0] ?? {})[0] ?? {};
  const heads = ['', 'MB/s', 'million commands/s', 'processor seconds per GB', 'peak memory, MB'];
  return [
    '# Ingest',
    '',
    `${commands} SETs of 100 bytes (${(bytes / 1e9).toFixed(2)} GB of stream), until durable and acknowledged;`,
    `median (least–most) of ${rounds.length} rounds. Sender and receiver share the cores.`,
    '',
    formatConditions(result),
    '',
    ...table(
      heads,
      names.flatMap((name) => formatContestant(name, rounds)),
    ),
    '',
    ...formatRatios(rounds),
  ];
}

function formatContestant(name: Name, rounds: readonly Round[]): string[][] {
  const cell = (digits: number, pick: (result: NonNullable<Round[Name]>) => number | undefined): string => {
    const spread = collect(rounds, (round) => (round[name] === undefined ? undefined : pick(round[name])));
    return spread === undefined ? 'not told' : formatSpread(spread, digits);
  };
  if (rounds[0]?.[name] === undefined) return [];
  return [
    [
      makeContestants('')[name].label,
      cell(0, (result) => result.mbPerSecond),
      cell(2, (result) => result.commandsPerSecond / 1e6),
      cell(2, (result) => (result.cpuSeconds / result.bytes) * 1e9),
      cell(0, (result) => result.peakMemoryMb),
    ],
  ];
}

function formatRatios(rounds: readonly Round[]): string[] {
  const ratio = (over: Name, under: Name): Spread | undefined =>
    collect(rounds, (round) => {
      const [a, b] = [round[over], round[under]];
      return a === undefined || b === undefined ? undefined : a.mbPerSecond / b.mbPerSecond;
    });
  const line = (spread: Spread | undefined, what: string, budget?: number): string[] => {
    if (spread === undefined) return [];
    const judged = budget === undefined ? '' : `; ${verdict(spread.median, budget, atLeast)}`;
    return [`- ${what}: ${formatSpread(spread, 2)}${judged}`];
  };
  return [
    ...line(ratio('journal', 'receiver'), 'journal to C program', budgets.ofReceiver),
    ...line(ratio('journal', 'replica'), 'journal to replica', budgets.ofReplica),
    ...line(ratio('receiver', 'replica'), 'C program to replica'),
  ];
}
