/**
 * Commands in print, whatever bytes they are made of: for people on one line, escaped, for programs as JSON. Pure.
 */
import { isUtf8 } from 'node:buffer';
import { nameOf } from '../redis/command-reader.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { bytesJson } from './bytes-json.ts';
import type { BytesJson } from './bytes-json.ts';
import { formatCount } from './units.ts';

/** How much of a command is shown. */
export interface Elision {
  readonly argumentsMost: number;
  readonly bytesMost: number;
}

const nameShown = 64;

export const elided: Elision = { argumentsMost: 8, bytesMost: 64 };

interface ShownArgument {
  readonly bytes: Buffer;
  /** More than there is of it here where it is shortened. */
  readonly fullLength: number;
}

/** Behind the name. */
function argumentsOf({ args, shortened }: StreamCommand, { argumentsMost, bytesMost }: Elision): ShownArgument[] {
  return args.slice(1, 1 + argumentsMost).map((argument, i) => {
    const fullLength = shortened?.get(i + 1) ?? argument.length;
    const bytes = argument.subarray(0, bytesMost);
    return { bytes: bytes.length < fullLength ? wholeCharacters(bytes) : bytes, fullLength };
  });
}

/** Without a character that is cut at the end. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let cut = 0; cut < 4; cut += 1) {
    const shorter = bytes.subarray(0, bytes.length - cut);
    if (isUtf8(shorter)) return shorter;
  }
  return bytes;
}

/** `SET user:1 "two words" "\x00\xff"… (70,000 B) … (2 more)` */
export function commandText(command: StreamCommand, elision: Elision): string {
  const shown = argumentsOf(command, elision);
  const words = shown.map(shownText);
  const more = command.argumentCount - 1 - shown.length;
  const rest = more > 0 ? [`… (${formatCount(more)} more)`] : [];
  return [nameText(command), ...words, ...rest].join(' ');
}

function shownText({ bytes, fullLength }: ShownArgument): string {
  return bytes.length < fullLength ? `${quoted(bytes)}… (${formatCount(fullLength)} B)` : argumentText(bytes);
}

/** Bytes as an argument is shown, no more than so many of them. */
export function elidedText(bytes: Buffer, bytesMost: number): string {
  const some = bytes.subarray(0, bytesMost);
  return shownText({ bytes: some.length < bytes.length ? wholeCharacters(some) : some, fullLength: bytes.length });
}

function nameText(command: StreamCommand): string {
  return argumentText(Buffer.from(nameOf(command).slice(0, nameShown), 'latin1'));
}

/** As it is where that is plain, else in double quotes, with what is no printable text as \xNN. */
export function argumentText(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return /^[\w:.@/+*=,;{}[\]()#$%&!?<>|~^-]+$/.test(text) ? text : quoted(bytes);
}

/** A key as --key takes it, but for what means something in a glob: text, or \xNN where it is none. */
export function keyText(bytes: Buffer): string {
  return quoted(bytes).slice(1, -1).replaceAll('\\"', '"');
}

/** The key of such a text: \xNN is a byte, two backslashes are one. */
export function parseKeyText(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text as string).toString('latin1');
  const plain = bytes.replace(/\\x([0-9a-fA-F]{2})|\\\\/g, (_, hex: string | undefined) =>
    hex === undefined ? '\\' : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(plain, 'latin1');
}

/** In double quotes, whatever it is; the other way round it is read as a JSON string with \xNN for bytes. */
export function quoted(bytes: Buffer): string {
  return `"${isUtf8(bytes) ? escaped(bytes, 'utf8') : escapedBytes(bytes)}"`;
}

/** What stands between the quotes where bytes are no text, or not all there. */
export function escapedBytes(bytes: Buffer): string {
  return escaped(bytes, 'latin1');
}

function escaped(bytes: Buffer, encoding: 'utf8' | 'latin1'): string {
  const special = encoding === 'utf8' ? /[\p{C}\p{Zl}\p{Zp}"\\]/gu : /[^ !#-[\]-~]/g;
  return bytes.toString(encoding).replace(special, encoding === 'utf8' ? escape : escapeByte);
}

function escape(character: string): string {
  return Array.from(Buffer.from(character), (byte) => escapes[byte] ?? '').join('');
}

function escapeByte(character: string): string {
  return escapes[character.charCodeAt(0)] ?? '';
}

const escapes: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (character === '"' || character === '\\') return `\\${character}`;
  return `\\x${byte.toString(16).padStart(2, '0')}`;
});

/** What JSON says of a command: args are those behind the name. */
export interface CommandJson {
  readonly command: string;
  readonly args: readonly BytesJson[];
  /** All of them. */
  readonly argumentCount: number;
  /** Full lengths by index, of those of which only the beginning is here. */
  readonly shortened?: Readonly<Record<string, number>>;
}

export function commandJson(command: StreamCommand, elision: Elision): CommandJson {
  const shown = argumentsOf(command, elision);
  const short = shown.flatMap(({ bytes, fullLength }, i) => (bytes.length < fullLength ? [[i, fullLength]] : []));
  return {
    command: nameOf(command).slice(0, nameShown),
    args: shown.map(({ bytes }) => bytesJson(bytes)),
    argumentCount: command.argumentCount - 1,
    ...(short.length > 0 && { shortened: Object.fromEntries(short) as Record<string, number> }),
  };
}
