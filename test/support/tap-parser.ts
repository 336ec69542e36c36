// Reads a replication connection that a tap recorded: handshake replies, the PSYNC reply, the RDB, the stream bytes
// and their offsets, and what was acknowledged. It is the oracle for byte identity, so it shares nothing with src and
// takes the easy way of having the whole recording at hand.
// Invariant: stream byte i has offset `firstOffset + i`; bytes of an RDB or of keep-alives are never among them.
import type { Tap, TapConnection } from './tap.ts';

export interface RecordedReplication {
  /** Lines before the reply to PSYNC, refusals of it included. */
  readonly replies: readonly string[];
  readonly sync: { readonly kind: 'full'; readonly id: string; readonly offset: number } | RecordedContinue;
  /** Of a full synchronisation, once its header was seen. */
  readonly rdb?: RecordedRdb;
  readonly stream: Buffer;
  /** Of the first stream byte, whether or not it has come. */
  readonly firstOffset: number;
}

export interface RecordedContinue {
  readonly kind: 'continue';
  /** Absent if the follower didn't say that it knows of ids that change. */
  readonly id?: string;
}

export interface RecordedRdb {
  readonly form: 'length' | 'mark';
  readonly bytes: Buffer;
  readonly isComplete: boolean;
}

const newline = 0x0a;
const markLength = 40;

/** The connections of a tap on which PSYNC was sent, in order. */
export function replicationConnections(tap: Tap): TapConnection[] {
  return tap.connections.filter((connection) => psyncRequests(connection.toPrimary).length > 0);
}

/** Undefined as long as PSYNC has not been granted. */
export function parseReplication(fromPrimary: Buffer, toPrimary: Buffer): RecordedReplication | undefined {
  const replies: string[] = [];
  let at = 0;
  for (;;) {
    while (fromPrimary[at] === newline) at++;
    const end = fromPrimary.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = fromPrimary.toString('latin1', at, end);
    at = end + 2;
    const sync = parseSync(line);
    if (sync?.kind === 'full') return { replies, sync, ...parseFull(fromPrimary.subarray(at), sync.offset + 1) };
    if (sync?.kind === 'continue') {
      const firstOffset = psyncRequests(toPrimary).at(-1);
      if (firstOffset === undefined) throw new Error('+CONTINUE without a PSYNC');
      return { replies, sync, stream: fromPrimary.subarray(at), firstOffset };
    }
    replies.push(line);
    if (line.startsWith('$')) at += Math.max(0, Number(line.slice(1)) + 2);
  }
}

/** Each REPLCONF ACK of the follower, in order. */
export function recordedAcks(toPrimary: Buffer): { readonly ack: number; readonly fack?: number }[] {
  const pattern =
    /\*[35]\r\n\$8\r\nREPLCONF\r\n\$3\r\nACK\r\n\$\d+\r\n(\d+)\r\n(?:\$4\r\nFACK\r\n\$\d+\r\n(\d+)\r\n)?/gi;
  return [...toPrimary.toString('latin1').matchAll(pattern)].map(([, ack, fack]) => ({
    ack: Number(ack),
    ...(fack !== undefined && { fack: Number(fack) }),
  }));
}

/** The offsets that the follower asked for; -1 asks for everything. */
function psyncRequests(toPrimary: Buffer): number[] {
  const pattern = /\*\d\r\n\$5\r\nPSYNC\r\n\$\d+\r\n[^\r]+\r\n\$\d+\r\n(-?\d+)\r\n/gi;
  return [...toPrimary.toString('latin1').matchAll(pattern)].map((match) => Number(match[1]));
}

function parseSync(line: string): RecordedReplication['sync'] | undefined {
  const [, fullId, offset] = /^\+FULLRESYNC ([0-9a-f]{40}) (\d+)$/.exec(line) ?? [];
  if (fullId !== undefined) return { kind: 'full', id: fullId, offset: Number(offset) };
  const [granted, id] = /^\+CONTINUE(?: ([0-9a-f]{40}))?$/.exec(line) ?? [];
  if (granted === undefined) return undefined;
  return { kind: 'continue', ...(id !== undefined && { id }) };
}

/** What follows +FULLRESYNC: keep-alives, a header, the RDB, the stream. */
function parseFull(bytes: Buffer, firstOffset: number): Pick<RecordedReplication, 'rdb' | 'stream' | 'firstOffset'> {
  let at = 0;
  while (bytes[at] === newline) at++;
  const nothing = { stream: Buffer.alloc(0), firstOffset };
  const end = bytes.indexOf('\r\n', at);
  if (end < 0) return nothing;
  const header = bytes.toString('latin1', at, end);
  const body = bytes.subarray(end + 2);
  if (header.startsWith('$EOF:')) {
    const mark = header.slice(5);
    if (mark.length !== markLength) throw new Error(`the mark in ${JSON.stringify(header)} is not ${markLength} bytes`);
    const markAt = body.indexOf(mark, 0, 'latin1');
    if (markAt < 0) return { ...nothing, rdb: { form: 'mark', bytes: body, isComplete: false } };
    const rdb = { form: 'mark', bytes: body.subarray(0, markAt), isComplete: true } as const;
    return { rdb, stream: body.subarray(markAt + markLength), firstOffset };
  }
  if (!/^\$\d+$/.test(header)) throw new Error(`expected the header of an RDB, got ${JSON.stringify(header)}`);
  const length = Number(header.slice(1));
  const rdb = { form: 'length', bytes: body.subarray(0, length), isComplete: body.length >= length } as const;
  return { rdb, stream: body.subarray(length), firstOffset };
}
