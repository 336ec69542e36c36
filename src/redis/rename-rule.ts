/**
 * `s/old/new/` on keys (pure), as in sed: any sign may stand for the slash, and s/old/new/g is for every occurrence. `old`
 * is a regular expression of JavaScript. In `new`, & is what was found, \1 to \9 are its groups, \& and \\ themselves.
 *
 * Keys are bytes, so both sides are taken as the bytes of their UTF-8: a dot is one byte, and \xff is that byte.
 */
import { UsageError } from '../core/errors.ts';

export interface RenameRule {
  /** As it was written. */
  readonly text: string;
  readonly rename: (key: Buffer) => Buffer;
}

/** A piece of `new`: text, or the number of a group, 0 for all that was found. */
type Piece = string | number;

/** UsageError (exit 2) where it is none. */
export function parseRename(text: string): RenameRule {
  const [old, replacement, flags] = splitRule(text);
  const pattern = patternOf(old, flags, text);
  const pieces = replacementOf(replacement, text);
  const groups = new RegExp(`${pattern.source}|`).exec('')!.length - 1;
  const missing = pieces.find((piece) => typeof piece === 'number' && piece > groups);
  if (missing !== undefined) throw malformed(text, `there is no group ${missing} in it`);
  const put = (...found: unknown[]): string =>
    pieces.map((piece) => (typeof piece === 'string' ? piece : ((found[piece] as string | undefined) ?? ''))).join('');
  return { text, rename: (key) => Buffer.from(key.toString('latin1').replace(pattern, put), 'latin1') };
}

/** At each delimiter that no backslash precedes. */
function splitRule(text: string): readonly [string, string, string] {
  const [head, delimiter = ''] = Array.from(text);
  if (head !== 's' || !/^[^\w\s\\]$/u.test(delimiter)) throw malformed(text, 'write s/old/new/');
  const parts = [''];
  for (const [piece] of text.slice(1 + delimiter.length).matchAll(/\\.|./gsu)) {
    const said = piece === `\\${delimiter}` ? escaped(delimiter, parts.length) : piece;
    if (piece === delimiter) parts.push('');
    else parts.push(`${parts.pop() ?? ''}${said}`);
  }
  const [old = '', replacement, flags, ...rest] = parts;
  if (replacement === undefined || flags === undefined || rest.length > 0) {
    throw malformed(text, `write s${delimiter}old${delimiter}new${delimiter}`);
  }
  if (old === '') throw malformed(text, 'there is nothing between the first two delimiters');
  return [old, replacement, flags];
}

/** A delimiter with a backslash stands for itself, whatever it means otherwise. */
function escaped(delimiter: string, part: number): string {
  return part === 1 || delimiter === '&' ? `\\${delimiter}` : delimiter;
}

function patternOf(old: string, flags: string, text: string): RegExp {
  if (flags !== '' && flags !== 'g') throw malformed(text, 'behind the last delimiter may stand g, or nothing');
  try {
    return new RegExp(asBytes(old), `s${flags}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^.*: /s, '') : String(error);
    throw malformed(text, `its regular expression is broken: ${reason}`);
  }
}

function replacementOf(replacement: string, text: string): Piece[] {
  return [...replacement.matchAll(/\\x[\da-f]{2}|\\.?|&|[^\\&]+/gisu)].map(([piece]) => {
    if (piece === '&') return 0;
    if (!piece.startsWith('\\')) return asBytes(piece);
    if (/^\\[1-9]$/.test(piece)) return Number(piece[1]);
    if (piece.length === 4) return String.fromCharCode(Number.parseInt(piece.slice(2), 16));
    if (piece.length === 1 || /^\\\w/.test(piece)) throw malformed(text, `${piece} means nothing in what is put there`);
    return asBytes(piece.slice(1));
  });
}

function asBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function malformed(text: string, hint: string): UsageError {
  return new UsageError('bad-rename', `not a renaming: ${JSON.stringify(text)}`, { hint });
}
