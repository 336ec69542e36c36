/**
 * `journal history`: what happened to one key, command by command, and what it was. How it is found is in inspect/.
 */
import { UsageError } from '../../core/errors.ts';
import type { ExitCode } from '../../core/errors.ts';
import type { Position } from '../../core/position.ts';
import { CommandFilter } from '../../inspect/command-filter.ts';
import { find } from '../../inspect/find.ts';
import { keyAt, keyHistory } from '../../inspect/key-history.ts';
import { chooseSource } from '../../log/source-tree.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import { globOf } from '../../redis/glob.ts';
import { KeySelection } from '../../redis/key-selection.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import type { Plan } from '../../restore/plan/plan.ts';
import { parseKeyText } from '../command-text.ts';
import { HistoryPrinter } from '../history-print.ts';
import { planScratchFor, scratchUse } from '../scratch-plan.ts';
import type { ScratchQuestion } from '../scratch-plan.ts';
import { limitOf, reachFor, tellBy, tellFound } from '../search.ts';
import { shellQuoted } from '../shell.ts';
import type { Verb, VerbContext } from '../verb.ts';
import { wantedMoment } from '../wanted-moment.ts';
import type { WantedMoment } from '../wanted-moment.ts';

export const historyVerb: Verb = {
  name: 'history',
  summary: 'every change of one key, with the command',
  description:
    'Prints every command of a range that changed a key, or may have, in the order of the stream, as journal find does: ' +
    'commands that name it in any place where they write, and those that act on every key of its db (FLUSHALL …) or of ' +
    'which the keys cannot be told, which say so. Commands that only read it are left out. The journal is only read.',
  argument: {
    name: 'key',
    help: 'the key itself, no glob; \\xNN is a byte, two backslashes are one',
    isRequired: true,
  },
  settings: [
    ...(['from', 'to', 'db', 'limit', 'values', 'at', 'before', 'timezone'] as const),
    ...(['accept-uncertainty', 'relative-ttl', 'server-bin', 'scratch-dir', 'scratch-memory'] as const),
  ],
  words: {
    to: {
      value: 'TARGET',
      help: 'end with the last command of this time, or with the command at this position',
      fallback: 'the newest that is journaled',
    },
    db: { value: 'N', help: 'only the key of this db; several times: any of them', fallback: 'all' },
    values: {
      value: undefined,
      help: 'print after each command what the key was then (see Values)',
      fallback: 'the commands only',
    },
    at: { value: 'TARGET', help: 'print what the key was then, with all up to and including this, and nothing else' },
    before: { value: 'TARGET', help: 'print what it was before this, and nothing else' },
    'accept-uncertainty': {
      value: undefined,
      help: 'for --at and --before: of a time that is uncertain, take the earliest state that it may mean',
    },
  },
  sections: [
    [
      'Rows',
      [
        'Columns, JSON, targets and what is told in between are those of journal find. The position of a row is a target: journal',
        'restore --at it has the key as it was behind that command, --before it as it was before (and before its whole MULTI).',
      ],
    ],
    [
      'Values',
      [
        '--values, --at and --before take a scratch server, which is given the key and all that it depends on (its commands may name',
        'others); where that cannot be told, it is given everything, and a note says why. --values begins with what the key was',
        'before, and has it behind each command, of a MULTI behind its EXEC. A key is absent, or elapsed where its time had',
        'passed and the primary had not removed it yet. Lines are cut at the width of the terminal; JSON is exact.',
        'JSON: type value; when (before, after), position, time, db, key, state (present, elapsed, absent), valueType, expires,',
        'bytes (encoded), value, fieldExpires (of hash fields that end), elapsedFields (how many were past, and are not in',
        'value). Of value: a string is its text; a list or set an array;',
        'a hash {field: value}, or [[field, value], …] where a field is no text; a zset [{member, score}, …]; a stream {entries,',
        'lastId, groups}. What is no text, or is above 1 MiB, is {"base64": "…"}; null is what is not known, or above 512 MiB.',
      ],
    ],
  ],
  examples: [
    ['journal history user:17 --from -1d', 'what happened to it since yesterday'],
    ['journal history user:17 --from -1d --values', 'and what it was after each step'],
    ['journal history user:17 --at -1h', 'what it was an hour ago'],
    ['journal history user:17 --before 8e9849a9:75399965', 'what it was before a command that was found'],
    ['journal history user:17 --json | jq -r \'select(.type == "command") | .command\'', 'by which commands'],
  ],
  exitCodes: [
    [0, 'something was found'],
    [
      1,
      'nothing was found, and all that was asked for was searched; --at, --before: it was not there; or an unexpected error',
    ],
    [4, 'nothing was found, and not all that was asked for is in the journal; or a position or mark is not'],
    [5, 'a target has more than one meaning'],
    [6, 'the journal is damaged where it was searched'],
    [9, 'the disk failed'],
    [130, 'interrupted'],
  ],
  async run(context) {
    const { io, layers, argument } = context;
    const { values } = layers;
    if (argument === undefined) throw new UsageError('no-key', 'the history of which key?');
    const key = parseKeyText(argument);
    const filter = new CommandFilter({ keys: [globOf(key)], commands: [], dbs: values.db, isOfChanges: true });
    const moment = wantedMoment(layers);
    if (moment !== undefined) return tellValue(context, key, filter, moment);
    const reach = await reachFor(context);
    if (!values.values) {
      const found = find(io.disk, reach, filter, { signal: io.signal });
      return tellGlob(await tellFound(found, reach, context), context, argument);
    }
    const planAt = async ({ id, offset }: Position): Promise<Plan> => {
      const target = { kind: 'position', idPrefix: id, offset } as const;
      return planFor(context, reach.tree, key, { target, text: `${id}:${offset}`, mode: 'at' });
    };
    const options = { key, filter, limit: limitOf(layers), use: scratchUse(context), planAt };
    const printer = new HistoryPrinter(context, key);
    return tellGlob(await tellBy(printer, keyHistory(io.disk, reach, options), reach, context), context, argument);
  },
};

/** Who finds nothing may have meant many keys. */
function tellGlob(code: ExitCode, { output }: VerbContext, key: string): ExitCode {
  if ((code === 1 || code === 4) && /[*?[]/.test(key))
    output.note(`the key is taken as it stands; for many keys: journal find --key ${shellQuoted(key)}`);
  return code;
}

async function planFor(
  context: VerbContext,
  tree: SourceTree,
  key: Buffer,
  question: Pick<ScratchQuestion, 'target' | 'text' | 'mode'>,
): Promise<Plan> {
  const plan = await planScratchFor(context, tree, { ...question, selection: KeySelection.ofKey(key) });
  if (plan.held !== undefined && plan.held.keys === undefined) {
    context.output.note(`everything has to be loaded for this key: ${plan.held.why}`);
  }
  return plan;
}

/** What it was at one moment. */
async function tellValue(
  context: VerbContext,
  key: Buffer,
  filter: CommandFilter,
  { text, mode }: WantedMoment,
): Promise<ExitCode> {
  const { io, layers } = context;
  const { dir, name, from, to, timezone } = layers.values;
  if (from !== undefined || to !== undefined || layers.values.values) {
    throw new UsageError('two-questions', '--at and --before ask for one moment, --values for every step of a range', {
      hint: 'leave --at and --before out, or --from, --to and --values',
    });
  }
  if (timezone !== undefined) parseZone(timezone);
  const target = parseTarget(text, { now: io.clock.wall(), zone: timezone });
  const tree = await chooseSource(io.disk, dir, name);
  const plan = await planFor(context, tree, key, { target, text, mode });
  const found = await keyAt(io.disk, plan, key, filter, scratchUse(context));
  const printer = new HistoryPrinter(context, key);
  for (const value of found) if (!(await printer.value(value))) return 0;
  await printer.flush();
  return tellGlob(found.some(({ value }) => value.state !== 'absent') ? 0 : 1, context, context.argument ?? '');
}
