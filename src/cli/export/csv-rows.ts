/**
 * An export as CSV (RFC 4180): a heading, then a line each. Arguments stand in one field, with blanks between them, as
 * redis-cli takes them: plain words as they are, others in double quotes with what is no printable text as \xNN, and so is
 * all but plain ASCII of an argument above 1 MiB, which is written as it comes. No field has a line end in it.
 */
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import type { FoundCommand } from '../../inspect/find.ts';
import type { Notice } from '../../inspect/notices.ts';
import type { ArgumentPart } from '../../redis/argument-parts.ts';
import { nameBytesOf } from '../../redis/command-reader.ts';
import { argumentText, escapedBytes } from '../command-text.ts';
import { noticeText } from '../find-print.ts';
import type { CommandRows, Piece } from './rows.ts';

export const lineEnd = '\r\n';

export class CsvRows implements CommandRows {
  readonly heading: string =
    'type,timeline,position,time,written_from,written_to,db,multi,may_touch,orphan,command,args,note' + lineEnd;
  readonly isWhole = true;

  before({ timeline, position, stamp, written, command, match, isOrphan }: FoundCommand): Piece[] {
    const fields = [
      ...['command', String(timeline.number), formatPosition(position), formatInstant(stamp)],
      ...[written.from === undefined ? '' : formatInstant(written.from), formatInstant(written.to)],
      ...[String(command.db), String(command.inMulti), match === 'any' ? 'any' : '', isOrphan ? 'true' : ''],
      csvField(argumentText(nameBytesOf(command))),
    ];
    return [`${fields.join(',')},"`];
  }

  argument({ index, length, from, bytes }: ArgumentPart): Piece[] {
    const blank = index > 1 && from === 0 ? ' ' : '';
    if (bytes.length === length) return [blank + doubled(argumentText(bytes))];
    const quotes = [from === 0 ? '""' : '', from + bytes.length === length ? '""' : ''] as const;
    return [`${blank}${quotes[0]}${doubled(escapedBytes(bytes))}${quotes[1]}`];
  }

  behind(): Piece[] {
    return [`",${lineEnd}`];
  }

  notice(notice: Notice): Piece {
    const note = noticeText(notice).replace(/^-- /, '');
    return `${[notice.kind, ...Array.from({ length: 11 }, () => ''), csvField(note)].join(',')}${lineEnd}`;
  }
}

/** In quotes where it has to be. */
export function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${doubled(text)}"` : text;
}

function doubled(text: string): string {
  return text.replaceAll('"', '""');
}
