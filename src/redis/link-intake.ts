/**
 * What a journal that we follow sends (journal-format/LINK.md), as a machine without a socket: bytes go in, and what they mean
 * comes out, in an order that makes sense: a base, its pieces, then the log, with states between.
 *
 * Invariant: pieces and log are without a hole; what is not as it was announced is a LinkError (or an IntegrityError, where a base
 * contradicts itself).
 */
import { decodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import { linkBodyBytesMax } from '../core/limits.ts';
import type { Offset, Position } from '../core/position.ts';
import { formatPosition } from '../core/position.ts';
import type { HeldBase } from './handshake.ts';
import { broken, decoded, LinkFrameReader } from './link-frame.ts';
import type { LinkFrame } from './link-frame.ts';
import { logItems } from './link-log.ts';
import type { LogItem } from './link-log.ts';
import { baseIdentity, decodeLinkState } from './link-state.ts';
import type { LinkState } from './link-state.ts';
import { checkPosition, streamDb } from './rdb-head.ts';

/** What a journal says of its base. */
export type LinkedBase = BaseRecord;

export type LinkEvent =
  /** The pieces begin behind `held` bytes. */
  | { readonly kind: 'base'; readonly record: BaseRecord; readonly held: number }
  | { readonly kind: 'piece'; readonly bytes: Buffer; readonly isLast: boolean }
  | { readonly kind: 'state'; readonly state: LinkState }
  | LogItem;

/** What the answer to PSYNC announced: a base, of which we said to hold so much, or the stream from here on. */
export type Announced = { readonly base: Position; readonly held: HeldBase | undefined } | { readonly next: Offset };

type Phase =
  | { readonly name: 'base'; readonly position: Position; readonly held: HeldBase | undefined }
  | { readonly name: 'pieces'; readonly record: BaseRecord; at: number }
  | { readonly name: 'log'; next: Offset };

export class LinkIntake {
  readonly #frames = new LinkFrameReader();
  #phase: Phase;
  /** Of the log frame at hand. */
  #items: Iterator<LogItem, void> | undefined;

  constructor(announced: Announced) {
    this.#phase =
      'base' in announced
        ? { name: 'base', position: announced.base, held: announced.held }
        : { name: 'log', next: announced.next };
  }

  /** The bytes are the caller's again on return. */
  push(bytes: Uint8Array): void {
    this.#frames.push(bytes);
  }

  /** Undefined: more bytes are needed. */
  next(): LinkEvent | undefined {
    for (;;) {
      const item = this.#items?.next();
      if (item?.done === false) return this.#logged(item.value);
      this.#items = undefined;
      const frame = this.#frames.next();
      if (frame === undefined) return undefined;
      if (frame.kind === 'log') this.#items = this.#log(frame);
      else return this.#event(frame);
    }
  }

  #event({ kind, place, body }: LinkFrame): LinkEvent {
    if (kind === 'base') return this.#base(place, body);
    if (kind === 'piece') return this.#piece(place, body);
    return { kind: 'state', state: decodeLinkState(body) };
  }

  #base(held: number, body: Buffer): LinkEvent {
    const phase = this.#phase;
    const { record } = decoded(() => decodeBase(body));
    if (phase.name !== 'base' || held >= record.size) throw broken(`a base that begins at ${held}`);
    if (held > 0 && (held !== phase.held?.bytes || baseIdentity(record) !== phase.held.identity)) {
      throw broken(`a base that goes on at ${held}, where nothing of it is held`);
    }
    if (record.chunk > linkBodyBytesMax) throw broken(`a base in chunks of ${record.chunk} bytes`);
    if (formatPosition(record) !== formatPosition(phase.position)) {
      throw broken(`a base at ${formatPosition(record)} instead of ${formatPosition(phase.position)}`);
    }
    const aux = new Map(Object.entries(record.aux));
    checkPosition(aux, phase.position);
    if (streamDb(aux) !== record.db) throw broken(`a base in db ${record.db}, whose RDB says otherwise`);
    this.#phase = { name: 'pieces', record, at: held };
    return { kind: 'base', record, held };
  }

  #piece(place: number, bytes: Buffer): LinkEvent {
    const phase = this.#phase;
    const end = place + bytes.length;
    if (phase.name !== 'pieces' || place !== phase.at || bytes.length === 0 || end > phase.record.size) {
      throw broken(`a piece of ${bytes.length} bytes at ${place}`);
    }
    phase.at = end;
    const isLast = end === phase.record.size;
    if (isLast) this.#phase = { name: 'log', next: phase.record.offset + 1 };
    return { kind: 'piece', bytes, isLast };
  }

  #log({ place, body }: LinkFrame): Iterator<LogItem, void> {
    const phase = this.#phase;
    if (phase.name !== 'log' || place !== phase.next) throw broken(`the stream from ${place} on`);
    return logItems(place, body);
  }

  #logged(item: LogItem): LogItem {
    if (item.kind === 'stream' && this.#phase.name === 'log') this.#phase.next = item.start + item.data.length;
    return item;
  }
}
