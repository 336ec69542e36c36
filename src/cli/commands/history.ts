/**
 * `journal history`: what happened to one key, command by command. How they are found is in inspect/.
 */
import { UsageError } from '../../core/errors.ts';
import { CommandFilter } from '../../inspect/command-filter.ts';
import { find } from '../../inspect/find.ts';
import { globOf } from '../../redis/glob.ts';
import { parseKeyText } from '../command-text.ts';
import { reachFor, tellFound } from '../search.ts';
import type { Verb } from '../verb.ts';

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
  settings: ['from', 'to', 'db', 'limit', 'timezone'],
  words: {
    to: {
      value: 'TARGET',
      help: 'end with the last command of this time, or with the command at this position',
      fallback: 'the newest that is journaled',
    },
    db: { value: 'N', help: 'only the key of this db; several times: any of them', fallback: 'all' },
  },
  sections: [
    [
      'Rows',
      [
        'Columns, JSON, targets and what is told in between are those of journal find. The position of a row is a target: journal',
        'restore --at it has the key as it was behind that command, --before it as it was before (and before its whole MULTI).',
      ],
    ],
  ],
  examples: [
    ['journal history user:17 --from -1d', 'what happened to it since yesterday'],
    ['journal history user:17 --json | jq -r \'select(.type == "command") | .command\'', 'by which commands'],
  ],
  exitCodes: [
    [0, 'something was found'],
    [1, 'nothing was found, and all that was asked for was searched; or an unexpected error'],
    [4, 'nothing was found, and not all that was asked for is in the journal; or a position or mark is not'],
    [5, 'a target has more than one meaning'],
    [6, 'the journal is damaged where it was searched'],
    [9, 'the disk failed'],
    [130, 'interrupted'],
  ],
  async run(context) {
    const { io, layers, argument } = context;
    if (argument === undefined) throw new UsageError('no-key', 'the history of which key?');
    const keys = [globOf(parseKeyText(argument))];
    const filter = new CommandFilter({ keys, commands: [], dbs: layers.values.db, isOfChanges: true });
    const reach = await reachFor(context);
    return tellFound(find(io.disk, reach, filter, { signal: io.signal }), reach, context);
  },
};
