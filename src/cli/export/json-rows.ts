/**
 * An export as JSON, a document a line. What is text stands as text; other bytes, and arguments above 1 MiB, which are
 * written as they come, as {"base64": "…"}.
 */
import type { FoundCommand } from '../../inspect/find.ts';
import type { Notice } from '../../inspect/notices.ts';
import type { ArgumentPart } from '../../redis/argument-parts.ts';
import { nameBytesOf } from '../../redis/command-reader.ts';
import { noticeJson, placeJson, sizeJson } from '../find-print.ts';
import { bytesJson } from '../bytes-json.ts';
import type { CommandRows, Piece } from './rows.ts';

/** Three bytes are four characters. */
const group = 3;

export class JsonRows implements CommandRows {
  readonly heading = '';
  readonly isWhole = true;
  /** Of an argument in parts, what does not make a group yet. */
  #rest: Buffer = Buffer.alloc(0);

  before(found: FoundCommand): Piece[] {
    const command = bytesJson(nameBytesOf(found.command));
    return [`${JSON.stringify({ ...placeJson(found), command }).slice(0, -1)},"args":[`];
  }

  argument(part: ArgumentPart): Piece[] {
    const { index, length, from, bytes } = part;
    const comma = index > 1 && from === 0 ? ',' : '';
    if (bytes.length === length) return [`${comma}${JSON.stringify(bytesJson(bytes))}`];
    const isLast = from + bytes.length === length;
    const all = Buffer.concat([this.#rest, bytes]);
    const now = isLast ? all.length : all.length - (all.length % group);
    this.#rest = Buffer.from(all.subarray(now));
    const text = all.toString('base64', 0, now);
    return [`${from === 0 ? `${comma}{"base64":"` : ''}${text}${isLast ? '"}' : ''}`];
  }

  behind(found: FoundCommand): Piece[] {
    return [`],${JSON.stringify(sizeJson(found)).slice(1)}\n`];
  }

  notice(notice: Notice): Piece {
    return `${JSON.stringify(noticeJson(notice))}\n`;
  }
}
