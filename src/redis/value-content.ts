/**
 * What a value is, as clients would see it, whatever form servers keep it in (pure): out of what DUMP tells, or an RDB has.
 * Neighbours: value-elements.ts and stream-value.ts read the forms; value-digest.ts compares without making anything of them.
 */
import type { RdbMagic } from './server-version.ts';
import { streamEntries, streamGeneration, streamGroups } from './stream-value.ts';
import type { StreamEntry, StreamGroup } from './stream-value.ts';
import { elementsOf, fieldsOf, groups } from './value-elements.ts';
import type { Field } from './value-elements.ts';
import { ValueReader } from './value-reader.ts';

export type ValueContent =
  | { readonly type: 'string'; readonly value: Buffer }
  | { readonly type: 'list' | 'set'; readonly elements: readonly Buffer[] }
  | { readonly type: 'zset'; readonly members: readonly ScoredMember[] }
  | { readonly type: 'hash'; readonly fields: readonly Field[] }
  | {
      readonly type: 'stream';
      readonly entries: readonly StreamEntry[];
      readonly lastId: string;
      readonly groups: readonly ContentGroup[];
    };

export interface ScoredMember {
  readonly member: Buffer;
  readonly score: number;
}

export interface ContentGroup {
  readonly name: Buffer;
  readonly lastId: string;
  readonly pending: readonly ContentPending[];
}

export interface ContentPending {
  readonly id: string;
  readonly consumer: Buffer | undefined;
  readonly deliveredMs: number;
  readonly deliveries: number;
}

/** Of a value whose type `code` is; undefined: of a type or form that is not known, such as a module's. */
export function valueContent(code: number, magic: RdbMagic, value: Buffer): ValueContent | undefined {
  const reader = new ValueReader(value, 0);
  try {
    const content = contentOf(code, magic === 'VALKEY', reader);
    return reader.isAtEnd ? content : undefined;
  } catch {
    // What is not as we know it may still be a value; it is not for us to say.
    return undefined;
  }
}

function contentOf(code: number, isValkey: boolean, reader: ValueReader): ValueContent | undefined {
  const known = elementsOf[code];
  if (known !== undefined) return ofElements(known[0], known[1](reader));
  const fields = fieldsOf(code, isValkey);
  if (fields !== undefined) return { type: 'hash', fields: Array.from(fields(reader)) };
  const generation = streamGeneration(code);
  return generation === undefined ? undefined : streamContent(reader, generation);
}

function ofElements(type: 'string' | 'list' | 'set' | 'zset' | 'hash', elements: Iterable<Buffer>): ValueContent {
  switch (type) {
    case 'string': {
      const [value = Buffer.alloc(0)] = elements;
      return { type, value };
    }
    case 'list':
    case 'set':
      return { type, elements: Array.from(elements) };
    case 'zset': {
      const members = Array.from(groups(elements, 2), ([member, score]) => {
        return { member: member!, score: score!.readDoubleLE(0) };
      });
      return { type, members: members.sort(byScore) };
    }
    case 'hash': {
      const fields = Array.from(groups(elements, 2), ([field, value]) => ({ field: field!, value: value!, endsMs: 0 }));
      return { type, fields };
    }
  }
}

function byScore(a: ScoredMember, b: ScoredMember): number {
  return a.score === b.score ? Buffer.compare(a.member, b.member) : a.score < b.score ? -1 : 1;
}

function streamContent(reader: ValueReader, generation: number): ValueContent {
  const entries = Array.from(streamEntries(reader));
  reader.length();
  const lastId = idOf(reader.lengthBytes(), reader.lengthBytes());
  if (generation > 1) for (let left = 5; left > 0; left -= 1) reader.lengthBytes();
  return { type: 'stream', entries, lastId, groups: Array.from(streamGroups(reader, generation), contentGroup) };
}

function contentGroup({ name, last, pending }: StreamGroup): ContentGroup {
  return {
    name,
    lastId: idOf(...last),
    pending: pending.map(({ id, consumer, delivered, deliveries }) => ({
      id: `${id.readBigUInt64BE(0)}-${id.readBigUInt64BE(8)}`,
      consumer,
      deliveredMs: Number(delivered.readBigInt64LE(0)),
      deliveries: Number(numberOf(deliveries)),
    })),
  };
}

function idOf(ms: Buffer, sequence: Buffer): string {
  return `${numberOf(ms)}-${numberOf(sequence)}`;
}

/** Of a length as it is written, exact also beyond what a number holds. */
function numberOf(length: Buffer): bigint {
  const first = length[0]!;
  if (first < 0x40) return BigInt(first);
  if (first < 0x80) return BigInt(length.readUInt16BE(0) & 0x3fff);
  return first === 0x80 ? BigInt(length.readUInt32BE(1)) : length.readBigUInt64BE(1);
}
