/**
 * `journal find`: when did it happen? Prints the commands of a range that match, as they are found. How they are found is in
 * inspect/.
 */
import { UsageError } from '../../core/errors.ts';
import type { Layers } from '../../daemon/layers.ts';
import { CommandFilter } from '../../inspect/command-filter.ts';
import { find } from '../../inspect/find.ts';
import { findDestruction } from '../../inspect/find-destruction.ts';
import { parseGlobBytes } from '../../redis/glob.ts';
import { keepBytesOf, reachFor, tellFound } from '../search.ts';
import type { Verb } from '../verb.ts';

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
        'replaced what had the new name, if anything; bursts of removals (DEL, UNLINK, GETDEL): ten keys or more by one command',
        'or MULTI (a script is one), or within a second, when that is at least twice the writes in between or five times what was',
        'usual in the minute before; and bursts of EXPIRE: as many keys, none of them just written, that were given a minute or',
        'less, and were not put off again and again. A burst is one row, printed when it is over. A second line, after a flush',
        'or where all names begin alike, brings what is gone back into the running server: add --dry-run to look first.',
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
        'A document a line; type is command, destruction, gap, removed, damaged, uncovered, switch or orphan. Of a command:',
        'timeline, position, time (of receipt), written (from, to: by the clock of the primary; from is null where that is not',
        'known), db, multi, command (in upper case), args (behind it), argumentCount (of all), bytes; shortened (full lengths of',
        'args that are cut, by index), mayTouch ("any"), orphan (true) only where they apply. Keys, arguments and values that are',
        'no text are {"base64": "…"}, in all verbs. Of destruction: kind (flush, swap, removal, expiry, rename), timeline,',
        'position, time and command of the first, last (position, time), commands (names), commandCount, dbs (none of FLUSHALL:',
        'it is of all), keyCount, prefix, examples, ends (of an expiry: when the last key ends), sources (of a rename:',
        'prefix and examples of what keys were called before), atOnce (one command or MULTI), restore and restoreMissing (the',
        'lines).',
      ],
    ],
  ],
  examples: [
    ["journal find --from -2h --key 'cart:*' --command DEL,UNLINK", 'who is gone, and when'],
    ['journal find --destructive --from -1d', 'something is gone: what happened, and how to go back'],
    ['journal find --key user:17 --json | jq -r \'select(.type == "command") | .position\'', 'positions to restore by'],
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
    const { io, layers } = context;
    const { values } = layers;
    requireOneForm(layers);
    const text = { keys: values.key.map(parseGlobBytes), commands: values.command ?? [], dbs: values.db };
    const filter = new CommandFilter(text);
    const keepBytes = keepBytesOf(layers);
    const reach = await reachFor(context);
    const events = values.destructive
      ? findDestruction(io.disk, reach, text, io.signal)
      : find(io.disk, reach, filter, { keepBytes, signal: io.signal });
    return tellFound(events, reach, context);
  },
};

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
