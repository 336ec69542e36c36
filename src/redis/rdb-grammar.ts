/**
 * What an RDB looks like, as a table: of each opcode and object type, the parts that follow it, enough to step over it.
 * rdb-walk.ts runs the compiled form. Which meaning a byte has depends on the magic and the version of the file, since
 * Redis and Valkey parted at version 11 and both went on numbering.
 *
 * Sources: rdb.c and rdb.h of Redis 5.0 to 8.0, of its unstable branch in June 2026 (RDB 14), and of Valkey 7.2 to 9.1.
 * What was not read there is left out, and an RDB that holds it is reported as unknown, not guessed at.
 */
import type { RdbMagic } from './server-version.ts';

/** Something to step over. */
type Part =
  /** A length-prefixed, integer or compressed string. */
  | 'string'
  /** A length, or a number written as one. */
  | 'length'
  /** A score of the old sorted set: its length in a byte, unless that says NaN or an infinity, then ASCII. */
  | 'score'
  /** A module's value: pairs of an opcode and what it announces, up to opcode 0. */
  | 'module'
  /** The earliest expiry of a hash's fields, in ms; 0: none. */
  | 'earliest-field-expiry'
  /** The same, of a hash whose fields are not looked at: it stands for them. */
  | 'only-field-expiry'
  /** A field's expiry relative to the earliest; 0: none. */
  | 'relative-field-expiry'
  /** A field's expiry in ms; −1: none. */
  | 'field-expiry'
  /** When the next key expires: in ms; in seconds. */
  | 'expires-ms'
  | 'expires-seconds'
  /** A string: the name of a field of a hash whose fields may expire. */
  | 'field'
  /** A string: a listpack of fields, values, and the fields' expiries in ms; 0: none. */
  | 'field-listpack'
  /** The db of the keys that follow. */
  | 'db'
  /** A key. */
  | 'key'
  /** The end of the file: the checksum, where this version has one. */
  | 'end'
  | { readonly skip: number }
  /** A length, and then that many times these parts. */
  | { readonly times: readonly Part[] };

/** Of the compiled form; rdb-walk.ts has a case for each. Two numbers an operation: the code, and its operand. */
export const Op = {
  DONE: 0,
  STRING: 1,
  LENGTH: 2,
  SKIP: 3,
  /** Reads a count; where it is 0, goes on at the operand. */
  BEGIN: 4,
  /** Counts down; goes back to the operand until 0. */
  AGAIN: 5,
  SCORE: 6,
  MODULE: 7,
  EARLIEST_FIELD_EXPIRY: 8,
  ONLY_FIELD_EXPIRY: 9,
  RELATIVE_FIELD_EXPIRY: 10,
  FIELD_EXPIRY: 11,
  EXPIRES_MS: 12,
  DB: 13,
  KEY: 14,
  END: 15,
  EXPIRES_SECONDS: 16,
  FIELD: 17,
  FIELD_LISTPACK: 18,
} as const;

export interface RdbProgram {
  readonly code: Int32Array;
  /** Where the parts behind each opcode or type begin in `code`; −1: unknown. */
  readonly starts: Int32Array;
}

const ms: Part = { skip: 8 };
const streamId: Part = { skip: 16 };
const strings: Part = { times: ['string'] };
const pairs: Part = { times: ['string', 'string'] };

const opcodes: Readonly<Record<number, readonly Part[]>> = {
  255: ['end'],
  254: ['db'],
  253: ['expires-seconds'],
  252: ['expires-ms'],
  251: ['length', 'length'],
  250: ['string', 'string'],
  249: [{ skip: 1 }],
  248: ['length'],
  247: ['length', 'length', 'length', 'module'],
  246: ['string', 'string', { times: ['string'] }, 'string'],
  245: ['string'],
  244: ['length', 'length', 'length'],
};

const types: Readonly<Record<number, readonly Part[]>> = {
  0: ['string'],
  1: [strings],
  2: [strings],
  3: [{ times: ['string', 'score'] }],
  4: [pairs],
  5: [{ times: ['string', { skip: 8 }] }],
  7: ['length', 'module'],
  9: ['string'],
  10: ['string'],
  11: ['string'],
  12: ['string'],
  13: ['string'],
  14: [strings],
  15: stream(1),
  16: ['string'],
  17: ['string'],
  18: [{ times: ['length', 'string'] }],
  19: stream(2),
  20: ['string'],
  21: stream(3),
};

/** RDB 12: Redis 7.4. */
const redis12Types: Readonly<Record<number, readonly Part[]>> = {
  24: ['earliest-field-expiry', { times: ['relative-field-expiry', 'field', 'string'] }],
  25: ['only-field-expiry', 'field-listpack'],
};

/** Read in the source of RDB 14; 13 lies between. 28 to 33 and opcode 242 changed meaning between releases. */
const redis13Types: Readonly<Record<number, readonly Part[]>> = { 26: stream(4), 27: stream(5) };
const redis13Opcodes: Readonly<Record<number, readonly Part[]>> = {
  243: [{ times: [{ skip: 4 }, 'module'] }],
};

/** RDB 80: Valkey 9. */
const valkeyTypes: Readonly<Record<number, readonly Part[]>> = {
  22: [{ times: ['field', 'string', 'field-expiry'] }],
};
const valkeyOpcodes: Readonly<Record<number, readonly Part[]>> = {
  243: ['string', { times: ['length', 'length'] }],
};

/** Returns undefined for a version that nobody here has seen. */
export function rdbProgram(magic: RdbMagic, version: number): RdbProgram | undefined {
  if (magic === 'VALKEY') return version === 80 ? valkey80() : undefined;
  if (version < 1 || version > 14) return undefined;
  return compile(
    { ...opcodes, ...(version >= 13 && redis13Opcodes) },
    { ...types, ...(version >= 12 && redis12Types), ...(version >= 13 && redis13Types) },
  );
}

function valkey80(): RdbProgram {
  return compile({ ...opcodes, ...valkeyOpcodes }, { ...types, ...valkeyTypes });
}

/** A stream: its nodes, its ids, its groups with pending entries and consumers, and what each generation added. */
function stream(generation: 1 | 2 | 3 | 4 | 5): readonly Part[] {
  const since = (first: number, ...parts: readonly Part[]): readonly Part[] => (generation >= first ? parts : []);
  const pending: Part = { times: [streamId, ms, 'length'] };
  const consumer: readonly Part[] = ['string', ms, ...since(3, ms), { times: [streamId] }];
  const group: readonly Part[] = [
    'string',
    'length',
    'length',
    ...since(2, 'length'),
    pending,
    { times: consumer },
    ...since(5, { times: [streamId] }),
  ];
  const producers: Part = { times: ['string', { times: ['string', 'length', 'length'] }] };
  return [
    pairs,
    'length',
    'length',
    'length',
    ...since(2, 'length', 'length', 'length', 'length', 'length'),
    { times: group },
    ...since(4, 'length', 'length', producers, 'length', 'length'),
  ];
}

function compile(
  ofOpcodes: Readonly<Record<number, readonly Part[]>>,
  ofTypes: Readonly<Record<number, readonly Part[]>>,
): RdbProgram {
  const code: number[] = [];
  const starts = new Int32Array(256).fill(-1);
  for (const [opcode, parts] of Object.entries(ofOpcodes)) {
    starts[Number(opcode)] = code.length;
    emit(code, parts);
    code.push(Op.DONE, 0);
  }
  for (const [type, parts] of Object.entries(ofTypes)) {
    starts[Number(type)] = code.length;
    emit(code, ['key', ...parts]);
    code.push(Op.DONE, 0);
  }
  return { code: Int32Array.from(code), starts };
}

const simple = {
  string: Op.STRING,
  length: Op.LENGTH,
  score: Op.SCORE,
  module: Op.MODULE,
  'earliest-field-expiry': Op.EARLIEST_FIELD_EXPIRY,
  'only-field-expiry': Op.ONLY_FIELD_EXPIRY,
  'relative-field-expiry': Op.RELATIVE_FIELD_EXPIRY,
  'field-expiry': Op.FIELD_EXPIRY,
  'expires-ms': Op.EXPIRES_MS,
  'expires-seconds': Op.EXPIRES_SECONDS,
  field: Op.FIELD,
  'field-listpack': Op.FIELD_LISTPACK,
  db: Op.DB,
  key: Op.KEY,
  end: Op.END,
} as const;

function emit(code: number[], parts: readonly Part[]): void {
  for (const part of parts) {
    if (typeof part === 'string') {
      code.push(simple[part], 0);
    } else if ('skip' in part) {
      code.push(Op.SKIP, part.skip);
    } else {
      const begin = code.length;
      code.push(Op.BEGIN, 0);
      emit(code, part.times);
      code.push(Op.AGAIN, begin + 2);
      code[begin + 1] = code.length;
    }
  }
}
