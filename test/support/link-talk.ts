// LinkTalk: what a journal sends over a link, frame by frame, right by itself, so that a test makes wrong just what it means to.
// Neighbour: fake-primary.ts, whose script sends it behind the answer to PSYNC.
import { crc32, zstdCompressSync } from 'node:zlib';
import { encodeAttach } from '../../journal-format/attach.ts';
import { encodeBase } from '../../journal-format/base.ts';
import type { BaseRecord } from '../../journal-format/base.ts';
import { ReadsEncoder } from '../../journal-format/reads.ts';
import { encodeSamples } from '../../journal-format/samples.ts';
import type { Sample } from '../../journal-format/samples.ts';
import { LinkFrameWriter } from '../../src/redis/link-frame.ts';
import type { LinkFrameKind } from '../../src/redis/link-frame.ts';
import { LogPacker } from '../../src/redis/link-log.ts';
import type { LogEntry } from '../../src/redis/link-log.ts';
import { encodeLinkState } from '../../src/redis/link-state.ts';
import type { LinkState } from '../../src/redis/link-state.ts';
import { RdbHeadReader, streamDb } from '../../src/redis/rdb-head.ts';

/** How a journal answers what others answer with an error. */
export const journalReplies: Readonly<Record<string, string>> = {
  'REPLCONF JOURNAL-LINK': '+journal-link 1\r\n',
  'REPLCONF JOURNAL-BASE': '+OK\r\n',
};

export const linkChunkOfBase: number = 1024 * 1024;
/** What the source's stamps begin with. */
export const linkStamp = 1_700_000_000_000_000;
const none = Buffer.alloc(0);

/** What a journal's document says of this RDB. */
export function linkedRecord(rdb: Buffer, id: string, offset: number, chunk: number = linkChunkOfBase): BaseRecord {
  const head = new RdbHeadReader().push(rdb);
  if (head === undefined) throw new Error('an RDB without a head');
  const chunks = Uint32Array.from({ length: Math.ceil(rdb.length / chunk) }, (_, i) =>
    crc32(rdb.subarray(i * chunk, (i + 1) * chunk)),
  );
  return {
    ...{
      timeline: 7,
      offset,
      id,
      origin: 'received',
      db: streamDb(head.aux),
      stamp: linkStamp,
      completed: linkStamp + 1,
    },
    ...{ size: rdb.length, magic: head.magic, version: head.version, aux: Object.fromEntries(head.aux) },
    ...{ crc64: '0'.repeat(16), chunk, chunks },
  };
}

/** A read of a source's journal. */
export function streamEntry(start: number, data: Buffer, stamp: number = linkStamp + start): LogEntry {
  const reads = new ReadsEncoder();
  reads.add(stamp, data.length);
  return { kind: 'stream', start, ...reads.finish(), data };
}

export function noteEntry(
  kind: 'tick' | 'sample' | 'attach',
  start: number,
  stamp: number,
  meta: Buffer = none,
): LogEntry {
  return { kind, start, firstStamp: stamp, lastStamp: stamp, meta, data: none };
}

export function attachEntry(start: number, id: string, stamp: number, lostStamp = stamp): LogEntry {
  return noteEntry('attach', start, stamp, encodeAttach({ id, lostStamp, stamp }));
}

export function sampleEntry(start: number, samples: readonly Sample[]): LogEntry {
  return noteEntry('sample', start, samples[0]?.stamp ?? 0, encodeSamples(samples));
}

export class LinkTalk {
  readonly #writer = new LinkFrameWriter();
  readonly #parts: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  frame(kind: LinkFrameKind, place: number, body: Buffer, form: 'as it is' | 'packed' = 'as it is'): this {
    const packed = form === 'packed' ? zstdCompressSync(body) : body;
    const meantLength = form === 'packed' ? body.length : undefined;
    this.#parts.push(this.#writer.header(kind, place, { bytes: packed, meantLength }), packed);
    return this;
  }

  /** What is no frame. */
  raw(bytes: Buffer | string): this {
    this.#parts.push(Buffer.from(bytes as string));
    return this;
  }

  /** A base, its pieces as large as may be, from this byte on. */
  base(rdb: Buffer, record: BaseRecord, held = 0): this {
    this.frame('base', held, encodeBase(record).bytes);
    for (let at = held; at < rdb.length; at += linkChunkOfBase) {
      this.frame('piece', at, rdb.subarray(at, at + linkChunkOfBase));
    }
    return this;
  }

  log(entries: readonly LogEntry[], form: 'as it is' | 'packed' = 'as it is'): this {
    const packer = new LogPacker();
    for (const entry of entries) packer.add(entry);
    const taken = packer.take();
    if (taken === undefined) throw new Error('a log frame has an entry');
    return this.frame('log', taken.place, taken.body, form);
  }

  stream(start: number, data: Buffer, stamp?: number): this {
    return this.log([streamEntry(start, data, stamp)]);
  }

  state(change: Partial<LinkState> = {}): this {
    const state = { isUp: true, hops: 0, stamp: linkStamp, durable: 0, head: 0, ...change };
    return this.frame('state', 0, encodeLinkState(state));
  }
}
