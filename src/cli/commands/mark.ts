/**
 * `journal mark`: names a restore point. The rules of where it may stand are in daemon/mark.ts.
 */
import type { MarkRecord } from '../../../journal-format/mark.ts';
import { LinkError } from '../../core/errors.ts';
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import type { Offset } from '../../core/position.ts';
import { resolveSource } from '../../daemon/config.ts';
import type { SourceConfig } from '../../daemon/config.ts';
import { setMark } from '../../daemon/mark.ts';
import { readWriter } from '../../daemon/status.ts';
import { chooseSource } from '../../log/source-tree.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import type { Disk } from '../../storage/disk.ts';
import { formatAddress } from '../../upstream/address.ts';
import type { SourceAddress } from '../../upstream/address.ts';
import { askOffset } from '../../upstream/probe.ts';
import type { Output } from '../output.ts';
import { shellQuoted } from '../shell.ts';
import { formatFacts } from '../table.ts';
import { formatSeconds, formatTime, printable } from '../units.ts';
import type { Verb } from '../verb.ts';

export const markVerb: Verb = {
  name: 'mark',
  summary: 'give this moment a name to restore by',
  description:
    'Sets a named restore point at the end of what is journaled, durable on return. With --source, the primary is asked ' +
    'where it is, and the mark stands exactly there once the running journal has it on disk (within 10 s, or there is no ' +
    'mark): everything written before the call is before the mark. Marks never move, and their names are never used again.',
  argument: { name: 'mark', help: '1 to 128 characters, none of them a control character', isRequired: true },
  settings: [
    ...(['note', 'source', 'user', 'password-file', 'tls-ca', 'tls-cert', 'tls-key'] as const),
    ...(['tls-server-name', 'tls-insecure'] as const),
  ],
  examples: [
    ['journal mark before-deploy-812 --source redis://10.0.0.5:6379', 'before something risky'],
    ['journal mark end-of-day --note "books closed"', 'at the end of what is journaled, without asking the primary'],
    ['journal restore --at mark:before-deploy-812 --to ./restored', 'back to it'],
  ],
  exitCodes: [
    [0, 'the mark is set'],
    [2, 'the command line is wrong, or there is a mark of this name'],
    [4, 'nothing is journaled yet, or what the primary has was not durable within 10 s'],
    [6, 'the journal is damaged'],
    [9, 'the disk failed or is full'],
    [10, 'the primary refused user, password or permission'],
    [11, 'the primary cannot be reached'],
    [130, 'interrupted; no mark is set'],
  ],
  async run({ io, layers, output, argument = '' }) {
    const { dir, name, note } = layers.values;
    const { disk, clock, signal } = io;
    const tree = await chooseSource(disk, dir, name);
    const source = resolveSource(layers, io.env);
    for (const warning of source?.warnings ?? []) output.warn(warning);
    const primaryOffset =
      source === undefined
        ? undefined
        : await askPrimary(await addressToAsk(source, tree, disk, output), source, signal);
    const mark = await setMark({ disk, clock, tree, name: argument, note, primaryOffset, signal });
    output.answer(documentOf(tree, mark), () => describeMark(mark, clock.wall()));
    return 0;
  },
};

/** An offset says nothing of whose it is. One primary may have several addresses, so another one is only warned of. */
async function addressToAsk(
  { addresses }: SourceConfig,
  tree: SourceTree,
  disk: Disk,
  output: Output,
): Promise<SourceAddress> {
  const { live } = await readWriter(disk, tree);
  const [first] = addresses;
  const followed = addresses.find((address) => formatAddress(address) === live?.source);
  if (live === undefined || followed !== undefined) return followed ?? first;
  const asked = formatAddress(first);
  output.warn(
    `the journal follows ${live.source}, and ${asked} is asked: unless they are the same primary, the mark is misplaced`,
  );
  return first;
}

async function askPrimary(
  address: SourceAddress,
  { credentials, tls }: SourceConfig,
  signal: AbortSignal,
): Promise<Offset> {
  try {
    return await askOffset(address, credentials, tls, signal);
  } catch (error) {
    if (!(error instanceof LinkError) || error.hint !== undefined) throw error;
    throw new LinkError(error.code, error.message, error.retry, {
      hint: 'no mark was set; without --source it is set at the end of what is journaled',
      exitCode: error.exitCode,
      cause: error,
    });
  }
}

function documentOf({ source }: SourceTree, mark: MarkRecord): Readonly<Record<string, unknown>> {
  return {
    source,
    mark: mark.name,
    timeline: mark.timeline,
    position: formatPosition(mark),
    time: formatInstant(mark.stamp),
    created: formatInstant(mark.created),
    note: mark.note ?? null,
  };
}

function describeMark(mark: MarkRecord, now: number): string[] {
  const name = printable(mark.name);
  const age = formatSeconds(Math.max(0, now - mark.stamp) / 1_000_000);
  return [
    `mark ${name}`,
    ...formatFacts([
      ['position', formatPosition(mark)],
      ['last byte', `${formatTime(formatInstant(mark.stamp))}, ${age} ago`],
      ['restore', `journal restore --at ${shellQuoted(`mark:${name}`)} --to OUT`],
    ]),
  ];
}
