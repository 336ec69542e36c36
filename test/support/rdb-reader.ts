// RdbReader: the oracle's own reading of an RDB file: keys, times, hash fields with times, stream groups.
// Used by fingerprint.ts only. Deliberately independent of src/redis, which is among the things it helps to judge, and
// simple rather than fast: the whole file in memory, errors thrown.
// Invariant: every byte up to the end opcode is accounted for; a type it doesn't know is an error, never a guess.
import { ByteReader } from './rdb-bytes.ts';
import { readStream, type StreamFacts } from './rdb-stream.ts';

export interface HashField {
  readonly field: Buffer;
  readonly value: Buffer;
  /** Milliseconds since the epoch; undefined for a field that stays. */
  readonly expireMs?: number;
}

/** A key and what a digest doesn't see of it. */
export interface KeyEntry {
  readonly db: number;
  readonly key: Buffer;
  readonly expireMs?: number;
  /** Every field, for hashes stored in a form that has field times. */
  readonly fields?: readonly HashField[];
  readonly stream?: StreamFacts;
}

export interface RdbFile {
  /** REDIS0010, VALKEY080 and the like. */
  readonly magic: string;
  readonly aux: ReadonlyMap<string, string>;
  /** Sources of function libraries. */
  readonly functions: readonly string[];
  readonly keys: readonly KeyEntry[];
}

const opcode = {
  slotInfo: 244,
  function2: 245,
  idle: 248,
  freq: 249,
  aux: 250,
  resizeDb: 251,
  expireMs: 252,
  selectDb: 254,
  end: 255,
} as const;

export function readRdb(file: Buffer): RdbFile {
  const reader = new ByteReader(file);
  const magic = reader.take(9).toString('latin1');
  if (!/^(REDIS|VALKEY)\d+$/.test(magic)) throw new Error(`not an RDB file: it begins with ${JSON.stringify(magic)}`);
  const aux = new Map<string, string>();
  const functions: string[] = [];
  const keys: KeyEntry[] = [];
  let db = 0;
  let expireMs: number | undefined;
  for (;;) {
    const code = reader.byte();
    if (code === opcode.end) break;
    else if (code === opcode.aux) aux.set(reader.string().toString(), reader.string().toString());
    else if (code === opcode.function2) functions.push(reader.string().toString());
    else if (code === opcode.selectDb) db = reader.length();
    else if (code === opcode.expireMs) expireMs = reader.int64();
    else if (code === opcode.idle) reader.length();
    else if (code === opcode.freq) reader.byte();
    else if (code === opcode.resizeDb) reader.skipLengths(2);
    else if (code === opcode.slotInfo) reader.skipLengths(3);
    else {
      const key = reader.string();
      keys.push({ db, key, ...(expireMs !== undefined && { expireMs }), ...readValue(reader, code, magic) });
      expireMs = undefined;
    }
  }
  const rest = reader.remaining;
  if (rest !== 8) throw new Error(`${rest} bytes behind the end of the RDB, expected the 8 of its checksum`);
  return { magic, aux, functions, keys };
}

type ValueFacts = Pick<KeyEntry, 'fields' | 'stream'>;

/** Moves past a value, and returns of it what a digest doesn't see. */
function readValue(reader: ByteReader, type: number, magic: string): ValueFacts {
  switch (type) {
    case 0: // string
    case 9: // one string that holds the whole value: ziplists, intsets, listpacks
    case 10:
    case 11:
    case 12:
    case 13:
    case 16:
    case 17:
    case 20:
      reader.string();
      return {};
    case 1: // list, set, quicklist of ziplists
    case 2:
    case 14:
      reader.skipStrings(reader.length());
      return {};
    case 4:
      reader.skipStrings(2 * reader.length());
      return {};
    case 5: // sorted set with binary scores
      repeat(reader.length(), () => void (reader.string(), reader.take(8)));
      return {};
    case 18: // quicklist of listpacks and plain nodes
      repeat(reader.length(), () => void (reader.length(), reader.string()));
      return {};
    case 15:
      return { stream: readStream(reader, 1) };
    case 19:
      return { stream: readStream(reader, 2) };
    case 21:
      return { stream: readStream(reader, 3) };
    default:
      return { fields: readHashWithTimes(reader, type, magic) };
  }
}

/** Redis 7.4+ has types 24 and 25; Valkey 9 gave number 22 to a form of its own. */
function readHashWithTimes(reader: ByteReader, type: number, magic: string): HashField[] {
  const fields: HashField[] = [];
  if (type === 22 && magic.startsWith('VALKEY')) {
    repeat(reader.length(), () => {
      const [field, value, time] = [reader.string(), reader.string(), reader.int64()];
      fields.push({ field, value, ...(time !== -1 && { expireMs: time }) });
    });
  } else if (type === 24) {
    const minimum = reader.int64();
    repeat(reader.length(), () => {
      const [delta, field, value] = [reader.length(), reader.string(), reader.string()];
      fields.push({ field, value, ...(delta !== 0 && { expireMs: minimum + delta - 1 }) });
    });
  } else if (type === 25) {
    reader.int64();
    const entries = new ByteReader(reader.string()).listpack();
    for (let index = 0; index + 2 < entries.length; index += 3) {
      const [field, value, time] = entries.slice(index, index + 3);
      if (field === undefined || value === undefined) throw new Error('a hash listpack ended inside a field');
      const expireMs = Number(time?.toString());
      fields.push({ field, value, ...(expireMs !== 0 && { expireMs }) });
    }
  } else {
    throw new Error(`value type ${type} in a ${magic} file is unknown here`);
  }
  return fields;
}

function repeat(count: number, action: () => void): void {
  for (let index = 0; index < count; index++) action();
}
