/**
 * `journal serve`: replicas are fed from a journal without writing one. Everything happens in daemon/serve.ts; here are its
 * help and its settings.
 */
import { resolve } from 'node:path';
import { parseDuration } from '../../core/amounts.ts';
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import { controlPath, delayedVerbs } from '../../daemon/delayed-control.ts';
import { resolveListen } from '../../daemon/listen-config.ts';
import type { ServedTtl } from '../../daemon/instant-history.ts';
import type { ServedPart } from '../../daemon/serve.ts';
import { chooseSource } from '../../log/source-tree.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import { controlDelayed } from '../delayed-copy.ts';
import { inForeground } from '../foreground.ts';
import type { Verb, VerbContext } from '../verb.ts';
import { wantedMoment } from '../wanted-moment.ts';

export const serveVerb: Verb = {
  name: 'serve',
  summary: 'feed replicas from a journal, or from one moment of it',
  description:
    'Listens for stock replicas and feeds them from a journal that another process writes, or nobody: base and stream at the ' +
    'replication id and offsets of the primary, up to what is durable. A replica may go on from the primary later, or come ' +
    'from it, by a partial resync.\n\n' +
    'With --at or --before it serves one moment for itself: a replica gets exactly the dataset of then and stays linked, under a ' +
    'replication history of its own, which begins anew with each start. Nothing on it expires as long as it is a replica; ' +
    'when it is promoted, what is past its time by then goes at once, unless --ttl shift gave it as long to live as it had.\n\n' +
    'With --delay it serves all of the journal, but so much later: the live undo copy (see Delayed copies).\n\n' +
    'It stays in the foreground and logs to stderr, one JSON line an event. SIGTERM or SIGINT ends it.',
  argument: {
    name: 'action',
    help: 'of a delayed copy that is being served: pause, step, resume or status',
    isRequired: false,
    choices: delayedVerbs,
  },
  settings: [
    ...(['delay', 'control', 'ttl', 'at', 'before', 'timezone', 'accept-uncertainty', 'listen'] as const),
    ...([
      'listen-password-file',
      'listen-user',
      'listen-tls-cert',
      'listen-tls-key',
      'listen-tls-ca',
      'log-level',
    ] as const),
  ],
  words: {
    ttl: {
      value: 'keep|shift',
      help: 'of a moment or a delayed copy: when keys expire; shift: later, by as much as it is served later',
      fallback: 'keep',
    },
    at: { value: 'TARGET', help: 'serve the dataset of this moment (as journal restore takes it); of step: go there' },
    before: { value: 'TARGET', help: 'serve the dataset before this; of step: go there' },
    listen: { value: '[HOST:]PORT', help: 'where replicas come to', fallback: 'none; without HOST, this machine only' },
  },
  sections: [
    [
      'Delayed copies',
      [
        'With --delay 15m replicas are as the primary was 15 minutes ago, by the time at which the journal received what it',
        'wrote; never less. They stay linked, also while the primary is down. While it runs:',
        '  journal serve pause                     nothing more is sent, also after a restart; replicas stay linked',
        '  journal serve step --before TARGET      sends all up to exactly there, and stays paused; --at +30s: 30 s more',
        '  journal serve resume                    goes on: all that is due by now is sent at once',
        '  journal serve status                    where it stands, and its replicas',
        'A step never goes back: serve the moment to a new replica then, with journal serve --before TARGET. A new base',
        'of the journal (a full sync of its own) is one for the replicas too, in its time. A restart without a pause is one as well.',
      ],
    ],
  ],
  examples: [
    [
      'journal serve --dir /var/lib/journal --name cache --listen 6380 --listen-password-file /etc/journal/replicas',
      'REPLICAOF 127.0.0.1 6380, while journal run writes the same directory, or after the primary is gone',
    ],
    [
      'journal serve --delay 15m --dir /var/lib/journal --listen 6390 --listen-password-file /etc/journal/replicas',
      'the undo copy: REPLICAOF 127.0.0.1 6390 on a server that nobody writes to',
    ],
    ['JOURNAL_LISTEN_PASSWORD=… journal serve --at -2h --listen 6381', 'look at the dataset of two hours ago'],
  ],
  exitCodes: [
    [0, 'stopped; of an action: done'],
    [4, 'the journal does not cover the moment; of step: it lies behind what is served, or on another timeline'],
    [5, 'the moment has more than one meaning, or its time is uncertain'],
    [6, 'the journal is damaged where it is needed'],
    [8, 'another process serves a delayed copy with this control socket'],
    [9, 'the disk failed: a pause could not be made to last'],
    [11, 'of an action: no delayed copy is served here'],
  ],
  async run(context) {
    const { io, layers } = context;
    const asked = delayedVerbs.find((verb) => verb === context.argument);
    if (asked !== undefined) return controlDelayed(asked, context);
    const warnings: string[] = [];
    const listen = resolveListen(layers, io.env, warnings);
    if (listen === undefined) {
      throw new UsageError('no-listen', 'where shall replicas come to? --listen is missing', {
        hint: 'for example: journal serve --listen 6380 --listen-password-file FILE',
      });
    }
    const tree = await chooseSource(io.disk, layers.values.dir, layers.values.name);
    const served = servedPart(context, tree);
    const [{ createLogger }, { runServe }] = await Promise.all([
      import('../../daemon/logger.ts'),
      import('../../daemon/serve.ts'),
    ]);
    const logger = createLogger(layers.values['log-level']);
    return inForeground(logger, context, () => runServe({ tree, listen, served, warnings, logger }, io.signal));
  },
};

function servedPart({ io, layers }: VerbContext, tree: SourceTree): ServedPart {
  const { values, origin } = layers;
  const moment = wantedMoment(layers);
  if (values.delay !== undefined) {
    if (moment !== undefined) {
      throw new UsageError('moment-and-delay', `${origin('delay')} and one moment exclude each other`, {
        hint: 'a delayed copy goes to a moment by journal serve step --at or --before',
      });
    }
    const control = values.control === undefined ? controlPath(tree) : resolve(values.control);
    return { kind: 'delayed', delay: parseDelay(values.delay, origin('delay')), ttl: servedTtl(layers), control };
  }
  if (moment === undefined) {
    if (values.ttl === 'keep') return { kind: 'all' };
    throw new UsageError('ttl-of-primary', `${origin('ttl')} changes what is served, which is the primary’s own`, {
      hint: 'it is for one moment (--at, --before) and for delayed copies (--delay), which have a history of their own',
    });
  }
  if (values.timezone !== undefined) parseZone(values.timezone);
  const target = parseTarget(moment.text, { now: io.clock.wall(), zone: values.timezone });
  const uncertainty = values['accept-uncertainty'] ? 'accept' : 'refuse';
  return { kind: 'moment', moment: { target, mode: moment.mode, uncertainty }, ttl: servedTtl(layers) };
}

function servedTtl({ values: { ttl }, origin }: VerbContext['layers']): ServedTtl {
  if (ttl === 'keep' || ttl === 'shift') return ttl;
  throw new UsageError('bad-ttl', `${origin('ttl')} is not keep or shift`, {
    hint: 'a replica is sent what the primary sent: that cannot be judged; journal restore --ttl does',
  });
}

function parseDelay(text: string, origin: string): Micros {
  const micros = parseDuration(text) ?? 0;
  if (micros > 0) return micros;
  throw new UsageError('bad-delay', `${origin} is not a time span`, { hint: 'write 90s, 15m, 2h or 1d' });
}
