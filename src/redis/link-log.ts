/**
 * Log frames of the link between journals (journal-format/LINK.md, kind 3), both directions, pure: what the frames of a journal
 * hold, without what makes them frames of a file. Reads and notes stay as they are on disk, so that the follower's journal tells
 * of time what the source's does.
 */
import { decodeAttach } from '../../journal-format/attach.ts';
import type { Attach } from '../../journal-format/attach.ts';
import { Leb128Reader, leb128BytesMax, writeLeb128 } from '../../journal-format/bytes.ts';
import { frameDataBytesMax, frameMetaBytesMax, integerMax } from '../../journal-format/limits.ts';
import { decodeReads, ReadsEncoder } from '../../journal-format/reads.ts';
import type { Reads } from '../../journal-format/reads.ts';
import { decodeSamples } from '../../journal-format/samples.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import { broken, decoded, newer } from './link-frame.ts';

export type EntryKind = 'stream' | 'tick' | 'sample' | 'attach';

/** As in a journal's frame. */
export interface LogEntry {
  readonly kind: EntryKind;
  /** Of the first data byte; without data, of the next stream byte. */
  readonly start: Offset;
  readonly firstStamp: Micros;
  readonly lastStamp: Micros;
  readonly meta: Uint8Array;
  readonly data: Uint8Array;
}

/** An entry as its receiver understands it. */
export type LogItem =
  | { readonly kind: 'stream'; readonly start: Offset; readonly data: Buffer; readonly reads: Reads }
  | { readonly kind: 'tick'; readonly start: Offset; readonly stamp: Micros }
  | { readonly kind: 'sample'; readonly start: Offset; readonly samples: readonly Sample[] }
  | { readonly kind: 'attach'; readonly start: Offset; readonly attach: Attach };

const numbers: Readonly<Record<EntryKind, number>> = { stream: 1, tick: 2, sample: 3, attach: 4 };
const kinds = new Map<number, EntryKind>(
  (Object.entries(numbers) as [EntryKind, number][]).map(([kind, number]) => [number, kind]),
);
const headBytesMax: number = 2 + 4 * leb128BytesMax;
const roomBytesFirst = 64 * 1024;

/** Collects entries for one body after the other. */
export class LogPacker {
  #room: Buffer = Buffer.alloc(0);
  #length = 0;
  #place: Offset | undefined;

  get length(): number {
    return this.#length;
  }

  add({ kind, start, firstStamp, lastStamp, meta, data }: LogEntry): void {
    this.#place ??= start;
    this.#reserve(headBytesMax + meta.length + data.length);
    const room = this.#room;
    room[this.#length] = numbers[kind];
    room[this.#length + 1] = isRequired(kind) ? 1 : 0;
    let at = this.#length + 2;
    for (const number of [firstStamp, lastStamp - firstStamp, meta.length, data.length])
      at = writeLeb128(room, number, at);
    room.set(meta, at);
    room.set(data, at + meta.length);
    this.#length = at + meta.length + data.length;
  }

  /** What was added, in memory of its own; undefined: nothing was. */
  take(): { readonly place: Offset; readonly body: Buffer } | undefined {
    if (this.#place === undefined) return undefined;
    const taken = { place: this.#place, body: this.#room.subarray(0, this.#length) };
    this.#place = undefined;
    this.#room = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }

  #reserve(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#room.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#room.length, roomBytesFirst));
    this.#room.copy(larger, 0, 0, this.#length);
    this.#room = larger;
  }
}

/** The part of a stream entry that holds these bytes; itself where that is all of it. */
export function entryPart(entry: LogEntry, from: Offset, to: Offset): LogEntry {
  const { start, meta, data } = entry;
  if (from <= start && to >= start + data.length - 1) return entry;
  const part = new ReadsEncoder();
  let next = from;
  decodeReads(meta, { ...entry, dataLength: data.length }).forEach((stamp, end) => {
    const last = Math.min(end, to);
    if (last < next) return;
    part.add(stamp, last + 1 - next);
    next = last + 1;
  });
  return { ...entry, ...part.finish(), start: from, data: data.subarray(from - start, to + 1 - start) };
}

/** The entries of a body; LinkError as soon as one makes no sense. */
export function* logItems(place: Offset, body: Buffer): Generator<LogItem, void, undefined> {
  if (place < 1) throw broken(`a log frame that begins at ${place}`);
  const reader = new Leb128Reader(body);
  let start = place;
  while (reader.left > 0) {
    const { kind, ...entry } = decoded(() => takeEntry(body, reader, start));
    if (kind !== undefined) yield decoded(() => itemOf({ kind, ...entry }));
    start += entry.data.length;
  }
  if (body.length === 0) throw broken('a log frame without entries');
}

type TakenEntry = Omit<LogEntry, 'kind' | 'data'> & { readonly kind: EntryKind | undefined; readonly data: Buffer };

/** A few bytes that wait for the disk hold no large body in memory. */
function takeEntry(body: Buffer, reader: Leb128Reader, start: Offset): TakenEntry {
  const [number = 0, flags = 0] = body.subarray(reader.position, reader.position + 2);
  if (reader.left < 2 || number === 0 || flags > 1) throw broken(`an entry of kind ${number} with flags ${flags}`);
  const kind = kinds.get(number);
  if (kind === undefined && flags === 1) throw newer(`an entry of kind ${number}`);
  if (kind !== undefined && (flags === 1) !== isRequired(kind)) throw broken(`a ${kind} entry with wrong flags`);
  reader.position += 2;
  const firstStamp = reader.next();
  const lastStamp = firstStamp + reader.next();
  const [metaLength, dataLength] = [reader.next(), reader.next()];
  if (lastStamp > integerMax || metaLength > frameMetaBytesMax || dataLength > frameDataBytesMax) {
    throw broken(`an entry of ${metaLength} and ${dataLength} bytes, up to ${lastStamp}`);
  }
  if (metaLength + dataLength > reader.left) throw broken('an entry runs over the end of its frame');
  if (dataLength > 0 !== (kind === 'stream') || start + dataLength - 1 > integerMax) {
    throw broken(`an entry of kind ${number} with ${dataLength} bytes at ${start}`);
  }
  const at = reader.position;
  reader.position += metaLength + dataLength;
  const meta = body.subarray(at, at + metaLength);
  const data = body.subarray(at + metaLength, reader.position);
  return { kind, start, firstStamp, lastStamp, meta, data: data.length < body.length / 2 ? Buffer.from(data) : data };
}

function itemOf({
  kind,
  start,
  firstStamp,
  lastStamp,
  meta,
  data,
}: TakenEntry & { readonly kind: EntryKind }): LogItem {
  switch (kind) {
    case 'stream':
      return { kind, start, data, reads: decodeReads(meta, { start, dataLength: data.length, firstStamp, lastStamp }) };
    case 'tick':
      if (meta.length > 0) throw broken(`a tick with ${meta.length} bytes of meta`);
      return { kind, start, stamp: lastStamp };
    case 'sample':
      return { kind, start, samples: decodeSamples(meta) };
    case 'attach':
      return { kind, start, attach: decodeAttach(meta) };
  }
}

function isRequired(kind: EntryKind): boolean {
  return kind === 'stream' || kind === 'attach';
}
