/**
 * Globs over keys as Redis reads them (util.c, stringmatchlen), with its corner cases: bytes, not characters; an open
 * class ends with the pattern; a range of a class compares signed bytes, as servers on x86 do; `*` alone matches the empty
 * key too, as KEYS has it.
 *
 * Only the last `*` is ever tried again, so a match takes at most as many steps as pattern times key.
 */

export interface Glob {
  /** As it was written. */
  readonly text: string;
  readonly matches: (key: Uint8Array) => boolean;
  /** The same of the key in bytes[at, at + length), where nothing is to be made of it. */
  readonly matchesAt: (bytes: Uint8Array, at: number, length: number) => boolean;
}

const star = 0x2a;
const question = 0x3f;
const open = 0x5b;
const close = 0x5d;
const backslash = 0x5c;
const caret = 0x5e;
const dash = 0x2d;

/** Every text is a glob. */
export function glob(pattern: string | Uint8Array): Glob {
  const bytes = Buffer.from(pattern as string);
  const text = bytes.toString();
  if (bytes.length === 1 && bytes[0] === star) return { text, matches: () => true, matchesAt: () => true };
  const literal = literalPrefix(bytes);
  const matchesAt = (key: Uint8Array, from: number, length: number): boolean =>
    startsWith(key, from, length, literal) && globMatches(bytes, key, from, from + length);
  return { text, matches: (key) => matchesAt(key, 0, key.length), matchesAt };
}

/** The key is key[from, end). */
function globMatches(pattern: Uint8Array, key: Uint8Array, from: number, end: number): boolean {
  let at = 0;
  let of = from;
  /** Behind the last star, and where in the key what follows it was tried. */
  let afterStar = -1;
  let tried = from;
  while (at < pattern.length && of < end) {
    if (pattern[at] === star) {
      while (pattern[at + 1] === star) at += 1;
      if (at + 1 === pattern.length) return true;
      at += 1;
      afterStar = at;
      tried = of;
      continue;
    }
    const next = oneMatches(pattern, at, key[of]!);
    if (next >= 0) {
      at = next;
      of += 1;
      if (of === end) while (pattern[at] === star) at += 1;
    }
    if (next >= 0 && (of < end ? at < pattern.length : at === pattern.length)) continue;
    if (afterStar < 0 || tried + 1 >= end) return false;
    tried += 1;
    of = tried;
    at = afterStar;
  }
  return at === pattern.length && of === end;
}

/** Where the pattern goes on behind what stands for one byte, or −1. */
function oneMatches(pattern: Uint8Array, at: number, byte: number): number {
  switch (pattern[at]!) {
    case question:
      return at + 1;
    case open:
      return classMatches(pattern, at + 1, byte);
    case backslash: {
      const escaped = at + 1 < pattern.length ? at + 1 : at;
      return pattern[escaped] === byte ? escaped + 1 : -1;
    }
    default:
      return pattern[at] === byte ? at + 1 : -1;
  }
}

/** The bytes of a glob in which \xNN stands for a byte, as keys that are no text are printed: never for a star or the like. */
export function parseGlobBytes(text: string): Buffer {
  const bytes = Buffer.from(text).toString('latin1');
  const plain = bytes.replace(/\\x([0-9a-fA-F]{2})|\\[^]/g, (escape: string, hex: string | undefined) => {
    if (hex === undefined) return escape;
    const byte = String.fromCharCode(Number.parseInt(hex, 16));
    return /[*?[\]\\^-]/.test(byte) ? `\\${byte}` : byte;
  });
  return Buffer.from(plain, 'latin1');
}

/** The glob that matches this key, and no other. */
export function globOf(key: Uint8Array): Buffer {
  return Buffer.from(
    Buffer.from(key)
      .toString('latin1')
      .replace(/[*?[\]\\^-]/g, '\\$&'),
    'latin1',
  );
}

/** The only key that a glob matches; undefined where it may match others. */
export function onlyKeyOf(pattern: string | Uint8Array): Buffer | undefined {
  const text = Buffer.from(pattern as string).toString('latin1');
  if (/^(?:[^*?[\\]|\\[^])*$/.test(text)) return Buffer.from(text.replace(/\\([^])/g, '$1'), 'latin1');
  return undefined;
}

/** `from` is behind the bracket. */
function classMatches(pattern: Uint8Array, from: number, byte: number): number {
  const end = pattern.length;
  const isNegated = pattern[from] === caret;
  let at = isNegated ? from + 1 : from;
  let isIn = false;
  for (; at < end && pattern[at] !== close; at += 1) {
    if (pattern[at] === backslash && end - at >= 2) {
      at += 1;
      isIn ||= pattern[at] === byte;
    } else if (end - at >= 3 && pattern[at + 1] === dash) {
      isIn ||= isBetween(byte, pattern[at]!, pattern[at + 2]!);
      at += 2;
    } else {
      isIn ||= pattern[at] === byte;
    }
  }
  if (isIn === isNegated) return -1;
  return Math.min(at + 1, end);
}

function isBetween(byte: number, one: number, other: number): boolean {
  const [value, a, b] = [signed(byte), signed(one), signed(other)];
  return value >= Math.min(a, b) && value <= Math.max(a, b);
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

/** What every match begins with: it settles most keys at once. */
function literalPrefix(pattern: Uint8Array): Uint8Array {
  const end = pattern.findIndex((byte) => [star, question, open, backslash].includes(byte));
  return pattern.subarray(0, end < 0 ? pattern.length : end);
}

function startsWith(key: Uint8Array, from: number, length: number, prefix: Uint8Array): boolean {
  if (length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (key[from + i] !== prefix[i]) return false;
  return true;
}
