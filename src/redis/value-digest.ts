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
import { streamGeneration, streamParts } from './stream-value.ts';
import type { RdbMagic } from './server-version.ts';
import { elementsOf, fieldsOf, groups } from './value-elements.ts';
import type { Field } from './value-elements.ts';
import { ValueReader } from './value-reader.ts';

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
  const fields = fieldsOf(code, isValkey);
  if (fields !== undefined) return { type: 'hash', digest: digestFields(fields(reader), nowMs) };
  const generation = streamGeneration(code);
  if (generation === undefined) return undefined;
  return { type: 'stream', digest: inOrder(streamParts(reader, generation)) };
}

const collectors = {
  string: inOrder,
  list: inOrder,
  set: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 1)),
  zset: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 2)),
  // Just as those whose fields have times, of which they have none.
  hash: (elements: Iterable<Buffer>): string => inNoOrder(groups(elements, 2)),
} as const;

function digestFields(fields: Iterable<Field>, nowMs: number): string {
  function* present(): Generator<Buffer[]> {
    for (const { field, value, endsMs } of fields) {
      if (endsMs <= 0) yield [field, value];
      else if (endsMs > nowMs) yield [field, value, Buffer.from(String(endsMs), 'latin1')];
    }
  }
  return inNoOrder(present());
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
