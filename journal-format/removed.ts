/**
 * The document of a timeline that was removed on purpose (SPEC.md 9): what it had covered, so that nobody takes it for
 * history that was never journaled. It is published before anything is taken away.
 */
import type { IdEntry } from './fields.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface RemovedRecord {
  readonly timeline: number;
  /** Its replication ids, each with the first offset it was used for. */
  readonly ids: readonly IdEntry[];
  /** Of its base. */
  readonly offset: number;
  /** The last boundary in it. */
  readonly end: number;
  /** The first and the last instant that it covered. */
  readonly first: number;
  readonly last: number;
  /** When it was removed. */
  readonly removed: number;
  /** The rule that asked for it, in words. */
  readonly rule: string;
}

const layout: Layout<RemovedRecord> = {
  kind: 'removed',
  write: (record) => ({
    timeline: record.timeline,
    ids: record.ids.map(({ id, offset }) => [id, offset]),
    offset: record.offset,
    end: record.end,
    first: record.first,
    last: record.last,
    removed: record.removed,
    rule: record.rule,
  }),
  read: (fields) => ({
    timeline: fields.timeline(),
    ids: fields.ids(),
    offset: fields.uint('offset'),
    end: fields.uint('end'),
    first: fields.uint('first'),
    last: fields.uint('last'),
    removed: fields.uint('removed'),
    rule: fields.text('rule'),
  }),
};

export function encodeRemoved(record: RemovedRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeRemoved(bytes: Uint8Array): Decoded<RemovedRecord> {
  return decodeRecord(layout, bytes);
}
