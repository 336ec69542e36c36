/**
 * The document of a clean stop (SPEC.md 9): how far the timeline was durable when its writer left. Recovery must find at
 * least this much.
 */
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface StopRecord {
  readonly timeline: number;
  /** Durable at the stop. */
  readonly offset: number;
  readonly stamp: number;
}

const layout: Layout<StopRecord> = {
  kind: 'stop',
  write: (record) => ({ timeline: record.timeline, offset: record.offset, stamp: record.stamp }),
  read: (fields) => ({ timeline: fields.timeline(), offset: fields.uint('offset'), stamp: fields.uint('stamp') }),
};

export function encodeStop(record: StopRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeStop(bytes: Uint8Array): Decoded<StopRecord> {
  return decodeRecord(layout, bytes);
}
