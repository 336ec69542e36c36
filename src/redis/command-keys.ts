/**
 * Which keys a command touches, and how: for looking for a key, for restoring some keys, for undoing a command. What
 * real servers say of their commands is in command-table.ts; here it is read, with what they cannot put into a table.
 *
 * A line of the table: a name (of a subcommand with that of its container: XGROUP|CREATE), whether it may write, and
 * where keys are, as `access@place`:
 *
 *   access   ro read, rw read and written, ow overwritten, rm removed
 *   place    2           that argument             1..-1     from it to the last one (-2: the one before)
 *            1..-1/2     every second of them      WORD>4    behind WORD, looked for from there (from the end if negative)
 *            …%2         of the first half         2#0+1     as many as the number there says, behind it
 *            ?           cannot be told
 *
 * Invariant: no command touches a key that is not told. What is not known, or not here, may touch any key.
 */
import type { CommandGlance } from './command-glance.ts';
import type { StreamCommand } from './command-reader.ts';
import { commandTable } from './command-table.ts';

export type KeyAccess = 'ro' | 'rw' | 'ow' | 'rm';

export interface KeyArgument {
  /** Which of the arguments; the command's name is 0. */
  readonly index: number;
  /** The argument itself, not a copy. */
  readonly key: Buffer;
  /** The db that it is in: COPY and MOVE reach into another one. */
  readonly db: number;
  readonly access: KeyAccess;
}

export interface CommandKeys {
  readonly isWrite: boolean;
  readonly keys: readonly KeyArgument[];
  /** What it may touch besides: nothing; read any key; do anything to any key of its db; of all. */
  readonly others: 'none' | 'read' | 'db' | 'all';
}

/** As much of a command as is looked at. */
export type CommandArguments = Pick<StreamCommand, 'args' | 'argumentCount' | 'shortened' | 'db'>;

interface Place {
  readonly access: KeyAccess;
  /** A word to look for, or undefined; where, or where from. */
  readonly word: string | undefined;
  readonly begin: number;
  /** Relative to the first one; from the end if negative. */
  readonly last: number;
  readonly step: number;
  /** Only this part of the range, one of so many. */
  readonly part: number;
  /** Where the number of keys is, and the first of them, relative to `begin`; undefined where no number tells. */
  readonly counted: { readonly at: number; readonly first: number } | undefined;
}

interface Row {
  readonly name: string;
  readonly isWrite: boolean;
  readonly places: readonly Place[];
  /** By name; undefined for most. */
  subcommands: Map<string, Row> | undefined;
  readonly others: CommandKeys['others'];
  readonly exception: Exception | undefined;
  /** Its keys are told by where they are, whatever the arguments say. */
  isPlain: boolean;
}

type Exception = (command: CommandArguments, found: KeyArgument[]) => CommandKeys['others'];

/** What their arguments, or the table, do not tell. */
const othersOf: Readonly<Record<string, CommandKeys['others']>> = {
  ...{ FLUSHDB: 'db', FLUSHALL: 'all', SWAPDB: 'all', DEBUG: 'all' },
  ...{ EVAL: 'all', EVALSHA: 'all', FCALL: 'all', EVAL_RO: 'read', EVALSHA_RO: 'read', FCALL_RO: 'read' },
  ...{ STRALGO: 'read', 'FUNCTION|DELETE': 'none', 'FUNCTION|FLUSH': 'none' },
  ...{ 'FUNCTION|LOAD': 'none', 'FUNCTION|RESTORE': 'none' },
};

const exceptions: Readonly<Record<string, Exception>> = {
  SORT: sortKeys,
  SORT_RO: sortKeys,
  COPY: copyKeys,
  MOVE: moveKeys,
  MIGRATE: migrateKeys,
};

const noBytes: Buffer = Buffer.alloc(0);
const nameBytesMax = 64;
const bucketCount = 1024;
const placePattern = /^(ro|rw|ow|rm)@(?:([A-Z]+)>)?(-?\d+)(?:\.\.(-?\d+))?(?:#(\d+)\+(\d+))?(?:\/(\d+))?(?:%(\d+))?$/;
const rows = parseTable(commandTable);

/** Keys in the order of the arguments, but for what the command writes into another db. */
export function keysOf(command: CommandArguments): CommandKeys {
  const row = rowOf(command);
  if (row === undefined) return { isWrite: true, keys: [], others: 'all' };
  const keys: KeyArgument[] = [];
  let others = row.others;
  for (const place of row.places) if (!takeKeys(command, place, keys)) others = 'all';
  if (row.exception !== undefined) others = more(others, isCut(command) ? 'all' : row.exception(command, keys));
  if (keys.some(({ index }) => command.shortened?.has(index))) others = 'all';
  return { isWrite: row.isWrite, keys, others };
}

/** Tests the key in bytes[at, at + length). */
export type IsKey = (bytes: Buffer, at: number, length: number) => boolean;

/**
 * Whether one of its keys is such a key, of a command that lies whole in the stream. Nothing is made of it, and where it
 * takes more than that to tell, the answer is that it may be: keysOf() knows.
 */
export function mayTouch(command: CommandGlance, isKey: IsKey): boolean {
  const row = rowAt(command.bytes, command.at[0]!, command.length[0]!);
  return row?.isPlain !== true || touches(row, command, isKey);
}

/** Whether it has keys, and none of them is such a key; false where it takes more than a look to tell. */
export function touchesOthersOnly(command: CommandGlance, isKey: IsKey): boolean {
  const row = rowAt(command.bytes, command.at[0]!, command.length[0]!);
  return row?.isPlain === true && row.places.length > 0 && !touches(row, command, isKey);
}

/** Whether it has keys, and all of them are such keys; false where it takes more than a look to tell. */
export function touchesOnly({ bytes, count, at, length }: CommandGlance, isKey: IsKey): boolean {
  const row = rowAt(bytes, at[0]!, length[0]!);
  if (row?.isPlain !== true) return false;
  for (const place of row.places) {
    const last = lastAt(place, count);
    for (let i = place.begin; i <= last; i += place.step) if (!isKey(bytes, at[i]!, length[i]!)) return false;
  }
  return row.places.length > 0;
}

/** Whether it has one key or none; false where it takes more than a look to tell. */
export function touchesOneAtMost({ bytes, count, at, length }: CommandGlance): boolean {
  const row = rowAt(bytes, at[0]!, length[0]!);
  if (row?.isPlain !== true) return false;
  const [place, ...others] = row.places;
  if (place === undefined) return true;
  return others.length === 0 && place.begin + place.step > lastAt(place, count);
}

/** Of a plain row. */
function touches({ places }: Row, { bytes, count, at, length }: CommandGlance, isKey: IsKey): boolean {
  for (const place of places) {
    const last = lastAt(place, count);
    for (let i = place.begin; i <= last; i += place.step) if (isKey(bytes, at[i]!, length[i]!)) return true;
  }
  return false;
}

/** The last key of a place of a plain command. */
export function lastAt({ begin, last }: Pick<Place, 'begin' | 'last'>, count: number): number {
  return last < 0 ? count + last : Math.min(begin + last, count - 1);
}

/** As mayWrite() tells it, of a command in place. */
export function mayWriteAt({ bytes, at, length }: CommandGlance): boolean {
  const row = rowAt(bytes, at[0]!, length[0]!);
  return row === undefined || row.isWrite || row.subcommands !== undefined;
}

/** As keysOf() tells it, without looking for keys. */
export function mayWrite(command: CommandArguments): boolean {
  return rowOf(command)?.isWrite ?? true;
}

/** Whether a server of the table knows it. */
export function isKnownCommand(name: string): boolean {
  return rows.byName.has(name.toUpperCase());
}

/** What is known of a command before its arguments are looked at. */
export type KnownCommand = Pick<Row, 'name' | 'isPlain'> & {
  /** Of a plain one: from the one at `begin` to the last (see lastAt), every so many. */
  readonly places: readonly Pick<Place, 'begin' | 'last' | 'step'>[];
};

/** That of the name in bytes[at, at + length). */
export function knownCommandAt(bytes: Buffer, at: number, length: number): KnownCommand | undefined {
  return rowAt(bytes, at, length);
}

/** Names are compared in place, so that nothing is made of what most commands are. */
function rowOf({ args }: CommandArguments): Row | undefined {
  const name = args[0] ?? noBytes;
  const row = rowAt(name, 0, name.length);
  if (row?.subcommands === undefined) return row;
  return row.subcommands.get((args[1] ?? noBytes).toString('latin1', 0, nameBytesMax).toUpperCase()) ?? row;
}

/** Of the command, not of its subcommand. */
function rowAt(bytes: Buffer, at: number, length: number): Row | undefined {
  const bucket = rows.buckets[hashAt(bytes, at, length)]!;
  for (const row of bucket) if (isNamedAt(bytes, at, length, row.name)) return row;
  return undefined;
}

function hashAt(bytes: Uint8Array, at: number, length: number): number {
  let hash = length;
  const end = at + Math.min(length, nameBytesMax);
  for (let i = at; i < end; i += 1) hash = (Math.imul(hash, 31) + (bytes[i]! | 0x20)) | 0;
  return (hash ^ (hash >>> 10)) & (bucketCount - 1);
}

function isNamed(bytes: Buffer, name: string): boolean {
  return isNamedAt(bytes, 0, bytes.length, name);
}

/** `name` is in upper case; the bytes in either. */
function isNamedAt(bytes: Buffer, at: number, length: number, name: string): boolean {
  if (length !== name.length) return false;
  for (let i = 0; i < length; i += 1) {
    const byte = bytes[at + i]!;
    const upper = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
    if (upper !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** False when it cannot be told what they are. */
function takeKeys(command: CommandArguments, place: Place, keys: KeyArgument[]): boolean {
  const { argumentCount: count } = command;
  if (place.word !== undefined && isCut(command)) return false;
  const begin = place.word === undefined ? place.begin : indexOfWord(command, place.word, place.begin);
  if (begin === undefined) return true;
  const { counted, part, step } = place;
  if (counted !== undefined) {
    const number = numberIn(command.args[begin + counted.at]);
    if (number === undefined) return false;
    const first = begin + counted.first;
    const last = first + (number - 1) * step;
    return last < count && takeRange(command, { first, last, step, access: place.access }, keys);
  }
  let last = place.last < 0 ? count + place.last : begin + place.last;
  if (part > 1) last = begin + Math.floor((last - begin + 1) / part) - 1;
  return takeRange(command, { first: begin, last, step, access: place.access }, keys);
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly access: KeyAccess;
}

/** False when some of them are not here. */
function takeRange(command: CommandArguments, { first, last, step, access }: Range, keys: KeyArgument[]): boolean {
  const { args, db } = command;
  for (let index = first; index <= last && index < args.length; index += step) {
    keys.push({ index, key: args[index]!, db, access });
  }
  return last < args.length || !isCut(command);
}

/** Of what follows the word. */
function indexOfWord({ args }: CommandArguments, word: string, from: number): number | undefined {
  const step = from < 0 ? -1 : 1;
  for (let i = from < 0 ? args.length + from : from; i > 0 && i < args.length; i += step) {
    if (isNamed(args[i]!, word)) return i + 1;
  }
  return undefined;
}

function numberIn(argument: Buffer | undefined): number | undefined {
  const text = argument?.toString('latin1', 0, nameBytesMax) ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Only the first arguments are here. */
function isCut({ args, argumentCount }: CommandArguments): boolean {
  return args.length < argumentCount;
}

function more(a: CommandKeys['others'], b: CommandKeys['others']): CommandKeys['others'] {
  const order = ['none', 'read', 'db', 'all'] as const;
  return order[Math.max(order.indexOf(a), order.indexOf(b))] ?? 'all';
}

/** SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE key]: the last STORE counts. */
function sortKeys({ args, db }: CommandArguments, keys: KeyArgument[]): CommandKeys['others'] {
  let others: CommandKeys['others'] = 'none';
  let stored: KeyArgument | undefined;
  for (let i = 2; i < args.length; i += 1) {
    const word = args[i]!;
    const value = args[i + 1];
    if (isNamed(word, 'LIMIT')) i += 2;
    else if (value === undefined) continue;
    else if (isNamed(word, 'STORE')) stored = { index: ++i, key: value, db, access: 'ow' };
    else if (isNamed(word, 'BY') || isNamed(word, 'GET')) {
      // Without an asterisk a pattern names no key but the one that is sorted by, or none.
      if (value.includes(0x2a)) others = 'read';
      i += 1;
    }
  }
  if (stored !== undefined) keys.push(stored);
  return others;
}

/** COPY source destination [DB number] [REPLACE] */
function copyKeys({ args }: CommandArguments, keys: KeyArgument[]): CommandKeys['others'] {
  for (let i = 3; i + 1 < args.length; i += 1) {
    if (!isNamed(args[i]!, 'DB')) continue;
    const to = numberIn(args[i + 1]);
    if (to === undefined) return 'all';
    moveTo(to, keys);
    i += 1;
  }
  return 'none';
}

function moveTo(db: number, keys: KeyArgument[]): void {
  const at = keys.findIndex(({ index }) => index === 2);
  const destination = keys[at];
  if (destination !== undefined) keys[at] = { ...destination, db };
}

/** MOVE key db: the key is in two dbs. */
function moveKeys({ args }: CommandArguments, keys: KeyArgument[]): CommandKeys['others'] {
  const to = numberIn(args[2]);
  const [key] = keys;
  if (to === undefined || key === undefined) return 'all';
  keys.push({ ...key, db: to, access: 'ow' });
  return 'none';
}

/** MIGRATE host port key|"" db timeout … KEYS key …: an empty key stands for those behind KEYS, and only it. */
function migrateKeys({ args }: CommandArguments, keys: KeyArgument[]): CommandKeys['others'] {
  const isMany = args[3]?.length === 0 && keys.length > 1;
  const kept = keys.filter(({ index }) => (index === 3) !== isMany);
  keys.splice(0, keys.length, ...kept);
  return 'none';
}

interface Rows {
  readonly byName: ReadonlyMap<string, Row>;
  readonly buckets: readonly (readonly Row[])[];
}

function parseTable(text: string): Rows {
  const byName = new Map<string, Row>();
  const subcommands: (readonly [string, Row])[] = [];
  for (const line of text.trim().split('\n')) {
    const row = parseRow(line);
    if (row.name.includes('|')) subcommands.push([row.name, row]);
    else byName.set(row.name, row);
  }
  for (const [name, row] of subcommands) {
    const [container = '', subcommand = ''] = name.split('|');
    const known = byName.get(container);
    if (known === undefined) continue;
    known.isPlain = false;
    (known.subcommands ??= new Map<string, Row>()).set(subcommand, row);
  }
  const buckets = Array.from({ length: bucketCount }, (): Row[] => []);
  for (const row of byName.values()) buckets[hashAt(Buffer.from(row.name), 0, row.name.length)]?.push(row);
  return { byName, buckets };
}

function parseRow(line: string): Row {
  const [name = '', kind = '', ...specs] = line.split(' ');
  const isWrite = kind === 'write';
  const parsed = specs.filter((spec) => !spec.endsWith('@?')).map(parsePlace);
  // XREADGROUP is said to read its keys, and to write.
  const isMisjudged = isWrite && specs.length > 0 && specs.every((spec) => spec.startsWith('ro'));
  const places = isMisjudged ? parsed.map((place) => ({ ...place, access: 'rw' as const })) : parsed;
  const isUnclear = isWrite && specs.length === 0;
  const others = othersOf[name] ?? (isUnclear ? 'all' : 'none');
  const writes = isWrite || others === 'all' || places.some(({ access }) => access !== 'ro');
  const exception = exceptions[name];
  const isFixed = places.every(({ word, counted, part }) => word === undefined && counted === undefined && part === 1);
  const isPlain = isFixed && specs.length === places.length && others === 'none' && exception === undefined;
  return { name, isWrite: writes, places, subcommands: undefined, others, exception, isPlain };
}

function parsePlace(spec: string): Place {
  const match = placePattern.exec(spec);
  if (match === null) throw new RangeError(`the command table says ${spec}`);
  const [, access = '', word, begin, last = '0', countAt, first, step = '1', part = '1'] = match;
  return {
    access: access as KeyAccess,
    word,
    begin: Number(begin),
    last: Number(last),
    step: Number(step),
    part: Number(part),
    counted: countAt === undefined ? undefined : { at: Number(countAt), first: Number(first) },
  };
}
