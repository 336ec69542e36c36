/**
 * What a search has found, in print: a line each, as it is found. For people columns of fixed widths, for programs a JSON
 * document a line, each with its `type`.
 */
import { formatInstant } from '../core/instant.ts';
import type { Micros } from '../core/clock.ts';
import { formatPosition } from '../core/position.ts';
import type { Position } from '../core/position.ts';
import { damagedOf, gapOf, orphanOf, removedOf } from '../daemon/status-lists.ts';
import type { FindEvent, FoundCommand } from '../inspect/find.ts';
import type { Notice } from '../inspect/notices.ts';
import { commandJson, commandText } from './command-text.ts';
import type { Elision } from './command-text.ts';
import { formatRow } from './table.ts';
import { formatSeconds, formatTime, printable } from './units.ts';

export function jsonLine(event: FindEvent, elision: Elision): string {
  return `${JSON.stringify(event.kind === 'command' ? foundJson(event, elision) : noticeJson(event))}\n`;
}

function foundJson(found: FoundCommand, elision: Elision): Readonly<Record<string, unknown>> {
  return { ...placeJson(found), ...commandJson(found.command, elision), ...sizeJson(found) };
}

/** Where and when a command was. */
export function placeJson(found: FoundCommand): Readonly<Record<string, unknown>> {
  const { timeline, position, stamp, written, command } = found;
  return {
    type: 'command',
    timeline: timeline.number,
    position: formatPosition(position),
    time: formatInstant(stamp),
    written: {
      from: written.from === undefined ? null : formatInstant(written.from),
      to: formatInstant(written.to),
    },
    db: command.db,
    multi: command.inMulti,
  };
}

/** What else there is to know of it. */
export function sizeJson({ command, match, isOrphan }: FoundCommand): Readonly<Record<string, unknown>> {
  return {
    bytes: command.end + 1 - command.start,
    ...(match === 'any' && { mayTouch: 'any' }),
    ...(isOrphan && { orphan: true }),
  };
}

export function noticeJson(notice: Notice): Readonly<Record<string, unknown>> {
  const { kind: type } = notice;
  switch (notice.kind) {
    case 'gap':
      return { type, ...gapOf(notice.gap) };
    case 'removed':
      return { type, ...removedOf(notice.record) };
    case 'damaged':
      return { type, ...damagedOf(notice.damaged) };
    case 'uncovered':
      return { type, from: formatInstant(notice.from), to: formatInstant(notice.to) };
    case 'switch':
      return { type, timeline: notice.timeline, position: formatPosition(notice.position), id: notice.id };
    case 'orphan':
      return { type, ...orphanOf(notice.orphan) };
  }
}

const columns = [
  { title: 'received', width: 24 },
  { title: '±', width: 6, align: 'right' },
  { title: 'position', width: 20 },
  { title: 'db', width: 2, align: 'right' },
  { title: 'in', width: 5 },
  { title: 'command', width: 0 },
] as const;

export function heading(): string {
  return formatRow(
    columns,
    columns.map(({ title }) => title),
  );
}

export function textLine(event: FindEvent, elision: Elision): string {
  return `${event.kind === 'command' ? foundText(event, elision) : noticeText(event)}\n`;
}

function foundText(found: FoundCommand, elision: Elision): string {
  const { position, stamp, match, isOrphan, command } = found;
  const notes = [...(match === 'any' ? ['(may touch any key)'] : []), ...(isOrphan ? ['(orphan)'] : [])];
  return formatRow(columns, [
    formatTime(formatInstant(stamp)),
    distance(found),
    shortPosition(position),
    String(command.db),
    command.inMulti ? 'MULTI' : '',
    [commandText(command, elision), ...notes].join('  '),
  ]);
}

/** What separates the moment of receipt from the one when it was written, at most. */
function distance({ stamp, written: { from, to } }: FoundCommand): string {
  if (from === undefined) return '?';
  return shortSeconds(Math.max(Math.abs(stamp - from), Math.abs(to - stamp)));
}

function shortSeconds(micros: Micros): string {
  const seconds = Math.ceil(micros / 10_000) / 100;
  return seconds < 10 ? `${seconds.toFixed(2)} s` : formatSeconds(seconds);
}

/** A line among the rows. */
export function noticeText(notice: Notice): string {
  return printable(`-- ${inWords(notice)}`);
}

function inWords(notice: Notice): string {
  const between = (from: Micros, to: Micros): string =>
    `from ${formatTime(formatInstant(from))} to ${formatTime(formatInstant(to))}`;
  switch (notice.kind) {
    case 'gap': {
      const { from, to, cause, detail } = notice.gap;
      return `gap ${between(from.stamp, to.stamp)}, ${formatSeconds((to.stamp - from.stamp) / 1_000_000)}: ${cause.replace('-', ' ')} (${detail})`;
    }
    case 'removed':
      return `removed by ${notice.record.rule}: timeline ${notice.record.timeline}, ${between(notice.record.first, notice.record.last)}`;
    case 'damaged':
      return `not searched: timeline ${notice.damaged.number} is damaged: ${notice.damaged.error.message}`;
    case 'uncovered':
      return `nothing is journaled ${between(notice.from, notice.to)}`;
    case 'switch':
      return `failover behind ${shortPosition(notice.position)}: the history goes on as ${notice.id.slice(0, idShown)}`;
    case 'orphan': {
      const { id, from, to } = notice.orphan;
      return `orphan up to ${shortPosition({ id, offset: to })}: what follows from offset ${from} on is not in the history that survived`;
    }
  }
}

const idShown = 8;

/** Enough of it to restore by. */
export function shortPosition({ id, offset }: Position): string {
  return `${id.slice(0, idShown)}:${offset}`;
}
