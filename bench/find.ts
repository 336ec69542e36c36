// Find: how fast a journal is searched, from first to last: read, verified, decompressed, every command looked at. Each
// search is a new process. Budget: at least 1 million commands a second of one core, which is what counts here: the time of
// the processor, all threads together, and not that of the clock. What is found is counted, and must be what was written.
// A key and a command are looked for by the filters of sealed segments, which leave out most blocks; a glob is not.
//
//   node bench/find.ts [--rounds 5] [--segments 16] [--history] [--dir DIR] [--save]
//
// The history of a rare key, which is in every 16th segment once, has a budget of its own in 10 GB of stream: 2 s, and 5 %
// of the blocks. --segments 150 --history makes these, and asks nothing else.
//
// Segments are of 64 MiB: SETs of 144 bytes, with values that hardly compress.
import { execFile } from 'node:child_process';
import os from 'node:os';
import { parseArgs, promisify } from 'node:util';
import path from 'node:path';
import type { Asked, Searched } from './support/find-process.ts';
import {
  commandsPerFullRead,
  commandsPerSmallRead,
  fullSegmentsPerRare,
  type LongJournal,
  makeLongJournal,
  rareKey,
} from './support/long-journal.ts';
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
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';
import { withWorkspace } from './support/workspace.ts';

interface Settings {
  readonly rounds: number;
  readonly segments: number;
  readonly asked: readonly Question[];
  readonly directory: string;
  readonly save: boolean;
}

interface Question {
  readonly label: string;
  readonly text: Asked;
  /** How many commands match of a read of so many; undefined: the rare ones of a history. */
  readonly matching: ((commands: number) => number) | undefined;
}

interface Answer {
  readonly label: string;
  readonly searches: readonly Searched[];
}

interface Report extends Conditions {
  readonly segments: number;
  readonly commands: number;
  readonly streamBytes: number;
  readonly answers: readonly Answer[];
}

const budget = 1;

/** Of the history of a rare key in 10 GB. */
const historySeconds = 2;
const historyShare = 0.05;
const history: Question = {
  label: 'the history of a rare key',
  text: { keys: [rareKey], commands: [], dbs: [], isOfChanges: true },
  matching: undefined,
};

/** Keys are key:000000000000 and so on, as many as a read has commands. */
const questions: readonly Question[] = [
  { label: 'a key, which nobody has', text: { keys: ['user:17'], commands: [], dbs: [] }, matching: () => 0 },
  { label: 'a glob, which no key matches', text: { keys: ['*:9*9'], commands: [], dbs: [] }, matching: () => 0 },
  {
    label: 'a glob, which 1 key of 45 matches',
    text: { keys: ['key:00000000001?'], commands: [], dbs: [] },
    matching: (commands) => Math.min(10, Math.max(0, commands - 10)),
  },
  { label: 'a command, which nobody sent', text: { keys: [], commands: ['FLUSHALL'], dbs: [] }, matching: () => 0 },
  { label: 'everything', text: { keys: [], commands: [], dbs: [] }, matching: (commands) => commands },
  {
    label: 'what destroyed much (there is nothing)',
    text: { keys: [], commands: [], dbs: [], destructive: true },
    matching: () => 0,
  },
  history,
];

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      segments: { type: 'string', default: '16' },
      history: { type: 'boolean', default: false },
      dir: { type: 'string', default: os.tmpdir() },
      save: { type: 'boolean', default: false },
    },
  });
  return {
    rounds: Number(values.rounds),
    segments: Number(values.segments),
    asked: values.history ? [history] : questions,
    directory: values.dir,
    save: values.save,
  };
}

async function measure({ rounds, segments, asked }: Settings, parent: string): Promise<Report> {
  const journal = await makeLongJournal(parent, segments, 1);
  const { reads } = journal;
  const streamBytes = (reads.at(-1)?.end ?? 0) - 1000;
  console.error(`made ${segments} segments`);
  const searches = new Map<Question, Searched[]>(asked.map((question) => [question, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [question, answers] of searches) {
      const searched = await search(parent, question, journal);
      answers.push(searched);
      console.error(`round ${round}/${rounds}  ${question.label}: ${searched.seconds.toFixed(2)} s`);
    }
  }
  const answers = [...searches].map(([{ label }, list]) => ({ label, searches: list }));
  const commands = countOf(journal, (count) => count);
  return { ...conditionsOf('find', describeMachine(parent)), segments, commands, streamBytes, answers };
}

async function search(root: string, { text, matching, label }: Question, journal: LongJournal): Promise<Searched> {
  const program = path.join(import.meta.dirname, 'support', 'find-process.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, root, JSON.stringify(text)]);
  const searched = JSON.parse(stdout) as Searched;
  const expected =
    matching === undefined ? Math.ceil(journal.segments / fullSegmentsPerRare) : countOf(journal, matching);
  if (searched.found !== expected) throw new Error(`${label}: ${searched.found} were found instead of ${expected}`);
  return searched;
}

function countOf({ reads, inFullSegments }: LongJournal, of: (commands: number) => number): number {
  const full = inFullSegments.length;
  return full * of(commandsPerFullRead) + (reads.length - full) * of(commandsPerSmallRead);
}

function formatReport(result: Report): string[] {
  const { segments, commands, streamBytes, answers } = result;
  const millions = ({ cpuSeconds }: Searched): number => commands / 1e6 / cpuSeconds;
  return [
    '# Find',
    '',
    `${segments} sealed segments, ${(commands / 1e6).toFixed(1)} million commands, ${(streamBytes / 1e6).toFixed(0)} MB of stream; median (least–most).`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['looked for', 'found', 'million commands/s of one core', 's', 's of processor', 'MB read', 'MB of memory'],
      answers.map(({ label, searches }) => [
        label,
        String(searches[0]?.found ?? 0),
        formatSpread(spread(searches, millions), 2),
        formatSpread(
          spread(searches, ({ seconds }) => seconds),
          2,
        ),
        formatSpread(
          spread(searches, ({ cpuSeconds }) => cpuSeconds),
          2,
        ),
        formatSpread(
          spread(searches, ({ mbRead }) => mbRead),
          1,
        ),
        formatSpread(
          spread(searches, ({ peakMemoryMb }) => peakMemoryMb),
          0,
        ),
      ]),
    ),
    '',
    ...answers
      .filter(({ label }) => label !== 'everything' && label !== history.label)
      .map(({ label, searches }) => `- ${label}: ${verdict(spread(searches, millions).median, budget, atLeast)}`),
    ...answers.filter(({ label }) => label === history.label).flatMap((one) => judgeHistory(one.searches)),
  ];
}

function judgeHistory(searches: readonly Searched[]): string[] {
  const seconds = spread(searches, (searched) => searched.seconds);
  const share = spread(searches, ({ blocks }) => (blocks?.read ?? 0) / (blocks?.of ?? 1));
  const { read = 0, of = 0 } = searches[0]?.blocks ?? {};
  return [
    `- ${history.label}: ${formatSpread(seconds, 2)} s; ${verdict(seconds.median, historySeconds, atMost)}`,
    `- blocks that it read: ${read} of ${of}; ${verdict(share.median, historyShare, atMost)}`,
  ];
}

function spread(searches: readonly Searched[], pick: (searched: Searched) => number): Spread {
  return spreadOf(searches.map(pick));
}
