/**
 * `journal check --dr`: what a switch-over to this site would lose. Everything it knows comes from
 * daemon/check-switch-over.ts; here it is laid out.
 */
import type { ExitCode } from '../../core/errors.ts';
import { UsageError } from '../../core/errors.ts';
import { checkSwitchOver } from '../../daemon/check-switch-over.ts';
import type { ServerThere, SwitchOver } from '../../daemon/check-switch-over.ts';
import { resolveSource } from '../../daemon/config.ts';
import { chooseSource } from '../../log/source-tree.ts';
import type { Settings } from '../../daemon/settings.ts';
import type { Output } from '../output.ts';
import { shellQuoted } from '../shell.ts';
import { formatFacts } from '../table.ts';
import { formatBytes, formatCount, formatSeconds, formatTime, printable } from '../units.ts';
import type { Verb } from '../verb.ts';

export const checkVerb: Verb = {
  name: 'check',
  summary: 'whether a switch-over to this site would lose anything, and what',
  description:
    'Run at the site that is to take over, beside its journal and replicas. Asks the journal and the primary of the other ' +
    'site (--source, both) how far they are, then looks for up to 4 s whether all of that is durable here, and whether a ' +
    'replica that is fed from here has acknowledged it. It changes nothing. Behind a switch-over, run at the site that was ' +
    'left, it tells what was lost.',
  settings: [
    ...(['dr', 'source', 'user', 'password-file', 'tls-ca', 'tls-cert', 'tls-key'] as const),
    ...(['tls-server-name', 'tls-insecure'] as const),
  ],
  words: {
    source: { value: 'URL', help: 'who is asked, several times: the journal and the primary of the other site' },
  },
  sections: [
    [
      'Verdicts (JSON: verdict)',
      [
        'nothing      all that was there when it was asked is durable here, and the replica to promote has it',
        'some         so many bytes (written within so many seconds) would be lost',
        'unknown      somebody there does not answer, or has another history: what it has and we have not would be lost',
        'parted       the other site has gone on without what is here: so much was lost',
        'no-replica   all is durable here, and no replica is fed from here that could become the primary',
        'JSON has more: loss {bytes, seconds}, lost {after, to}, promote, here {position, lastReceived, replicas[]}, there[].',
      ],
    ],
  ],
  examples: [
    [
      'journal check --dr --dir /var/lib/journal --source redis://journal.a:6380 --source redis://p.a:6379',
      'at the other site, before a switch-over',
    ],
  ],
  exitCodes: [
    [0, 'nothing would be lost'],
    [3, 'something would be lost, or was, or there is no replica to promote'],
    [4, 'nothing is journaled here yet'],
    [11, 'it cannot be told: not everybody who was asked answers and has our history'],
  ],
  async run({ io, layers, output }) {
    const source = resolveSource(layers, io.env);
    if (!layers.values.dr) {
      throw new UsageError('nothing-to-check', 'check what? --dr is missing', {
        hint: 'journal status --check is for alerts, journal verify for checksums',
      });
    }
    if (source === undefined) {
      throw new UsageError('no-source', 'who is to be asked? --source is missing', {
        hint: 'name the journal and the primary of the other site, each with --source',
      });
    }
    for (const warning of source.warnings) output.warn(warning);
    const tree = await chooseSource(io.disk, layers.values.dir, layers.values.name);
    const { disk, clock, signal } = io;
    const found = await checkSwitchOver({ disk, clock, tree, source, signal });
    output.answer(found, () => [...describeSwitchOver(found, output), ...exportText(found, layers.values)]);
    return exitCodes[found.verdict];
  },
};

const exitCodes: Readonly<Record<SwitchOver['verdict'], ExitCode>> = {
  nothing: 0,
  some: 3,
  parted: 3,
  'no-replica': 3,
  unknown: 11,
};

function describeSwitchOver(found: SwitchOver, output: Output): string[] {
  const { here, there, verdict } = found;
  const received = here.lastReceived === null ? '' : `, received up to ${formatTime(here.lastReceived)}`;
  const style = verdict === 'nothing' ? 'green' : verdict === 'unknown' ? 'yellow' : 'red';
  return [
    output.style('bold', printable(found.source)),
    ...formatFacts([
      ['durable here', `${placeText(here.position)}${received}`],
      ...here.replicas.map(
        ({ address, state, behindBytes }, i) =>
          [i === 0 ? 'replicas' : '', `${printable(address)}  ${state}, ${behindText(behindBytes)}`] as const,
      ),
      ...there.map((server, i) => [i === 0 ? 'there' : '', serverText(server)] as const),
    ]),
    output.style(style, verdictText(found)),
  ];
}

/** The command that shows what was lost. */
function exportText({ lost }: SwitchOver, { dir, name }: Settings): string[] {
  if (lost === null) return [];
  const named = name === undefined ? [] : ['--name', name];
  const words = ['journal', 'export', '--dir', dir, ...named, '--after', lost.after, '--to', lost.to];
  return [`what they wrote: ${words.map(shellQuoted).join(' ')}`];
}

function placeText(position: string): string {
  const [id = '', offset = ''] = position.split(':');
  return `offset ${formatCount(offset)} of ${id.slice(0, 8)}…`;
}

function behindText(bytes: number): string {
  return bytes === 0 ? 'has all of it' : `${formatBytes(bytes)} behind`;
}

function serverText({ address, role, position, history, moreBytes, fewerBytes, shared, error }: ServerThere): string {
  if (position === null) return printable(`${address}  does not answer: ${error?.message ?? ''}`);
  const name = `${printable(address)}  ${role ?? ''}, ${placeText(position)}`;
  if (history === 'other') return `${name}: another history`;
  if (history === 'parted') {
    const apart = `${formatBytes(moreBytes ?? 0)} only there, ${formatBytes(fewerBytes ?? 0)} only here`;
    return `${name}: parted behind offset ${formatCount(shared ?? '')}, ${apart}`;
  }
  if (moreBytes !== null && moreBytes > 0) return `${name}: ${formatBytes(moreBytes)} more than here`;
  return fewerBytes === 0 || fewerBytes === null ? `${name}: the same` : `${name}: less than here`;
}

function verdictText({ verdict, loss, promote, here }: SwitchOver): string {
  const { bytes, seconds } = loss ?? { bytes: 0, seconds: 0 };
  const amount = `${formatCount(bytes)} bytes (${formatSeconds(seconds)})`;
  switch (verdict) {
    case 'nothing':
      return `nothing would be lost: promote ${printable(promote ?? '')}`;
    case 'some':
      return `up to ${amount} would be lost`;
    case 'parted':
      return `${amount} were lost: they are here, and the other site has gone on without them`;
    case 'no-replica':
      return 'all is durable here, but no replica is fed from here that could become the primary';
    case 'unknown': {
      const more = bytes === 0 ? '' : `; of what is known, up to ${amount} would be lost`;
      const until = here.lastReceived === null ? '' : `, received up to ${formatTime(here.lastReceived)}`;
      return `cannot tell: not everybody there answers with this history; durable here up to ${placeText(here.position)}${until}${more}`;
    }
  }
}
