/**
 * `journal serve`: replicas are fed from a journal without writing one. Everything happens in daemon/serve.ts; here are its
 * help and its settings.
 */
import { UsageError } from '../../core/errors.ts';
import type { InstantRequest } from '../../daemon/instant-history.ts';
import { resolveListen } from '../../daemon/listen-config.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { parseTarget } from '../../restore/locate/target.ts';
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
    'when it is promoted, what is past its time by then goes at once.\n\n' +
    'It stays in the foreground and logs to stderr, one JSON line an event. SIGTERM or SIGINT ends it.',
  settings: [
    ...(['at', 'before', 'timezone', 'accept-uncertainty', 'listen', 'listen-password-file', 'listen-user'] as const),
    ...(['listen-tls-cert', 'listen-tls-key', 'listen-tls-ca', 'log-level'] as const),
  ],
  words: {
    at: { value: 'TARGET', help: 'serve the dataset of this moment (as journal restore takes it)' },
    before: { value: 'TARGET', help: 'serve the dataset before this' },
    listen: { value: '[HOST:]PORT', help: 'where replicas come to', fallback: 'none; without HOST, this machine only' },
  },
  examples: [
    [
      'journal serve --dir /var/lib/journal --name cache --listen 6380 --listen-password-file /etc/journal/replicas',
      'REPLICAOF 127.0.0.1 6380, while journal run writes the same directory, or after the primary is gone',
    ],
    ['JOURNAL_LISTEN_PASSWORD=… journal serve --at -2h --listen 6381', 'look at the dataset of two hours ago'],
  ],
  exitCodes: [
    [0, 'stopped'],
    [4, 'the journal does not cover the moment'],
    [5, 'the moment has more than one meaning, or its time is uncertain'],
    [6, 'the journal is damaged where it is needed'],
  ],
  async run(context) {
    const { io, layers } = context;
    const warnings: string[] = [];
    const listen = resolveListen(layers, io.env, warnings);
    if (listen === undefined) {
      throw new UsageError('no-listen', 'where shall replicas come to? --listen is missing', {
        hint: 'for example: journal serve --listen 6380 --listen-password-file FILE',
      });
    }
    const instant = instantOf(context);
    const tree = await chooseSource(io.disk, layers.values.dir, layers.values.name);
    const [{ createLogger }, { runServe }] = await Promise.all([
      import('../../daemon/logger.ts'),
      import('../../daemon/serve.ts'),
    ]);
    const logger = createLogger(layers.values['log-level']);
    return inForeground(logger, context, () => runServe({ tree, listen, instant, warnings, logger }, io.signal));
  },
};

function instantOf({ io, layers }: VerbContext): InstantRequest | undefined {
  const { values } = layers;
  const moment = wantedMoment(layers);
  if (moment === undefined) return undefined;
  if (values.timezone !== undefined) parseZone(values.timezone);
  return {
    target: parseTarget(moment.text, { now: io.clock.wall(), zone: values.timezone }),
    mode: moment.mode,
    uncertainty: values['accept-uncertainty'] ? 'accept' : 'refuse',
  };
}
