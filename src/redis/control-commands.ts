/**
 * The few commands that mean something to whoever reads a replication stream without executing it: those that select a
 * db, group others, or ask for an acknowledgement. Shared by the boundary scanner and the command reader, which must
 * agree. No allocation: names are compared in place.
 */

export const ORDINARY = 0;
export const SELECT = 1;
export const MULTI = 2;
export const EXEC = 3;
export const DISCARD = 4;
export const REPLCONF = 5;

/** Lengths of the shortest and the longest of these names; no two are of the same length. */
const controlNameBytesMin = 4;
export const controlNameBytesMax = 8;
/** The largest db number that the journal can hold, and how long it is. */
export const dbMax = 0xffff_ffff;
export const dbDigitsMax = 10;

const names: readonly (readonly [number, Uint8Array])[] = [
  [EXEC, lowerCase('exec')],
  [MULTI, lowerCase('multi')],
  [SELECT, lowerCase('select')],
  [DISCARD, lowerCase('discard')],
  [REPLCONF, lowerCase('replconf')],
];
const getAck = lowerCase('getack');

/** Which of them is named by bytes[at, at + length), in either case. */
export function controlCommandAt(bytes: Uint8Array, at: number, length: number): number {
  if (length < controlNameBytesMin || length > controlNameBytesMax) return ORDINARY;
  const [command, name] = names[length - controlNameBytesMin]!;
  return matches(bytes, at, name) ? command : ORDINARY;
}

/** Whether REPLCONF's first argument, in bytes[at, at + length), is GETACK. */
export function isGetAckAt(bytes: Uint8Array, at: number, length: number): boolean {
  return length === getAck.length && matches(bytes, at, getAck);
}

/** SELECT's argument in bytes[at, at + length); undefined when it is no db number. */
export function dbAt(bytes: Uint8Array, at: number, length: number): number | undefined {
  if (length < 1 || length > dbDigitsMax) return undefined;
  let db = 0;
  for (let i = at; i < at + length; i++) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) return undefined;
    db = db * 10 + digit;
  }
  return db > dbMax ? undefined : db;
}

/**
 * What no primary sends, and what would leave db or grouping in doubt; undefined when all is well. An EXEC alone is well:
 * Redis up to 6.2 sends one without its MULTI when all that a transaction wrote was by commands that count as reads
 * (PFCOUNT keeps what it has counted); replicas answer it with an error that nobody hears.
 */
export function controlViolation(command: number, argumentCount: number, inMulti: boolean): string | undefined {
  if (command === ORDINARY || command === REPLCONF) return undefined;
  if (argumentCount !== (command === SELECT ? 2 : 1)) return 'SELECT, MULTI or EXEC with wrong arguments';
  if (command === MULTI && inMulti) return 'MULTI inside MULTI';
  if (command === DISCARD && !inMulti) return 'DISCARD without MULTI';
  return undefined;
}

/** Of all bytes, `| 0x20` makes a letter only of that letter in either case. */
function matches(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) {
    if ((bytes[at + i]! | 0x20) !== name[i]) return false;
  }
  return true;
}

function lowerCase(name: string): Uint8Array {
  return new TextEncoder().encode(name);
}
