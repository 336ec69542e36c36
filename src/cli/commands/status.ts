/**
 * `journal status`: one screen on each source. Everything it knows comes from daemon/status.ts; here it is laid out.
 */
import { readStatus } from '../../daemon/status.ts';
import type { Status } from '../../daemon/status.ts';
import { chooseSource, listSources, sourceTree } from '../../log/source-tree.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import type { Output, Style } from '../output.ts';
import { copyFacts, linkFacts, replicaFacts } from '../replica-facts.ts';
import { formatFacts } from '../table.ts';
import { formatBytes, formatCount, formatSeconds, formatTime, printable } from '../units.ts';
import type { Verb, VerbContext } from '../verb.ts';

export const statusVerb: Verb = {
  name: 'status',
  summary: 'what is covered, up to when, and whether the journal is running',
  description:
    'Tells what the journal covers and what its writer is doing, for the source that --name names, else for all. ' +
    'It reads no data and needs no writer, so it answers at once and may be asked at any time.',
  settings: ['check'],
  sections: [
    [
      'States',
      [
        'PROTECTED      the stream comes in and is durable (JSON: streaming)',
        'DEGRADED       the same, but from a replica: why, and what to do, is told below; red when nothing can come in',
        'SYNCING        a full sync is under way: nothing newer than the timeline before can be restored yet',
        'CONNECTING     the writer has just started',
        'DISCONNECTED   the primary cannot be reached; the writer tries again',
        'STALLED        a writer is there but has said nothing for 5 s, or its disk is full or does not keep up',
        'STOPPED        no writer; what is covered can be restored',
        'EMPTY          no writer, and nothing has been journaled',
      ],
    ],
    [
      'JSON',
      [
        'One document: source, state, healthy, timeline, position {id, received, durable, shipped}, lag, intervals[],',
        'gaps[], lastBase, segments, bases, disk, writer, replicas[], copies[], error, warnings[] and more. With several sources and no --name it is',
        '{"sources": [...]}. lag.bytes are received but not durable; lag.seconds have gone by since the last byte came',
        '(a primary without writes sends one in ten seconds).',
      ],
    ],
    [
      'Alerts',
      [
        'Alert on healthy in the JSON, or on the exit code of --check. Neither asks whether the process runs: healthy is',
        'that the stream comes in and becomes durable. A full sync is not healthy; restarting the writer would begin it anew.',
      ],
    ],
  ],
  examples: [
    ['journal status', 'all sources in ./journal-data'],
    ['journal status --dir /var/lib/journal --name cache --json | jq .healthy', 'for programs'],
    ['journal status --dir /var/lib/journal --check', 'for a health check'],
  ],
  exitCodes: [
    [0, 'it could answer, whatever the answer is; with --check: all is healthy'],
    [1, 'with --check: something is not healthy'],
  ],
  async run({ io, layers, output }) {
    const trees = await chooseSources({ io, layers });
    const found = await Promise.all(trees.map((tree) => readStatus(io.disk, tree, io.clock)));
    output.answer(found.length === 1 ? found[0] : { sources: found }, () =>
      found.flatMap((status, i) => [...(i === 0 ? [] : ['']), ...describeStatus(status, output)]),
    );
    return layers.values.check && !found.every(({ healthy }) => healthy) ? 1 : 0;
  },
};

async function chooseSources({ io, layers }: Pick<VerbContext, 'io' | 'layers'>): Promise<SourceTree[]> {
  const { dir, name } = layers.values;
  const all = await listSources(io.disk, dir);
  if (name === undefined && all.length > 1) return all.map((source) => sourceTree(dir, source));
  return [await chooseSource(io.disk, dir, name)];
}

/** The lines for people. */
export function describeStatus(status: Status, output: Output): string[] {
  const [label, usual] = labels[status.state];
  const style = status.degraded?.isGrave === true ? 'red' : usual;
  const head = `${output.style('bold', printable(status.source))}  ${output.style(style, label)}${lagText(status)}`;
  return [
    head,
    ...formatFacts([
      ...standingFacts(status),
      ...linkFacts(status),
      ...replicaFacts(status),
      ...copyFacts(status),
      ...coverageFacts(status),
      ...troubleFacts(status),
    ]),
  ];
}

const labels: Readonly<Record<Status['state'], readonly [label: string, style: Style]>> = {
  streaming: ['PROTECTED', 'green'],
  degraded: ['DEGRADED', 'yellow'],
  syncing: ['SYNCING', 'yellow'],
  connecting: ['CONNECTING', 'yellow'],
  disconnected: ['DISCONNECTED', 'red'],
  stalled: ['STALLED', 'red'],
  stopped: ['STOPPED', 'yellow'],
  empty: ['EMPTY', 'yellow'],
};

type Facts = (readonly [string, string])[];

function lagText({ state, lag }: Status): string {
  if (lag.bytes === null || lag.seconds === null || state === 'stopped') return '';
  const behind = lag.bytes === 0 ? 'all that was received is durable' : `${formatBytes(lag.bytes)} not durable yet`;
  return `  ${behind}`;
}

function standingFacts(status: Status): Facts {
  const { address, server, timeline, position, lastReceived, lag, sync, writer } = status;
  const facts: Facts = [];
  const primary = [address, server === null ? null : `${server.kind} ${server.version}`].filter(
    (text) => text !== null,
  );
  if (primary.length > 0) facts.push(['primary', printable(primary.join('  '))]);
  if (writer !== null)
    facts.push(['writer', printable(`process ${writer.pid} on ${writer.host}, since ${formatTime(writer.since)}`)]);
  if (sync !== null) facts.push(['full sync', syncText(sync)]);
  if (timeline !== null) {
    const offset = position.durable === null ? 'unknown' : formatCount(position.durable);
    facts.push(['durable', `offset ${offset} of ${position.id?.slice(0, 8) ?? '?'}…, timeline ${timeline}`]);
  }
  if (lastReceived !== null && lag.seconds !== null) {
    facts.push(['last byte', `${formatTime(lastReceived)}, ${formatSeconds(lag.seconds)} ago`]);
  }
  return facts;
}

function syncText({ received, size }: NonNullable<Status['sync']>): string {
  if (size === null || size === 0) return `${formatBytes(received)} received`;
  return `${formatBytes(received)} of ${formatBytes(size)}, ${Math.floor((received / size) * 100)} %`;
}

function coverageFacts(status: Status): Facts {
  const { intervals, gaps, orphans, uncertain, lastBase, segments, bases, marks, freeBytes, disk } = status;
  const facts: Facts = [];
  for (const [i, { timeline, from, to }] of intervals.entries()) {
    const length = formatSeconds(Math.max(0, Date.parse(to) - Date.parse(from)) / 1000);
    facts.push([
      i === 0 ? 'recoverable' : '',
      `${formatTime(from)} → ${formatTime(to)}  ${length}, timeline ${timeline}`,
    ]);
  }
  for (const [i, { from, to, seconds, cause }] of gaps.entries()) {
    facts.push([
      i === 0 ? 'gaps' : '',
      `${formatTime(from)} → ${formatTime(to)}  ${formatSeconds(seconds)}, ${cause.replaceAll('-', ' ')}`,
    ]);
  }
  for (const [i, { timeline, fromPosition, toPosition }] of orphans.entries()) {
    facts.push([
      i === 0 ? 'orphans' : '',
      `${fromPosition} → ${toPosition.slice(41)}, timeline ${timeline}: in no surviving history`,
    ]);
  }
  for (const [i, { from, to, seconds, cause }] of uncertain.entries()) {
    facts.push([
      i === 0 ? 'uncertain' : '',
      `${formatTime(from)} → ${formatTime(to)}  ${formatSeconds(seconds)}, ${cause.replaceAll('-', ' ')} without samples`,
    ]);
  }
  if (lastBase !== null) facts.push(['last base', `${formatTime(lastBase.time)}  ${formatBytes(lastBase.size)}`]);
  const free = freeBytes === null ? '' : `; ${formatBytes(freeBytes)} free`;
  facts.push([
    'on disk',
    `${formatBytes(segments.bytes)} in ${plural(segments.open + segments.sealed, 'segment')}, ` +
      `${formatBytes(bases.bytes)} in ${plural(bases.count, 'base')}${free}`,
  ]);
  for (const { from, to, removedAt, rule } of status.removed.slice(-1)) {
    const first = status.removed[0]?.from ?? from;
    facts.push([
      'removed',
      printable(`${formatTime(first)} → ${formatTime(to)}, by ${rule} at ${formatTime(removedAt)}`),
    ]);
  }
  if (status.retention !== null && status.retention.heldBytes > 0) {
    const { rule, heldBytes } = status.retention;
    facts.push([
      'kept',
      printable(`${formatBytes(heldBytes)} more than ${rule}: a newer base is needed before they can go`),
    ]);
  }
  const { growthBytesPerSecond = null, fullInSeconds = null } = disk ?? {};
  if (growthBytesPerSecond !== null && fullInSeconds !== null) {
    const rate = `${formatBytes(growthBytesPerSecond)} a second`;
    facts.push(['disk', `at the present rate (${rate}) full in ${formatSeconds(fullInSeconds)}`]);
  }
  if (marks > 0) facts.push(['marks', String(marks)]);
  return facts;
}

function troubleFacts({ degraded, error, nextAttemptAt, sealingBacklog, warnings, disk, checkedAt }: Status): Facts {
  const facts: Facts = [];
  const trouble = disk?.trouble ?? null;
  if (trouble !== null) {
    const { message, hint, since } = trouble;
    const seconds = Math.max(0, Date.parse(checkedAt) - Date.parse(since)) / 1000;
    facts.push(['stalled', `for ${formatSeconds(seconds)}: ${printable(message)}`]);
    if (hint !== null) facts.push(['', printable(hint)]);
  }
  if (sealingBacklog > 0) facts.push(['sealing', `${plural(sealingBacklog, 'segment')} to go`]);
  if (degraded !== null) {
    facts.push(['degraded', printable(degraded.message)]);
    if (degraded.hint !== null) facts.push(['', printable(degraded.hint)]);
  }
  if (error !== null) {
    facts.push(['error', printable(error.message)]);
    if (error.hint !== null) facts.push(['', printable(error.hint)]);
  }
  if (nextAttemptAt !== null) facts.push(['next attempt', formatTime(nextAttemptAt)]);
  for (const warning of warnings) facts.push(['warning', printable(warning)]);
  return facts;
}

function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}
