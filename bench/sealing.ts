// Sealing: how fast segments are sealed, with filters and without, and how much larger filters make them. Each round seals
// the same segment both ways, in turns, in one process; what counts is its time of the processor. Then how many blocks of
// it a search for one key would read. No budget of its own: sealed-size has one, and ingest shows whether sealing keeps up.
//
//   node bench/sealing.ts [--rounds 7] [--dir DIR] [--save]
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { addToSum, noData } from '../journal-format/data-sum.ts';
import { hashKey } from '../journal-format/key-hash.ts';
import { ReadsEncoder } from '../journal-format/reads.ts';
import { SegmentFile } from '../src/log/segment-file.ts';
import { sealSegment } from '../src/log/sealing.ts';
import { SealedReader } from '../src/log/segment-reader.ts';
import { stretchesOf } from '../src/log/stretches.ts';
import { knownCommands } from '../src/redis/command-scan.ts';
import { blockingDisk } from '../src/storage/local-disk.ts';
import { describeMachine } from './support/machine.ts';
import { type Conditions, conditionsOf, formatConditions, publish, table } from './support/report.ts';
import { formatSpread, type Spread, spreadOf } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

interface Settings {
  readonly rounds: number;
  readonly directory: string;
  readonly save: boolean;
}

interface Sealing {
  readonly workload: string;
  readonly commands: number;
  readonly streamBytes: number;
  /** MB of stream a second of one core. */
  readonly plain: readonly number[];
  readonly filtered: readonly number[];
  readonly plainBytes: number;
  readonly filteredBytes: number;
  /** Of the blocks, how many may hold a key that none of them holds; one in so many. */
  readonly falsePositives: number;
}

interface Report extends Conditions {
  readonly sealings: readonly Sealing[];
}

const segmentBytes = 64 * 1024 * 1024;
/** Frames end inside commands, as they do where reads come fast. */
const frameBytes = 500_000;
const keysAsked = 20_000;

const workloads: readonly (readonly [label: string, makeCommand: () => Buffer])[] = [
  ['SET, 100 random characters', () => command('SET', randomKey(), randomBytes(50).toString('hex'))],
  ['SET, 100 equal characters', () => command('SET', randomKey(), 'x'.repeat(100))],
  ['SET, 3 characters', () => command('SET', randomKey(), 'xxx')],
  ['INCR', () => command('INCR', randomKey())],
];

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  return readNumbers({ rounds: 7 });
}

async function measure({ rounds }: Settings, parent: string): Promise<Report> {
  const sealings: Sealing[] = [];
  for (const [workload, makeCommand] of workloads) {
    const directory = path.join(parent, String(sealings.length), '00000001');
    mkdirSync(directory, { recursive: true });
    sealings.push(await measureWorkload(workload, makeCommand, rounds, directory));
    rmSync(directory, { recursive: true });
    console.error(`sealed: ${workload}`);
  }
  return { ...conditionsOf('sealing', describeMachine(parent)), sealings };
}

async function measureWorkload(
  workload: string,
  makeCommand: () => Buffer,
  rounds: number,
  directory: string,
): Promise<Sealing> {
  const { file, end, commands } = await writeSegment(directory, makeCommand);
  const kept = path.join(directory, '..', 'kept');
  copyFileSync(file, kept);
  const results = { plain: [] as number[], filtered: [] as number[], plainBytes: 0, filteredBytes: 0 };
  let falsePositives = 0;
  for (let round = 0; round < 2 * rounds; round += 1) {
    const isFiltered = (round + (round >> 1)) % 2 === 1;
    copyFileSync(kept, file);
    const before = process.cpuUsage();
    const sealed = await sealSegment(blockingDisk, file, end, isFiltered ? knownCommands : undefined);
    const { user, system } = process.cpuUsage(before);
    if (sealed === undefined) throw new Error('the segment was not sealed');
    results[isFiltered ? 'filtered' : 'plain'].push(end / (user + system));
    results[isFiltered ? 'filteredBytes' : 'plainBytes'] = sealed.stored;
    if (isFiltered && falsePositives === 0) falsePositives = await askForOthers(sealed.path);
    rmSync(sealed.path);
  }
  return { workload, commands, streamBytes: end, ...results, falsePositives };
}

async function writeSegment(
  directory: string,
  makeCommand: () => Buffer,
): Promise<{ file: string; end: number; commands: number }> {
  const ids = [{ id: 'a'.repeat(40), offset: 1 }];
  const header = { source: 'bench', timeline: 1, start: 1, db: 0, ids, stamp: 1, writer: 'bench' };
  const segment = await SegmentFile.create(blockingDisk, directory, header);
  let [start, commands] = [1, 0];
  let rest: Buffer = Buffer.alloc(0);
  while (start <= segmentBytes) {
    const parts = [rest];
    for (let bytes = rest.length; bytes < frameBytes; commands += 1) {
      const one = makeCommand();
      parts.push(one);
      bytes += one.length;
    }
    const whole = Buffer.concat(parts);
    const isLast = start + whole.length > segmentBytes;
    const boundary = start + whole.length - 1 - (isLast ? 0 : (parts.at(-1)?.length ?? 0));
    const data = isLast ? whole : whole.subarray(0, frameBytes);
    rest = whole.subarray(data.length);
    const reads = new ReadsEncoder();
    reads.add(start, data.length);
    const { meta, firstStamp, lastStamp } = reads.finish();
    const fields = { start, boundary, durable: start - 1, db: 0, wall: 1, firstStamp, lastStamp };
    await segment.append([{ kind: 'stream', fields, meta, data: [data], sum: addToSum(noData, data) }]);
    start += data.length;
  }
  await segment.close();
  return { file: segment.path, end: start - 1, commands };
}

/** Which share of the blocks a search for a key that nobody has would read. */
async function askForOthers(sealed: string): Promise<number> {
  await using file = await blockingDisk.open(sealed, 'read');
  const reader = await SealedReader.over(file);
  const filters = await reader.filters();
  let blocks = 0;
  for (let i = 0; i < keysAsked; i += 1) {
    const wanted = { keys: [hashKey(Buffer.from(`nobody:${i}`))] };
    for (const stretch of stretchesOf(reader.footer, filters, wanted)) blocks += stretch.blocks;
  }
  return blocks / keysAsked / reader.footer.blocks.length;
}

function randomKey(): string {
  return `key:${String(Math.floor(Math.random() * 1_000_000)).padStart(12, '0')}`;
}

function command(...args: readonly string[]): Buffer {
  return Buffer.from(`*${args.length}\r\n${args.map((one) => `$${one.length}\r\n${one}\r\n`).join('')}`);
}

function formatReport(result: Report): string[] {
  const share = (bytes: number, of: number): string => `${((100 * bytes) / of).toFixed(1)} %`;
  return [
    '# Sealing',
    '',
    'Segments of 64 MiB, a million different keys; MB of stream a second of one core, median (least–most).',
    '',
    formatConditions(result),
    '',
    ...table(
      [
        '',
        'commands',
        'without filters',
        'with filters',
        'filters, of the stream',
        'of the sealed',
        'blocks read in vain',
      ],
      result.sealings.map((one) => [
        one.workload,
        one.commands,
        formatSpread(spreadOfRounds(one.plain), 0),
        formatSpread(spreadOfRounds(one.filtered), 0),
        share(one.filteredBytes - one.plainBytes, one.streamBytes),
        share(one.filteredBytes - one.plainBytes, one.plainBytes),
        `${(100 * one.falsePositives).toFixed(2)} %`,
      ]),
    ),
  ];
}

/** The first round is compiled on the way. */
function spreadOfRounds(values: readonly number[]): Spread {
  return spreadOf(values.slice(1));
}
