/**
 * `journal find`: when did it happen? Prints the commands of a range that match, as they are found. How they are found is in
 * inspect/.
 */
import { printedArgumentBytesMax } from '../../core/limits.ts';
import { UsageError } from '../../core/errors.ts';
import type { ExitCode } from '../../core/errors.ts';
import type { Layers } from '../../daemon/layers.ts';
import { CommandFilter } from '../../inspect/command-filter.ts';
import { find } from '../../inspect/find.ts';
import type { FindEvent } from '../../inspect/find.ts';
import { findDestruction } from '../../inspect/find-destruction.ts';
import type { DestructionEvent } from '../../inspect/find-destruction.ts';
import { reachOf } from '../../inspect/reach.ts';
import type { Reach } from '../../inspect/reach.ts';
import { withCatalog } from '../../log/catalog.ts';
import { exitCodeOf } from '../../log/damaged.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { parseGlobBytes } from '../../redis/glob.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import type { Target } from '../../restore/locate/target.ts';
import { elided } from '../command-text.ts';
import type { Elision } from '../command-text.ts';
import { destructionJson, destructionText } from '../destruction-print.ts';
import { heading, jsonLine, noticeText, textLine } from '../find-print.ts';
import { RawCommands } from '../raw-commands.ts';
import { TextSender } from '../text-sender.ts';
import type { Verb, VerbContext } from '../verb.ts';

const whole: Elision = { argumentsMost: Infinity, bytesMost: printedArgumentBytesMax };

export const findVerb: Verb = {
  name: 'find',
  summary: 'find commands in the history: by time, key, name, db',
  description:
    'Prints every command of a range that matches, once, with its position, in the order of the stream: over sealed and ' +
    'open segments, timelines and failovers. What was not searched (gaps, damage, what is not covered) is told in its place. ' +
    'The journal is only read, and may be running.',
  settings: ['from', 'to', 'key', 'command', 'db', 'destructive', 'limit', 'values', 'raw', 'timezone'],
  words: {
    to: {
      value: 'TARGET',
      help: 'end with the last command of this time, or with the command at this position',
      fallback: 'the newest that is journaled',
    },
    db: {
      value: 'N',
      help: 'only commands in this db, or with a key in it; several times: any of them',
      fallback: 'all',
    },
  },
  sections: [
    [
      'Targets',
      [
        'A time, latest, a position or a mark, as journal restore takes them; both ends belong to the range. Where it is',
        'uncertain what had been written by a time, more is searched rather than less.',
      ],
    ],
    [
      'What is found',
      [
        '--key, --command and --db must all hold, and one of several values of each. Commands that act on every key (FLUSHALL,',
        'FLUSHDB, SWAPDB), and those of which the keys cannot be told (modules, scripts), may have touched any: they are',
        'found with --key, too, and say so. Keys are compared as bytes, and printed with \\xNN for what is no text.',
        'The stream does not say which client sent a command, nor what a key held before.',
      ],
    ],
    [
      'What destroyed much',
      [
        '--destructive prints, each with the restore line for the moment before it: FLUSHALL, FLUSHDB, SWAPDB; RENAME, which',
        'replaced what had the new name, if anything; and bursts of removals (DEL, UNLINK, GETDEL, expiries in the past): ten',
        'keys or more by one command or MULTI (a script is one), or within a second, when that is at least twice the writes in',
        'between or five times what was usual in the minute before. A burst is one row, printed when it is over.',
        'Keys that expired are removed by the same commands, and the stream does not tell them apart.',
      ],
    ],
    [
      'Columns',
      [
        'received    when the last byte of the command came, by the clock of journal',
        '±           it was written by the primary no further from that; ? where nothing sampled the primary',
        'position    what restore --before, --at and --without take; --before leaves out its whole MULTI',
      ],
    ],
    [
      'JSON',
      [
        'A document a line; type is command, destruction, gap, removed, damaged, uncovered, switch or orphan. Of a command: timeline,',
        'position, time (of receipt), written (from, to: by the clock of the primary; from is null where that is not known),',
        'db, multi, command (in upper case), args (behind it), argumentCount (of all), bytes; base64 (which of args are not',
        'text), shortened (full lengths of those that are cut), mayTouch ("any"), orphan (true) only where they apply.',
      ],
    ],
  ],
  examples: [
    ["journal find --from -2h --key 'cart:*' --command DEL,UNLINK", 'who is gone, and when'],
    ['journal find --destructive --from -1d', 'something is gone: what happened, and how to go back'],
    ['journal find --key user:17 --json | jq -r \'.time + " " + .command\'', 'all that happened to one key'],
    ['journal find --from mark:before-deploy --to latest --limit 20', 'the first 20 commands behind a mark'],
    ['journal find --key user:17 --raw | redis-cli -p 6399 --pipe', 'apply them to another server'],
  ],
  exitCodes: [
    [0, 'something was found'],
    [1, 'nothing was found, and all that was asked for was searched (as grep has it); or an unexpected error'],
    [4, 'nothing was found, and not all that was asked for is in the journal; or a position or mark is not'],
    [5, 'a target has more than one meaning'],
    [6, 'the journal is damaged where it was searched'],
    [9, 'the disk failed'],
    [130, 'interrupted'],
  ],
  async run(context) {
    const { io, layers, output } = context;
    const { values } = layers;
    const limit = limitOf(layers);
    requireOneForm(layers);
    const text = { keys: values.key.map(parseGlobBytes), commands: values.command ?? [], dbs: values.db };
    const filter = new CommandFilter(text);
    const reach = await reachFor(context);
    const printer = printerFor(context);
    const keepBytes = values.values ? printedArgumentBytesMax : undefined;
    let found = 0;
    const all = values.destructive
      ? findDestruction(io.disk, reach, text, io.signal)
      : find(io.disk, reach, filter, { keepBytes, signal: io.signal });
    for await (const events of all) {
      for (const event of events) {
        if (event.kind === 'command' || event.kind === 'destruction') found += 1;
        if (!(await printer.print(event))) return 0;
        if (found < limit) continue;
        await printer.flush();
        return 0;
      }
      if (!(await printer.flush())) return 0;
    }
    if (found === 0) output.note('nothing was found');
    return exitCode(found, reach);
  },
};

function exitCode(found: number, { legs }: Reach): ExitCode {
  const damaged = legs.flatMap((leg) => (leg.kind === 'damaged' ? [leg.damaged] : []));
  if (damaged.length > 0) return exitCodeOf(damaged);
  if (found > 0) return 0;
  return legs.every(({ kind }) => kind === 'stretch') && legs.length > 0 ? 1 : 4;
}

async function reachFor({ io, layers }: VerbContext): Promise<Reach> {
  const { dir, name, from, to, timezone } = layers.values;
  if (timezone !== undefined) parseZone(timezone);
  const context = { now: io.clock.wall(), zone: timezone };
  const parse = (text: string | undefined): Target | undefined =>
    text === undefined ? undefined : parseTarget(text, context);
  const range = { from: parse(from), to: parse(to) };
  const tree = await chooseSource(io.disk, dir, name);
  return withCatalog(io.disk, tree, (catalog) => reachOf(io.disk, catalog, range));
}

function limitOf({ values: { limit }, origin }: Layers): number {
  if (limit === undefined) return Infinity;
  if (/^[1-9]\d{0,14}$/.test(limit)) return Number(limit);
  throw new UsageError('bad-setting', `${origin('limit')} is not a number of rows`, { hint: 'a number from 1 on' });
}

function requireOneForm({ values }: Layers): void {
  if (values.destructive && (values.raw || values.values || values.command !== undefined)) {
    throw new UsageError('two-questions', '--destructive looks for commands of its own, and sums them up', {
      hint: 'leave --command, --values and --raw out; --key, --db, --from, --to and --limit narrow it down',
    });
  }
  if (!values.raw || !(values.json || values.values)) return;
  throw new UsageError('two-outputs', '--raw is whole commands as RESP, without JSON and without elision', {
    hint: 'leave --json and --values out, or --raw',
  });
}

interface Printer {
  /** False: nobody reads any more. */
  readonly print: (event: FindEvent | DestructionEvent) => Promise<boolean>;
  /** What was printed is with the reader. */
  readonly flush: () => Promise<boolean>;
}

/** Small lines go together. */
const textsTogether = 64 * 1024;

function printerFor({ io, layers, output }: VerbContext): Printer {
  const { values } = layers;
  const sender = new TextSender(io.stdout);
  if (values.raw) {
    const raw = new RawCommands(io.disk, sender, (notice) => output.note(noticeText(notice)));
    return { print: async (event) => event.kind === 'destruction' || raw.print(event), flush: async () => true };
  }
  const elision = values.values ? whole : elided;
  let held = '';
  let isBegun = values.json || values.destructive;
  const { dir, name } = values;
  const flush = async (): Promise<boolean> => {
    const text = held;
    held = '';
    return text === '' || sender.send(text);
  };
  return {
    print: async (event) => {
      if (!isBegun) held += `${output.style('bold', heading())}\n`;
      isBegun = true;
      if (event.kind === 'destruction') {
        held += values.json ? destructionJson(event, { dir, name }) : destructionText(event, { dir, name });
      } else held += values.json ? jsonLine(event, elision) : textLine(event, elision);
      return held.length < textsTogether || flush();
    },
    flush,
  };
}
