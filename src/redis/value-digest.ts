/**
 * Whether two values are the same, whatever form servers keep them in (pure): a digest of what DUMP tells, without the
 * encoding, without the order of what has none. Lists, sets, sorted sets, hashes with the times of their fields, and streams
 * with groups and what is pending; not when a consumer was last seen, nor consumers for whom nothing is pending, nor how
 * many entries a group has read: replicas are not told these exactly.
 *
 * Invariant: equal digests, equal values. Of a type or form that is not known there is none.
 */
import { createHash, hash } from 'node:crypto';
import type { KeyType } from './key-selection.ts';
import { listpackElements } from './listpack.ts';
import { streamParts } from './stream-value.ts';
import type { RdbMagic } from './server-version.ts';
import { parseScore, ValueReader } from './value-reader.ts';
import { intsetElements, ziplistElements } from './ziplist.ts';

export interface ValueDigest {
  readonly type: KeyType;
  readonly digest: string;
}

/** Behind the value: the RDB version in 2 bytes, and a checksum. */
const footBytes = 10;
const valkeyVersion = 80;

/** The value with its type, without version and checksum. */
export function valueBytes(payload: Buffer): Buffer {
  return payload.subarray(0, payload.length - footBytes);
}

/** Fields of hashes that ended before `nowMs` are none any more. */
export function valueDigest(payload: Buffer, nowMs: number): ValueDigest | undefined {
  if (payload.length <= footBytes) return undefined;
  const bytes = valueBytes(payload);
  const isValkey = payload.readUInt16LE(bytes.length) >= valkeyVersion;
  return wholeDigest(bytes[0]!, isValkey, new ValueReader(bytes, 1), nowMs);
}

/** Of a value in an RDB, whose type `code` is. */
export function encodedDigest(code: number, magic: RdbMagic, value: Buffer, nowMs: number): ValueDigest | undefined {
  return wholeDigest(code, magic === 'VALKEY', new ValueReader(value, 0), nowMs);
}

function wholeDigest(code: number, isValkey: boolean, reader: ValueReader, nowMs: number): ValueDigest | undefined {
  try {
    const found = digestOf(code, isValkey, reader, nowMs);
    return reader.isAtEnd ? found : undefined;
  } catch {
    // What is not as we know it may still be a value; it is not for us to say.
    return undefined;
  }
}

function digestOf(code: number, isValkey: boolean, reader: ValueReader, nowMs: number): ValueDigest | undefined {
  const elements = elementsOf[code];
  if (elements !== undefined) {
    const [type, read] = elements;
    return { type, digest: collectors[type](read(reader)) };
  }
  const hashReader = isValkey ? valkeyHashes[code] : redisHashes[code];
  if (hashReader !== undefined) return { type: 'hash', digest: digestFields(hashReader(reader), nowMs) };
  const generation = [15, 19, 21].indexOf(code) + 1;
  if (generation === 0) return undefined;
  return { type: 'stream', digest: inOrder(streamParts(reader, generation)) };
}

type Elements = (reader: ValueReader) => Iterable<Buffer>;

/** Sets and hashes in no order, lists in theirs, sorted sets by score. */
const elementsOf: Readonly<Record<number, readonly ['string' | 'list' | 'set' | 'zset' | 'hash', Elements]>> = {
  0: ['string', (reader) => [reader.string()]],
  1: ['list', (reader) => times(reader.length(), () => [reader.string()])],
  10: ['list', (reader) => ziplistElements(reader.string())],
  14: ['list', (reader) => times(reader.length(), () => ziplistElements(reader.string()))],
  18: ['list', (reader) => times(reader.length(), () => node(reader))],
  2: ['set', (reader) => times(reader.length(), () => [reader.string()])],
  11: ['set', (reader) => intsetElements(reader.string())],
  20: ['set', (reader) => listpackElements(reader.string())],
  3: ['zset', (reader) => times(reader.length(), () => [reader.string(), scoreBytes(reader.oldScore())])],
  5: ['zset', (reader) => times(reader.length(), () => [reader.string(), reader.take(8)])],
  12: ['zset', (reader) => withScores(ziplistElements(reader.string()))],
  17: ['zset', (reader) => withScores(listpackElements(reader.string()))],
  4: ['hash', (reader) => times(2 * reader.length(), () => [reader.string()])],
  13: ['hash', (reader) => ziplistElements(reader.string())],
  16: ['hash', (reader) => listpackElements(reader.string())],
};

const collectors = {
  string: inOrder,
  list: inOrder,
  set: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 1)),
  zset: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 2)),
  // Just as those whose fields have times, of which they have none.
  hash: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 2)),
} as const;

interface Field {
  readonly field: Buffer;
  readonly value: Buffer;
  /** 0 or less: it stays. */
  readonly endsMs: number;
}

const redisHashes: Readonly<Record<number, (reader: ValueReader) => Iterable<Field>>> = {
  24: function* (reader) {
    const earliest = reader.milliseconds();
    for (let left = reader.length(); left > 0; left -= 1) {
      const after = reader.length();
      const [field, value] = [reader.string(), reader.string()];
      yield { field, value, endsMs: after === 0 ? 0 : earliest + after - 1 };
    }
  },
  25: function* (reader) {
    reader.take(8);
    for (const [field, value, ends] of groups(listpackElements(reader.string()), 3)) {
      yield { field: field!, value: value!, endsMs: Number(ends!.toString('latin1')) };
    }
  },
};

const valkeyHashes: typeof redisHashes = {
  22: function* (reader) {
    for (let left = reader.length(); left > 0; left -= 1) {
      yield { field: reader.string(), value: reader.string(), endsMs: reader.milliseconds() };
    }
  },
};

function digestFields(fields: Iterable<Field>, nowMs: number): string {
  function* present(): Generator<Buffer[]> {
    for (const { field, value, endsMs } of fields) {
      if (endsMs <= 0) yield [field, value];
      else if (endsMs > nowMs) yield [field, value, Buffer.from(String(endsMs), 'latin1')];
    }
  }
  return inNoOrder(present());
}

/** A list's node: one element, or a listpack. */
function node(reader: ValueReader): Iterable<Buffer> {
  const isPlain = reader.length() === 1;
  const bytes = reader.string();
  return isPlain ? [bytes] : listpackElements(bytes);
}

function* withScores(elements: readonly Buffer[]): Generator<Buffer> {
  for (const [member, score] of groups(elements, 2)) {
    yield member!;
    yield scoreBytes(parseScore(score!));
  }
}

function scoreBytes(score: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(score);
  return bytes;
}

function* times(count: number, read: () => Iterable<Buffer>): Generator<Buffer> {
  for (let left = count; left > 0; left -= 1) yield* read();
}

function* groups(elements: Iterable<Buffer>, size: number): Generator<Buffer[]> {
  let group: Buffer[] = [];
  for (const element of elements) {
    group.push(element);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) throw new RangeError('a value ends inside an element');
}

function inOrder(parts: Iterable<Buffer>): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(lengthOf(part)).update(part);
  return digest.digest('hex');
}

/** The sum of what each has: no two elements of a set are the same. */
function inNoOrder(elements: Iterable<readonly Buffer[]>): string {
  const sum = Buffer.alloc(32);
  let count = 0;
  for (const parts of elements) {
    const one = hash('sha256', Buffer.concat(parts.flatMap((part) => [lengthOf(part), part])), 'buffer');
    for (let i = 0; i < sum.length; i += 1) sum[i]! ^= one[i]!;
    count += 1;
  }
  return `${count} ${sum.toString('hex')}`;
}

function lengthOf(part: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(part.length);
  return bytes;
}
