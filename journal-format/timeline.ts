/**
 * The document that opens a timeline (SPEC.md 9): whose history it is and where it was taken from. The address names
 * host and port, never a secret.
 */
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface TimelineRecord {
  readonly source: string;
  readonly timeline: number;
  readonly id: string;
  /** The offset of the timeline's first base. */
  readonly offset: number;
  readonly stamp: number;
  readonly address: string;
  readonly server: { readonly kind: string; readonly version: string };
  readonly writer: string;
}

const layout: Layout<TimelineRecord> = {
  kind: 'timeline',
  write: (record) => ({
    source: record.source,
    timeline: record.timeline,
    id: record.id,
    offset: record.offset,
    stamp: record.stamp,
    address: record.address,
    server: { kind: record.server.kind, version: record.server.version },
    writer: record.writer,
  }),
  read: (fields) => {
    const server = fields.map('server');
    return {
      source: fields.source(),
      timeline: fields.timeline(),
      id: fields.id(),
      offset: fields.uint('offset'),
      stamp: fields.uint('stamp'),
      address: fields.text('address'),
      server: { kind: server.text('kind'), version: server.text('version') },
      writer: fields.text('writer'),
    };
  },
};

export function encodeTimeline(record: TimelineRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeTimeline(bytes: Uint8Array): Decoded<TimelineRecord> {
  return decodeRecord(layout, bytes);
}
