/**
 * A value as JSON, piece by piece (pure), so that it may be larger than any text:
 *
 *   string   its text                              hash     {field: value}, or [[field, value], …] where a field is no text
 *   list     [element, …]                          zset     [{member, score}, …] by score; score is a number, "inf" or "-inf"
 *   set      [member, …]                           stream   {entries: [{id, fields: [field, value, …]}, …], lastId, groups}
 *
 * Bytes that are no text, and strings above 1 MiB, are {"base64": "…"}.
 */
import { isUtf8 } from 'node:buffer';
import { printedArgumentBytesMax } from '../../core/limits.ts';
import { formatInstant } from '../../core/instant.ts';
import type { ContentGroup, ScoredMember, ValueContent } from '../../redis/value-content.ts';
import { bytesJson } from '../bytes-json.ts';

/** Three bytes are four characters. */
const partBytes = 3 * 64 * 1024;

export type Pieces = Generator<string, void, undefined>;

export function* contentPieces(content: ValueContent): Pieces {
  switch (content.type) {
    case 'string':
      return yield* bytesPieces(content.value);
    case 'list':
    case 'set':
      return yield* listPieces(content.elements, bytesPieces);
    case 'zset':
      return yield* listPieces(content.members, memberPieces);
    case 'hash':
      return yield* hashPieces(content.fields);
    case 'stream':
      yield '{"entries":';
      yield* listPieces(content.entries, function* ({ id, fields }) {
        yield `{"id":${JSON.stringify(id)},"fields":`;
        yield* listPieces(fields, bytesPieces);
        yield '}';
      });
      yield `,"lastId":${JSON.stringify(content.lastId)},"groups":`;
      yield* listPieces(content.groups, groupPieces);
      yield '}';
  }
}

/** Of a hash the fields that end: when, in the form of its fields; undefined: none. */
export function fieldEnds(content: ValueContent | undefined): string | undefined {
  if (content?.type !== 'hash') return undefined;
  const ending = content.fields.filter(({ endsMs }) => endsMs > 0);
  if (ending.length === 0) return undefined;
  const pairs = ending.map(({ field, endsMs }) => ({ field, value: Buffer.from(formatInstant(endsMs * 1000)) }));
  const isOfText = content.fields.every(({ field }) => isName(field));
  return Array.from(isOfText ? objectPieces(pairs) : pairPieces(pairs)).join('');
}

export function* bytesPieces(bytes: Buffer): Pieces {
  if (bytes.length <= printedArgumentBytesMax) return yield JSON.stringify(bytesJson(bytes));
  yield '{"base64":"';
  for (let at = 0; at < bytes.length; at += partBytes) yield bytes.toString('base64', at, at + partBytes);
  yield '"}';
}

function* listPieces<T>(list: readonly T[], pieces: (one: T) => Pieces): Pieces {
  yield '[';
  for (const [i, one] of list.entries()) {
    if (i > 0) yield ',';
    yield* pieces(one);
  }
  yield ']';
}

function* memberPieces({ member, score }: ScoredMember): Pieces {
  yield '{"member":';
  yield* bytesPieces(member);
  yield `,"score":${scoreText(score)}}`;
}

/** Exact: a number of JSON is a double of at least as many digits as it takes. */
function scoreText(score: number): string {
  if (score === Infinity) return '"inf"';
  if (score === -Infinity) return '"-inf"';
  return Object.is(score, -0) ? '-0' : String(score);
}

interface Pair {
  readonly field: Buffer;
  readonly value: Buffer;
}

function hashPieces(fields: readonly Pair[]): Pieces {
  return fields.every(({ field }) => isName(field)) ? objectPieces(fields) : pairPieces(fields);
}

function isName(field: Buffer): boolean {
  return field.length <= printedArgumentBytesMax && isUtf8(field);
}

function* objectPieces(fields: readonly Pair[]): Pieces {
  yield '{';
  for (const [i, { field, value }] of fields.entries()) {
    yield `${i > 0 ? ',' : ''}${JSON.stringify(field.toString())}:`;
    yield* bytesPieces(value);
  }
  yield '}';
}

function pairPieces(fields: readonly Pair[]): Pieces {
  return listPieces(fields, ({ field, value }) => listPieces([field, value], bytesPieces));
}

function* groupPieces({ name, lastId, pending }: ContentGroup): Pieces {
  yield '{"name":';
  yield* bytesPieces(name);
  yield `,"lastId":${JSON.stringify(lastId)},"pending":`;
  yield* listPieces(pending, function* ({ id, consumer, deliveredMs, deliveries }) {
    yield `{"id":${JSON.stringify(id)},"consumer":`;
    if (consumer === undefined) yield 'null';
    else yield* bytesPieces(consumer);
    yield `,"delivered":${JSON.stringify(formatInstant(deliveredMs * 1000))},"deliveries":${deliveries}}`;
  });
  yield '}';
}
