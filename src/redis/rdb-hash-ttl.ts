/**
 * The value of a hash whose fields may expire, as an RDB holds it, with other expiries (pure). Names and values are taken
 * over as they are encoded. What a hash is written as depends on what is left of it:
 *
 *   Redis     24, 25 (a listpack)   →  24, or 4 where no field expires any more
 *   Valkey    22                    →  22, or 4
 *
 * A listpack is not written again: 24 holds the same, and a server that loads it makes a listpack of it where it is small.
 */
import { listpackElements } from './listpack.ts';
import { lengthAt, lengthEnd, millisecondsAt, stringAt, stringEnd } from './rdb-steps.ts';
import { encodeLength, writeMilliseconds } from './rdb-writer.ts';
import type { RdbMagic } from './server-version.ts';
import { GOES, NEVER } from './ttl-rule.ts';
import type { TtlJudge } from './ttl-rule.ts';

const Type = { HASH: 4, VALKEY_HASH: 22, REDIS_HASH: 24, REDIS_LISTPACK: 25 } as const;
const never = 0;

interface Field {
  /** Name and value, encoded. */
  readonly pair: Buffer;
  /** `never`, or an instant. */
  readonly atMs: number;
}

export interface HashValue {
  readonly type: number;
  readonly value: Buffer;
}

export function isHashWithTtl(magic: RdbMagic | undefined, type: number): boolean {
  if (magic === 'VALKEY') return type === Type.VALKEY_HASH;
  return type === Type.REDIS_HASH || type === Type.REDIS_LISTPACK;
}

/** Undefined: nothing is left of it. BrokenStep or IntegrityError where it is not what its type says. */
export function judgedHash(hash: HashValue, judge: TtlJudge): HashValue | undefined {
  const fields = fieldsOf(hash);
  const judged: Field[] = [];
  let isChanged = false;
  for (const field of fields) {
    if (field.atMs === never) {
      judged.push(field);
      continue;
    }
    const toMs = judge.take('fields', field.atMs);
    isChanged ||= toMs !== field.atMs;
    if (toMs !== GOES) judged.push({ pair: field.pair, atMs: toMs === NEVER ? never : toMs });
  }
  if (!isChanged) return hash;
  return judged.length === 0 ? undefined : encoded(hash.type, judged);
}

function fieldsOf({ type, value }: HashValue): Field[] {
  switch (type) {
    case Type.REDIS_LISTPACK:
      return listpackFields(value);
    case Type.REDIS_HASH:
      return redisFields(value);
    default:
      return valkeyFields(value);
  }
}

function listpackFields(value: Buffer): Field[] {
  const elements = listpackElements(stringAt(value, 8, value.length));
  const fields: Field[] = [];
  for (let i = 0; i + 2 < elements.length; i += 3) {
    const [name, content, at] = [elements[i]!, elements[i + 1]!, elements[i + 2]!];
    const pair = Buffer.concat([encodeLength(name.length), name, encodeLength(content.length), content]);
    fields.push({ pair, atMs: Math.max(never, Number(at.toString('latin1'))) });
  }
  return fields;
}

/** Expiries are relative to the earliest, which comes first. */
function redisFields(value: Buffer): Field[] {
  const earliestMs = millisecondsAt(value, 0);
  const fields: Field[] = [];
  let at = lengthEnd(value, 8);
  for (let left = lengthAt(value, 8); left > 0; left -= 1) {
    const after = lengthAt(value, at);
    const from = lengthEnd(value, at);
    at = stringEnd(value, stringEnd(value, from));
    fields.push({ pair: value.subarray(from, at), atMs: after === 0 ? never : earliestMs + after - 1 });
  }
  return fields;
}

function valkeyFields(value: Buffer): Field[] {
  const fields: Field[] = [];
  let at = lengthEnd(value, 0);
  for (let left = lengthAt(value, 0); left > 0; left -= 1) {
    const end = stringEnd(value, stringEnd(value, at));
    fields.push({ pair: value.subarray(at, end), atMs: Math.max(never, millisecondsAt(value, end)) });
    at = end + 8;
  }
  return fields;
}

function encoded(type: number, fields: readonly Field[]): HashValue {
  const parts = [encodeLength(fields.length)];
  const expiring = fields.filter(({ atMs }) => atMs !== never);
  if (expiring.length === 0) {
    for (const { pair } of fields) parts.push(pair);
    return { type: Type.HASH, value: Buffer.concat(parts) };
  }
  if (type === Type.VALKEY_HASH) {
    for (const { pair, atMs } of fields) parts.push(pair, milliseconds(atMs === never ? -1 : atMs));
    return { type, value: Buffer.concat(parts) };
  }
  const earliestMs = expiring.reduce((least, { atMs }) => Math.min(least, atMs), Infinity);
  parts.unshift(milliseconds(earliestMs));
  for (const { pair, atMs } of fields) parts.push(encodeLength(atMs === never ? 0 : atMs - earliestMs + 1), pair);
  return { type: Type.REDIS_HASH, value: Buffer.concat(parts) };
}

function milliseconds(ms: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  writeMilliseconds(bytes, 0, ms);
  return bytes;
}
