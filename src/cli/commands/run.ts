/**
 * `journal run`: the daemon, in the foreground. Everything happens in daemon/run.ts; here are its help and its settings.
 */
import { resolveRunConfig } from '../../daemon/config.ts';
import type { RunConfig } from '../../daemon/config.ts';
import { readStatus } from '../../daemon/status.ts';
import { sourceTree } from '../../log/source-tree.ts';
import { inForeground } from '../foreground.ts';
import type { Verb, VerbContext } from '../verb.ts';
import { describeStatus } from './status.ts';

export const runVerb: Verb = {
  name: 'run',
  summary: 'attach to a primary and journal every write of it',
  description:
    'Attaches to a primary as a replica and journals its dataset and every write, until it is told to stop. ' +
    'Only what is on disk is acknowledged, so that WAIT at the primary counts it. ' +
    'After an interruption it goes on where it stopped; only when the primary no longer has the bytes in between, ' +
    'a full sync begins a new timeline and the gap is recorded.\n\n' +
    'It stays in the foreground and logs to stderr, one JSON line an event; "event":"ready" is logged once the first byte ' +
    'is on disk, with --once the status goes to stdout in the end. SIGTERM or SIGINT makes what was received durable, acknowledges it and exits 0; a second one exits at once.',
  settings: [
    ...(['source', 'user', 'password-file', 'tls-ca', 'tls-cert', 'tls-key', 'tls-server-name'] as const),
    ...(['tls-insecure', 'relative-ttl', 'keep-local', 'listen', 'listen-password-file', 'listen-user'] as const),
    ...([
      'listen-tls-cert',
      'listen-tls-key',
      'listen-tls-ca',
      'announce',
      'ack',
      'max-rate',
      'max-rate-base',
    ] as const),
    ...(['once', 'log-level'] as const),
  ],
  sections: [
    [
      'The primary',
      [
        'Redis 6.0 and later, Valkey 7.2 and later. With ACLs the user needs +psync +replconf +ping, and to ask the primary',
        'for its clock +time +role +multi +exec: ACL SETUSER journal on >PASSWORD +psync +replconf +ping +time +role +multi +exec',
      ],
    ],
    [
      'Replicas',
      [
        'With --listen, stock replicas get base and stream from here, at the primary’s own id and offsets, and nothing that is',
        'not durable. They may move between primary and journal by partial resyncs. A password is needed: theirs is masterauth.',
      ],
    ],
  ],
  examples: [
    ['journal run --source redis://10.0.0.5:6379', 'into ./journal-data/10.0.0.5-6379'],
    [
      'journal run --source rediss://journal@cache.internal:6380 --password-file /etc/journal/password \\\n' +
        '        --tls-ca /etc/journal/ca.pem --dir /var/lib/journal --name cache',
      'over TLS, as an ACL user, into /var/lib/journal/cache',
    ],
    [
      'journal run --source redis://10.0.0.5:6379 --listen 6380 --listen-password-file /etc/journal/replicas',
      'feeds replicas of this machine: REPLICAOF 127.0.0.1 6380',
    ],
    ['journal run --source redis://10.0.0.5:6379 --once', 'catch up and stop, for example from cron'],
  ],
  exitCodes: [
    [0, 'stopped in good order; with --once: caught up'],
    [6, 'the journal in the directory is damaged (journal verify shows where)'],
    [8, 'another journal writes to this source'],
    [9, 'the disk failed or is full, at the start or at the end; in between it is waited for'],
    [10, 'the primary refused user, password or permission, or a certificate does not verify'],
    [11, 'the primary cannot be followed, and has never been'],
    [130, 'interrupted before --once had caught up, or by a second signal'],
  ],
  async run(context) {
    const { io, layers } = context;
    const config = resolveRunConfig(layers, io.env);
    const [{ createLogger }, { runDaemon }] = await Promise.all([
      import('../../daemon/logger.ts'),
      import('../../daemon/run.ts'),
    ]);
    const logger = createLogger(config.logLevel);
    const exitCode = await inForeground(logger, context, () => runDaemon({ config, logger }, io.signal));
    if (exitCode !== 0) return exitCode;
    if (config.once) await tellWhereItStands(config, context);
    return 0;
  },
};

async function tellWhereItStands({ root, name }: RunConfig, { io, output }: VerbContext): Promise<void> {
  const status = await readStatus(io.disk, sourceTree(root, name), io.clock);
  output.answer(status, () => describeStatus(status, output));
}
