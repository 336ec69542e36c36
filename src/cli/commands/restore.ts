/**
 * `journal restore`: plan, show the plan, carry it out. What can be restored and how is decided in restore/.
 */
import { resolve } from 'node:path';
import { StorageError, UsageError } from '../../core/errors.ts';
import type { Layers } from '../../daemon/layers.ts';
import { writerName } from '../../daemon/version.ts';
import { chooseSource } from '../../log/source-tree.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { Destination } from '../../restore/plan/destination.ts';
import { parseZone } from '../../restore/locate/instant.ts';
import { planRestore } from '../../restore/plan/plan-restore.ts';
import { planToJson, planToText } from '../../restore/plan/plan-print.ts';
import type { Plan } from '../../restore/plan/plan.ts';
import { executeRestore } from '../../restore/restore.ts';
import type { RestoreReport } from '../../restore/restore.ts';
import type { ServerTarget } from '../../restore/servers/target-output.ts';
import type { TellRows } from '../../restore/servers/compare-output.ts';
import { parseTarget } from '../../restore/locate/target.ts';
import { parseUndo } from '../../restore/plan/undo.ts';
import { findServers } from '../../scratch/find-server.ts';
import type { ServerProgram } from '../../scratch/find-server.ts';
import { ComparePrinter } from '../compare-print.ts';
import type { CliIo } from '../io.ts';
import { estimated, learnFrom } from '../measured-paces.ts';
import { destinationOf, selectionOf } from '../restore-asked.ts';
import { describe, documentOf } from '../restore-report.ts';
import { askTarget, confirm, decideFor, loadableByTarget } from '../restore-target.ts';
import type { AskedTarget } from '../restore-target.ts';
import { sizeSetting } from '../size-setting.ts';
import { StepProgress } from '../step-progress.ts';
import { ReaderGone, TextSender } from '../text-sender.ts';
import type { Verb, VerbContext } from '../verb.ts';
import { wantedMoment } from '../wanted-moment.ts';
import type { WantedMoment } from '../wanted-moment.ts';

export const restoreVerb: Verb = {
  name: 'restore',
  summary: 'bring back any moment: a directory that a server starts from, an RDB, or commands',
  description:
    'Makes a directory of append-only files that a stock server of the same version loads: the dataset exactly as it was, ' +
    'no command and no MULTI split. Every byte is verified while it is read. The journal is only read, and may be running.\n\n' +
    '--to rdb:FILE makes an RDB, --to resp:- writes commands to standard output. These, and a directory where hash fields ' +
    'have expired since then (Redis 7.4 to 8.x), go through a scratch server: one of the programs on this machine, run ' +
    'for as long as it takes, in a private directory, reachable by nobody else.\n\n' +
    '--to redis://HOST:PORT restores into a running server, where that is safe (see Running servers).\n\n' +
    'Nothing is approximated: a moment that the journal does not cover is refused, with the nearest that it does. OUT ' +
    'appears when it is complete, never before, and restore.json in it says what was restored.',
  settings: [
    'at',
    'before',
    'without',
    'without-command',
    'accept-uncertainty',
    'to',
    'ttl',
    'count-expired',
    'keys',
    'keys-from',
    'exclude',
    'db',
    'type',
    'rename',
    'delete-absent',
    'only-missing',
    'dry-run',
    'replace',
    'yes',
    'method',
    'feed-address',
    'i-know-this-is-live',
    'target-memory',
    'target-user',
    'target-password-file',
    'target-tls-ca',
    'target-tls-cert',
    'target-tls-key',
    'target-tls-server-name',
    'target-tls-insecure',
    'owner',
    'timezone',
    'relative-ttl',
    'server-bin',
    'scratch-dir',
    'scratch-memory',
  ],
  sections: [
    [
      'Targets',
      [
        '2026-11-20T14:30:05.25Z                a time, RFC 3339, with an offset or Z',
        "'2026-11-20 14:30:05 Europe/Madrid'    a local time and its zone; without one, --timezone is needed",
        '@1795185005.25                         seconds since 1970',
        '-15m, -1h30m, -2d                      before now',
        'latest                                 the end of the journal',
        '1c5b6fad:88120554871                   a position: replication id (at least 4 digits of it) and offset',
        'mark:NAME                              a mark (journal mark)',
        '--at T applies all that was received up to and including T, --before T all that was received before it.',
        'Times are those of the primary, as its clock was sampled; where it was not, those of receipt. What was written',
        'while the link was down came later: where no samples tell when it was written, the time is refused (exit 5).',
        '--at POSITION applies the command that ends there, --before POSITION leaves it out, with its whole MULTI.',
      ],
    ],
    [
      'TTLs',
      [
        'Of keys and hash fields that expire. T is the moment that is restored, by the clock of the primary.',
        '--ttl keep       (default) each keeps the instant at which it ends: what has passed by now goes when a server starts',
        '--ttl as-of      what was past at T is removed; all others keep the instant',
        '--ttl shift      as-of, and the others end later, by as much as now is later than T',
        '--ttl persist    as-of, and the others expire no more',
        '--count-expired says how many there are that were past at T, and by now: a directory then goes through a scratch server.',
      ],
    ],
    [
      'Some keys',
      [
        "--keys 'user:*' --keys 'session:?[0-9]'    globs as the command KEYS takes them, on bytes; quote them",
        "--keys-from FILE lists whole names, one a line as they are printed ('-': standard input; JSON rows of diff, too).",
        '--exclude, --db and --type narrow that down. All conditions must hold, and one of several values of each.',
        "--rename 's/^user:/old:user:/'             & and \\1 as in sed, s/…/…/g for every occurrence, any sign for the slash;",
        '    the expression is one of JavaScript, on bytes. Two keys that would get one name are refused.',
        'The result is these keys of the whole restore, whatever commands connected them with others (RENAME, COPY, SORT …',
        'STORE). Functions come along only where neither --keys nor --db nor --type is given. No such key: exit 3.',
        'A directory of keys chosen by --keys, --exclude and --db takes no scratch server, unless the plan says why.',
      ],
    ],
    [
      'Undo',
      [
        '--without POSITION leaves out the command that this byte belongs to (on MULTI or EXEC: its transaction),',
        '--without-command NAME every command of that name; all others are replayed, those behind it too. SELECT and',
        'MULTI stay. The plan lists what is left out, and which later commands touched the same keys and may now come',
        'to something else: each does what it did, to what it finds. It looks through the stream first.',
      ],
    ],
    [
      'Then',
      [
        'redis-server --dir OUT --appendonly yes     (valkey-server likewise; its user must own OUT: --owner)',
        'Keys whose time to live has ended since then expire as soon as the server runs (unless --ttl says otherwise).',
        'redis-server --dir DIR --dbfilename FILE    (for rdb:DIR/FILE; loaded only while appendonly is no)',
        'journal restore --to resp:- … | redis-cli -h HOST --pipe',
        '    sets every key that was there (RESTORE … REPLACE ABSTTL, functions too); other keys stay as they are. It needs',
        '    a server that takes the RDB version of the plan, and leaves out keys whose time has passed.',
      ],
    ],
    [
      'Running servers',
      [
        'The dataset is made whole in a scratch server first; only then is the server touched, all its dbs and functions.',
        'It must be empty (--replace: what it holds goes), no replica, have no replicas, and not be the live primary of this',
        'journal, unless --i-know-this-is-live repeats its address. --dry-run shows what would happen, and asks nothing.',
        'replicaof: it follows us until it has everything, and is promoted; what it held stays until all has come over.',
        'restore: FLUSHALL, then RESTORE … REPLACE ABSTTL, for servers elsewhere and managed ones; keys whose time has',
        'passed are left out. Should that end early, the server holds a part, which the error says.',
        'A node of a cluster stands for all of it: each key goes to the primary of its slot, once every primary has passed',
        'all this. A slot without an owner or on its way, and keys in dbs that it does not have, are refused.',
        'With a selection (Some keys) only these keys are written, and all others stay: it need not be empty. A live primary',
        'is given a mark first, as a way back, or nothing is written. Selected keys that were not there at T stay, unless',
        '--delete-absent; those whose time has passed are not written. --dry-run lists each key: created, changed, identical,',
        'absent at T, or elapsed, compared by value and expiry. Into a cluster each goes to the primary of its slot. Where one',
        'primary is the live one of this journal, only that one is written to, and keys that would go to others are refused.',
        '--only-missing (with a selection or without) writes keys that the server has not, and leaves all that is there alone.',
        'What would not fit beside what a server holds (maxmemory) is refused; --target-memory says what it may take.',
      ],
    ],
  ],
  examples: [
    ['journal restore --at -15m --to ./restored', 'as it was a quarter of an hour ago'],
    [
      "journal restore --before '2026-11-20 14:30:05 Europe/Madrid' --to ./restored --dry-run",
      'what would be restored, and how long it would take',
    ],
    [
      'journal restore --at latest --without-command FLUSHALL --to ./restored',
      'all that was written, on both sides of it',
    ],
    ['journal restore --at latest --to rdb:/backup/latest.rdb', 'as an RDB, made by a scratch server'],
    ['journal restore --at -1d --to ./restored --ttl shift', 'with as much time to live left as there was a day ago'],
    ['journal restore --at -15m --to redis://localhost:6399', 'into a running server, which must be empty'],
    ['journal restore --at -15m --to resp:- | redis-cli -p 6399 --pipe', 'into one, beside what is there'],
    [
      "journal restore --at -15m --keys 'cart:*' --to redis://localhost:6379",
      'some keys into a running server, which keeps all others',
    ],
    [
      "journal restore --at -15m --keys 'cart:*' --only-missing --to redis://localhost:6379",
      'of these only the ones that are gone',
    ],
    [
      'journal diff --at -15m --at latest --json | jq -c \'select(.change=="removed")\' | journal restore --at -15m --keys-from - --only-missing --yes --to redis://localhost:6379',
      'all that has gone since',
    ],
    [
      "journal restore --at -15m --keys 'cart:*' --rename 's/^/old:/' --to resp:- | redis-cli --pipe",
      'some keys beside those of a running server, under other names',
    ],
    [
      'sudo journal restore --at mark:before-deploy --to /var/lib/redis --owner redis:redis',
      'into the (empty) data directory of a server',
    ],
  ],
  exitCodes: [
    [0, 'restored; with --dry-run: it can be'],
    [
      3,
      'restored (with --dry-run: it can be), with writes that the surviving history does not contain: an orphan; ' +
        'or there is no key that is what --keys, --exclude, --db and --type ask for, and nothing is in it',
    ],
    [
      4,
      'the journal does not cover the target (the nearest that it covers are named), or what to leave out is not in it',
    ],
    [5, 'the target has more than one meaning, or its time is uncertain'],
    [6, 'the journal is damaged where it is needed; nothing was restored'],
    [1, 'no server here can load it, or there is not enough memory for one; nothing was restored'],
    [
      7,
      'OUT is in the way: a directory that is not empty, a file that exists; a server that is live, is or has a replica',
    ],
    [9, 'the disk failed or is full'],
    [10, 'the server refuses our password or certificate, or a permission is missing'],
    [11, 'the server cannot be reached, is loading, or failed on the way: the message says what it holds now'],
    [130, 'interrupted; nothing was restored'],
  ],
  async run(context) {
    const { io, layers, output } = context;
    const { values } = layers;
    const selection = await selectionOf(context);
    const to = destinationOf(layers, selection);
    const { plan: made, target } = await makePlan(to, selection, context);
    const plan = { ...made, estimatedSeconds: await estimated(made, io) };
    const exitCode = plan.orphan === undefined ? 0 : 3;
    const planContext = { zone: values.timezone, now: io.clock.wall() };
    if (values['dry-run'] && to !== undefined && target?.plan.part !== undefined) {
      const printer = new ComparePrinter(plan, output, new TextSender(io.stdout).sendAll);
      printer.begin(planContext);
      try {
        const report = await carryOut(plan, to, context, target, (rows) => printer.rows(rows));
        await printer.end(report);
        return report.record.keys?.taken === 0 ? 3 : exitCode;
      } catch (error) {
        if (error instanceof ReaderGone) return exitCode;
        throw error;
      }
    }
    if (values['dry-run'] || to === undefined) {
      output.answer(planToJson(plan), () => planToText(plan, planContext));
      return exitCode;
    }
    if (to.kind === 'resp') {
      output.aside(planToText(plan, planContext));
      const report = await carryOut(plan, to, context);
      output.aside(describe(report, plan, context));
      return report.record.keys?.taken === 0 ? 3 : exitCode;
    }
    output.lines(planToText(plan, planContext));
    if (target !== undefined) await confirm(target.plan, context);
    const report = await carryOut(plan, to, context, target);
    output.answer(documentOf(report, layers), () => describe(report, plan, context));
    return report.record.keys?.taken === 0 ? 3 : exitCode;
  },
};

interface Planned {
  readonly plan: Plan;
  /** The running server that it is for. */
  readonly target?: ServerTarget;
}

async function makePlan(
  to: Destination | undefined,
  selection: KeySelection | undefined,
  context: VerbContext,
): Promise<Planned> {
  if (to?.kind !== 'server') return { plan: await planFor(to, selection, context, undefined) };
  const asked = await askTarget(to.url, selection, context);
  const plan = await planFor(to, selection, context, asked);
  const target = await decideFor(plan, asked, context);
  return { plan: { ...plan, destination: target.plan }, target };
}

async function planFor(
  to: Destination | undefined,
  selection: KeySelection | undefined,
  { io, layers }: VerbContext,
  asked: AskedTarget | undefined,
): Promise<Plan> {
  const { values } = layers;
  const { text, mode } = wanted(layers);
  const now = io.clock.wall();
  if (values.timezone !== undefined) parseZone(values.timezone);
  const target = parseTarget(text, { now, zone: values.timezone });
  const tree = await chooseSource(io.disk, values.dir, values.name);
  const uncertainty = values['accept-uncertainty'] ? 'accept' : 'refuse';
  const servers = async (): Promise<readonly ServerProgram[]> =>
    loadableByTarget(await findServers(io.env.PATH, values['server-bin']), asked);
  const undo = parseUndo(values.without ?? [], values['without-command'] ?? []);
  const what = {
    ...({ target, text, mode, now, uncertainty, undo, selection } as const),
    ...{ relativeTtl: values['relative-ttl'], ttl: values.ttl, countsExpired: values['count-expired'] },
  };
  return planRestore(io.disk, tree, { ...what, to: to?.kind, servers }, io.signal);
}

function wanted(layers: Layers): WantedMoment {
  const moment = wantedMoment(layers);
  if (moment !== undefined) return moment;
  throw new UsageError('no-target', 'restore what? --at or --before is missing', {
    hint: 'for example --at -15m, --at latest, or --before 2026-11-20T14:30:05Z; journal restore --help shows all forms',
  });
}

async function carryOut(
  plan: Plan,
  to: Destination,
  { io, layers, output }: VerbContext,
  target?: ServerTarget,
  compare?: TellRows,
): Promise<RestoreReport> {
  const { values } = layers;
  const parent = values['scratch-dir'];
  const progress = new StepProgress(output);
  // A bar and rows would get in each other's way.
  const areRowsShown = io.stdout.isTTY === true;
  try {
    const report = await executeRestore(io.disk, plan, {
      to: to.kind === 'directory' || to.kind === 'rdb' ? resolve(to.path) : '',
      target,
      compare:
        compare &&
        ((rows) => {
          if (areRowsShown) progress.stop();
          return compare(rows);
        }),
      owner: values.owner,
      send: (bytes) => sendBytes(io, bytes),
      scratch: {
        parent: parent === undefined ? undefined : resolve(parent),
        memoryBytes: sizeSetting(layers, 'scratch-memory'),
      },
      clock: io.clock,
      writer: writerName,
      signal: io.signal,
      progress: (done, total, step) => {
        if (step !== 'comparing' || !areRowsShown) progress.update(done, total, step);
      },
    });
    if (compare === undefined) await learnFrom(plan, report.seconds, io);
    return report;
  } finally {
    progress.stop();
  }
}

/** Resolves when the reader has taken them. */
function sendBytes({ stdout }: CliIo, bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(bytes, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(new StorageError('io', `cannot write to standard output: ${error.message}`, { cause: error }));
    });
  });
}
