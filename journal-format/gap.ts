/**
 * The document of a gap (SPEC.md 9): what lies between two timelines, and why no timeline covers it. A gap is stored,
 * not inferred, so that it can never be taken for coverage.
 */
import type { Fields } from './fields.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export type GapCause = 'backlog-overrun' | 'history-changed' | 'stream-broken' | 'operator';

export interface GapSide {
  readonly timeline: number;
  readonly id: string;
  readonly offset: number;
  readonly stamp: number;
}

/** Bytes of `timeline` that the surviving history of `id` does not contain: all behind `offset`. */
export interface Orphan {
  readonly timeline: number;
  readonly id: string;
  readonly offset: number;
}

export interface GapRecord {
  /** The last position that the older timeline covers. */
  readonly from: GapSide;
  /** The base of the newer one. */
  readonly to: GapSide;
  readonly cause: GapCause;
  readonly detail: string;
  /** The end of the older timeline that the promoted replica did not have, where it is known. */
  readonly orphan?: Orphan;
}

const layout: Layout<GapRecord> = {
  kind: 'gap',
  write: (record) => ({
    from: writeSide(record.from),
    to: writeSide(record.to),
    cause: record.cause,
    detail: record.detail,
    ...(record.orphan !== undefined && { orphan: writeOrphan(record.orphan) }),
  }),
  read: (fields) => ({
    from: readSide(fields.map('from')),
    to: readSide(fields.map('to')),
    cause: fields.oneOf('cause', ['backlog-overrun', 'history-changed', 'stream-broken', 'operator']),
    detail: fields.text('detail'),
    ...(fields.has('orphan') && { orphan: readOrphan(fields.map('orphan')) }),
  }),
};

export function encodeGap(record: GapRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeGap(bytes: Uint8Array): Decoded<GapRecord> {
  return decodeRecord(layout, bytes);
}

function writeSide(side: GapSide): Record<string, unknown> {
  return { timeline: side.timeline, id: side.id, offset: side.offset, stamp: side.stamp };
}

function readSide(fields: Fields): GapSide {
  return { timeline: fields.timeline(), id: fields.id(), offset: fields.uint('offset'), stamp: fields.uint('stamp') };
}

function writeOrphan({ timeline, id, offset }: Orphan): Record<string, unknown> {
  return { timeline, id, offset };
}

function readOrphan(fields: Fields): Orphan {
  return { timeline: fields.timeline(), id: fields.id(), offset: fields.uint('offset') };
}
