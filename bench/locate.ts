// Locate: how long it takes to find the cut for a time or a position in a journal of 10,000 sealed segments, from nothing
// but its files: listing, indexes, and the stream around the cut. Each round is a new process; its first target is *cold*
// (nothing compiled, nothing opened before; the kernel may have the files in memory), the others are *warm*. Budget: at
// most 100 ms. Every cut that is found is compared with the one that is right.
//
//   node bench/locate.ts [--rounds 5] [--segments 10000] [--full-every 1000] [--targets 20] [--dir DIR] [--save]
//
// One segment a minute, as on a primary with little traffic, and every so often (--full-every) a whole one of 64 MiB:
// half of the targets lie in such.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Located } from './support/locate-process.ts';
import { type LongJournal, makeLongJournal, type Read } from './support/long-journal.ts';
import { describeMachine } from './support/machine.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';
import type { Target } from '../src/restore/locate/target.ts';

interface Settings {
  readonly rounds: number;
  readonly segments: number;
  readonly fullEvery: number;
  readonly targets: number;
  readonly directory: string;
  readonly save: boolean;
}

interface Report extends Conditions {
  readonly segments: number;
  readonly secondsToMake: number;
  readonly rounds: readonly (readonly Located[])[];
}

/** A target, and the offset that must be found. */
interface Question {
  readonly target: Target;
  readonly answer: number;
}

const budgetMs = 100;

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  const { 'full-every': fullEvery, ...others } = readNumbers({
    ...{ rounds: 5, segments: 10_000, targets: 20 },
    'full-every': 1000,
  });
  return { ...others, fullEvery };
}

async function measure({ rounds: count, segments, fullEvery, targets }: Settings, parent: string): Promise<Report> {
  const begun = performance.now();
  const journal = await makeLongJournal(parent, segments, fullEvery);
  const secondsToMake = (performance.now() - begun) / 1000;
  console.error(`made ${segments} segments in ${secondsToMake.toFixed(0)} s`);
  const random = randomFrom(7);
  const rounds: (readonly Located[])[] = [];
  for (let round = 1; round <= count; round += 1) {
    const questions = Array.from({ length: targets }, (_, i) => ask(journal, random, i + round));
    const located = await locateAll(parent, questions);
    console.error(`round ${round}/${count}  ${total(located[0]).toFixed(0)} ms cold`);
    rounds.push(located);
  }
  return { ...conditionsOf('locate', describeMachine(parent)), segments, secondsToMake, rounds };
}

/** A read at random, in a full segment or anywhere, asked for by time or by position. */
function ask({ reads, inFullSegments, id }: LongJournal, random: (below: number) => number, turn: number): Question {
  const isInFull = turn % 2 === 0 && inFullSegments.length > 0;
  const index = isInFull ? (inFullSegments[random(inFullSegments.length)] ?? 0) : random(reads.length);
  const read = reads[index];
  if (read === undefined) throw new Error('a journal without reads');
  if (turn % 4 < 2) return { target: { kind: 'position', idPrefix: id, offset: read.end }, answer: read.end };
  // Shortly before the next read: everything stamped until then is the reads up to this one.
  const at = (reads[index + 1]?.stamp ?? read.stamp + 1) - 1;
  return { target: { kind: 'time', at }, answer: lastUntil(reads, at).end };
}

function lastUntil(reads: readonly Read[], at: number): Read {
  const read = reads.findLast(({ stamp }) => stamp <= at);
  if (read === undefined) throw new Error('a target before the first read');
  return read;
}

async function locateAll(root: string, questions: readonly Question[]): Promise<readonly Located[]> {
  const program = path.join(import.meta.dirname, 'support', 'locate-process.ts');
  const targets = JSON.stringify(questions.map(({ target }) => target));
  const { stdout } = await promisify(execFile)(process.execPath, [program, root, targets]);
  const located = JSON.parse(stdout) as readonly Located[];
  for (const [i, { answer, target }] of questions.entries()) {
    if (located[i]?.offset === answer) continue;
    throw new Error(`${JSON.stringify(target)} was found at ${located[i]?.offset ?? 'nothing'} instead of ${answer}`);
  }
  return located;
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function total(located: Located | undefined): number {
  return located === undefined ? NaN : located.catalogMs + located.locateMs;
}

function formatReport(result: Report): string[] {
  const { rounds, segments, secondsToMake } = result;
  const cold = rounds.flatMap((located) => located.slice(0, 1));
  const warm = rounds.flatMap((located) => located.slice(1));
  const row = (name: string, of: readonly Located[]): string[] => [
    name,
    String(of.length),
    cell(of, 1, total),
    cell(of, 1, ({ catalogMs }) => catalogMs),
    cell(of, 1, ({ locateMs }) => locateMs),
    cell(of, 0, ({ bytesRead }) => bytesRead / 1000),
  ];
  const judged = (of: readonly Located[]): string => verdict(spread(of, total).median, budgetMs, atMost);
  return [
    '# Locate',
    '',
    `${segments} sealed segments, made in ${secondsToMake.toFixed(0)} s; ${rounds.length} processes, median (least–most).`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['', 'targets', 'ms', 'of it the catalog', 'and the cut', 'kB read'],
      [row('cold process', cold), ...(warm.length > 0 ? [row('warm', warm)] : [])],
    ),
    '',
    `- cold: ${judged(cold)}`,
    ...(warm.length > 0 ? [`- warm: ${judged(warm)}`] : []),
  ];
}

function spread(located: readonly Located[], pick: (located: Located) => number): Spread {
  return spreadOf(located.map(pick));
}

function cell(located: readonly Located[], digits: number, pick: (located: Located) => number): string {
  return formatSpread(spread(located, pick), digits);
}
