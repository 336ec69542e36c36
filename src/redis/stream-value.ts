/**
 * What a stream is, out of an RDB (pure): its entries with their ids, its counters, its groups and what is pending in them,
 * whatever nodes the entries are packed into.
 */
import { listpackElements } from './listpack.ts';
import type { ValueReader } from './value-reader.ts';

export interface StreamEntry {
  readonly id: string;
  /** Fields and their values in turn. */
  readonly fields: readonly Buffer[];
}

export interface StreamGroup {
  readonly name: Buffer;
  /** The last one delivered. */
  readonly last: readonly [ms: Buffer, sequence: Buffer];
  readonly pending: readonly PendingEntry[];
}

export interface PendingEntry {
  /** In 16 bytes. */
  readonly id: Buffer;
  readonly consumer: Buffer | undefined;
  /** In ms since the epoch, 8 bytes. */
  readonly delivered: Buffer;
  /** As it is written. */
  readonly deliveries: Buffer;
}

/** How streams are written: 1 is of Redis 5.0 to 6.2, 2 of 7.0, 3 of 7.2 and later; undefined: the code is of none of them. */
export function streamGeneration(code: number): number | undefined {
  const index = [15, 19, 21].indexOf(code);
  return index < 0 ? undefined : index + 1;
}

const deleted = 1;
const sameFields = 2;
const unset = Buffer.from([0]);

/** Part by part, in an order of its own. */
export function* streamParts(reader: ValueReader, generation: number): Generator<Buffer, void, undefined> {
  for (const { id, fields } of streamEntries(reader)) {
    yield Buffer.from(`entry ${id} ${fields.length / 2}`, 'latin1');
    yield* fields;
  }
  const length = reader.lengthBytes();
  yield* [length, reader.lengthBytes(), reader.lengthBytes()];
  if (generation === 1) {
    // As later servers take it over.
    yield* [unset, unset, length];
  } else {
    // The id of the first entry follows from the entries.
    reader.lengthBytes();
    reader.lengthBytes();
    yield* [reader.lengthBytes(), reader.lengthBytes(), reader.lengthBytes()];
  }
  for (const { name, last, pending } of streamGroups(reader, generation)) {
    yield Buffer.from('group', 'latin1');
    yield* [name, ...last];
    for (const { id, delivered, deliveries, consumer } of pending)
      yield* [id, delivered, deliveries, consumer ?? unset];
  }
}

/** Come first in the value. */
export function* streamEntries(reader: ValueReader): Generator<StreamEntry, void, undefined> {
  for (let nodes = reader.length(); nodes > 0; nodes -= 1) {
    const first = reader.string();
    yield* entries(first, listpackElements(reader.string()));
  }
}

/** Come last in the value. */
export function* streamGroups(reader: ValueReader, generation: number): Generator<StreamGroup, void, undefined> {
  for (let groups = reader.length(); groups > 0; groups -= 1) yield group(reader, generation);
}

/** Of a node: how many are in it, how many deleted, the fields of its first entry, and the entries. */
function* entries(first: Buffer, elements: readonly Buffer[]): Generator<StreamEntry, void, undefined> {
  const [ms, sequence] = [first.readBigUInt64BE(0), first.readBigUInt64BE(8)];
  let at = 2;
  const next = (): Buffer => {
    const element = elements[at];
    if (element === undefined) throw new RangeError('a stream ends inside an entry');
    at += 1;
    return element;
  };
  const number = (): bigint => BigInt(next().toString('latin1'));
  const common = Array.from({ length: Number(number()) }, next);
  number();
  while (at < elements.length) {
    const flags = Number(number());
    // Differences are written as signed numbers, ids are unsigned ones.
    const id = `${BigInt.asUintN(64, ms + number())}-${BigInt.asUintN(64, sequence + number())}`;
    const isSame = (flags & sameFields) !== 0;
    const count = isSame ? common.length : Number(number());
    const fields = Array.from({ length: count }, (_, i) => (isSame ? [common[i]!, next()] : [next(), next()])).flat();
    // How many elements the entry takes, for those who read backwards.
    number();
    if ((flags & deleted) !== 0) continue;
    yield { id, fields };
  }
}

function group(reader: ValueReader, generation: number): StreamGroup {
  const name = reader.string();
  const last = [reader.lengthBytes(), reader.lengthBytes()] as const;
  if (generation > 1) reader.lengthBytes();
  const pending = Array.from({ length: reader.length() }, () => {
    return { id: reader.take(16), delivered: reader.take(8), deliveries: reader.lengthBytes() };
  });
  const owners = new Map<string, Buffer>();
  for (let consumers = reader.length(); consumers > 0; consumers -= 1) {
    const consumer = reader.string();
    reader.take(generation > 2 ? 16 : 8);
    for (let left = reader.length(); left > 0; left -= 1) owners.set(reader.take(16).toString('hex'), consumer);
  }
  return { name, last, pending: pending.map((one) => ({ ...one, consumer: owners.get(one.id.toString('hex')) })) };
}
