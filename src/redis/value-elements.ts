/**
 * The elements of a value as an RDB has it, whatever form it is kept in (pure): as clients would see them, in the order in
 * which they are written.
 */
import { listpackElements } from './listpack.ts';
import { parseScore } from './value-reader.ts';
import type { ValueReader } from './value-reader.ts';
import { intsetElements, ziplistElements } from './ziplist.ts';

type Elements = (reader: ValueReader) => Iterable<Buffer>;

/** By code: members with their scores as doubles in turn, fields with their values. */
export const elementsOf: Readonly<Record<number, readonly ['string' | 'list' | 'set' | 'zset' | 'hash', Elements]>> = {
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

/** Of a hash whose fields may expire. */
export interface Field {
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

/** Undefined: the code is of no hash whose fields may expire. */
export function fieldsOf(code: number, isValkey: boolean): ((reader: ValueReader) => Iterable<Field>) | undefined {
  return isValkey ? valkeyHashes[code] : redisHashes[code];
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

/** RangeError where one is not whole. */
export function* groups(elements: Iterable<Buffer>, size: number): Generator<Buffer[]> {
  let group: Buffer[] = [];
  for (const element of elements) {
    group.push(element);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) throw new RangeError('a value ends inside an element');
}
