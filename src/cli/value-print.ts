/**
 * What a key was, in print: for people one line, cut where it gets long, for programs a JSON document a line, exact.
 */
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { KeyValue } from '../inspect/key-value.ts';
import type { ValueEvent } from '../inspect/key-history.ts';
import type { ValueContent } from '../redis/value-content.ts';
import { argumentText, elidedText } from './command-text.ts';
import { bytesPieces, contentPieces, fieldEnds } from './export/value-json.ts';
import type { Pieces } from './export/value-json.ts';
import { formatBytes, formatCount, formatTime } from './units.ts';

/** `key` as it was in one db. */
export function* valueJson(key: Buffer, event: ValueEvent): Pieces {
  const { when, timeline, position, stamp, value } = event;
  const place = { timeline: timeline.number, position: formatPosition(position), time: formatInstant(stamp) };
  yield `${JSON.stringify({ type: 'value', when, ...place, db: value.db }).slice(0, -1)},"key":`;
  yield* bytesPieces(key);
  yield `,"state":${JSON.stringify(value.state)},`;
  yield* factPieces(value);
  yield '}\n';
}

/** Type, expiry, size and value, as every row has them that tells of a key. */
export function* factPieces({ type, endsMs, bytes, content, elapsedFields }: KeyValue): Pieces {
  const expires = endsMs === 0 ? null : formatInstant(endsMs * 1000);
  yield `${JSON.stringify({ valueType: type ?? null, expires, bytes }).slice(1, -1)},"value":`;
  if (content === undefined) yield 'null';
  else yield* contentPieces(content);
  const ends = fieldEnds(content);
  if (ends !== undefined) yield `,"fieldExpires":${ends}`;
  if (elapsedFields > 0) yield `,"elapsedFields":${elapsedFields}`;
}

/** `    = db 0  hash (2)  name bob  age 7  expires 2026-11-20 14:30:05.412Z`, no wider than that, about. */
export function valueText({ when, value }: ValueEvent, width: number): string {
  const { db, state, type, endsMs, bytes, content, elapsedFields } = value;
  const head = `${when === 'before' ? '    before: ' : '    = '}db ${db}  `;
  if (state === 'absent') return `${head}absent\n`;
  const ends = endsMs === 0 ? '' : `  ${state === 'elapsed' ? 'elapsed' : 'expires'} ${timeText(endsMs)}`;
  const past = elapsedFields === 0 ? '' : `  (${elapsedFields} fields elapsed)`;
  const what = `${head}${type ?? 'a value of a module'}`;
  if (content === undefined) return `${what}  (${formatBytes(bytes)}, not shown)${ends}\n`;
  const room = Math.max(leastRoom, width - what.length - ends.length);
  return `${what}${countText(content)}${within(wordsOf(content, room), room)}${past}${ends}\n`;
}

const leastRoom = 20;

function countText(content: ValueContent): string {
  const count = countOf(content);
  return count === undefined ? '' : ` (${formatCount(count)})`;
}

function countOf(content: ValueContent): number | undefined {
  switch (content.type) {
    case 'string':
      return undefined;
    case 'list':
    case 'set':
      return content.elements.length;
    case 'zset':
      return content.members.length;
    case 'hash':
      return content.fields.length;
    case 'stream':
      return content.entries.length;
  }
}

function* wordsOf(content: ValueContent, room: number): Pieces {
  const short = (bytes: Buffer): string => elidedText(bytes, room);
  switch (content.type) {
    case 'string':
      return yield short(content.value);
    case 'list':
    case 'set':
      for (const element of content.elements) yield short(element);
      return;
    case 'zset':
      for (const { member, score } of content.members) yield `${short(member)} ${score}`;
      return;
    case 'hash':
      for (const { field, value, endsMs } of content.fields) {
        const ends = endsMs <= 0 ? '' : ` (expires ${timeText(endsMs)})`;
        yield `${short(field)} ${short(value)}${ends}`;
      }
      return;
    case 'stream':
      for (const { id, fields } of content.entries) yield `${id} ${fields.map(short).join(' ')}`;
      for (const { name, lastId, pending } of content.groups) {
        yield `group ${argumentText(name)} at ${lastId}, ${pending.length} pending`;
      }
  }
}

/** As many as there is room for, one at least. */
function within(words: Iterable<string>, room: number): string {
  let text = '';
  for (const word of words) {
    if (text !== '' && text.length + word.length > room) return `${text}  …`;
    text += `  ${word}`;
  }
  return text;
}

function timeText(ms: number): string {
  return formatTime(formatInstant(ms * 1000));
}
