/**
 * File names (SPEC.md 3). A listing is the index of a timeline: names hold offsets and stamps as 16 hex digits, so that
 * they sort, and a random part that no two attempts share. What is not exactly of a known form is foreign and is left
 * alone.
 */
import { createHash } from 'node:crypto';
import { integerMax, markNameCharactersMax, uint32Max } from './limits.ts';

export type TimelineEntry =
  | { readonly kind: 'open'; readonly start: number; readonly unique: string }
  | {
      readonly kind: 'sealed';
      readonly start: number;
      readonly end: number;
      readonly first: number;
      readonly last: number;
      readonly unique: string;
    }
  | { readonly kind: 'rdb'; readonly offset: number; readonly unique: string }
  | { readonly kind: 'base'; readonly offset: number; readonly unique: string }
  | { readonly kind: 'stop'; readonly durable: number; readonly unique: string }
  | { readonly kind: 'timeline' | 'gap' | 'temporary' | 'foreign' };

export const temporaryPrefix = '.tmp-';

/** The fixed names of a source's folder and of a timeline's. */
export const fileNames = {
  lock: 'lock',
  holder: 'holder.json',
  state: 'state.json',
  reserve: 'reserve',
  marks: 'marks',
  timelines: 'timelines',
  aside: 'aside',
  removed: 'removed',
  delayedSocket: 'delayed.sock',
  delayedPause: 'delayed.json',
  copies: 'copies',
  partial: 'partial',
  timeline: 'timeline',
  gap: 'gap',
} as const;

export function isSourceName(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(text);
}

/** 40 lower-case hex digits. */
export function isReplicationId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The random part of a name: 8 lower-case hex digits. */
export function isUnique(text: string): boolean {
  return /^[0-9a-f]{8}$/.test(text);
}

const markName = new RegExp(`^\\P{Cc}{1,${markNameCharactersMax}}$`, 'u');

/** 1 to 128 characters (code points), none of them a control character or half a surrogate pair. */
export function isMarkName(text: string): boolean {
  return text.isWellFormed() && markName.test(text);
}

export function markFileName(name: string): string {
  return `${createHash('sha256').update(name, 'utf8').digest('hex')}.mark`;
}

export function isMarkFileName(text: string): boolean {
  return /^[0-9a-f]{64}\.mark$/.test(text);
}

export function timelineFolder(timeline: number): string {
  if (!Number.isInteger(timeline) || timeline < 1 || timeline > uint32Max) throw new RangeError(`timeline ${timeline}`);
  return timeline.toString(16).padStart(8, '0');
}

/** The number of a timeline's folder; undefined for a foreign name. */
export function parseTimelineFolder(name: string): number | undefined {
  if (!/^[0-9a-f]{8}$/.test(name)) return undefined;
  const timeline = Number.parseInt(name, 16);
  return timeline === 0 ? undefined : timeline;
}

export function openSegmentName(start: number, unique: string): string {
  return `${hex16(start)}-${checkedUnique(unique)}.open`;
}

export function sealedSegmentName(
  parts: { readonly start: number; readonly end: number; readonly first: number; readonly last: number },
  unique: string,
): string {
  const { start, end, first, last } = parts;
  return `${hex16(start)}-${hex16(end)}-${hex16(first)}-${hex16(last)}-${checkedUnique(unique)}.seg`;
}

export function rdbName(offset: number, unique: string): string {
  return `${hex16(offset)}-${checkedUnique(unique)}.rdb`;
}

export function baseName(offset: number, unique: string): string {
  return `${hex16(offset)}-${checkedUnique(unique)}.base`;
}

export function stopName(durable: number, unique: string): string {
  return `${hex16(durable)}-${checkedUnique(unique)}.stop`;
}

export function removedName(timeline: number): string {
  return `${timelineFolder(timeline)}.removed`;
}

export function isRemovedName(text: string): boolean {
  return /^[0-9a-f]{8}\.removed$/.test(text);
}

/** What a name in a timeline's folder stands for. */
export function parseTimelineEntry(name: string): TimelineEntry {
  if (name === fileNames.timeline) return { kind: 'timeline' };
  if (name === fileNames.gap) return { kind: 'gap' };
  if (name.startsWith(temporaryPrefix)) return { kind: 'temporary' };
  return parseSealed(name) ?? parseNumbered(name) ?? { kind: 'foreign' };
}

const sealedName = /^([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{8})\.seg$/;
const numberedName = /^([0-9a-f]{16})-([0-9a-f]{8})\.(open|rdb|base|stop)$/;

function parseSealed(name: string): TimelineEntry | undefined {
  // One by one: a journal has tens of thousands of these.
  const [, startHex = '', endHex = '', firstHex = '', lastHex = '', unique = ''] = sealedName.exec(name) ?? [];
  if (unique === '') return undefined;
  const [start, end] = [parseHex16(startHex), parseHex16(endHex)];
  const [first, last] = [parseHex16(firstHex), parseHex16(lastHex)];
  if (start === undefined || end === undefined || first === undefined || last === undefined) return undefined;
  return { kind: 'sealed', start, end, first, last, unique };
}

function parseNumbered(name: string): TimelineEntry | undefined {
  const [, hex, unique, suffix] = numberedName.exec(name) ?? [];
  const number = hex === undefined ? undefined : parseHex16(hex);
  if (number === undefined || unique === undefined) return undefined;
  if (suffix === 'open') return { kind: 'open', start: number, unique };
  if (suffix === 'stop') return { kind: 'stop', durable: number, unique };
  return { kind: suffix === 'rdb' ? 'rdb' : 'base', offset: number, unique };
}

function hex16(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned safe integer: ${value}`);
  return value.toString(16).padStart(16, '0');
}

function parseHex16(text: string): number | undefined {
  const value = Number.parseInt(text, 16);
  return value > integerMax ? undefined : value;
}

function checkedUnique(unique: string): string {
  if (!isUnique(unique)) throw new RangeError(`not 8 hex digits: ${unique}`);
  return unique;
}
