/**
 * The document of a mark (SPEC.md 9): a named restore point. Its file name is the hash of its name (names.ts), so that a
 * second mark of the same name meets the first.
 */
import { isMarkName } from './names.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface MarkRecord {
  readonly name: string;
  readonly timeline: number;
  readonly id: string;
  /** A boundary. */
  readonly offset: number;
  /** Of that position. */
  readonly stamp: number;
  /** When the mark was made. */
  readonly created: number;
  readonly note?: string;
}

const layout: Layout<MarkRecord> = {
  kind: 'mark',
  write: (record) => ({
    name: record.name,
    timeline: record.timeline,
    id: record.id,
    offset: record.offset,
    stamp: record.stamp,
    created: record.created,
    ...(record.note !== undefined && { note: record.note }),
  }),
  read: (fields) => ({
    name: fields.textThat('name', isMarkName),
    timeline: fields.timeline(),
    id: fields.id(),
    offset: fields.uint('offset'),
    stamp: fields.uint('stamp'),
    created: fields.uint('created'),
    ...(fields.has('note') && { note: fields.text('note') }),
  }),
};

export function encodeMark(record: MarkRecord): Encoded {
  return encodeRecord(layout, record);
}

export function decodeMark(bytes: Uint8Array): Decoded<MarkRecord> {
  return decodeRecord(layout, bytes);
}
