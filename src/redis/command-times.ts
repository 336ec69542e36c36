/**
 * Where a command says when a key, or fields of a hash, are to end (pure): of all commands that primaries replicate.
 *
 *   EXPIREAT k t · PEXPIREAT k t [NX|XX|GT|LT]                 HEXPIREAT k t … FIELDS … · HPEXPIREAT k t … FIELDS …
 *   SET k v … EXAT|PXAT t …        GETEX k EXAT|PXAT t         HSETEX k … EXAT|PXAT t … FIELDS … · HGETEX …
 *   MSETEX n k v … EXAT|PXAT t     RESTORE k t payload … ABSTTL
 *
 * Invariant: what is `none` gives nothing an end. A time that is relative, or cannot be read, is not taken for none.
 */
import type { CommandGlance } from './command-glance.ts';
import type { StreamCommand } from './command-reader.ts';
import type { Expiring } from './ttl-rule.ts';

export interface CommandTime {
  readonly of: keyof Expiring;
  /** Which argument it is. */
  readonly index: number;
  /** Since the epoch. */
  readonly atMs: number;
  /** The argument that says it is seconds, and what it is for milliseconds; undefined: it is milliseconds. */
  readonly inSeconds: { readonly index: number; readonly msWord: string } | undefined;
  /** What the command is without a time: nothing at all; the same without two arguments; with a time of 0. */
  readonly without: 'nothing' | 'shorter' | 'zero';
}

/** `untold`: there is one, and it cannot be told which. */
export type TimeFound = CommandTime | 'none' | 'untold';

type Arguments = Pick<StreamCommand, 'args' | 'argumentCount'>;

const noBytes: Buffer = Buffer.alloc(0);
const nameBytesMax = 14;

export function timeOf(command: Arguments): TimeFound {
  const { args } = command;
  const name = args[0] ?? noBytes;
  if (!mayBeTimed(name[0] ?? 0, name.length)) return 'none';
  switch (upperCase(name)) {
    case 'EXPIREAT':
      return timeAt(args, 2, { of: 'keys', without: 'nothing', inSeconds: { index: 0, msWord: 'PEXPIREAT' } });
    case 'PEXPIREAT':
      return timeAt(args, 2, { of: 'keys', without: 'nothing', inSeconds: undefined });
    case 'HEXPIREAT':
      return timeAt(args, 2, { of: 'fields', without: 'nothing', inSeconds: { index: 0, msWord: 'HPEXPIREAT' } });
    case 'HPEXPIREAT':
      return timeAt(args, 2, { of: 'fields', without: 'nothing', inSeconds: undefined });
    case 'SET':
      return optionIn(command, 3, 'keys', 'shorter');
    case 'GETEX':
      return optionIn(command, 2, 'keys', 'nothing');
    case 'HSETEX':
      return optionIn(command, 2, 'fields', 'shorter');
    case 'HGETEX':
      return optionIn(command, 2, 'fields', 'nothing');
    case 'MSETEX':
      return optionIn(command, 2 + 2 * (numberIn(args[1]) ?? NaN), 'keys', 'shorter');
    case 'RESTORE':
    case 'RESTORE-ASKING':
      return restoreTime(args);
    case 'EXPIRE':
    case 'PEXPIRE':
    case 'SETEX':
    case 'PSETEX':
    case 'HEXPIRE':
    case 'HPEXPIRE':
      return 'untold';
    default:
      return 'none';
  }
}

/** Whether a command in place may be one of these; most are told by their first letter and length. */
export function mayHaveTime({ bytes, count, at, length }: CommandGlance): boolean {
  const nameBytes = length[0]!;
  if (!mayBeTimed(bytes[at[0]!]!, nameBytes)) return false;
  return nameBytes !== 3 || count > 3;
}

/** Of `SET k v PXAT t` and `PEXPIREAT k t …`, which most of them are: where the time is; −1: it is none of these. */
export function commonTimeIndex({ bytes, count, at, length }: CommandGlance): number {
  if (length[0] === 3) {
    if (count !== 5 || length[3] !== 4) return -1;
    return isWordAt(bytes, at[0]!, set) && isWordAt(bytes, at[3]!, pxat) ? 4 : -1;
  }
  return count > 2 && length[0] === 9 && isWordAt(bytes, at[0]!, pexpireat) ? 2 : -1;
}

/** The number that an argument is; −1 where it is not one of a few digits. */
export function numberAt({ bytes, at, length }: CommandGlance, index: number): number {
  if (length[index]! > 15) return -1;
  let value = 0;
  const from = at[index]!;
  for (let i = from; i < from + length[index]!; i += 1) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

const [set, pxat, pexpireat] = [Buffer.from('set'), Buffer.from('pxat'), Buffer.from('pexpireat')];

/** `word` is in lower case; the bytes, as many, in either. */
function isWordAt(bytes: Buffer, at: number, word: Buffer): boolean {
  for (let i = 0; i < word.length; i += 1) if ((bytes[at + i]! | 0x20) !== word[i]) return false;
  return true;
}

function mayBeTimed(first: number, nameBytes: number): boolean {
  switch (first | 0x20) {
    case 0x65: // EXPIREAT, EXPIRE
      return nameBytes === 8 || nameBytes === 6;
    case 0x67: // GETEX
      return nameBytes === 5;
    case 0x68: // HPEXPIREAT, HEXPIREAT, HPEXPIRE, HEXPIRE, HSETEX, HGETEX
      return nameBytes >= 6 && nameBytes <= 10;
    case 0x6d: // MSETEX
      return nameBytes === 6;
    case 0x70: // PEXPIREAT, PEXPIRE, PSETEX
      return nameBytes === 9 || nameBytes === 7 || nameBytes === 6;
    case 0x72: // RESTORE, RESTORE-ASKING
      return nameBytes === 7 || nameBytes === nameBytesMax;
    case 0x73: // SET, SETEX
      return nameBytes === 3 || nameBytes === 5;
    default:
      return false;
  }
}

type Shape = Pick<CommandTime, 'of' | 'without' | 'inSeconds'>;

function timeAt(args: readonly Buffer[], index: number, shape: Shape): TimeFound {
  const number = numberIn(args[index]);
  if (number === undefined) return 'untold';
  return { ...shape, index, atMs: shape.inSeconds === undefined ? number : number * 1000 };
}

/** Among the options from there on; those of a hash end at FIELDS, behind which anything may stand. */
function optionIn(
  { args, argumentCount }: Arguments,
  from: number,
  of: CommandTime['of'],
  without: CommandTime['without'],
): TimeFound {
  if (!(from <= argumentCount)) return 'untold';
  for (let i = from; i < argumentCount; i += 1) {
    switch (upperCase(args[i] ?? noBytes)) {
      case 'PXAT':
        return timeAt(args, i + 1, { of, without, inSeconds: undefined });
      case 'EXAT':
        return timeAt(args, i + 1, { of, without, inSeconds: { index: i, msWord: 'PXAT' } });
      case 'FIELDS':
        return 'none';
      case 'IFEQ':
      case 'IFNE':
      case 'IFDEQ':
      case 'IFDNE':
        i += 1;
        continue;
      case 'NX':
      case 'XX':
      case 'GET':
      case 'KEEPTTL':
      case 'PERSIST':
      case 'FNX':
      case 'FXX':
        continue;
      default:
        return 'untold';
    }
  }
  return 'none';
}

/** Of a serialised hash with expiring fields the payload holds times: of Redis, a release candidate's too, and of Valkey. */
const hashesWithTimes: readonly number[] = [22, 23, 24, 25];

function restoreTime(args: readonly Buffer[]): TimeFound {
  if (hashesWithTimes.includes(args[3]?.[0] ?? -1)) return 'untold';
  const found = timeAt(args, 2, { of: 'keys', without: 'zero', inSeconds: undefined });
  if (found === 'untold' || found === 'none' || found.atMs === 0) return found === 'untold' ? found : 'none';
  return args.slice(4).some((arg) => upperCase(arg) === 'ABSTTL') ? found : 'untold';
}

/** Beyond 2^53 it is rounded: such a time never comes. */
function numberIn(argument: Buffer | undefined): number | undefined {
  const text = argument === undefined || argument.length > 20 ? '' : argument.toString('latin1');
  return /^-?\d{1,19}$/.test(text) ? Number(text) : undefined;
}

function upperCase(argument: Buffer): string {
  return argument.length > nameBytesMax ? '' : argument.toString('latin1').toUpperCase();
}
