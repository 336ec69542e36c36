// Lag: how long after a write its acknowledgement comes, at 100,000 writes a second. The sender writes a batch each
// millisecond and asks with GETACK, as a primary with WAITing clients does, about every 20 ms and out of step with any
// timer; a probe takes from the write before it to the first acknowledgement of that write. Budget: p99 at most 20 ms.
//
// For comparison: the least C program that syncs every 10 ms, and real replicas. Of those the one with `appendfsync
// always` promises what journal promises; one with `everysec` acknowledges what it has merely received, and may lose the
// last second or two of it: its row is the speed of the way, not of durability.
//
//   node bench/lag.ts [--rounds 5] [--seconds 30] [--rate 100000] [--probe 20] [--dir DIR]
//                     [--only receiver,journal,replica-always,replica] [--save]
import os from 'node:os';
import { parseArgs } from 'node:util';
import { type ContestantName, makeContestants } from './support/contestants.ts';
import type { Flow } from './support/firehose.ts';
import { requireBuild } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import { compilePrograms } from './support/programs.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { runOnce } from './support/run.ts';
import { formatSpread, spreadOf, type Tail, tailOf } from './support/statistics.ts';
import { withWorkspace } from './support/workspace.ts';

const names = ['receiver', 'journal', 'replica-always', 'replica'] as const satisfies readonly ContestantName[];
const commandBytes = 144;
const budgetMs = 20;
/** A sender that oversleeps more than this shares its machine with too much for a verdict. */
const quietMs = budgetMs / 4;

interface Settings {
  readonly rounds: number;
  readonly flow: Flow & { readonly rate: number; readonly probeMs: number };
  readonly directory: string;
  readonly names: readonly ContestantName[];
  readonly save: boolean;
}

/** In milliseconds. */
interface Lag extends Tail {
  readonly probes: number;
  /** How late the sender itself woke up: no lag below this means anything. */
  readonly senderLate: Tail;
  readonly cpuShare: number;
}

type Round = Readonly<Partial<Record<ContestantName, Lag>>>;

interface Report extends Conditions {
  readonly flow: Settings['flow'];
  readonly rounds: readonly Round[];
}

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '30' },
      rate: { type: 'string', default: '100000' },
      probe: { type: 'string', default: '20' },
      dir: { type: 'string', default: os.tmpdir() },
      only: { type: 'string', default: names.join(',') },
      save: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only.split(',');
  const chosen = names.filter((name) => wanted.includes(name));
  if (chosen.length !== wanted.length) throw new Error(`--only takes a list of ${names.join(', ')}`);
  if (chosen.includes('journal')) requireBuild();
  const rate = Number(values.rate);
  return {
    rounds: Number(values.rounds),
    flow: { bytes: rate * Number(values.seconds) * commandBytes, rate, probeMs: Number(values.probe) },
    directory: values.dir,
    names: chosen,
    save: values.save,
  };
}

async function measure({ rounds: count, flow, names: chosen }: Settings, parent: string): Promise<Report> {
  const { firehose, receiver } = compilePrograms(parent);
  const contestants = makeContestants(receiver);
  const rounds: Round[] = [];
  for (let round = 1; round <= count; round += 1) {
    const results: Partial<Record<ContestantName, Lag>> = {};
    for (const name of chosen) {
      const result = await runOnce(contestants[name], { firehose, flow, parent, timeoutSeconds: 300 });
      const lag = {
        ...tailOf(result.lagMicros.map(toMs)),
        probes: result.lagMicros.length,
        senderLate: tailOf(result.senderLateMicros.map(toMs)),
        cpuShare: result.cpuSeconds / result.seconds,
      };
      console.error(
        `round ${round}/${count}  ${name.padEnd(14)}  p50 ${lag.p50.toFixed(2)}  p99 ${lag.p99.toFixed(2)} ms`,
      );
      results[name] = lag;
    }
    rounds.push(results);
  }
  return { ...conditionsOf('lag', describeMachine(parent)), flow, rounds };
}

function toMs(micros: number): number {
  return micros / 1000;
}

function formatReport(result: Report): string[] {
  const { rounds, flow } = result;
  const { rate, bytes, probeMs } = flow;
  const seconds = Math.round(bytes / commandBytes / rate);
  const heads = ['ms from write to acknowledgement', 'p50', 'p90', 'p99', 'max', 'sender late, p99', 'processor'];
  return [
    '# Lag',
    '',
    `${rate} SETs of 100 bytes a second for ${seconds} s, a probe about every ${probeMs} ms; median (least–most) of`,
    `${rounds.length} rounds. Sender and receiver share the cores.`,
    '',
    formatConditions(result),
    '',
    ...table(
      heads,
      names.flatMap((name) => formatContestant(name, rounds)),
    ),
    '',
    '`everysec` acknowledges what it has received, not what is durable. *Sender late* is the noise of the machine.',
    '',
    ...judge(rounds),
  ];
}

function judge(rounds: readonly Round[]): string[] {
  const lags = rounds.map(({ journal }) => journal).filter((lag) => lag !== undefined);
  if (lags.length === 0) return [];
  const p99 = spreadOf(lags.map((lag) => lag.p99));
  const late = spreadOf(lags.map(({ senderLate }) => senderLate.p99));
  const judged =
    late.median > quietMs
      ? `budget ${budgetMs}: not judged, this machine was too busy (sender late by ${late.median.toFixed(1)} ms)`
      : verdict(p99.median, budgetMs, atMost);
  const ratios = rounds.flatMap(({ journal, receiver }) =>
    journal === undefined || receiver === undefined ? [] : [journal.p99 / receiver.p99],
  );
  return [
    `- journal, p99: ${formatSpread(p99, 1)} ms; ${judged}`,
    ...(ratios.length > 0 ? [`- journal to C program, p99: ${formatSpread(spreadOf(ratios), 2)}`] : []),
  ];
}

function formatContestant(name: ContestantName, rounds: readonly Round[]): string[][] {
  const lags = rounds.map((round) => round[name]).filter((lag) => lag !== undefined);
  if (lags.length === 0) return [];
  const cell = (digits: number, pick: (lag: Lag) => number): string => formatSpread(spreadOf(lags.map(pick)), digits);
  const tail = (['p50', 'p90', 'p99', 'max'] as const).map((key) => cell(2, (lag) => lag[key]));
  const share = formatSpread(spreadOf(lags.map(({ cpuShare }) => cpuShare * 100)), 0);
  return [[makeContestants('')[name].label, ...tail, cell(2, ({ senderLate }) => senderLate.p99), `${share} %`]];
}
