// What a journal directory holds and what a tap on the wire saw, each as timelines of plain bytes, so that the two can be
// compared. The tap's side shares nothing with src (tap-parser.ts).
// Invariant: a recording that contradicts itself is an error here, not a difference there.
import { readFile } from 'node:fs/promises';
import type { GapRecord } from '../../journal-format/gap.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { parseReplication, replicationConnections } from './tap-parser.ts';
import type { Tap } from './tap.ts';

export interface History {
  /** The position of the base. */
  readonly id: string;
  readonly offset: number;
  readonly rdb: Buffer;
  /** The bytes behind it. */
  readonly stream: Buffer;
}

export interface JournaledHistory extends History {
  readonly number: number;
  readonly ids: readonly { readonly id: string; readonly offset: number }[];
  readonly gap: GapRecord | undefined;
}

/** Every timeline of a journal, read through the catalog, each byte verified on the way. */
export async function journaledHistories(tree: SourceTree): Promise<JournaledHistory[]> {
  const { timelines } = await loadCatalog(localDisk, tree);
  const histories: JournaledHistory[] = [];
  for (const { number, base, segments, end, ids, gap } of timelines) {
    const { id, offset } = base.record;
    const parts: Buffer[] = [];
    for await (const { bytes } of readRange(localDisk, segments, offset + 1, end)) parts.push(Buffer.from(bytes));
    histories.push({ number, id, offset, ids, gap, rdb: await readFile(base.rdbPath), stream: Buffer.concat(parts) });
  }
  return histories;
}

/** The last byte that a journal holds, without reading payload. */
export async function journaledEnd(tree: SourceTree): Promise<number> {
  const { timelines } = await loadCatalog(localDisk, tree);
  return timelines.at(-1)?.end ?? -1;
}

/**
 * What the primary sent, over all connections: full syncs that were passed on to their end, each with what
 * followed.
 */
export function recordedHistories(tap: Tap): History[] {
  const histories: { id: string; offset: number; rdb: Buffer; parts: Buffer[]; length: number }[] = [];
  for (const connection of replicationConnections(tap)) {
    const recorded = parseReplication(connection.fromPrimary, connection.toPrimary);
    if (recorded === undefined) continue;
    const { sync, rdb, stream, firstOffset } = recorded;
    if (sync.kind === 'full') {
      const passedOn = parseReplication(connection.fromPrimary.subarray(0, connection.forwarded), connection.toPrimary);
      if (rdb?.isComplete !== true || passedOn?.rdb?.isComplete !== true) continue;
      const { id, offset } = sync;
      histories.push({ id, offset, rdb: rdb.bytes, parts: [stream], length: stream.length });
      continue;
    }
    const current = histories.at(-1);
    if (current === undefined) throw new Error('+CONTINUE before any full sync');
    const known = current.offset + current.length + 1 - firstOffset;
    if (known < 0 || firstOffset <= current.offset)
      throw new Error(`the tap has not seen what is before ${firstOffset}`);
    // What was sent before and did not arrive is sent again.
    const before = Buffer.concat(current.parts);
    const again = stream.subarray(0, known);
    const place = before.length - known;
    if (!before.subarray(place, place + again.length).equals(again)) throw new Error('the primary sent other bytes');
    current.parts.push(stream.subarray(known));
    current.length += Math.max(0, stream.length - known);
  }
  return histories.map(({ id, offset, rdb, parts }) => ({ id, offset, rdb, stream: Buffer.concat(parts) }));
}

/** Where two byte strings part, with what is there; undefined when one is the beginning of the other. */
export function firstDifference(a: Buffer, b: Buffer): string | undefined {
  const length = Math.min(a.length, b.length);
  if (a.compare(b, 0, length, 0, length) === 0) return undefined;
  const at = a.findIndex((byte, index) => byte !== b[index]);
  const around = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1', Math.max(0, at - 40), at + 40));
  return `at byte ${at}: ${around(a)} and ${around(b)}`;
}
