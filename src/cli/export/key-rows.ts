/**
 * A dataset key by key, as JSON lines or CSV (pure), each row piece by piece: a value may be larger than any text.
 */
import { formatInstant } from '../../core/instant.ts';
import type { DatasetKey } from '../../inspect/dataset-keys.ts';
import { argumentText } from '../command-text.ts';
import { factPieces } from '../value-print.ts';
import { csvField, lineEnd } from './csv-rows.ts';
import { bytesPieces, contentPieces, fieldEnds } from './value-json.ts';
import type { Pieces } from './value-json.ts';

export interface KeyRows {
  /** Comes first, also where there is no key. */
  readonly heading: string;
  readonly row: (key: DatasetKey) => Pieces;
}

export const jsonKeys: KeyRows = {
  heading: '',
  *row({ key, value }) {
    yield `{"type":"key","db":${value.db},"key":`;
    yield* bytesPieces(key);
    yield ',';
    yield* factPieces(value);
    yield '}\n';
  },
};

/** Keys as redis-cli takes them, values as JSON has them. */
export const csvKeys: KeyRows = {
  heading: `db,key,value_type,expires,bytes,value,field_expires${lineEnd}`,
  *row({ key, value: { db, type, endsMs, bytes, content } }) {
    const expires = endsMs === 0 ? '' : formatInstant(endsMs * 1000);
    yield `${[db, csvField(argumentText(key)), type ?? '', expires, bytes].join(',')},"`;
    for (const piece of content === undefined ? [] : contentPieces(content)) yield piece.replaceAll('"', '""');
    yield `",${csvField(fieldEnds(content) ?? '')}${lineEnd}`;
  },
};
