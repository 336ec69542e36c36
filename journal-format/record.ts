/**
 * What all records share: a record is written as a body and read back by the same rules in both directions, so that
 * nothing is published that a reader would refuse. The records themselves are in the files beside this one.
 */
import type { DocumentKind } from './document.ts';
import { decodeDocument, encodeDocument } from './document.ts';
import { Fields } from './fields.ts';

export interface Encoded {
  readonly bytes: Buffer;
  /** The document's checksum; that of a segment header begins the chain of its frames. */
  readonly crc: number;
}

export interface Decoded<T> {
  readonly record: T;
  /** Bytes of the whole document. */
  readonly length: number;
  readonly crc: number;
}

/** How one kind of document is laid out. */
export interface Layout<T> {
  readonly kind: DocumentKind;
  write(record: T): Record<string, unknown>;
  read(fields: Fields): T;
}

/** Throws a RangeError when the record breaks a rule of its kind. */
export function encodeRecord<T>(layout: Layout<T>, record: T): Encoded {
  const body = layout.write(record);
  try {
    layout.read(new Fields(body, layout.kind));
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : `not a ${layout.kind} record`, { cause: error });
  }
  return encodeDocument(layout.kind, body);
}

/** Decodes the record at the beginning of `bytes`, which may go on behind it. */
export function decodeRecord<T>(layout: Layout<T>, bytes: Uint8Array): Decoded<T> {
  const { body, length, crc } = decodeDocument(bytes, layout.kind);
  const fields = new Fields(body, layout.kind);
  const record = layout.read(fields);
  fields.done();
  return { record, length, crc };
}
