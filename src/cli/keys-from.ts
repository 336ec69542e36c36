/**
 * The list of --keys-from: whole names of keys, one a line, in every form in which they are printed. As it is, with \\xNN for
 * bytes; in double quotes, ours or those of JSON; or the JSON row of a key, as `diff --json` and `export` write it.
 *
 * Invariant: a line that cannot be read is refused, with its number: none is left out silently but empty ones, and the summary
 * that ends a diff.
 */
import { createReadStream } from 'node:fs';
import { keysFromBytesMax } from '../core/limits.ts';
import { StorageError, UsageError } from '../core/errors.ts';
import { KeyNames } from '../redis/key-names.ts';
import { parseKeyText } from './command-text.ts';
import type { CliIo } from './io.ts';
import { formatBytes } from './units.ts';

/** UsageError (exit 2) where it holds none, too many, or what is no key; StorageError (exit 9) where it cannot be read. */
export async function readKeyNames(file: string, { stdin, signal }: CliIo): Promise<KeyNames> {
  const text = await readAll(file, file === '-' ? (stdin ?? []) : createReadStream(file, { signal }));
  const names = new KeyNames(file, namesIn(text, file));
  if (names.size > 0) return names;
  throw new UsageError('no-keys-listed', `${shown(file)} lists no keys`, {
    hint: 'write one a line, as journal diff and journal find print them',
  });
}

async function readAll(file: string, source: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of source) {
      bytes += piece.length;
      if (bytes > keysFromBytesMax) throw tooMany(file);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new StorageError('io', `cannot read ${shown(file)}: ${why}`, { cause: error });
  }
  return Buffer.concat(pieces);
}

function* namesIn(text: Buffer, file: string): Generator<Buffer, void, undefined> {
  let number = 0;
  for (let from = 0; from < text.length; number += 1) {
    const found = text.indexOf(0x0a, from);
    const end = found < 0 ? text.length : found;
    const line = text.subarray(from, text[end - 1] === 0x0d && end > from ? end - 1 : end);
    from = end + 1;
    if (line.length === 0) continue;
    const name = nameIn(line);
    if (name === undefined) throw malformed(file, number + 1);
    if (name !== 'none') yield name;
  }
}

/** Undefined: it is no key. */
function nameIn(line: Buffer): Buffer | 'none' | undefined {
  const text = line.toString('latin1');
  if (text.startsWith('"')) return quotedName(text);
  if (!text.startsWith('{"')) return parseKeyText(line);
  const row = jsonOf(line.toString());
  // A name may begin like that, with its hash tag.
  return row === undefined ? parseKeyText(line) : nameOfRow(row);
}

/** `text` has a character for each byte. Undefined: an escape is unknown, or the end is missing. */
function quotedName(text: string): Buffer | undefined {
  const [, inside] = /^"((?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})*)"$/.exec(text) ?? [];
  const escape = /(?:\\u[0-9a-fA-F]{4})+|\\x([0-9a-fA-F]{2})|\\(.)/g;
  const plain = inside?.replace(escape, (whole: string, hex?: string, one?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (one !== undefined) return escapes[one] ?? whole;
    return Buffer.from(JSON.parse(`"${whole}"`) as string).toString('latin1');
  });
  return plain === undefined ? undefined : Buffer.from(plain, 'latin1');
}

const escapes: Readonly<Record<string, string>> = {
  ...{ '"': '"', '\\': '\\', '/': '/' },
  ...{ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' },
};

function jsonOf(text: string): object | undefined {
  try {
    return JSON.parse(text) as object;
  } catch {
    return undefined;
  }
}

function nameOfRow(row: object): Buffer | 'none' | undefined {
  if ('type' in row && row.type === 'summary') return 'none';
  const { key, base64 } = row as Readonly<Record<string, unknown>>;
  if (typeof key === 'string') return Buffer.from(key);
  const encoded = base64 ?? (typeof key === 'object' && key !== null && 'base64' in key ? key.base64 : undefined);
  return typeof encoded === 'string' ? Buffer.from(encoded, 'base64') : undefined;
}

function malformed(file: string, line: number): UsageError {
  return new UsageError('bad-key-line', `line ${line} of ${shown(file)} is not a key`, {
    hint: 'write one a line, as journal diff and journal find print them: plain with \\xNN for bytes, in double quotes, or a JSON row that has "key"',
  });
}

function tooMany(file: string): UsageError {
  return new UsageError('too-many-keys', `${shown(file)} has more than ${formatBytes(keysFromBytesMax)}`, {
    hint: 'say which with --keys GLOB, or restore them in several parts',
  });
}

function shown(file: string): string {
  return file === '-' ? 'standard input (--keys-from -)' : file;
}
