/**
 * The filters of a sealed segment (SPEC.md 7): of each block, where its first command begins, which commands are in it,
 * and a filter over the keys that they name. Neighbours: key-filter.ts and key-hash.ts; footer.ts says where they are.
 */
import { FormatError } from './errors.ts';
import { isUint } from './fields.ts';
import type { Fields } from './fields.ts';
import type { Footer } from './footer.ts';
import { checkKeyFilter } from './key-filter.ts';
import { commandNameBytesMax, commandNamesMax, uint32Max } from './limits.ts';
import type { Decoded, Encoded, Layout } from './record.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export interface BlockFilter {
  /** Offset of the first byte of the first command that begins in the block; the block's end + 1 when none does. */
  readonly first: number;
  /** What is selected there, and whether it is inside MULTI. */
  readonly db: number;
  readonly inMulti: boolean;
  /** Indexes of the names of its commands, going up; undefined: any may be in it. */
  readonly names: readonly number[] | undefined;
  /** See mayHold; undefined: any key may be named in it. */
  readonly keys: Uint8Array | undefined;
}

export interface Filters {
  /** How keys were told from other arguments. */
  readonly rule: number;
  /** In upper case, a character for each byte. */
  readonly names: readonly string[];
  /** In the order of the footer's. */
  readonly blocks: readonly BlockFilter[];
}

const layout: Layout<Filters> = { kind: 'filters', write: writeFilters, read: readFilters };

export function encodeFilters(record: Filters): Encoded {
  return encodeRecord(layout, record);
}

/** `keys` are views of `bytes`. */
export function decodeFilters(bytes: Uint8Array): Decoded<Filters> {
  return decodeRecord(layout, bytes);
}

/** The filters of just this segment; `bytes` are what the footer says of them. */
export function decodeFiltersOf(footer: Footer, bytes: Uint8Array): Filters {
  const { record, length, crc } = decodeFilters(bytes);
  if (length !== footer.filters?.length || crc !== footer.filters.crc) {
    throw new FormatError('corrupt', 'the filters are not those of this segment');
  }
  const fits =
    record.blocks.length === footer.blocks.length &&
    record.blocks.every(({ first, db, inMulti }, i) => {
      const { start = 0, end = 0 } = footer.blocks[i] ?? {};
      return first >= start && first <= end + 1 && (first <= end || (db === 0 && !inMulti));
    });
  if (!fits) throw new FormatError('corrupt', 'the filters do not fit the blocks of this segment');
  return record;
}

function writeFilters({ rule, names, blocks }: Filters): Record<string, unknown> {
  return {
    rule,
    names: names.map((name) => Buffer.from(name, 'latin1')),
    blocks: blocks.map((one) => [one.first, one.db, Number(one.inMulti), one.names ?? null, one.keys ?? null]),
  };
}

function readFilters(fields: Fields): Filters {
  const names = fields.array('names').map((name) => nameOf(name));
  if (names.length > commandNamesMax || new Set(names).size < names.length) {
    throw new FormatError('corrupt', `filters: ${names.length} names, or one of them twice`);
  }
  const rule = fields.uint('rule', undefined, 1);
  return { rule, names, blocks: fields.array('blocks').map((row) => blockOf(row, names.length)) };
}

function nameOf(value: unknown): string {
  const name = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : '';
  if (name.length < 1 || name.length > commandNameBytesMax || /[a-z]/.test(name)) throw malformed('name');
  return name;
}

function blockOf(row: unknown, nameCount: number): BlockFilter {
  if (!Array.isArray(row) || row.length !== 5) throw malformed('block');
  const [first, db, group, names, keys] = row as readonly unknown[];
  const isSound =
    isUint(first) && isUint(db) && db <= uint32Max && (group === 0 || group === 1) && areNames(names, nameCount);
  if (!isSound || !(keys === null || keys instanceof Uint8Array)) throw malformed('block');
  if (keys !== null) checkKeyFilter(keys);
  return { first, db, inMulti: group === 1, names: names ?? undefined, keys: keys ?? undefined };
}

function areNames(value: unknown, count: number): value is number[] | null {
  if (value === null) return true;
  if (!Array.isArray(value)) return false;
  return value.every((one: unknown, i) => isUint(one) && one < count && (i === 0 || one > Number(value[i - 1])));
}

function malformed(what: string): FormatError {
  return new FormatError('corrupt', `filters: malformed ${what}`);
}
