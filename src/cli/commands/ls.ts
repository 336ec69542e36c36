/**
 * `journal ls`: what is in the journal, kind by kind, from the catalog alone.
 */
import type { MarkRecord } from '../../../journal-format/mark.ts';
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import { damagedOf, gapsIn, intervalOf, orphansIn, removedOf } from '../../daemon/status-lists.ts';
import type { StatusGap, StatusInterval, StatusOrphan, StatusRemoved } from '../../daemon/status-lists.ts';
import { uncertainOf } from '../../daemon/status-time.ts';
import type { StatusUncertain } from '../../daemon/status-time.ts';
import { withCatalog } from '../../log/catalog.ts';
import type { Catalog, Timeline } from '../../log/catalog.ts';
import { exitCodeOf } from '../../log/damaged.ts';
import { withSizes } from '../../log/segment-sizes.ts';
import type { MeasuredTimeline } from '../../log/segment-sizes.ts';
import { chooseSource } from '../../log/source-tree.ts';
import { readMarks } from '../../log/timeline-store.ts';
import { uncertainSpans } from '../../restore/locate/uncertain.ts';
import type { UncertainSpan } from '../../restore/locate/uncertain.ts';
import { formatTable } from '../table.ts';
import type { Column } from '../table.ts';
import { formatBytes, formatCount, formatSeconds, formatTime, printable } from '../units.ts';
import type { Verb } from '../verb.ts';

const kinds = ['timelines', 'bases', 'segments', 'gaps', 'orphans', 'uncertain', 'marks', 'removed'] as const;
type Kind = (typeof kinds)[number];

export const lsVerb: Verb = {
  name: 'ls',
  summary: 'list timelines, bases, segments, gaps, orphans, uncertain times, marks and what was removed',
  description:
    'Lists what the journal of one source holds, oldest first. A timeline is a stretch of history without a hole: a base ' +
    '(an RDB) and the segments of the stream behind it; a gap is what lies between two timelines; an orphan is the end of ' +
    'a timeline that the history which survived a failover does not contain. ' +
    'Of uncertain times it is not known what the primary had written by then, for the link was down and nothing sampled it.',
  argument: { name: 'kind', help: `only these: ${kinds.join(', ')}`, isRequired: false, choices: kinds },
  settings: [],
  sections: [
    [
      'JSON',
      [
        'One document: source, damaged (timelines that cannot be listed), and an array for each kind that is listed. Times are RFC 3339, positions ID:OFFSET.',
      ],
    ],
  ],
  examples: [
    ['journal ls', 'everything'],
    ['journal ls marks', 'the restore points that were given a name'],
    ["journal ls segments --json | jq '.segments[-1]'", 'the segment that is being written'],
  ],
  exitCodes: [
    [4, 'a segment is missing; what is whole is listed'],
    [6, 'a file is damaged; what is whole is listed'],
  ],
  async run({ io, layers, output, argument }) {
    const { dir, name } = layers.values;
    const tree = await chooseSource(io.disk, dir, name);
    const shown = kinds.filter((kind) => argument === undefined || argument === kind);
    const marks = await readMarks(io.disk, tree);
    const { listing, damaged } = await withCatalog(io.disk, tree, async (catalog) => {
      // One footer a segment is read for these.
      const spans = shown.includes('uncertain') ? await uncertainSpans(io.disk, catalog.timelines, Infinity) : [];
      const measured = { ...catalog, timelines: await withSizes(io.disk, catalog.timelines) };
      return { listing: listingOf(measured, spans, marks), damaged: catalog.damaged };
    });
    const lists = Object.fromEntries(shown.map((kind) => [kind, listing[kind]]));
    output.answer({ source: tree.source, damaged: damaged.map(damagedOf), ...lists }, () =>
      shown.flatMap((kind, i) => [...(i === 0 ? [] : ['']), ...describe(listing, kind, output.style('bold', kind))]),
    );
    for (const { number, error } of damaged) {
      output.warn(printable(`timeline ${number} is damaged, and not listed: ${error.message}`));
    }
    return exitCodeOf(damaged);
  },
};

interface Listing {
  readonly timelines: readonly TimelineLine[];
  readonly bases: readonly BaseLine[];
  readonly segments: readonly SegmentLine[];
  readonly gaps: readonly StatusGap[];
  readonly orphans: readonly StatusOrphan[];
  readonly uncertain: readonly StatusUncertain[];
  readonly marks: readonly MarkLine[];
  readonly removed: readonly StatusRemoved[];
}

interface TimelineLine extends StatusInterval {
  readonly segments: number;
  readonly bytes: number;
  readonly address: string;
  readonly server: { readonly kind: string; readonly version: string };
  /** Every replication id that its bytes came under, and the offset that it begins at. */
  readonly ids: readonly { readonly id: string; readonly offset: string }[];
}

interface BaseLine {
  readonly timeline: number;
  readonly position: string;
  readonly time: string;
  readonly size: number;
  readonly origin: string;
  readonly rdb: string;
  /** Null where the RDB could not be counted. */
  readonly keys: number | null;
  readonly path: string;
}

interface SegmentLine {
  readonly timeline: number;
  readonly kind: 'open' | 'sealed';
  readonly start: string;
  readonly end: string;
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly path: string;
}

interface MarkLine {
  readonly name: string;
  readonly timeline: number;
  readonly position: string;
  readonly time: string;
  readonly created: string;
  readonly note: string | null;
}

interface MeasuredCatalog extends Catalog {
  readonly timelines: readonly MeasuredTimeline[];
}

function listingOf(catalog: MeasuredCatalog, spans: readonly UncertainSpan[], marks: readonly MarkRecord[]): Listing {
  const { timelines } = catalog;
  return {
    timelines: timelines.map(timelineLine),
    bases: timelines.map(baseLine),
    segments: timelines.flatMap(segmentLines),
    gaps: gapsIn(timelines, catalog.damaged),
    orphans: orphansIn(timelines, catalog.damaged),
    uncertain: spans.map((span) => uncertainOf(span, catalog)),
    removed: catalog.removed.map(removedOf),
    marks: marks.map((mark) => ({
      name: mark.name,
      timeline: mark.timeline,
      position: formatPosition(mark),
      time: formatInstant(mark.stamp),
      created: formatInstant(mark.created),
      note: mark.note ?? null,
    })),
  };
}

function timelineLine(timeline: MeasuredTimeline): TimelineLine {
  const { base, segments, record, ids } = timeline;
  return {
    ...intervalOf(timeline),
    segments: segments.length,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, base.record.size),
    address: record.address,
    server: { kind: record.server.kind, version: record.server.version },
    ids: ids.map(({ id, offset }) => ({ id, offset: String(offset) })),
  };
}

function baseLine({ number, base }: Timeline): BaseLine {
  const { record, rdbPath } = base;
  return {
    timeline: number,
    position: formatPosition(record),
    time: formatInstant(record.completed),
    size: record.size,
    origin: record.origin,
    rdb: `${record.magic} ${record.version}`,
    keys: record.contents?.keys ?? null,
    path: rdbPath,
  };
}

function segmentLines({ number, segments }: MeasuredTimeline): SegmentLine[] {
  return segments.map(({ kind, start, end, first, last, bytes, path }) => ({
    timeline: number,
    kind,
    start: String(start),
    end: String(end),
    from: formatInstant(first),
    to: formatInstant(last),
    bytes,
    path,
  }));
}

function describe(listing: Listing, kind: Kind, heading: string): string[] {
  const lines = formatTable(columns[kind], rowsOf(listing, kind));
  return [heading, ...(lines.length === 0 ? ['none'] : lines).map((line) => `  ${line}`)];
}

function rowsOf(listing: Listing, kind: Kind): string[][] {
  switch (kind) {
    case 'timelines':
      return listing.timelines.map((line) => [
        String(line.timeline),
        formatTime(line.from),
        formatTime(line.to),
        shortPosition(line.fromPosition),
        shortPosition(line.toPosition),
        formatCount(line.segments),
        formatBytes(line.bytes),
        printable(`${line.address} ${line.server.kind} ${line.server.version}`),
      ]);
    case 'bases':
      return listing.bases.map((line) => [
        String(line.timeline),
        formatTime(line.time),
        shortPosition(line.position),
        formatBytes(line.size),
        line.keys === null ? '?' : formatCount(line.keys),
        line.rdb,
        line.origin,
      ]);
    case 'segments':
      return listing.segments.map((line) => [
        String(line.timeline),
        line.kind,
        formatTime(line.from),
        formatTime(line.to),
        formatCount(line.start),
        formatCount(line.end),
        formatBytes(line.bytes),
      ]);
    case 'gaps':
      return listing.gaps.map((line) => [
        String(line.timeline),
        formatTime(line.from),
        formatTime(line.to),
        formatSeconds(line.seconds),
        line.cause,
        printable(line.detail),
      ]);
    case 'orphans':
      return listing.orphans.map((line) => [
        String(line.timeline),
        shortPosition(line.fromPosition),
        shortPosition(line.toPosition),
      ]);
    case 'removed':
      return listing.removed.map(removedRow);
    case 'uncertain':
      return listing.uncertain.map((line) => [
        String(line.timeline),
        formatTime(line.from),
        formatTime(line.to),
        formatSeconds(line.seconds),
        shortPosition(line.fromPosition),
        line.cause,
      ]);
    case 'marks':
      return listing.marks.map((line) => [
        printable(line.name),
        formatTime(line.time),
        shortPosition(line.position),
        String(line.timeline),
        printable(line.note ?? ''),
      ]);
  }
}

function removedRow({ timeline, from, to, removedAt, rule }: StatusRemoved): string[] {
  return [String(timeline), formatTime(from), formatTime(to), formatTime(removedAt), printable(rule)];
}

const right = 'right';

const columns: Readonly<Record<Kind, readonly Column[]>> = {
  timelines: titles('timeline', 'from', 'to', 'first position', 'last position', ['segments'], ['size'], 'primary'),
  bases: titles('timeline', 'time', 'position', ['size'], ['keys'], 'rdb', 'origin'),
  segments: titles('timeline', 'kind', 'from', 'to', ['start'], ['end'], ['size']),
  gaps: titles('before timeline', 'from', 'to', ['length'], 'cause', 'detail'),
  orphans: titles('timeline', 'first position', 'last position'),
  removed: titles('timeline', 'from', 'to', 'removed', 'by'),
  uncertain: titles('timeline', 'from', 'to', ['length'], 'last position before', 'cause'),
  marks: titles('name', 'time', 'position', 'timeline', 'note'),
};

/** A title in brackets is that of a column of numbers. */
function titles(...names: readonly (string | readonly [string])[]): Column[] {
  return names.map((name) => (typeof name === 'string' ? { title: name } : { title: name[0], align: right }));
}

/** The first 8 digits of the id are enough to tell histories apart, and to restore by. */
function shortPosition(position: string): string {
  return `${position.slice(0, 8)}:${position.slice(41)}`;
}
