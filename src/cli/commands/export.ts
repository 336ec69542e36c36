/**
 * `journal export`: a range of the stream, or the dataset of a moment, ready for other tools. How commands are found is in inspect/, how each format is
 * written in cli/export/.
 */
import { InterruptedError, UsageError } from '../../core/errors.ts';
import type { ExitCode } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import { CommandFilter } from '../../inspect/command-filter.ts';
import { ExportEvents } from '../../inspect/export-events.ts';
import type { ExportStart } from '../../inspect/export-events.ts';
import { find } from '../../inspect/find.ts';
import type { FindEvent } from '../../inspect/find.ts';
import { parseGlobBytes } from '../../redis/glob.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import { CommandsOut } from '../export/command-rows.ts';
import { CsvRows } from '../export/csv-rows.ts';
import { exportDataset } from '../export/export-dataset.ts';
import { ExportPrinter, heldArgumentBytes } from '../export/export-printer.ts';
import { FileStream } from '../export/file-stream.ts';
import { JsonRows } from '../export/json-rows.ts';
import { PieceSender } from '../export/piece-sender.ts';
import type { CommandRows } from '../export/rows.ts';
import { noticeText } from '../find-print.ts';
import { limitOf, reachBetween, tellBy } from '../search.ts';
import { TextSender } from '../text-sender.ts';
import { formatBytes } from '../units.ts';
import type { Verb, VerbContext } from '../verb.ts';

export const exportVerb: Verb = {
  name: 'export',
  summary: 'a range of the history, or a dataset, for other tools: JSON lines, CSV, RESP, AOF',
  description:
    'Writes the commands of a range to standard output, every one once, whole and byte for byte, however large, in the ' +
    'order of the stream; or, with --at, the dataset of a moment. Nothing more is read than the reader takes. The journal is ' +
    'only read, and may be running.',
  settings: [
    ...(['format', 'from', 'to', 'after', 'at', 'before', 'keys', 'exclude', 'command', 'db'] as const),
    ...(['limit', 'out', 'timezone'] as const),
    ...(['accept-uncertainty', 'relative-ttl', 'server-bin', 'scratch-dir', 'scratch-memory'] as const),
  ],
  words: {
    to: {
      value: 'TARGET',
      help: 'end with the last command of this time, or with the command at this position',
      fallback: 'the newest that is journaled',
    },
    at: { value: 'TARGET', help: 'the dataset then, instead of commands: with all up to and including this' },
    before: { value: 'TARGET', help: 'the dataset then: with everything before this' },
    keys: {
      value: 'GLOB',
      help: 'only commands that touch such a key (a glob as KEYS takes it); several times: any of them',
      fallback: 'all, and commands without keys',
    },
    exclude: { value: 'GLOB', help: 'such keys do not count; several times' },
    db: {
      value: 'N',
      help: 'only commands in this db, or with a key in it; several times: any of them',
      fallback: 'all',
    },
  },
  sections: [
    [
      'What is written',
      [
        'Targets are those of journal find, and so is what is found by --keys, --command and --db. A command that touches a',
        'wanted key is written with all its keys. What was not searched (gaps, damage, what is not covered) is told in its',
        'place in jsonl and csv, and on standard error with resp and aof.',
      ],
    ],
    [
      'Formats',
      [
        'jsonl  a document a line, as journal find --json has them, but nothing is cut: command (in upper case), args; what is',
        '       no text, or an argument above 1 MiB, is {"base64": "…"}.',
        'csv    RFC 4180, with a heading. args is one field as redis-cli takes it: plain words, others in double quotes with',
        '       \\xNN for bytes that are no printable text (of an argument above 1 MiB: all that is not ASCII).',
        'resp   for redis-cli --pipe: the commands as they were, with SELECT where the db changes.',
        'aof    the same as an append-only file for a server to load; for servers since Redis 7.0 with the times of receipt',
        '       (#TS:) by which redis-check-aof --truncate-to-timestamp cuts it.',
        'In resp and aof what was in one MULTI stays in one; a filter may take single commands out of it. PING, REPLCONF and',
        'the SELECTs of the stream are left out. TTLs of sources up to Redis 6.2 stay relative, as they were written.',
      ],
    ],
    [
      'A dataset',
      [
        '--at and --before write the dataset of a moment, through a scratch server on this machine, which is given the selected',
        'keys and what they depend on. jsonl and csv: a row a key, with db, key, type, expiry and value (journal history --help',
        'tells how); keys whose time had passed then are left out, and so are values above 512 MiB and those of modules, which a',
        'warning counts. resp: RESTORE commands. aof: a file that begins with an RDB, for servers of that version or later (those',
        'of Valkey 9 are loaded, but valkey-check-aof 9.1 takes them for broken).',
      ],
    ],
    [
      'Going on',
      [
        'Each row has its position, and --after POSITION begins right behind it. Where an export is broken off, standard error',
        'tells up to which position everything was handed over. resp and aof break off, and end at a limit, between groups.',
        'With --out a file (0600) appears when all is in it, synced; else there is none, and it is begun anew.',
      ],
    ],
  ],
  examples: [
    ["journal export --from -1h --keys 'cart:*' | jq -c '[.time, .command, .args[0]]'", 'who was touched, and when'],
    ['journal export --format csv --from -1d > day.csv', 'a day, for a spreadsheet'],
    ['journal export --format resp --from mark:before | redis-cli -p 6399 --pipe', 'replay it to another server'],
    [
      "journal export --at -1h --keys 'user:*' | jq -c 'select(.valueType == \"hash\") | .value'",
      'what keys were, then',
    ],
    ['journal export --format aof > appendonly.aof', 'all of it, to be loaded or cut by redis-check-aof'],
  ],
  exitCodes: [
    [0, 'something was written; of a dataset, all of it'],
    [3, 'of a dataset, some values are not in it'],
    [1, 'nothing was found, and all that was asked for was searched; or an unexpected error'],
    [4, 'nothing was found, and not all that was asked for is in the journal; or a position or mark is not'],
    [5, 'a target has more than one meaning'],
    [6, 'the journal is damaged where it was searched'],
    [7, '--out: the file exists'],
    [9, 'the disk failed or is full'],
    [130, 'interrupted'],
  ],
  run(context) {
    const { out } = context.layers.values;
    return out === undefined ? exported(context) : exportedTo(out, context);
  },
};

function exported(context: VerbContext): Promise<ExitCode> {
  const { values } = context.layers;
  const [at, ...more] = values.at;
  if (at === undefined && values.before === undefined) return exportStream(context);
  requireOneMoment(context, more.length > 0 || (at !== undefined && values.before !== undefined));
  return at === undefined ? exportDataset(context, values.before ?? '', 'before') : exportDataset(context, at, 'at');
}

/** Where nothing was found, or not all could be read, there is no file. */
async function exportedTo(path: string, context: VerbContext): Promise<ExitCode> {
  const { io, output } = context;
  await using file = await FileStream.open(io.disk, path, io.clock.wall(), output.progress('writing'));
  const code = await exported({ ...context, io: { ...io, stdout: file } });
  if (code !== 0 && code !== 3) return code;
  const bytes = await file.publish();
  output.note(`wrote ${file.to}: ${formatBytes(bytes)}`);
  return code;
}

function requireOneMoment({ layers: { values } }: VerbContext, areMore: boolean): void {
  const range = [values.from, values.to, values.after, values.command];
  if (values.limit !== undefined && (values.format === 'resp' || values.format === 'aof')) {
    throw new UsageError('limit-of-dataset', `a dataset as ${values.format} is whole`, {
      hint: 'leave --limit out, or choose some keys with --keys; jsonl and csv take a limit',
    });
  }
  if (!areMore && range.every((value) => value === undefined)) return;
  throw new UsageError(
    'two-questions',
    '--at and --before ask for the dataset of one moment, others for a range of commands',
    {
      hint: 'leave --from, --to, --after and --command out, or --at and --before',
    },
  );
}

/** What was handed over need not have arrived: who goes on has to look at what did. */
const readerStopped = 'the reader has stopped before the end';

async function exportStream(context: VerbContext): Promise<ExitCode> {
  const { io, layers, output } = context;
  const { format, from, to, after, keys, exclude, command = [], db } = layers.values;
  const globs = { keys: keys.map(parseGlobBytes), exclude: exclude.map(parseGlobBytes) };
  const filter = new CommandFilter({ ...globs, commands: command, dbs: db });
  const start = after === undefined ? undefined : startOf(context, after);
  const reach = await reachBetween(context, after ?? from, to);
  const withGroups = format === 'resp' || format === 'aof';
  const options = { keepBytes: heldArgumentBytes, withGroups, signal: io.signal };
  const events = new ExportEvents(start, withGroups, limitOf(layers));
  const printer = new ExportPrinter({
    disk: io.disk,
    tree: reach.tree,
    rows: rowsOf(format),
    sender: new PieceSender(new TextSender(io.stdout)),
    tell: (notice) => {
      output.note(noticeText(notice));
    },
    signal: io.signal,
  });
  const goOn = (): string | undefined =>
    layers.values.out === undefined && printer.taken !== undefined
      ? `everything up to ${formatPosition(printer.taken)} was handed over; --after it goes on`
      : undefined;
  try {
    const code = await tellBy(printer, meant(find(io.disk, reach, filter, options), events), reach, context);
    if (await printer.flush()) return events.isOver ? 0 : code;
    output.note(
      withGroups ? readerStopped : `${readerStopped}; --after the position of the last row that it has goes on`,
    );
    return 0;
  } catch (error) {
    const hint = goOn();
    if (error instanceof InterruptedError)
      throw new InterruptedError('the export was interrupted', { hint, cause: error });
    if (hint !== undefined) output.note(hint);
    throw error;
  }
}

async function* meant(
  found: AsyncIterable<readonly FindEvent[]>,
  events: ExportEvents,
): AsyncGenerator<readonly FindEvent[], void, undefined> {
  for await (const some of found) {
    yield events.take(some);
    if (events.isOver) return;
  }
}

function startOf({ io, layers }: VerbContext, text: string): ExportStart {
  if (layers.values.from !== undefined) {
    throw new UsageError('two-starts', '--from and --after both say where to begin', { hint: 'leave one of them out' });
  }
  const target = parseTarget(text, { now: io.clock.wall(), zone: undefined });
  if (target.kind === 'position') return target;
  throw new UsageError('bad-setting', `${layers.origin('after')} is not a position`, {
    hint: 'it is that of the last row: <replication id>:<offset>',
  });
}

function rowsOf(format: 'jsonl' | 'csv' | 'resp' | 'aof'): CommandRows {
  if (format === 'jsonl') return new JsonRows();
  return format === 'csv' ? new CsvRows() : new CommandsOut(format);
}
