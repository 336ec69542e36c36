/**
 * `journal diff`: what became of the keys between two instants. What is compared, and how, is in inspect/diff.ts.
 */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { UsageError } from '../../core/errors.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { diff } from '../../inspect/diff.ts';
import { parseSelection } from '../../redis/key-selection.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import { planRestore } from '../../restore/plan/plan-restore.ts';
import type { Plan } from '../../restore/plan/plan.ts';
import { findServers } from '../../scratch/find-server.ts';
import { DiffPrinter } from '../diff-print.ts';
import { sizeSetting } from '../size-setting.ts';
import { TextSender } from '../text-sender.ts';
import type { Verb, VerbContext } from '../verb.ts';
import type { WantedMoment } from '../wanted-moment.ts';

export const diffVerb: Verb = {
  name: 'diff',
  summary: 'what became of the keys between two moments: added, removed, changed',
  description:
    'Compares the dataset of two moments, key by key: which were added and removed, which have another value, and which ' +
    'end at another time. Values are compared, not how a server keeps them. A key whose time had passed at a moment is not ' +
    'there then.\n\n' +
    'The dataset of the earlier moment is loaded into a scratch server, then what was written between the two is applied ' +
    'to it; only keys that this touched are looked at. The journal is only read, and may be running.',
  settings: [
    'at',
    'before',
    'keys',
    'exclude',
    'db',
    'type',
    'accept-uncertainty',
    'timezone',
    'relative-ttl',
    'server-bin',
    'scratch-dir',
    'scratch-memory',
  ],
  words: {
    at: { value: 'TARGET', help: 'twice: the moment to compare from, and the one to compare with (see Targets)' },
    before: { value: 'TARGET', help: 'one of the two: everything before this; the earlier one is then compared from' },
    keys: {
      value: 'GLOB',
      help: 'only keys such as user:* (a glob as KEYS takes it); several times: of any of them',
      fallback: 'all',
    },
    db: { value: 'N', help: 'only keys of this db; several times', fallback: 'all' },
  },
  sections: [
    [
      'Targets',
      ['A time, latest, a position or a mark, as journal restore --at takes them; the second may be the earlier one.'],
    ],
    [
      'Rows',
      [
        'added, removed, changed: what has to be done to the first dataset to get the second one. Of what is changed, what',
        'differs: type, value, expiry; written, where it is written down in another way and cannot be looked into (a value',
        'of a module, or one above 64 MiB). They come sorted by db and key, or, where there are very many, in groups of these.',
        'With --json a document a line: those of type "key" first, one of type "summary" at the end.',
      ],
    ],
  ],
  examples: [
    ['journal diff --at -1h --at latest', 'what changed in the last hour'],
    ["journal diff --at mark:before-deploy --at mark:after-deploy --keys 'cart:*'", 'what a deploy did to some keys'],
    ['journal diff --before 8e9849a9:75399965 --at latest', 'what changed since just before a command that was found'],
    ['journal diff --at -1d --at -15m --json | jq -c \'select(.change == "removed") | .key\'', 'what is gone'],
  ],
  exitCodes: [
    [0, 'compared, whether or not anything differs'],
    [4, 'the journal does not cover one of the moments (the nearest that it covers are named)'],
    [5, 'one of them has more than one meaning, or its time is uncertain'],
    [6, 'the journal is damaged where it is needed'],
    [1, 'no server here can load it, or there is not enough memory for one'],
    [9, 'the disk failed or is full'],
    [130, 'interrupted'],
  ],
  async run(context) {
    const { io, layers, output } = context;
    const [before, after] = await plansFor(context);
    const parent = layers.values['scratch-dir'];
    const progress = output.progress('comparing');
    const printer = new DiffPrinter(output, new TextSender(io.stdout));
    const options = {
      parent: parent === undefined ? tmpdir() : resolve(parent),
      memoryBytes: sizeSetting(layers, 'scratch-memory'),
      clock: io.clock,
      signal: io.signal,
      progress: progress.update.bind(progress),
    };
    try {
      for await (const rows of diff(io.disk, before, after, options)) {
        progress.stop();
        if (!(await printer.rows(rows))) return 0;
      }
    } finally {
      progress.stop();
    }
    await printer.end();
    return 0;
  },
};

async function plansFor({ io, layers }: VerbContext): Promise<readonly [Plan, Plan]> {
  const { values, origin } = layers;
  const moments = [
    ...values.at.map((text) => ({ text, mode: 'at' as const })),
    ...(values.before === undefined ? [] : [{ text: values.before, mode: 'before' as const }]),
  ];
  const [first, second, another] = moments;
  if (first === undefined || second === undefined || another !== undefined) {
    const what = `two moments are compared: ${origin('at')} is needed twice, or once with ${origin('before')}`;
    throw new UsageError('not-two-targets', what, { hint: 'for example: journal diff --at -1h --at latest' });
  }
  if (values.timezone !== undefined) parseZone(values.timezone);
  const tree = await chooseSource(io.disk, values.dir, values.name);
  const now = io.clock.wall();
  const request = {
    ...({ now, to: 'rdb', ttl: 'keep' } as const),
    uncertainty: values['accept-uncertainty'] ? ('accept' as const) : ('refuse' as const),
    selection: parseSelection(values),
    relativeTtl: values['relative-ttl'],
    servers: () => findServers(io.env.PATH, values['server-bin']),
  };
  const plan = ({ text, mode }: WantedMoment): Promise<Plan> => {
    const target = parseTarget(text, { now, zone: values.timezone });
    return planRestore(io.disk, tree, { ...request, text, mode, target }, io.signal);
  };
  const plans = [await plan(first), await plan(second)] as const;
  return second.mode === 'before' && isBefore(plans[1], plans[0]) ? [plans[1], plans[0]] : plans;
}

function isBefore(one: Plan, other: Plan): boolean {
  const timelines = one.timeline - other.timeline;
  return timelines === 0 ? one.cut.offset < other.cut.offset : timelines < 0;
}
