/**
 * The shape of a document's body, checked before it is decoded and after it is encoded: one MessagePack map that fills
 * its bytes exactly; string keys, none twice in a map; well-formed UTF-8; integers of at most 2^53 − 1 either way; no
 * floats, no extensions; bounded nesting. Nothing is allocated by length: every length is first held against the bytes
 * that are really there, so that the decoder behind this cannot be made to allocate more than the body justifies.
 */
import { isUtf8 } from 'node:buffer';
import { FormatError } from './errors.ts';
import { documentDepthMax, integerMax } from './limits.ts';

/** Throws `corrupt` unless `body` has the shape above; `at` is where the body begins in the caller's bytes. */
export function checkShape(body: Buffer, at: number): void {
  const walk: Walk = { body, at, position: 0 };
  const first = body[0];
  if (first === undefined || !isMap(first)) fail(walk, 'body is not a map');
  skipValue(walk, 1);
  if (walk.position !== body.length) fail(walk, 'bytes behind the map');
}

interface Walk {
  readonly body: Buffer;
  readonly at: number;
  position: number;
}

function fail(walk: Walk, what: string): never {
  throw new FormatError('corrupt', `document body: ${what}`, walk.at + walk.position);
}

function isMap(head: number): boolean {
  return (head & 0xf0) === 0x80 || head === 0xde || head === 0xdf;
}

function skipValue(walk: Walk, depth: number): void {
  const head = take(walk, 1, 'value');
  if (head < 0x80 || head >= 0xe0) return;
  if (head < 0x90) skipMap(walk, head & 0x0f, depth);
  else if (head < 0xa0) skipArray(walk, head & 0x0f, depth);
  else if (head < 0xc0) skipText(walk, head & 0x1f);
  else skipTyped(walk, head, depth);
}

/** Values whose first byte is a type: lengths and integers of 1, 2, 4 or 8 bytes follow it. */
function skipTyped(walk: Walk, head: number, depth: number): void {
  if (head === 0xc0 || head === 0xc2 || head === 0xc3) return;
  if (head >= 0xc4 && head <= 0xc6) skipBytes(walk, take(walk, 1 << (head - 0xc4), 'length'));
  else if (head >= 0xcc && head <= 0xce) take(walk, 1 << (head - 0xcc), 'integer');
  else if (head >= 0xd0 && head <= 0xd2) take(walk, 1 << (head - 0xd0), 'integer');
  else if (head === 0xcf || head === 0xd3) skipInteger64(walk, head === 0xd3);
  else if (head >= 0xd9 && head <= 0xdb) skipText(walk, take(walk, 1 << (head - 0xd9), 'length'));
  else if (head === 0xdc || head === 0xdd) skipArray(walk, take(walk, 2 << (head - 0xdc), 'length'), depth);
  else if (head === 0xde || head === 0xdf) skipMap(walk, take(walk, 2 << (head - 0xde), 'length'), depth);
  else fail(walk, `value of type 0x${head.toString(16)}`);
}

/** The next 1, 2 or 4 bytes as a big-endian number, as MessagePack has them. */
function take(walk: Walk, bytes: number, what: string): number {
  if (walk.body.length - walk.position < bytes) fail(walk, `${what} runs over the end`);
  const value = walk.body.readUIntBE(walk.position, bytes);
  walk.position += bytes;
  return value;
}

function skipInteger64(walk: Walk, signed: boolean): void {
  if (walk.body.length - walk.position < 8) fail(walk, 'integer runs over the end');
  const value = signed ? walk.body.readBigInt64BE(walk.position) : walk.body.readBigUInt64BE(walk.position);
  if (value > BigInt(integerMax) || value < -BigInt(integerMax)) fail(walk, 'integer beyond 2^53 − 1');
  walk.position += 8;
}

function skipBytes(walk: Walk, length: number): void {
  if (walk.body.length - walk.position < length) fail(walk, 'bytes run over the end');
  walk.position += length;
}

/** Returns where the text begins. */
function skipText(walk: Walk, length: number): number {
  const start = walk.position;
  skipBytes(walk, length);
  if (!isUtf8(walk.body.subarray(start, walk.position))) fail(walk, 'text is not UTF-8');
  return start;
}

function skipArray(walk: Walk, count: number, depth: number): void {
  enter(walk, count, depth);
  for (let i = 0; i < count; i += 1) skipValue(walk, depth + 1);
}

function skipMap(walk: Walk, count: number, depth: number): void {
  enter(walk, count * 2, depth);
  const keys = new Set<string>();
  for (let i = 0; i < count; i += 1) {
    const key = takeKey(walk);
    if (keys.has(key)) fail(walk, `key ${JSON.stringify(key)} twice`);
    if (key === '__proto__') fail(walk, 'a key that sets what an object inherits');
    keys.add(key);
    skipValue(walk, depth + 1);
  }
}

/** Each value takes a byte at least. */
function enter(walk: Walk, values: number, depth: number): void {
  if (depth > documentDepthMax) fail(walk, 'nested too deeply');
  if (values > walk.body.length - walk.position) fail(walk, `${values} values in fewer bytes`);
}

function takeKey(walk: Walk): string {
  const head = take(walk, 1, 'key');
  let length: number;
  if ((head & 0xe0) === 0xa0) length = head & 0x1f;
  else if (head >= 0xd9 && head <= 0xdb) length = take(walk, 1 << (head - 0xd9), 'length');
  else fail(walk, 'key is not a string');
  const start = skipText(walk, length);
  return walk.body.toString('utf8', start, walk.position);
}
