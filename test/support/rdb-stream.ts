// What the oracle reads of a stream in an RDB file: everything beside its entries, which a digest already sees.
// Neighbours: rdb-reader.ts, fingerprint.ts (which reads the same facts with XINFO STREAM FULL to compare the two).
// Invariant: consumers without pending entries are left out, for a primary doesn't always propagate their creation;
// so are seen and active times, which reads move.
import type { ByteReader } from './rdb-bytes.ts';

export interface PendingFacts {
  readonly id: string;
  readonly consumer: string;
  readonly deliveredMs: number;
  readonly deliveries: number;
}

export interface GroupFacts {
  readonly name: string;
  readonly lastId: string;
  /** null: the server doesn't know it. Absent before 7.0. */
  readonly entriesRead?: number | null;
  readonly pending: readonly PendingFacts[];
}

export interface StreamFacts {
  readonly length: number;
  readonly lastId: string;
  /** These two are absent before 7.0. */
  readonly maxDeletedId?: string;
  readonly entriesAdded?: number;
  readonly groups: readonly GroupFacts[];
}

/** Version 1 is type 15 (5.0 to 6.2), 2 is type 19 (7.0), 3 is type 21 (7.2 and later). */
export function readStream(reader: ByteReader, version: 1 | 2 | 3): StreamFacts {
  reader.skipStrings(2 * reader.length());
  const length = reader.length();
  const lastId = readId(reader);
  let counters = {};
  if (version >= 2) {
    readId(reader); // the first entry's, which follows from the entries
    counters = { maxDeletedId: readId(reader), entriesAdded: reader.length() };
  }
  const groups = list(reader.length(), () => readGroup(reader, version));
  return { length, lastId, ...counters, groups: sortedByName(groups) };
}

export function sortedByName(groups: readonly GroupFacts[]): GroupFacts[] {
  return [...groups].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A name of any bytes as printable text, reversibly. */
export function printable(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ -[\]-~]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function readGroup(reader: ByteReader, version: 1 | 2 | 3): GroupFacts {
  const name = printable(reader.string());
  const lastId = readId(reader);
  let counters = {};
  if (version >= 2) counters = { entriesRead: readEntriesRead(reader) };
  const deliveries = new Map<string, Omit<PendingFacts, 'consumer'>>();
  list(reader.length(), () => {
    const id = readRawId(reader);
    deliveries.set(id, { id, deliveredMs: reader.int64(), deliveries: reader.length() });
  });
  const owners = new Map<string, string>();
  list(reader.length(), () => {
    const consumer = printable(reader.string());
    reader.take(version >= 3 ? 16 : 8);
    list(reader.length(), () => owners.set(readRawId(reader), consumer));
  });
  const pending = [...deliveries.values()].map((entry) => ({ ...entry, consumer: owners.get(entry.id) ?? '' }));
  return { name, lastId, ...counters, pending };
}

/** Written as an unsigned length, so that "unknown", -1, is all ones. */
function readEntriesRead(reader: ByteReader): number | null {
  const value = reader.unsigned64();
  return value === 0xffff_ffff_ffff_ffffn ? null : Number(value);
}

function readId(reader: ByteReader): string {
  return `${reader.unsigned64()}-${reader.unsigned64()}`;
}

function readRawId(reader: ByteReader): string {
  const raw = reader.take(16);
  return `${raw.readBigUInt64BE(0)}-${raw.readBigUInt64BE(8)}`;
}

function list<T>(count: number, read: () => T): T[] {
  const items: T[] = [];
  for (let index = 0; index < count; index++) items.push(read());
  return items;
}
