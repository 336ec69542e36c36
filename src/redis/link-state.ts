/**
 * State frames of the link between journals (journal-format/LINK.md, kind 4), and who holds which base (section 1), pure.
 */
import { createHash } from 'node:crypto';
import type { BaseRecord } from '../../journal-format/base.ts';
import { readUint64, writeUint64 } from '../../journal-format/bytes.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import { broken, decoded } from './link-frame.ts';

/** How a journal that is followed stands. */
export interface LinkState {
  /** It hears from whom it follows. */
  readonly isUp: boolean;
  /** Journals between it and the primary. */
  readonly hops: number;
  /** What its stamps show now. */
  readonly stamp: Micros;
  readonly durable: Offset;
  /** The last byte that the primary is known to have. */
  readonly head: Offset;
}

const stateBytes = 26;
const hopsMax = 255;

export function encodeLinkState({ isUp, hops, stamp, durable, head }: LinkState): Buffer {
  const bytes = Buffer.alloc(stateBytes);
  bytes[0] = isUp ? 1 : 0;
  bytes[1] = Math.min(hops, hopsMax);
  for (const [i, number] of [stamp, durable, head].entries()) writeUint64(bytes, number, 2 + i * 8);
  return bytes;
}

/** What a later version says behind it is passed over. */
export function decodeLinkState(bytes: Buffer): LinkState {
  if (bytes.length < stateBytes) throw broken(`a state of ${bytes.length} bytes`);
  const [flags = 0, hops = 0] = bytes;
  const [stamp = 0, durable = 0, head = 0] = decoded(() => [2, 10, 18].map((at) => readUint64(bytes, at)));
  if (head < durable) throw broken(`a state whose head ${head} is before ${durable}`);
  return { isUp: (flags & 1) !== 0, hops, stamp, durable, head };
}

/** Names a base by what it is, not by who holds it. */
export function baseIdentity({
  id,
  offset,
  size,
  chunks,
}: Pick<BaseRecord, 'id' | 'offset' | 'size' | 'chunks'>): string {
  const bytes = Buffer.alloc(chunks.length * 4);
  chunks.forEach((crc, i) => bytes.writeUInt32LE(crc, i * 4));
  return createHash('sha256').update(`${id}:${offset}:${size}:`).update(bytes).digest('hex');
}
