/**
 * `journal verify`: proves a journal and shows what of it is whole. Everything is found by log/verify.ts; here it is laid
 * out.
 */
import type { ExitCode } from '../../core/errors.ts';
import { formatInstant } from '../../core/instant.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { verifySource } from '../../log/verify.ts';
import { verifyToJson } from '../../log/verify-report.ts';
import type { VerifyProblem, VerifyReport } from '../../log/verify-report.ts';
import { knownCommands } from '../../redis/command-scan.ts';
import type { Output, Style } from '../output.ts';
import { formatTable } from '../table.ts';
import { formatBytes, formatCount, formatSeconds, formatTime, printable } from '../units.ts';
import type { Verb } from '../verb.ts';

export const verifyVerb: Verb = {
  name: 'verify',
  summary: 'read every byte of a journal and prove it, or show what is damaged',
  description:
    'Reads everything that one source holds and checks every checksum, every chain and every neighbour, then tells which ' +
    'intervals are whole and can be restored. It changes nothing, and the journal may be running.',
  settings: [],
  sections: [
    [
      'Answers',
      [
        'WHOLE          every byte is there and right',
        'WITH GAPS      so is every byte, but between timelines there is what was never journaled',
        'TORN           the last write was not finished; the next journal run clears it away, nothing acknowledged is lost',
        'INCOMPLETE     something is missing',
        'DAMAGED        something is not what it must be',
        'UNSUPPORTED    a newer journal wrote some of it',
      ],
    ],
  ],
  examples: [
    ['journal verify', 'the only source in ./journal-data'],
    ['journal verify --name cache --json | jq .problems', 'what is wrong, for programs'],
  ],
  exitCodes: [
    [0, 'whole'],
    [1, 'a newer journal wrote some of it, or an unexpected error'],
    [3, 'whole, but for recorded gaps or an unfinished last write'],
    [4, 'something is missing'],
    [6, 'something is damaged'],
    [130, 'interrupted'],
  ],
  async run({ io, layers, output }) {
    const { dir, name } = layers.values;
    const { disk, clock, signal } = io;
    const tree = await chooseSource(disk, dir, name);
    const progress = output.progress('verifying');
    let report;
    try {
      report = await verifySource(disk, tree, {
        clock,
        signal,
        known: knownCommands,
        progress: (done, total) => {
          progress.update(done, Math.max(done, total));
        },
      });
    } finally {
      progress.stop();
    }
    output.answer(verifyToJson(report), () => describe(report, output));
    return report.exitCode;
  },
};

function describe(report: VerifyReport, output: Output): string[] {
  const [label, style] = labelOf(report);
  const head = `${output.style('bold', printable(report.source))}  ${output.style(style, label)}  ${formatBytes(report.bytes)} read`;
  const parts = [
    intervalLines(report),
    gapLines(report),
    orphanLines(report),
    markLines(report),
    problemLines(report),
    noteLines(report),
  ];
  return [head, ...parts.filter((lines) => lines.length > 0).flatMap((lines) => ['', ...lines])];
}

function labelOf({ exitCode, problems }: VerifyReport): readonly [label: string, style: Style] {
  if (exitCode === 3 && problems.some(({ kind }) => kind === 'torn')) return ['TORN', 'yellow'];
  return labels[exitCode] ?? ['DAMAGED', 'red'];
}

const labels: Readonly<Partial<Record<ExitCode, readonly [label: string, style: Style]>>> = {
  0: ['WHOLE', 'green'],
  1: ['UNSUPPORTED', 'red'],
  3: ['WITH GAPS', 'yellow'],
  4: ['INCOMPLETE', 'red'],
  6: ['DAMAGED', 'red'],
};

function intervalLines({ timelines }: VerifyReport): string[] {
  const rows = timelines.flatMap(({ number, isUnfinished, intervals }) =>
    isUnfinished
      ? [[String(number), 'unfinished', '', '', '', '']]
      : intervals.map(({ state, first, last, from, to }) => [
          String(number),
          state,
          time(first),
          time(last),
          formatCount(from),
          formatCount(to),
        ]),
  );
  return table(['timeline', 'state', 'from', 'to', ['first byte'], ['last byte']], rows);
}

function gapLines({ gaps }: VerifyReport): string[] {
  const rows = gaps.map(({ from, to, cause }) => [
    time(from.stamp),
    time(to.stamp),
    formatSeconds((to.stamp - from.stamp) / 1_000_000),
    cause.replaceAll('-', ' '),
  ]);
  return table(['gap from', 'to', ['length'], 'cause'], rows);
}

function orphanLines({ orphans }: VerifyReport): string[] {
  return orphans.map(
    ({ timeline, from, to }) =>
      `orphan: offsets ${formatCount(from)} to ${formatCount(to)} of timeline ${timeline} are in no surviving history`,
  );
}

/** Only those that have become useless: the others are what ls shows. */
function markLines({ marks }: VerifyReport): string[] {
  const lost = marks.filter(({ isRestorable }) => !isRestorable);
  return lost.map(({ record }) => `mark ${printable(record.name)} cannot be restored`);
}

function problemLines({ problems, problemsOmitted }: VerifyReport): string[] {
  const lines = problems.flatMap(describeProblem);
  return problemsOmitted === 0 ? lines : [...lines, `and ${formatCount(problemsOmitted)} more problems`];
}

function describeProblem({ kind, path, position, range, message }: VerifyProblem): string[] {
  const at = position === undefined ? '' : ` at byte ${position}`;
  const bytes = range === undefined ? [] : [`  stream bytes ${range.from} to ${range.to}`];
  return [`${kind}: ${printable(path)}${at}`, `  ${printable(message)}`, ...bytes];
}

function noteLines({ notes }: VerifyReport): string[] {
  return notes.map((note) => `note: ${printable(note)}`);
}

/** A title in brackets is that of a column of numbers. */
function table(titles: readonly (string | readonly [string])[], rows: readonly (readonly string[])[]): string[] {
  const columns = titles.map((title) =>
    typeof title === 'string' ? { title } : ({ title: title[0], align: 'right' } as const),
  );
  return formatTable(columns, rows);
}

function time(stamp: number): string {
  return formatTime(formatInstant(stamp));
}
